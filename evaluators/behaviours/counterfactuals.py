"""Precision and coverage on edited inputs: does an explanation know what it claims to know?

Another model edits test inputs inside the scope that an explanation claims (so that, by the explanation, the
subject does something else) and outside it (in what should not matter), and the subject is run again.
Precision: the mean forced probability of what the subject did on inside edits, where the explanation claims
something. Coverage: of edits after which the subject did change, the mean probability of what it changed to,
so that an explanation which names half of the reasons covers half (Chen et al. 2023, arXiv 2307.08678, with
probabilities in place of abstention). Each is beside the same number with explanations of other behaviours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from scrutable.evaluators.behaviours.calibration import Floats
from scrutable.evaluators.behaviours.evidence import Evidence
from scrutable.evaluators.behaviours.gains import source_interval
from scrutable.evaluators.statistics import bootstrap_counts, generator
from scrutable.pipeline.behaviours.records import CounterfactualScore, Edit, Prediction

EditKey = tuple[str, str]
"""(simulator, id of the explanation that was read)."""


def predicted_edits(
    evidence: Evidence,
    edits: Sequence[Edit],
    predictions: Mapping[EditKey, Mapping[str, Prediction]],
    *,
    simulator: str,
) -> list[Edit]:
    """The edits with calibrated predictions filled in: of their own explanation, and of the first null.

    Args:
        evidence: of the behaviour; its calibrate split fits the maps, as for test inputs.
        edits: of one explanation of the behaviour.
        predictions: for each simulator and explanation, `Edit.edited_id` → prediction of the edited text.
        simulator: whose predictions.
    """
    if not edits:
        return []
    own = edits[0].explanation
    author = own.rpartition("/")[2]
    nulls = [
        id for name, id in predictions if name == simulator and id.rpartition("/")[2] == author and id != own
    ]
    found = [
        _calibrated(evidence, predictions.get((simulator, id), {}), simulator, id) for id in (own, *nulls[:1])
    ]
    return [
        replace(
            edit,
            probabilities=found[0].get(edit.edited_id, ()),
            null=found[1].get(edit.edited_id, ()) if len(found) > 1 else (),
        )
        for edit in edits
    ]


def _calibrated(
    evidence: Evidence, raw: Mapping[str, Prediction], simulator: str, explanation: str
) -> dict[str, tuple[float, ...]]:
    key = next(
        (
            key
            for key in evidence.predictions
            if (key.simulator, key.condition, key.explanation) == (simulator, "explained", explanation)
        ),
        None,
    )
    if key is None or not raw:
        return {}
    calibrator = evidence.calibrator(evidence.predicted(key))
    ids = sorted(raw)
    logs = calibrator.logs(np.array([raw[id].probabilities for id in ids]))
    return {id: tuple(np.exp(row).tolist()) for id, row in zip(ids, logs, strict=True)}


def score_edits(
    evidence: Evidence,
    edits: Sequence[Edit],
    *,
    explainer: str,
    simulator: str,
    n_unedited: int,
    seed: int,
    draws: int = 2000,
) -> CounterfactualScore:
    """Precision and coverage of one explanation, from edits with predictions filled in."""
    inside = [edit for edit in edits if edit.scope == "inside"]
    changed = [edit for edit in edits if edit.after != edit.before]
    precision, coverage = (_mean(evidence, kept, seed=seed, draws=draws) for kept in (inside, changed))
    reasons = [
        why
        for why, is_so in (
            ("no inside edit", not inside),
            ("no edit changed what the subject does", not changed),
        )
        if is_so
    ]
    return CounterfactualScore(
        behaviour=evidence.behaviour,
        explainer=explainer,
        simulator=simulator,
        n_inside=len(inside),
        precision=precision[0],
        precision_low=precision[1],
        precision_high=precision[2],
        precision_null=precision[3],
        n_changed=len(changed),
        coverage=coverage[0],
        coverage_low=coverage[1],
        coverage_high=coverage[2],
        coverage_null=coverage[3],
        n_unedited=n_unedited,
        reason="; ".join(reasons),
    )


def _mean(
    evidence: Evidence, edits: Sequence[Edit], *, seed: int, draws: int
) -> tuple[float, float, float, float]:
    """Mean probability of what was done, its 95 % interval over sources, and the same of the null."""
    number = {name: k for k, name in enumerate(evidence.outcomes)}
    source = {one.id: one.source for one in evidence.inputs}
    known = [edit for edit in edits if edit.probabilities]
    own: Floats = np.array([edit.probabilities[number[edit.after]] for edit in known])
    null = [edit.null[number[edit.after]] for edit in edits if edit.null]
    if not known:
        return math.nan, math.nan, math.nan, math.nan
    names = sorted({source[edit.input] for edit in known})
    codes = np.array([names.index(source[edit.input]) for edit in known], dtype=np.intp)
    rng = generator(seed, evidence.behaviour, "edits")
    interval = source_interval(own, codes, bootstrap_counts(len(names), draws=draws, rng=rng))
    return float(own.mean()), interval.low, interval.high, float(np.mean(null)) if null else math.nan
