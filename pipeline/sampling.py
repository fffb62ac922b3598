"""How windows are sampled for every unit, and what a sample weighs.

A unit's strongest windows are kept for certain, and a simple random sample of each stratum of the
windows' maxima beside them. Knows numbers of windows only: no text, no activations, no torch.
Shape key: U units, S strata, K slots of one stratum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scrutable.pipeline.records import SPLITS, Split, Unit

STRATUM_QUANTILES = (0.25, 0.5, 0.75, 0.875, 0.94, 0.97, 0.985)
"""Where the strata of the windows' maxima are cut: eight strata (SCIENCE 2.1), finer towards the top."""


@dataclass(frozen=True, slots=True)
class SamplingPlan:
    """How many windows are kept of each unit."""

    top: Mapping[Split, int]  # the strongest windows, each kept for certain
    per_stratum: Mapping[Split, int]
    quantiles: tuple[float, ...] = STRATUM_QUANTILES
    pilot: int = 256  # first windows of the explain split, from which the cuts between strata are read

    @property
    def n_strata(self) -> int:
        return len(self.quantiles) + 1


@dataclass(frozen=True, slots=True)
class Sampled:
    """A probability sample of the windows of one split for one unit; weights sum to their number."""

    windows: tuple[int, ...]
    weights: tuple[float, ...]  # 1 / inclusion probability
    n_top: int  # the first n_top windows are the strongest, strongest first, weight 1


@dataclass(frozen=True, slots=True)
class Captured:
    """The result of the pass for U units, in the order of `units`."""

    units: tuple[Unit, ...]
    top_windows: NDArray[np.int32]  # (splits, U, K_top), -1 where there are fewer
    top_strata: NDArray[np.int8]  # (splits, U, K_top) stratum of each top window
    slots: NDArray[np.int32]  # (splits, U, S, K), -1 where there are fewer
    population: NDArray[np.int32]  # (splits, U, S) windows in each stratum
    places: dict[str, int] = field(init=False, repr=False, compare=False)  # unit → its place

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", {unit.id: u for u, unit in enumerate(self.units)})

    def sampled(self, unit: str, split: Split, *, top: int, per_stratum: int) -> Sampled:
        """The sample of one unit. Raises KeyError for an unknown unit."""
        u = self.places[unit]
        s = SPLITS.index(split)
        return design(
            top=[int(w) for w in self.top_windows[s, u][:top] if w >= 0],
            top_strata=[int(x) for x in self.top_strata[s, u][:top]],
            slots=[[int(w) for w in row[:per_stratum] if w >= 0] for row in self.slots[s, u]],
            population=[int(n) for n in self.population[s, u]],
        )

    def only(self, units: Sequence[str]) -> Captured:
        """The same for some units, in the order given. Raises KeyError for an unknown one."""
        index = [self.places[unit] for unit in units]
        return Captured(
            units=tuple(self.units[u] for u in index),
            **{name: array[:, index] for name, array in self.arrays().items()},
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything but the units, for storage."""
        return {
            "top_windows": self.top_windows,
            "top_strata": self.top_strata,
            "slots": self.slots,
            "population": self.population,
        }


def design(
    *,
    top: Sequence[int],
    top_strata: Sequence[int],
    slots: Sequence[Sequence[int]],
    population: Sequence[int],
) -> Sampled:
    """Weights for the union of a certainty sample (`top`) and simple random samples of strata.

    What is left of a stratum's random sample when the top windows are taken out is a simple random
    sample of what is left of the stratum, so its windows weigh (left in stratum) / (left in sample).
    A stratum with windows left but none sampled is merged with its nearest sampled neighbour.
    """
    certain = set(top)
    left = list(population)
    for stratum in top_strata[: len(top)]:
        left[stratum] -= 1
    kept = [[w for w in row if w not in certain] for row in slots]
    sampled = [s for s, row in enumerate(kept) if row]
    owner = {s: min(sampled, key=lambda o: (abs(o - s), o)) for s in range(len(left)) if sampled}
    mass = dict.fromkeys(sampled, 0)
    for s, n in enumerate(left):
        if n and sampled:
            mass[owner[s]] += n
    windows = [*top, *(w for s in sampled for w in kept[s])]
    weights = [1.0] * len(top) + [mass[s] / len(kept[s]) for s in sampled for _ in kept[s]]
    return Sampled(windows=tuple(windows), weights=tuple(weights), n_top=len(top))
