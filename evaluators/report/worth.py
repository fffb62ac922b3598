"""What else a run measured, as rows and curves: known answers, rate-distortion, and worth without trust.

It arranges what the run computed; the only arithmetic is the median over units that a curve draws.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from scrutable.evaluators.report import charts, wording
from scrutable.pipeline.description import description_bits
from scrutable.pipeline.records import (
    Assurance,
    AttackResult,
    Explanation,
    GateCase,
    GateResult,
    RatePoint,
    Score,
)

CASES_LISTED = 400
_DRAWN = ("english", "program")  # tables and probes are lines, or too long for the axis
SHORTEST_TEXT = 110  # characters of an explanation in the table of cases


@dataclass(frozen=True, slots=True)
class GateRow:
    """One simulator, or one explainer read by it, on known answers."""

    simulator: str
    explainer: str
    power: str
    size: str
    auc: str
    first: str
    ceiling: str
    recovery: str
    is_passed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class CaseRow:
    """One explanation of a unit whose truth is known."""

    simulator: str
    unit: str
    explainer: str
    text: str
    value: str
    null: str
    p: str
    called: str


@dataclass(frozen=True, slots=True)
class AttackRow:
    """How often one scripted attack passes."""

    attack: str
    simulator: str
    explainer: str
    before: str
    after: str
    beyond_table: str
    n_true: str


@dataclass(frozen=True, slots=True)
class AssuranceRow:
    """The share of a text's gain that a program keeps."""

    text: str
    program: str
    n: str
    gain_text: str
    gain_program: str
    v: wording.Figure


def gate_rows(results: Sequence[GateResult]) -> tuple[GateRow, ...]:
    """The results in the run's order."""
    return tuple(
        GateRow(
            simulator=r.simulator,
            explainer=r.explainer or wording.NO_NUMBER,
            power=wording.rate(r.power, r.power_low, r.power_high, r.n_planted),
            size=wording.rate(r.size, r.size_low, r.size_high, r.n_placebos),
            auc=wording.rate(r.auc, r.auc_low, r.auc_high, r.n_pairs) if r.n_pairs else "reads no English",
            first=f"{r.n_first} of {r.n_puzzles}" if r.n_puzzles else wording.NO_NUMBER,
            ceiling=f"{wording.score(r.ceiling)} {wording.interval(r.ceiling_low, r.ceiling_high)}",
            recovery=(
                wording.rate(r.recovery, r.recovery_low, r.recovery_high, r.n_planted)
                if r.explainer
                else wording.NO_NUMBER
            ),
            is_passed=r.is_passed,
            reason=r.reason,
        )
        for r in results
    )


def case_rows(cases: Sequence[GateCase]) -> tuple[CaseRow, ...]:
    """The first cases in the run's order."""
    return tuple(
        CaseRow(
            simulator=case.simulator,
            unit=case.unit,
            explainer=case.explainer,
            text=wording.clipped(case.text, SHORTEST_TEXT),
            value=wording.score(case.value) if not case.reason else f"undefined: {case.reason}",
            null=wording.score(case.null),
            p=wording.score(case.p),
            called="yes" if case.is_called else "no",
        )
        for case in cases[:CASES_LISTED]
    )


def attack_rows(found: Sequence[AttackResult]) -> tuple[AttackRow, ...]:
    """The attacks in the run's order."""
    return tuple(
        AttackRow(
            attack=r.attack,
            simulator=r.simulator,
            explainer=r.explainer or wording.NO_NUMBER,
            before=wording.rate(r.before, r.before_low, r.before_high, r.n),
            after=wording.rate(r.after, r.after_low, r.after_high, r.n),
            beyond_table=f"{100 * r.beyond_table:.0f} %" if r.n else wording.NO_NUMBER,
            n_true=str(r.n_true),
        )
        for r in found
    )


def assurance_rows(found: Sequence[Assurance]) -> tuple[AssuranceRow, ...]:
    """The shares in the run's order; gains in thousandths of a bit per token."""
    return tuple(
        AssuranceRow(
            text=f"{a.explainer} / {a.simulator}",
            program=f"{a.compiled} / {a.checker}",
            n=wording.counted(a.n_units, "unit") + f", {a.n_uncompiled} not compiled" * bool(a.n_uncompiled),
            gain_text=wording.score(1000 * a.gain_text),
            gain_program=wording.score(1000 * a.gain_program),
            v=wording.figure(a.v, a.low, a.high, reason=a.reason),
        )
        for a in found
    )


def rate_curves(
    points: Sequence[RatePoint], explanations: Sequence[Explanation], scores: Sequence[Score]
) -> charts.Curves | None:
    """Median explained variance against bits: a line for each family of surrogates, a dot for each text.

    The median, because explained variance has no floor and one unit whose few calibrate windows mislead
    outweighs all others. A budget at which a family is defined for fewer than half of the units is not
    drawn: it would be about other units than its neighbours.
    """
    if not points:
        return None
    n_units = len({point.unit for point in points})
    groups: dict[str, dict[float, list[RatePoint]]] = defaultdict(lambda: defaultdict(list))
    for point in points:
        if math.isfinite(point.explained_variance):
            groups[point.family][point.budget].append(point)
    lines = {
        family: [
            (budget, median(p.explained_variance for p in group))
            for budget, group in sorted(by_budget.items())
            if 2 * len(group) >= n_units
        ]
        for family, by_budget in groups.items()
    }
    return charts.curves({name: line for name, line in lines.items() if line}, _texts(explanations, scores))


def _texts(explanations: Sequence[Explanation], scores: Sequence[Score]) -> Mapping[str, tuple[float, float]]:
    """Median bits and median explained variance of whoever writes English or programs, by simulator."""
    bits = {(e.unit, e.author): description_bits(e) for e in explanations if e.language in _DRAWN}
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for score in scores:
        length = bits.get((score.unit, score.explainer))
        if score.metric == "explained_variance" and length and math.isfinite(score.value):
            found[f"{score.explainer} / {score.simulator}"].append((length, score.value))
    return {
        name: (median(bits for bits, _ in pairs), median(value for _, value in pairs))
        for name, pairs in found.items()
    }
