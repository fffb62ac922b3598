"""What the cases of a gate add up to: power, size, true against false, ceiling, recovery, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from scrutable.evaluators.gate.units import PLACEBO, TRUTH
from scrutable.evaluators.statistics import Interval, generator, mean_interval
from scrutable.pipeline.records import AttackResult, GateCase, GateResult

LEAST_POWER = 0.8
"""A scorer that misses one true explanation in five says little about what it does not find."""
NOMINAL_SIZE = 0.05
"""Placebos called; the demand is that the interval of the size reaches down to it."""
CHANCE = 0.5
"""AUC of true against false; the demand, of readers of English, is that its interval lies above."""
RECOVERED = 0.8
"""Share of the truth's score at which an explainer has found the rule."""

_Z = 1.959964  # 97.5 % of a normal distribution
_DRAWS = 2000


def results(cases: Sequence[GateCase], *, seed: int) -> list[GateResult]:
    """One result for each simulator, and one for each explainer that was tested with it."""
    found: list[GateResult] = []
    for simulator in dict.fromkeys(case.simulator for case in cases):
        mine = [case for case in cases if case.simulator == simulator]
        base = _result(simulator, mine, seed=seed)
        found.append(base)
        found += _explained(base, mine)
    return found


def wilson(successes: int, n: int) -> Interval:
    """95 % interval of a rate, by Wilson's score (1927): right for rates near 0 and 1 and for few trials."""
    if not n:
        return Interval(math.nan, math.nan)
    p, z2 = successes / n, _Z**2 / n
    centre = (p + z2 / 2) / (1 + z2)
    half = _Z * math.sqrt(p * (1 - p) / n + z2 / (4 * n)) / (1 + z2)
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


def _result(simulator: str, cases: Sequence[GateCase], *, seed: int) -> GateResult:
    planted = [case for case in cases if case.kind == "planted" and case.explainer == TRUTH]
    placebos = [case for case in cases if case.explainer == PLACEBO]
    puzzles = _puzzles(cases)
    n_called, n_false_alarms = (sum(c.is_called for c in some) for some in (planted, placebos))
    power, size = wilson(n_called, len(planted)), wilson(n_false_alarms, len(placebos))
    values = np.array([case.value for case in planted if not math.isnan(case.value)])
    ceiling = mean_interval(values, draws=_DRAWS, rng=generator(seed, "ceiling", simulator))
    auc, auc_interval = _auc(puzzles, seed=seed)
    result = GateResult(
        simulator=simulator,
        explainer="",
        n_planted=len(planted),
        power=n_called / len(planted),
        power_low=power.low,
        power_high=power.high,
        n_placebos=len(placebos),
        size=n_false_alarms / len(placebos) if placebos else math.nan,
        size_low=size.low,
        size_high=size.high,
        n_pairs=sum(len(wins) for wins in puzzles),
        auc=auc,
        auc_low=auc_interval.low,
        auc_high=auc_interval.high,
        n_puzzles=len(puzzles),
        n_first=sum(min(wins) == 1.0 for wins in puzzles),
        ceiling=float(values.mean()) if values.size else math.nan,
        ceiling_low=ceiling.low,
        ceiling_high=ceiling.high,
    )
    reason = "; ".join(_unmet(result))
    return replace(result, is_passed=not reason, reason=reason)


def _unmet(result: GateResult) -> Iterator[str]:
    if not result.power >= LEAST_POWER:
        yield f"power {result.power:.2f} is below {LEAST_POWER}"
    if not result.n_placebos:
        yield "no placebo was scored"
    elif result.size_low > NOMINAL_SIZE:
        yield f"size {result.size:.2f} is above {NOMINAL_SIZE}"
    if result.n_puzzles and not result.auc_low > CHANCE:
        yield f"AUC of true against false {result.auc:.2f} [{result.auc_low:.2f}, {result.auc_high:.2f}]"


def _puzzles(cases: Sequence[GateCase]) -> list[list[float]]:
    """For each puzzle, 1 for a false explanation that the true one beats, 0 if not, 1/2 for a tie.

    An undefined score beats nothing and ties with an undefined one.
    """
    truths = {
        case.unit: _rankable(case) for case in cases if case.kind == "puzzle" and case.explainer == TRUTH
    }
    wins: dict[str, list[float]] = {unit: [] for unit in truths}
    for case in cases:
        if case.kind == "puzzle" and case.explainer != TRUTH:
            difference = truths[case.unit] - _rankable(case)
            wins[case.unit].append(0.5 if difference == 0 else float(difference > 0))
    return [of_puzzle for of_puzzle in wins.values() if of_puzzle]


