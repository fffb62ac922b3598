"""Best of several explanations of a unit: chosen on the calibrate split, reported on test.

Choosing finds quality even among explanations that hold none (FIELD.md A3: the maximum over five
shuffled descriptions rose from .52 to .65). So the null goes through the same choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from scrutable.evaluators.evidence import Floats, batches
from scrutable.evaluators.statistics import correlation, generator, moments
from scrutable.pipeline.protocols import Evidence, Simulated
from scrutable.pipeline.records import Excerpt


def choose_best(candidates: Sequence[Evidence], *, author: str, seed: int) -> Evidence | None:
    """The candidate with the highest weighted correlation on calibrate excerpts, as the evidence of `author`.

    An undefined correlation ranks lowest, ties go to the earliest. The null explanations are dealt at
    random into hands of as many as there are candidates, and the best of each hand on this unit's
    calibrate excerpts is a null of the best candidate: best of k against best of k. What does not
    fill a hand is left out, unless nothing would be left.

    Args:
        candidates: of one unit and simulator, in the order written.
        author: who the chosen one is reported as, for example `llm.best`.
        seed: of the run.

    Returns:
        None if no candidate was simulated.
    """
    simulated = [candidate.own for candidate in candidates if candidate.own is not None]
    if not simulated:
        return None
    first = candidates[0]
    nulls = {null.explanation: null for candidate in candidates for null in candidate.nulls}
    rng = generator(seed, first.unit, "hands")
    dealt = [nulls[name] for name in rng.permutation(sorted(nulls))]
    k = len(simulated)
    hands = [dealt[start : start + k] for start in range(0, len(dealt), k)]
    full = [hand for hand in hands if len(hand) == k] or hands
    values = dict(
        zip(
            [one.explanation for one in chain(simulated, dealt)],
            _on_calibrate(first.calibrate, [*simulated, *dealt]),
            strict=True,
        )
    )
    return first._replace(
        explainer=author,
        own=_best(simulated, values),
        nulls=tuple(_best(hand, values) for hand in full),
    )


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
