"""Planted policies on the index page: what simulators of behaviours did with known answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scrutable.evaluators.behaviours.planted import TRUTH
from scrutable.evaluators.report import wording
from scrutable.evaluators.report.wording import Figure
from scrutable.pipeline.behaviours.records import PolicyCase, PolicyResult

CASES_LISTED = 400
LONGEST_TEXT = 160  # characters of a rule or explanation in the table of cases


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """One simulator with the truth, or with what one explainer wrote."""

    simulator: str
    explainer: str
    n: str
    gain: Figure
    of_ceiling: str
    shuffled: str
    beats_examples: str
    recovery: str
    verdict: bool | None  # whether the gate is passed; None for explanations that are not the truth
    reason: str


@dataclass(frozen=True, slots=True)
class PolicyCaseRow:
    """One planted policy."""

    simulator: str
    explainer: str
    policy: str
    kind: str
    text: str
    gain: Figure
    ceiling: str
    over_examples: Figure | None  # None of a simulator that cannot be told examples
    over_shuffled: str
    accuracy: str


def policy_rows(results: Sequence[PolicyResult]) -> tuple[PolicyRow, ...]:
    """The results in the run's order."""
    return tuple(
        PolicyRow(
            simulator=r.simulator,
            explainer="the stated rule" if r.explainer == TRUTH else r.explainer,
            n=f"{r.n_defined} of {r.n_policies}",
            gain=wording.bits(r.bits, r.low, r.high, reason=r.reason),
            of_ceiling=wording.percent(r.share_of_ceiling),
            shuffled=f"{wording.score(r.shuffled, signed=True)} "
            f"{wording.interval(r.shuffled_low, r.shuffled_high)}",
            beats_examples=wording.rate(
                r.beats_examples, r.beats_examples_low, r.beats_examples_high, r.n_defined
            ),
            recovery=wording.percent(r.recovery),
            verdict=r.is_passed if r.explainer == TRUTH else None,
            reason=r.reason,
        )
        for r in results
    )


def policy_case_rows(cases: Sequence[PolicyCase]) -> tuple[PolicyCaseRow, ...]:
    """The first cases in the run's order."""
    return tuple(
        PolicyCaseRow(
            simulator=case.simulator,
            explainer="the stated rule" if case.explainer == TRUTH else case.explainer,
            policy=case.policy,
            kind=case.kind,
            text=wording.clipped(case.text, LONGEST_TEXT),
            gain=wording.bits(case.bits, case.low, case.high, reason=case.reason),
            ceiling=wording.score(case.ceiling),
            over_examples=_over_examples(case),
            over_shuffled=wording.score(case.over_shuffled, signed=True),
            accuracy=wording.percent(case.accuracy),
        )
        for case in cases[:CASES_LISTED]
    )


def _over_examples(case: PolicyCase) -> Figure | None:
    if math.isnan(case.over_examples) and not case.reason:
        return None
    return wording.bits(
        case.over_examples, case.over_examples_low, case.over_examples_high, reason=case.reason
    )