def _rankable(case: GateCase) -> float:
    return -2.0 if math.isnan(case.value) else case.value  # below every correlation


def _auc(puzzles: Sequence[Sequence[float]], *, seed: int) -> tuple[float, Interval]:
    """Share of pairs won, and its 95 % bootstrap interval over puzzles."""
    if not puzzles:
        return math.nan, Interval(math.nan, math.nan)
    sums = np.array([(sum(wins), len(wins)) for wins in puzzles], dtype=np.float64)
    rng = generator(seed, "puzzles")
    drawn = sums[rng.integers(len(sums), size=(_DRAWS, len(sums)))].sum(axis=1)
    low, high = np.percentile(drawn[:, 0] / drawn[:, 1], (2.5, 97.5))
    total = sums.sum(axis=0)
    return float(total[0] / total[1]), Interval(float(low), float(high))


def _explained(base: GateResult, cases: Sequence[GateCase]) -> Iterator[GateResult]:
    """The same simulator with each explainer: how many rules it recovers."""
    called = {c.unit for c in cases if c.kind == "planted" and c.explainer == TRUTH and c.is_called}
    names = dict.fromkeys(c.explainer for c in cases if c.kind == "planted" and c.explainer != TRUTH)
    for name in names:
        mine = [case for case in cases if case.kind == "planted" and case.explainer == name]
        n_recovered = sum(c.unit in called and c.value >= RECOVERED * c.truth for c in mine)
        interval = wilson(n_recovered, len(mine))
        yield replace(
            base,
            explainer=name,
            n_explained=sum(bool(case.text) for case in mine),
            recovery=n_recovered / len(mine),
            recovery_low=interval.low,
            recovery_high=interval.high,
        )


def table(found: Sequence[GateResult]) -> str:
    """The results as aligned text, one simulator or explainer a line."""
    head = (
        "simulator",
        "explainer",
        "power",
        "size",
        "true > false",
        "first",
        "ceiling r",
        "recovery",
        "gate",
    )
    reasons = [f"{r.simulator}: {r.reason}" for r in found if r.reason and not r.explainer]
    return "\n".join([*aligned([head, *(_row(result) for result in found)]), *reasons])


def attack_table(found: Sequence[AttackResult]) -> str:
    """How often attacks succeed, one a line; empty if none was tried."""
    if not found:
        return ""
    head = (
        "attack",
        "simulator",
        "explainer",
        "before",
        "after",
        "and above table",
        "of",
        "left out as true",
    )
    rows = [
        (
            r.attack,
            r.simulator,
            r.explainer or "-",
            f"{r.before:.2f} [{r.before_low:.2f}, {r.before_high:.2f}]",
            f"{r.after:.2f} [{r.after_low:.2f}, {r.after_high:.2f}]",
            f"{r.beyond_table:.2f}",
            str(r.n),
            str(r.n_true),
        )
        for r in found
    ]
    return "\n".join(aligned([head, *rows]))


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines, every column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _row(r: GateResult) -> tuple[str, ...]:
    has_puzzles = r.n_puzzles > 0
    return (
        r.simulator,
        r.explainer or "-",
        f"{r.power:.2f} [{r.power_low:.2f}, {r.power_high:.2f}] of {r.n_planted}",
        f"{r.size:.2f} [{r.size_low:.2f}, {r.size_high:.2f}] of {r.n_placebos}",
        f"{r.auc:.2f} [{r.auc_low:.2f}, {r.auc_high:.2f}] of {r.n_pairs}" if has_puzzles else "-",
        f"{r.n_first} of {r.n_puzzles}" if has_puzzles else "-",
        f"{r.ceiling:.2f} [{r.ceiling_low:.2f}, {r.ceiling_high:.2f}]",
        f"{r.recovery:.2f} [{r.recovery_low:.2f}, {r.recovery_high:.2f}]" if r.explainer else "-",
        "passed" if r.is_passed else "not passed",
    )
