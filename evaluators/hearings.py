"""From verdicts to a score: how often an explanation's answers are right, beside those of other units'.

Pure. Shape key: V verdicts, P positives, M negatives, D documents, B bootstrap draws.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from scrutable.evaluators.statistics import (
    Floats,
    Interval,
    bootstrap_counts,
    generator,
    percentile_interval,
    rank_p,
)
from scrutable.pipeline.protocols import Hearing
from scrutable.pipeline.records import Score, Verdict


def score_hearing(hearing: Hearing, *, seed: int, draws: int = 2000) -> Score:
    """AUROC or accuracy of an explanation's verdicts, with its null, both in [0, 1].

    AUROC: the share of (true, false) pairs of questions in which the true one has the higher value, ties
    half; 0.5 is chance. Accuracy: the share of questions with a value above 0, ties half. Questions are
    resampled by document, the same for the nulls; null, excess and p as for simulation scores. A judge
    that reads no explanation has no null: its value is about the unit alone.

    Args:
        hearing: verdicts of one unit, explanation and judge.
        seed: of the run.
        draws: B.
    """
    everything = [*hearing.own, *(verdict for null in hearing.nulls for verdict in null)]
    numbers = {name: i for i, name in enumerate(sorted({v.document for v in everything}))}
    rng = generator(seed, hearing.unit, hearing.judge, "hearing")
    counts = np.vstack([np.ones((1, len(numbers))), bootstrap_counts(len(numbers), draws=draws, rng=rng)])
    measure = _auroc if hearing.metric == "auroc" else _accuracy
    own = measure(hearing.own, numbers, counts)
    nulls = np.array([measure(null, numbers, counts) for null in hearing.nulls]).reshape(-1, len(counts))
    defined = nulls[~np.isnan(nulls[:, 0])]
    null = np.nanmean(defined, axis=0) if len(defined) else np.full_like(own, np.nan)
    excess = own - null
    n_documents = len({v.document for v in hearing.own})
    interval, excess_interval = (
        Interval(math.nan, math.nan)
        if math.isnan(figures[0])
        else percentile_interval(figures[1:], n_documents=n_documents)
        for figures in (own, excess)
    )
    value = float(own[0])
    masses = [v.label_mass for v in hearing.own if not math.isnan(v.label_mass)]
    return Score(
        unit=hearing.unit,
        explainer=hearing.explainer,
        simulator=hearing.judge,
        scorer="judgement",
        metric=hearing.metric,
        value=value,
        low=interval.low,
        high=interval.high,
        null=float(null[0]),
        excess=float(excess[0]),
        excess_low=excess_interval.low,
        excess_high=excess_interval.high,
        n_asked=hearing.n_asked,
        n_answered=len(hearing.own),
        n_documents=n_documents,
        n_nulls=len(defined),
        label_mass=math.fsum(masses) / len(masses) if masses else math.nan,
        reason=_reason(hearing.own) if math.isnan(value) else "",
        p=rank_p(value, defined[:, 0]),
        null_values=tuple(defined[:, 0].tolist()),
    )


def _auroc(verdicts: Sequence[Verdict], numbers: Mapping[str, int], counts: Floats) -> Floats:
    """(1 + B,); NaN where a draw has no question of one class."""
    positives, negatives = ([v for v in verdicts if v.truth == truth] for truth in (True, False))
    if not positives or not negatives:
        return np.full(len(counts), np.nan)
    high, low = (np.array([v.value for v in some]) for some in (positives, negatives))
    wins = (high[:, None] > low) + 0.5 * (high[:, None] == low)  # (P, M)
    drawn_high, drawn_low = (
        counts[:, [numbers[v.document] for v in some]] for some in (positives, negatives)
    )
    pairs = drawn_high.sum(axis=1) * drawn_low.sum(axis=1)
    with np.errstate(invalid="ignore"):
        area: Floats = ((drawn_high @ wins) * drawn_low).sum(axis=1) / np.where(pairs > 0, pairs, np.nan)
    return area


def _accuracy(verdicts: Sequence[Verdict], numbers: Mapping[str, int], counts: Floats) -> Floats:
    """(1 + B,); NaN where a draw has no question."""
    if not verdicts:
        return np.full(len(counts), np.nan)
    values = np.array([v.value for v in verdicts])
    right = (values > 0) + 0.5 * (values == 0)
    drawn = counts[:, [numbers[v.document] for v in verdicts]]
    total = drawn.sum(axis=1)
    share: Floats = drawn @ right / np.where(total > 0, total, np.nan)
    return share


def _reason(own: Sequence[Verdict]) -> str:
    return "questions of one class only were answered" if own else "no question answered"
