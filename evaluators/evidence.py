"""From simulations to arrays: what one or many explanations predict on the same excerpts, token by token.

Shape key: X explanations, E excerpts, N scored tokens of them, L levels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scrutable.pipeline.protocols import Evidence, Simulated
from scrutable.pipeline.records import Excerpt, Simulation

Floats = NDArray[np.float64]


class Batch(NamedTuple):
    """Explanations that were simulated on the same excerpts."""

    excerpts: tuple[Excerpt, ...]  # (E,) ordered by id: a sum of floats depends on its order
    true: Floats  # (N,) subject's raw units
    predicted: Floats  # (X, N) simulator's own scale
    weights: Floats  # (N,) of the token's excerpt
    lengths: NDArray[np.intp]  # (E,) scored tokens of each excerpt; sums to N

    def documents(self, numbers: Mapping[str, int]) -> NDArray[np.intp]:
        """(N,) the number of each token's document."""
        codes = np.array([numbers[e.document] for e in self.excerpts], dtype=np.intp)
        return np.repeat(codes, self.lengths)


def columns(simulations: Iterable[Simulation]) -> dict[str, Simulated]:
    """Explanation id → its predictions as columns, ordered by excerpt id.

    Raises ValueError for two simulations of one excerpt from one explanation.
    """
    ordered = sorted(simulations, key=lambda s: (s.explanation, s.excerpt))
    return {
        explanation: _columns(explanation, list(group))
        for explanation, group in groupby(ordered, key=lambda s: s.explanation)
    }


def evidence_of(
    *,
    unit: str,
    author: str,
    simulator: str,
    calibrate: Sequence[Excerpt],
    held_out: Sequence[Excerpt],
    simulations: Iterable[Simulation],
) -> Evidence:
    """Simulations of one unit, of which `unit/author` is its own explanation and all others are nulls.

    Raises ValueError for a simulation of another unit or simulator, and as `columns` does.
    """
    kept = list(simulations)
    for simulated in kept:
        if (simulated.unit, simulated.simulator) != (unit, simulator):
            raise ValueError(
                f"simulation of excerpt {simulated.excerpt} is by {simulated.simulator} for "
                f"{simulated.unit}, expected {simulator} for {unit}"
            )
    by_explanation = columns(kept)
    own = by_explanation.pop(f"{unit}/{author}", None)
    return Evidence(
        unit=unit,
        explainer=author,
        simulator=simulator,
        calibrate=tuple(calibrate),
        held_out=tuple(held_out),
        own=own,
        nulls=tuple(by_explanation.values()),
    )


def batches(excerpts: Sequence[Excerpt], simulated: Sequence[Simulated]) -> list[tuple[list[int], Batch]]:
    """The explanations grouped by which of `excerpts` they were simulated on, with their places in the input.

    Explanations of one unit mostly share all excerpts; a call that failed puts one into a group of its own.

    Raises ValueError for a simulation of another length than its excerpt, or with values that are not finite.
    """
    known = {e.passage.id: e for e in excerpts}
    groups: dict[tuple[str, ...], list[int]] = {}
    for place, one in enumerate(simulated):
        answered = tuple(name for name in one.excerpts if name in known)
        groups.setdefault(answered, []).append(place)
    return [
        (places, _batch([known[name] for name in answered], [simulated[i] for i in places]))
        for answered, places in groups.items()
    ]


def _batch(excerpts: Sequence[Excerpt], simulated: Sequence[Simulated]) -> Batch:
    lengths = np.array([len(e.activations) - e.passage.n_context for e in excerpts], dtype=np.intp)
    true = [np.array(e.activations[e.passage.n_context :], dtype=np.float64) for e in excerpts]
    weights = np.array([e.weight for e in excerpts], dtype=np.float64)
    ids = [e.passage.id for e in excerpts]
    predicted = np.stack([_predicted(one, ids, lengths) for one in simulated])
    whole = np.concatenate(true) if true else np.zeros(0)
    bad = np.flatnonzero(~np.isfinite(predicted).all(axis=0) | ~np.isfinite(whole))
    if bad.size:
        excerpt = ids[int(np.searchsorted(np.cumsum(lengths), bad[0], side="right"))]
        raise ValueError(f"excerpt {excerpt} or a simulation of it holds values that are not finite")
    return Batch(tuple(excerpts), whole, predicted, np.repeat(weights, lengths), lengths)


def _predicted(simulated: Simulated, ids: Sequence[str], lengths: NDArray[np.intp]) -> Floats:
    """(N,) the predictions on the excerpts of these ids, which are in the order of `simulated.excerpts`."""
    wanted = set(ids)
    is_wanted = np.array([name in wanted for name in simulated.excerpts], dtype=np.bool_)
    found = simulated.lengths[is_wanted]
    if not np.array_equal(found, lengths):
        wrong = int(np.flatnonzero(found != lengths)[0])
        raise ValueError(
            f"simulation of excerpt {ids[wrong]} from explanation {simulated.explanation} has "
            f"{found[wrong]} values for {lengths[wrong]} scored tokens"
        )
    return simulated.expected[np.repeat(is_wanted, simulated.lengths)]


def _columns(explanation: str, rows: Sequence[Simulation]) -> Simulated:
    excerpts = tuple(row.excerpt for row in rows)
    if len(set(excerpts)) < len(excerpts):
        raise ValueError(f"explanation {explanation}: an excerpt was simulated twice")
    lengths = np.array([len(row.expected) for row in rows], dtype=np.intp)
    levels = rows[0].levels
    flat = [p for row in rows for p in row.probabilities]
    return Simulated(
        explanation=explanation,
        excerpts=excerpts,
        lengths=lengths,
        expected=np.array([x for row in rows for x in row.expected], dtype=np.float64),
        probabilities=np.array(flat, dtype=np.float32).reshape(int(lengths.sum()), len(levels)),
        levels=levels,
        label_mass=np.array([row.label_mass for row in rows], dtype=np.float64),
    )
