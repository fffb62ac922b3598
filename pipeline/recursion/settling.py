"""From what a ladder measured to its claim tree: each claim with its worth, checks and its author's work."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from scrutable.pipeline.config import AUTHOR, COMPILED
from scrutable.pipeline.records import Explanation
from scrutable.pipeline.recursion.ladder import Gains, Ladder
from scrutable.pipeline.recursion.records import Cause, Claim, Gated, Job, Stop, Substitution

AUTHORS = "authors"
"""Name of the ladder that the config's authors make; the others are named by their explainer."""


class Opponent(NamedTuple):
    """An explainer without a model at the first level, whose ladder ends in its own readable code."""

    name: str
    simulator: str
    is_checked: bool  # writes programs, which the checker runs


class _Facts(NamedTuple):
    """What is stored of the claims of one level: read once, however many claims there are."""

    explanations: Mapping[str, Explanation]
    above: Mapping[str, Explanation]  # of the nodes of these claims' author, by the next one
    gains: Gains
    shifted: Gains
    jobs: Mapping[str, Job]
    followed: frozenset[str]  # units
    causes: Mapping[str, Cause]  # by job
    drawn: Mapping[str, Counter[str]]
    substitutions: Sequence[Substitution]
    least: Mapping[str, float] | None  # gains of the reading that finds least; None without a lenient tier


def _facts(ladder: Ladder, level: int) -> _Facts:
    explanations, gains = ladder.explanations(level), ladder.gains(level)
    return _Facts(
        explanations=explanations,
        above=ladder.explanations(level + 1),
        gains=gains,
        shifted=ladder.shifted_gains(level),
        jobs=ladder.jobs(level),
        followed=frozenset(job.unit for job in ladder.followed(level)),
        causes=ladder.causes(level),
        drawn=ladder.drawn(level),
        substitutions=ladder.substitutions(level),
        least=_least_reading(ladder, level, gains),
    )


def claims_of(ladder: Ladder, *, levels: int) -> list[Claim]:
    """The claim tree of the authors, roots first; below it what was written of the last level's nodes."""
    facts = _facts(ladder, 1)
    found = list(_roots(ladder, facts))
    above = found
    for level in range(2, levels + 2):
        below = _facts(ladder, level)
        above = [child for claim in above for child in _children(ladder, claim, level, facts.drawn, below)]
        found += above
        facts = below
    return found


def opponent_claims(
    opponent: Opponent, units: Sequence[str], gains: Gains, written: Mapping[str, Explanation]
) -> list[Claim]:
    """A ladder that terminates: what is not checked is passed to the author's code, for anybody to read."""
    worth = gains.get((opponent.name, opponent.simulator), {})
    found = []
    for unit in units:
        if unit not in worth:
            continue
        text = written[unit].text
        root = _claim(opponent.name, 1, unit, opponent.name, text, worth[unit], stop="foundation")
        root = replace(root, gain_strict=root.gain if opponent.is_checked else 0.0, gain_lenient=root.gain)
        found.append(root)
        if not opponent.is_checked:
            below = replace(root, id=f"{root.id}>2/code", level=2, parent=root.id, unit="code")
            found.append(replace(below, author="its code", text="its source", gain_strict=below.gain))
    return found


def gated_of(ladder: Ladder, *, levels: int) -> list[Gated]:
    """What each level began with and left out."""
    found: list[Gated] = []
    for level in range(1, levels + 1):
        written, jobs = ladder.explanations(level), ladder.jobs(level)
        claimed, followed = ladder.claimed(level), {job.unit for job in ladder.followed(level)}
        counts: Counter[str] = Counter()
        if level == 1:
            counts["says no more of its unit on calibrate text than other explanations"] = len(written) - len(
                claimed
            )
        for unit in claimed:
            if unit in followed:
                counts["followed"] += 1
            elif unit in jobs and not jobs[unit].is_gated:
                counts[_class_of(jobs[unit])] += 1
            elif ladder.parts.is_traceable(level):
                counts["not drawn: as many as may be traced are traced"] += 1
        total = sum(counts.values())
        found += [Gated(AUTHORS, level, reason, n, n / total) for reason, n in counts.items() if n]
    return found


def _class_of(job: Job) -> str:
    """Why a job is not followed, without its figures."""
    if math.isnan(job.gap):
        return job.reason
    return "not determined by its prompt: the gap is too small"


def _roots(ladder: Ladder, facts: _Facts) -> Iterator[Claim]:
    for unit in ladder.in_tree(1):
        yield from _measured(ladder, 1, unit, facts, parent=None, share=1.0)


def _children(
    ladder: Ladder, parent: Claim, level: int, drawn: Mapping[str, Counter[str]], facts: _Facts
) -> Iterator[Claim]:
    if parent.stop or parent.unit not in drawn:
        return
    known = {unit: n for unit, n in drawn[parent.unit].items() if unit in facts.explanations}
    for unit, n in sorted(known.items()):
        yield from _measured(ladder, level, unit, facts, parent=parent, share=n / sum(known.values()))


