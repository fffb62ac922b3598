"""Bounded-memory sampling of windows for every unit at once, on the device of the activations.

A group is the set of units that one call brings (a layer). Shape key: U units of a group, B windows
of a batch, S strata, K slots, P pilot windows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scrutable.pipeline.records import SPLITS
from scrutable.pipeline.sampling import SamplingPlan

Arrays = dict[str, NDArray[Any]]

_PILOT_CHUNK = 32


class StrataSampler:
    """Keeps the top windows and a stratified random sample of every unit.

    The cuts between strata are quantiles of the unit's maxima over the first `plan.pilot` windows
    (all of the first split, if it has fewer); these are buffered until the cuts are known, so that
    nothing depends on how the windows are batched.
    """

    def __init__(self, widths: Sequence[int], plan: SamplingPlan, device: torch.device) -> None:
        self._plan = plan
        self._groups = [_slice(widths, g) for g in range(len(widths))]
        total, splits, strata = sum(widths), len(SPLITS), plan.n_strata
        top, slots = max(plan.top.values()), max(plan.per_stratum.values())
        like: dict[str, Any] = {"device": device}
        self.top_values = torch.zeros(splits, total, top, **like)
        self.top_windows = torch.full((splits, total, top), -1, dtype=torch.int32, **like)
        self.slots = torch.full((splits, total, strata, slots), -1, dtype=torch.int32, **like)
        self.population = torch.zeros(splits, total, strata, dtype=torch.int32, **like)
        self.edges = torch.zeros(total, strata - 1, **like)
        self.pilot = torch.zeros(total, plan.pilot, **like)
        self.pilot_windows = torch.zeros(plan.pilot, dtype=torch.int64, **like)
        self.pilot_filled = torch.zeros(len(widths), dtype=torch.int64)  # -1 once the cuts are known

    def update(self, group: int, maxima_UB: torch.Tensor, windows_B: torch.Tensor, *, split: int) -> None:
        """Takes the maxima of one group on the next windows of a split; ties at 0 count as silent."""
        units = self._groups[group]
        self._update_top(units, maxima_UB, windows_B, split)
        filled = int(self.pilot_filled[group])
        if filled >= 0:
            taken = min(self._plan.pilot - filled, len(windows_B))
            self.pilot[units, filled : filled + taken] = maxima_UB[:, :taken]
            self.pilot_windows[filled : filled + taken] = windows_B[:taken]
            self.pilot_filled[group] = filled + taken
            if filled + taken < self._plan.pilot:
                return
            self._close_pilot(group, split)
            maxima_UB, windows_B = maxima_UB[:, taken:], windows_B[taken:]
        if len(windows_B):
            self._update_strata(units, maxima_UB, windows_B, split)

    def end_of_split(self, split: int) -> None:
        """Reads the cuts from what the pilot holds, if it never filled."""
        for group in range(len(self._groups)):
            if self.pilot_filled[group] > 0:
                self._close_pilot(group, split)

    def _close_pilot(self, group: int, split: int) -> None:
        units, n = self._groups[group], int(self.pilot_filled[group])
        ranks = [min(n - 1, int(q * n)) for q in self._plan.quantiles]
        # numpy's partition is far faster than sorting thousands of short rows
        ordered = np.partition(self.pilot[units, :n].cpu().numpy(), ranks, axis=1)
        self.edges[units] = torch.from_numpy(ordered[:, ranks]).to(self.edges.device)
        for start in range(0, n, _PILOT_CHUNK):  # slots fill up early, so later chunks cost little
            chunk = slice(start, min(start + _PILOT_CHUNK, n))
            self._update_strata(units, self.pilot[units, chunk], self.pilot_windows[chunk], split)
        self.pilot_filled[group] = -1
        if (self.pilot_filled == -1).all():
            self.pilot = self.pilot.new_zeros(0, 0)

    def _update_top(self, units: slice, maxima_UB: torch.Tensor, windows_B: torch.Tensor, split: int) -> None:
        values, windows = self.top_values[split, units], self.top_windows[split, units]
        rows = (maxima_UB.amax(1) > values[:, -1]).nonzero().squeeze(1)
        if not len(rows):
            return
        new = windows_B.to(torch.int32).expand(len(rows), -1)
        pool_values = torch.cat([values[rows], maxima_UB[rows]], dim=1)
        pool_windows = torch.cat([windows[rows], new], dim=1)
        best = pool_values.topk(values.shape[1], dim=1)
        values[rows] = best.values
        windows[rows] = pool_windows.gather(1, best.indices)

    def _update_strata(
        self, units: slice, maxima_UB: torch.Tensor, windows_B: torch.Tensor, split: int
    ) -> None:
        edges, counts = self.edges[units], self.population[split, units]
        strata_UB = torch.searchsorted(edges, maxima_UB.contiguous())  # edges strictly below the value
        n_units, n_strata = counts.shape
        cells = torch.arange(n_units, device=counts.device)[:, None] * n_strata + strata_UB
        room = counts.flatten()[cells] < self.slots.shape[3]
        if room.any():
            self._fill(units, split, cells[room], windows_B.expand(n_units, -1)[room])
        counts += torch.bincount(cells.flatten(), minlength=counts.numel()).view_as(counts).to(torch.int32)

    def _fill(self, units: slice, split: int, cells_N: torch.Tensor, windows_N: torch.Tensor) -> None:
        """Puts candidates into free slots; `cells_N` are (unit, stratum) pairs, earlier windows first."""
        slots = self.slots[split, units].view(-1, self.slots.shape[3])
        counts = self.population[split, units].reshape(-1)
        order = cells_N.sort(stable=True).indices
        cells, windows = cells_N[order], windows_N[order]
        index = torch.arange(len(cells), device=cells.device)
        starts = torch.cat([index.new_ones(1, dtype=torch.bool), cells[1:] != cells[:-1]])
        rank = index - index[starts].repeat_interleave(torch.diff(index[starts], append=index[-1:] + 1))
        slot = counts[cells] + rank
        fits = slot < slots.shape[1]
        slots[cells[fits], slot[fits]] = windows[fits].to(torch.int32)

    def _top_strata(self) -> torch.Tensor:
        """(splits, U, K_top) int8: the stratum of each top window."""
        splits, total, k = self.top_values.shape
        flat = self.top_values.permute(1, 0, 2).reshape(total, splits * k).contiguous()
        strata = torch.searchsorted(self.edges, flat).to(torch.int8)
        return strata.view(total, splits, k).permute(1, 0, 2)

    def kept(self) -> Arrays:
        """The sample as the arrays of `Captured`."""
        windows = torch.where(self.top_values > 0, self.top_windows, -1)
        return {
            "top_windows": windows.cpu().numpy(),
            "top_strata": self._top_strata().cpu().numpy(),
            "slots": self.slots.cpu().numpy(),
            "population": self.population.cpu().numpy(),
        }

    def state(self) -> Arrays:
        """All tensors as numpy arrays; `restore` undoes it."""
        return {name: getattr(self, name).cpu().numpy() for name in _STATE}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Goes on from a stored state."""
        for name in _STATE:
            setattr(self, name, torch.from_numpy(state[name].copy()).to(getattr(self, name).device))


_STATE = (
    "top_values",
    "top_windows",
    "slots",
    "population",
    "edges",
    "pilot",
    "pilot_windows",
    "pilot_filled",
)


def _slice(widths: Sequence[int], group: int) -> slice:
    start = sum(widths[:group])
    return slice(start, start + widths[group])
