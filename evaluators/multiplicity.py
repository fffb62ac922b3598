"""Many units are tested at once: the false discovery rate of Benjamini & Hochberg (1995)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
        for place, q in zip(places, benjamini_hochberg([scores[i].p for i in places]), strict=True):
            adjusted[place] = replace(scores[place], q=float(q))
    return adjusted


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
