"""Best of several explanations of a unit: chosen on the calibrate split, reported on test.

Choosing finds quality even among explanations that hold none (FIELD.md A3: the maximum over five
shuffled descriptions rose from .52 to .65). So the null goes through the same choice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, groupby

import numpy as np

from scrutable.evaluators.evidence import Floats, batches
from scrutable.evaluators.statistics import correlation, generator, moments
from scrutable.pipeline.protocols import Evidence, Simulated
from scrutable.pipeline.records import Excerpt


def choose_best(
    candidates: Sequence[Evidence], nulls: Sequence[Simulated], *, author: str, seed: int
) -> Evidence | None:
    """The candidate with the highest weighted correlation on calibrate excerpts, as the evidence of `author`.

    An undefined correlation ranks lowest, ties go to the earliest. The null is best of k too: the candidates
    of each other unit are a hand, and the best of a hand on this unit's calibrate excerpts is one null
    explanation. A unit that has fewer than k candidates shares a hand with the next, in a seeded
    order; what does not fill a hand is left out, unless nothing would be left.

    Args:
        candidates: of one unit and simulator, in the order written.
        nulls: all candidates of other units, as simulated on this one.
        author: who the chosen one is reported as, for example `llm.best`.
        seed: of the run.

    Returns:
        None if no candidate was simulated.
    """
    simulated = [candidate.own for candidate in candidates if candidate.own is not None]
    if not simulated:
        return None
    first = candidates[0]
    dealt = list(_hands(nulls, len(simulated), rng=generator(seed, first.unit, "hands")))
    hands = [hand for hand in dealt if len(hand) == len(simulated)] or dealt
    everything = [*simulated, *chain.from_iterable(hands)]
    on_calibrate = _on_calibrate(first.calibrate, everything)
    values = {one.explanation: value for one, value in zip(everything, on_calibrate, strict=True)}
    return first._replace(
        explainer=author,
        own=_best(simulated, values),
        nulls=tuple(_best(hand, values) for hand in hands),
    )


def _hands(nulls: Sequence[Simulated], k: int, *, rng: np.random.Generator) -> Iterator[list[Simulated]]:
    """Null explanations, k at a time and whole units at a time; the last hand may be short."""
    ordered = sorted(nulls, key=lambda null: (_unit_of(null), null.explanation))
    units = [list(group) for _, group in groupby(ordered, key=_unit_of)]
    hand: list[Simulated] = []
    for place in rng.permutation(len(units)):
        hand += units[place]
        if len(hand) >= k:
            yield hand[:k]
            hand = []
    if hand:
        yield hand


def _unit_of(simulated: Simulated) -> str:
    return simulated.explanation.rpartition("/")[0]


def _best(hand: Sequence[Simulated], values: dict[str, float]) -> Simulated:
    return max(hand, key=lambda one: values[one.explanation])  # the first of those that tie


def _on_calibrate(excerpts: Sequence[Excerpt], simulated: Sequence[Simulated]) -> list[float]:
    """Correlation of each on the calibrate excerpts; -inf where it is undefined."""
    found: Floats = np.full(len(simulated), -np.inf)
    for places, batch in batches(excerpts, simulated):
        one = np.zeros(len(batch.true), dtype=np.intp)
        rho = correlation(moments(batch.true, batch.predicted, batch.weights, one, n_documents=1))[:, 0]
        found[places] = np.where(np.isnan(rho), -np.inf, rho)
    return [float(value) for value in found]
