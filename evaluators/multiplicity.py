"""Many units are tested at once: the false discovery rate of Benjamini & Hochberg (1995), on pooled nulls.

A rank among 19 nulls is never below 0.05, so that of m units all or none would be found. What is ranked here
is how far a unit's own explanation stands above the middle of its unit, among the same figure for all null
explanations of all units: if explanations say nothing, own and null ones of a unit are exchangeable, and
so many own ones stand above any height as null ones do for each null (Tusher, Tibshirani & Chu 2001).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scrutable.evaluators.statistics import rank_p
from scrutable.pipeline.records import Score


def adjust(scores: Sequence[Score]) -> list[Score]:
    """The scores with their q, in the same order: adjusted over the units of each explainer and metric.

    An undefined score keeps an undefined q, but counts as a test: leaving it out would make the others
    look better for it.
    """
    families: defaultdict[tuple[str, str, str, str], list[int]] = defaultdict(list)
    for place, score in enumerate(scores):
        families[score.explainer, score.simulator, score.scorer, score.metric].append(place)
    adjusted = list(scores)
    for places in families.values():
        p = _pooled([scores[i] for i in places])
        for place, q in zip(places, benjamini_hochberg(p), strict=True):
            adjusted[place] = replace(scores[place], q=float(q))
    return adjusted


def _pooled(family: Sequence[Score]) -> list[float]:
    """The rank p of each unit's height among the heights of all nulls of the family; NaN if undefined.

    A height is a score less the median of all scores of its unit, own and null: a figure in which own and
    null explanations take part alike, so that units of different difficulty can be pooled.
    """
    own, pool = [], []
    for score in family:
        nulls = np.array(score.ranked_nulls)
        middle = np.median([score.value, *nulls]) if nulls.size else np.nan
        own.append(float(score.value - middle))
        if not np.isnan(score.value):  # else the unit's nulls were ranked with nothing of its own
            pool.extend((nulls - middle).tolist())
    ordered = np.sort(pool)
    return [rank_p(height, ordered) for height in own]


def benjamini_hochberg(p: ArrayLike) -> NDArray[np.float64]:
    """Q values (N,) of p values (N,) in [0, 1]: the smallest false discovery rate at which each is found.

    NaN stays NaN, and counts among the N tests.
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values)  # NaN last
    ranked = values[order] * values.size / np.arange(1, values.size + 1)
    # A larger p cannot have a smaller q: the minimum over all ranks from here on.
    smallest = np.fmin.accumulate(ranked[::-1])[::-1] if values.size else ranked
    q = np.empty_like(values)
    q[order] = np.where(np.isnan(values[order]), np.nan, np.minimum(smallest, 1.0))
    return q
