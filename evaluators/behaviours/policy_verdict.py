"""What known policies say of a simulator and of explainers: rates, demands, and a table as text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from scrutable.evaluators.behaviours.planted import TRUTH
from scrutable.evaluators.gate.verdict import wilson
from scrutable.evaluators.statistics import generator, mean_interval
from scrutable.pipeline.behaviours.records import PolicyCase, PolicyResult

BEATS_EXAMPLES = 0.8  # share of policies on which the true rule is to say more than its length in examples
MOST_SHUFFLED = 0.05  # bits that rules of other policies may gain
FEWEST_GAINED = 0.25  # share of what can be gained that the true rule is to gain
RECOVERED = 0.8  # share of the truth's gain at which an explanation counts as found
FEWEST_BITS = 0.1  # and what it has to gain where the simulator makes nothing of the truth


def policy_results(cases: Sequence[PolicyCase], *, seed: int, draws: int = 2000) -> list[PolicyResult]:
    """One result for each simulator and author of explanations, the truth first."""
    groups: dict[tuple[str, str], list[PolicyCase]] = {}
    for case in cases:
        groups.setdefault((case.simulator, case.explainer), []).append(case)
    truths = {(case.simulator, case.policy): case.bits for case in cases if case.explainer == TRUTH}
    return [_result(group, truths, seed=seed, draws=draws) for group in groups.values()]


def _result(
    group: Sequence[PolicyCase], truths: dict[tuple[str, str], float], *, seed: int, draws: int
) -> PolicyResult:
    first = group[0]
    known = [case for case in group if not math.isnan(case.bits)]
    gains = np.array([case.bits for case in known])
    nulls = np.array([case.shuffled for case in known if not math.isnan(case.shuffled)])
    interval = mean_interval(gains, draws=draws, rng=generator(seed, "policies"))
    null_interval = mean_interval(nulls, draws=draws, rng=generator(seed, "policies"))
    compared = [case for case in known if not math.isnan(case.over_examples)]
    beats = sum(case.over_examples > 0 for case in compared)
    low, high = wilson(beats, len(compared))
    ceiling = sum(case.ceiling for case in known)
    result = PolicyResult(
        simulator=first.simulator,
        explainer=first.explainer,
        n_policies=len(group),
        n_defined=len(known),
        bits=float(gains.mean()) if gains.size else math.nan,
        low=interval.low,
        high=interval.high,
        share_of_ceiling=float(gains.sum() / ceiling) if ceiling else math.nan,
        shuffled=float(nulls.mean()) if nulls.size else math.nan,
        shuffled_low=null_interval.low,
        shuffled_high=null_interval.high,
        beats_examples=beats / len(compared) if compared else math.nan,
        beats_examples_low=low,
        beats_examples_high=high,
    )
    if first.explainer != TRUTH:
        truth = [truths.get((case.simulator, case.policy), math.nan) for case in group]
        found = [
            case.bits >= max(RECOVERED * best, FEWEST_BITS) for case, best in zip(group, truth, strict=True)
        ]
        return replace(result, recovery=sum(found) / len(group))
    complaints = _complaints(result, beats, len(compared))
    return replace(result, is_passed=not complaints, reason="; ".join(complaints))


def _complaints(result: PolicyResult, beats: int, n: int) -> list[str]:
    """The demands that are not met, each in words."""
    found = []
    if not result.n_defined:
        return ["no policy could be predicted"]
    if n and result.beats_examples < BEATS_EXAMPLES:
        found.append(f"too weak: the true rule beats as many tokens of examples on {beats} of {n}")
    if not result.share_of_ceiling >= FEWEST_GAINED:
        found.append(f"too weak: the true rule gains {result.share_of_ceiling:.0%} of what can be gained")
    if result.shuffled > MOST_SHUFFLED:
        found.append(f"rules of other policies gain {result.shuffled:.3f} bits")
    return found


def policy_table(results: Sequence[PolicyResult]) -> str:
    """The results as a person reads them at the terminal."""
    width = 2 + max(
        len("simulator, explanation"), *(len(f"{r.simulator}, {r.explainer}") for r in results), 0
    )
    lines = [
        f"{'simulator, explanation':<{width}}{'policies':>8}  {'bits gained':<24}{'of all':>7}"
        f"  {'other rules':>11}  {'beats examples':<22}{'found':>6}  verdict"
    ]
    for row in results:
        gained = f"{row.bits:+.3f} [{row.low:+.3f}, {row.high:+.3f}]"
        beats = (
            "-"
            if math.isnan(row.beats_examples)
            else f"{row.beats_examples:.2f} [{row.beats_examples_low:.2f}, {row.beats_examples_high:.2f}]"
        )
        recovery = "-" if math.isnan(row.recovery) else f"{row.recovery:.2f}"
        verdict = "" if row.explainer != TRUTH else ("passed" if row.is_passed else row.reason)
        lines.append(
            f"{f'{row.simulator}, {row.explainer}':<{width}}{row.n_defined:>8}  {gained:<24}"
            f"{row.share_of_ceiling:>7.0%}  {row.shuffled:>+11.3f}  {beats:<22}{recovery:>6}  {verdict}"
        )
    return "\n".join(lines)