def _measured(
    ladder: Ladder, level: int, unit: str, facts: _Facts, *, parent: Claim | None, share: float
) -> Iterator[Claim]:
    """A claim with everything that is known of it; a root without a defined gain is left out and counted."""
    explanation = facts.explanations[unit]
    simulator = ladder.config.recursion.simulator
    own = facts.gains.get((AUTHOR, simulator), {})
    if unit not in own and parent is None:
        return
    claim = _claim(
        AUTHORS,
        level,
        unit,
        explanation.model or explanation.explainer,
        explanation.text,
        own.get(unit, 0.0),
        stop=_stop(ladder, level, unit, facts),
    )
    claim = replace(
        claim,
        share=share,
        gain_strict=_strict(ladder, level, unit, facts.gains),
        gain_lenient=math.nan if facts.least is None else facts.least.get(unit, 0.0),
    )
    if facts.shifted:
        claim = replace(
            claim,
            gain_shifted=facts.shifted.get((AUTHOR, simulator), {}).get(unit, 0.0),
            gain_strict_shifted=_strict(ladder, level, unit, facts.shifted),
        )
    if parent is not None:
        claim = replace(claim, id=f"{parent.id}>{claim.id}", root=parent.root, parent=parent.id)
    job = facts.jobs.get(unit)
    cause = facts.causes.get(job.id) if job else None
    if job and cause and not claim.stop:
        claim = _with_work(claim, job, cause, facts.substitutions, simulator)
    yield claim


def _stop(ladder: Ladder, level: int, unit: str, facts: _Facts) -> Stop:
    if level > ladder.depth:
        return "cut_off"
    model = getattr(ladder.config.author(level), "model", "")
    if model in ladder.config.recursion.text_only:
        return "text_only"
    if not ladder.parts.is_traceable(level):
        return "foundation"
    job = facts.jobs.get(unit)
    if job is not None and not job.is_gated:
        return "no_job" if math.isnan(job.gap) else "below_gap"
    if unit not in facts.followed:
        return "budget"
    if ladder.config.author(level + 1) is None:
        return "cut_off"
    return "" if any(node in facts.above for node in facts.drawn.get(unit, ())) else "no_children"


def _strict(ladder: Ladder, level: int, unit: str, gains: Gains) -> float:
    """The gain of the program that stands for the text; 0 where nobody could write one."""
    checker = ladder.config.recursion.checker
    if not checker:
        return 0.0
    if COMPILED in ladder.config.explainers_of(level):
        return gains.get((COMPILED, checker), {}).get(unit, 0.0)
    return gains.get((AUTHOR, checker), {}).get(unit, 0.0)


def _least_reading(ladder: Ladder, level: int, gains: Gains) -> Mapping[str, float] | None:
    """The gains of the reading that finds least in the claims of a level, all of them together.

    One reading for all claims: the smallest for each would be small by noise alone. A claim without a gain
    counts as 0 in the sum.
    """
    again = ladder.gains_again(level)
    if not again:
        return None
    readings = [gains.get((AUTHOR, ladder.config.recursion.simulator), {}), *again.values()]
    units = ladder.in_tree(level)
    return min(readings, key=lambda reading: math.fsum(reading.get(unit, 0.0) for unit in units))


def _with_work(
    claim: Claim, job: Job, cause: Cause, substitutions: Sequence[Substitution], simulator: str
) -> Claim:
    """With the nats of its job: what the prompt adds, the causal set carries, explanations restore."""
    mine = {
        s.kind: s for s in substitutions if (s.job, s.explainer, s.simulator) == (job.id, AUTHOR, simulator)
    }
    own, null, other = (mine.get(kind) for kind in ("own", "null", "shuffled"))
    return replace(
        claim,
        gap=job.content_gap,
        effect=cause.coverage * job.content_gap,
        lost=own.lost if own else 0.0,
        restored=own.restored if own else 0.0,
        restored_null=null.restored if null else 0.0,
        restored_shuffled=other.restored if other else 0.0,
    )


def _claim(ladder: str, level: int, unit: str, author: str, text: str, gain: float, *, stop: Stop) -> Claim:
    """A root with nothing but its gain."""
    id = f"{level}/{unit}"
    return Claim(
        id=id,
        ladder=ladder,
        level=level,
        root=id,
        parent="",
        unit=unit,
        author=author,
        text=text,
        share=1.0,
        gain=gain,
        gain_strict=0.0,
        gain_lenient=math.nan,
        gain_shifted=math.nan,
        gain_strict_shifted=math.nan,
        gap=0.0,
        effect=0.0,
        lost=0.0,
        restored=0.0,
        restored_null=0.0,
        restored_shuffled=0.0,
        stop=stop,
    )
