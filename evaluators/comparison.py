"""Which of two explanations, or simulators, of the same units is better: paired differences.

Intervals of two scores that overlap say little about their difference, since both were computed on the same
excerpts. Here both are resampled together: over documents within a unit, over units in a summary. The
documents that are drawn are those of the scores.

Shape key: X explanations of one unit, E excerpts, B bootstrap draws.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from scrutable.evaluators.evidence import batches
from scrutable.evaluators.statistics import (
    Floats,
    Interval,
    bootstrap_counts,
    correlation,
    generator,
    mean_interval,
    moments,
    percentile_interval,
    resample,
)
from scrutable.pipeline.protocols import Evidence
from scrutable.pipeline.records import Comparison, Difference


def differences(evidence: Sequence[Evidence], *, seed: int, draws: int = 2000) -> tuple[Difference, ...]:
    """The difference in correlation of every two explanations of one unit, on excerpts that both have.

    Args:
        evidence: of one unit, each with its own explainer and simulator.
        seed: of the run.
        draws: B, over the documents of the unit.

    Returns:
        One for each pair, the earlier minus the later; NaN where one of the two is not defined.
    """
    simulated = [one for one in evidence if one.own is not None]
    paired = _Paired(simulated, seed=seed, draws=draws)
    return tuple(paired.difference(i, j) for i, j in combinations(range(len(simulated)), 2))


def compare(found: Sequence[Difference], *, seed: int, draws: int = 2000) -> tuple[Comparison, ...]:
    """The differences of each pair over units, in the order in which pairs first occur.

    Args:
        found: of any number of units.
        seed: of the run.
        draws: over units.
    """
    pairs: defaultdict[tuple[str, str, str, str], list[Difference]] = defaultdict(list)
    for one in found:
        pairs[one.explainer, one.simulator, one.other, one.other_simulator].append(one)
    return tuple(_comparison(of_pair, seed=seed, draws=draws) for of_pair in pairs.values())


def _comparison(of_pair: Sequence[Difference], *, seed: int, draws: int) -> Comparison:
    first = of_pair[0]
    ordered = sorted(of_pair, key=lambda one: one.unit)
    values = np.array([one.value for one in ordered if not math.isnan(one.value)])
    interval = mean_interval(values, draws=draws, rng=generator(seed, "comparison"))
    return Comparison(
        explainer=first.explainer,
        simulator=first.simulator,
        other=first.other,
        other_simulator=first.other_simulator,
        metric=first.metric,
        n_units=values.size,
        n_undefined=len(of_pair) - values.size,
        difference=float(values.mean()) if values.size else math.nan,
        low=interval.low,
        high=interval.high,
        n_above=sum(one.low > 0 for one in of_pair),  # false where there is no interval
        n_below=sum(one.high < 0 for one in of_pair),
    )


class _Paired:
    """Bootstrap draws of one unit's correlations, the same documents in each draw for all explanations."""

    def __init__(self, simulated: Sequence[Evidence], *, seed: int, draws: int) -> None:
        self._evidence = simulated
        self._own = [one.own for one in simulated if one.own is not None]
        self._held_out = simulated[0].held_out if simulated else ()
        names = sorted({excerpt.document for excerpt in self._held_out})
        self._numbers = {name: number for number, name in enumerate(names)}
        drawn = bootstrap_counts(
            len(names), draws=draws, rng=generator(seed, *(one.unit for one in simulated[:1]), "score")
        )
        self._counts = np.vstack([np.ones((1, len(names))), drawn])
        test = {excerpt.passage.id for excerpt in self._held_out}
        self._answered = [test.intersection(own.excerpts) for own in self._own]
        self._known: dict[frozenset[str], Floats] = {}  # excerpts → (X, 1 + B); column 0 is the data

    def difference(self, i: int, j: int) -> Difference:
        """Explanation i minus explanation j."""
        common = frozenset(self._answered[i] & self._answered[j])
        if common not in self._known:
            self._known[common] = self._correlations(common)
        drawn = self._known[common][i] - self._known[common][j]
        documents = {excerpt.document for excerpt in self._held_out if excerpt.passage.id in common}
        interval = Interval(math.nan, math.nan)
        if not math.isnan(drawn[0]):
            interval = percentile_interval(drawn[1:], n_documents=len(documents))
        one, other = self._evidence[i], self._evidence[j]
        return Difference(
            unit=one.unit,
            explainer=one.explainer,
            simulator=one.simulator,
            other=other.explainer,
            other_simulator=other.simulator,
            metric="correlation",
            value=float(drawn[0]),
            low=interval.low,
            high=interval.high,
            n_documents=len(documents),
        )

    def _correlations(self, common: frozenset[str]) -> Floats:
        """(X, 1 + B) on these excerpts; NaN for an explanation that lacks some of them."""
        excerpts = [excerpt for excerpt in self._held_out if excerpt.passage.id in common]
        found = np.full((len(self._own), len(self._counts)), np.nan)
        for places, batch in batches(excerpts, self._own):
            if excerpts and len(batch.excerpts) == len(excerpts):
                codes = batch.documents(self._numbers)
                n = len(self._numbers)
                sums = moments(batch.true, batch.predicted, batch.weights, codes, n_documents=n)
                found[places] = correlation(resample(sums, self._counts))
        return found
