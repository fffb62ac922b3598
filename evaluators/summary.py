"""What a run found, over units: one row for each explainer, simulator, scorer and metric.

Pure. An undefined score and a unit that failed before it was scored are counted and never averaged
in, as zero or as anything else.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from scrutable.evaluators.statistics import Floats, generator, mean_interval
from scrutable.pipeline.records import Failure, Metric, Score, Summary

_FOUND = 0.05  # false discovery rate at which a unit counts as found


def summarise(
    scores: Sequence[Score], failures: Sequence[Failure] = (), *, draws: int = 2000, seed: int
) -> tuple[Summary, ...]:
    """One summary for each (explainer, simulator, scorer, metric), sorted by these names.

    Args:
        scores: of any number of units, in any order, which changes nothing.
        failures: of the same run; `part` names the explainer or the simulator, or neither. A failed
            excerpt of a unit that was scored all the same is no failed unit.
        draws: bootstrap draws over units. The draws depend on the seed only, so that explainers
            which were scored on the same units are compared on the same draws.
        seed: of the run.

    Raises:
        ValueError: a unit has two scores of one kind.
    """
    groups: dict[tuple[str, str, str, Metric], list[Score]] = defaultdict(list)
    for score in sorted(scores, key=lambda score: score.unit):
        groups[score.explainer, score.simulator, score.scorer, score.metric].append(score)
    return tuple(_summary(groups[key], failures, draws=draws, seed=seed) for key in sorted(groups))


def _summary(scores: Sequence[Score], failures: Sequence[Failure], *, draws: int, seed: int) -> Summary:
    first = scores[0]
    scored = {score.unit for score in scores}
    if len(scored) < len(scores):
        raise ValueError(f"a unit has two scores {first.metric} of {first.explainer}/{first.simulator}")
    failed = {f.unit for f in failures if f.unit and _concerns(f, first)} - scored
    values = _defined([score.value for score in scores])
    excesses = _defined([score.excess for score in scores])
    interval, excess_interval = (
        mean_interval(figures, draws=draws, rng=generator(seed, "summary")) for figures in (values, excesses)
    )
    n_above = sum(score.excess_low > 0 for score in scores)  # false where the interval is NaN
    return Summary(
        explainer=first.explainer,
        simulator=first.simulator,
        scorer=first.scorer,
        metric=first.metric,
        n_units=len(scored) + len(failed),
        n_defined=values.size,
        n_undefined=len(scored) - values.size,
        n_failed=len(failed),
        value=_mean(values),
        low=interval.low,
        high=interval.high,
        median=float(np.median(values)) if values.size else math.nan,
        null=_mean(_defined([score.null for score in scores])),
        n_excess=excesses.size,
        excess=_mean(excesses),
        excess_low=excess_interval.low,
        excess_high=excess_interval.high,
        share_above_null=n_above / excesses.size if excesses.size else math.nan,
        p=_permutation_p(scores, draws=draws, rng=generator(seed, "permutation")),
        n_found=sum(score.q <= _FOUND for score in scores),
    )


def _permutation_p(scores: Sequence[Score], *, draws: int, rng: np.random.Generator) -> float:
    """P of the mean over units, by swapping each unit's explanation with its nulls at random.

    If explanations say nothing of their units, the score of a unit's own one is exchangeable with those
    of its nulls. (1 + draws whose mean is at least as high) / (1 + draws). NaN if no unit has a null.
    """
    pools = [
        np.array([s.value, *s.ranked_nulls]) for s in scores if s.ranked_nulls and not math.isnan(s.value)
    ]
    if not pools:
        return math.nan
    observed = sum(pool[0] for pool in pools)
    sums = np.zeros(draws)
    for pool in pools:
        sums += pool[rng.integers(pool.size, size=draws)]
    # A tolerance for sums of the same numbers in another order.
    return float((1 + np.sum(sums >= observed - 1e-9 * len(pools))) / (1 + draws))


def _concerns(failure: Failure, score: Score) -> bool:
    """Whether a failed unit is one that these scores would otherwise hold."""
    explainer = score.explainer.partition(".")[0]  # without the candidate
    if failure.stage == "records":  # of single records; a unit that has none left has no explanation either
        return False
    if failure.stage == "explanations":  # of a file: nobody knows whether it was to be one of several
        return score.explainer in (failure.part, f"{failure.part}.best")
    # An explainer and a simulator may share a name ("table"), so the stage decides where it can.
    if failure.stage == "explain":
        return failure.part in ("", explainer)
    if failure.stage in ("simulate", "judge"):
        return failure.part in ("", score.simulator)
    return failure.part in ("", explainer, score.simulator)


def _defined(figures: Sequence[float]) -> Floats:
    array = np.array(figures, dtype=np.float64)
    return array[~np.isnan(array)]


def _mean(figures: Floats) -> float:
    return float(figures.mean()) if figures.size else math.nan
