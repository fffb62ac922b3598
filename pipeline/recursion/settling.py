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


def claims_of(ladder: Ladder, *, levels: int) -> list[Claim]:
    """The claim tree of the authors, roots first; below it what was written of the last level's nodes."""
    found = list(_roots(ladder))
    above = found
    for level in range(2, levels + 2):
        above = [child for claim in above for child in _children(ladder, claim, level)]
        found += above
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


def _roots(ladder: Ladder) -> Iterator[Claim]:
    is_traceable = ladder.parts.is_traceable(1)
    units = [job.unit for job in ladder.followed(1)] if is_traceable else ladder.cleared
    for unit in units:
        yield from _measured(ladder, 1, unit, parent=None, share=1.0)


def _children(ladder: Ladder, parent: Claim, level: int) -> Iterator[Claim]:
    drawn = ladder.drawn(level - 1).get(parent.unit)
    if parent.stop or not drawn:
        return
    written = ladder.explanations(level)
    known = {unit: n for unit, n in drawn.items() if unit in written}
    for unit, n in sorted(known.items()):
        yield from _measured(ladder, level, unit, parent=parent, share=n / sum(known.values()))


def _measured(
    ladder: Ladder, level: int, unit: str, *, parent: Claim | None, share: float
) -> Iterator[Claim]:
    """A claim with everything that is known of it; a root without a defined gain is left out and counted."""
    explanation: Explanation = ladder.explanations(level)[unit]
    gains = ladder.gains(level)
    settings = ladder.config.recursion
    own = gains.get((AUTHOR, settings.simulator), {})
    if unit not in own and parent is None:
        return
    claim = _claim(
        AUTHORS,
        level,
        unit,
        explanation.model or explanation.explainer,
        explanation.text,
        own.get(unit, 0.0),
        stop=_stop(ladder, level, unit),
    )
    claim = replace(
        claim,
        share=share,
        gain_strict=_strict(ladder, level, unit, gains),
        gain_lenient=_lenient(ladder, level, unit, gains),
    )
    claim = _on_other_text(claim, ladder)
    if parent is not None:
        claim = replace(claim, id=f"{parent.id}>{claim.id}", root=parent.root, parent=parent.id)
    job = ladder.jobs(level).get(unit)
    cause = ladder.causes(level).get(job.id) if job else None
    if job and cause and not claim.stop:
        claim = _with_work(claim, job, cause, ladder.substitutions(level), settings.simulator)
    yield claim


def _stop(ladder: Ladder, level: int, unit: str) -> Stop:
    if level > ladder.depth:
        return "cut_off"
    model = getattr(ladder.config.author(level), "model", "")
    if model in ladder.config.recursion.text_only:
        return "text_only"
    if not ladder.parts.is_traceable(level):
        return "foundation"
    job = ladder.jobs(level).get(unit)
    if job is not None and not job.is_gated:
        return "no_job" if math.isnan(job.gap) else "below_gap"
    if unit not in {one.unit for one in ladder.followed(level)}:
        return "budget"
    if ladder.config.author(level + 1) is None:
        return "cut_off"
    written = ladder.explanations(level + 1)
    return "" if any(node in written for node in ladder.drawn(level).get(unit, ())) else "no_children"


def _strict(ladder: Ladder, level: int, unit: str, gains: Gains) -> float:
    """The gain of the program that stands for the text; 0 where nobody could write one."""
    checker = ladder.config.recursion.checker
    if not checker:
        return 0.0
    if COMPILED in ladder.config.explainers_of(level):
        return gains.get((COMPILED, checker), {}).get(unit, 0.0)
    return gains.get((AUTHOR, checker), {}).get(unit, 0.0)


def _lenient(ladder: Ladder, level: int, unit: str, gains: Gains) -> float:
    """By the simulator that finds least in the texts of this level, all claims together."""
    readers = ladder.config.recursion.lenient
    if not readers:
        return math.nan
    units = ladder.explanations(level)
    totals = {
        name: sum(gains.get((AUTHOR, name), {}).get(u, 0.0) for u in units)
        for name in (ladder.config.recursion.simulator, *readers)
    }
    least = min(totals, key=lambda name: (totals[name], name))
    return gains.get((AUTHOR, least), {}).get(unit, 0.0)


def _on_other_text(claim: Claim, ladder: Ladder) -> Claim:
    """With the same gains on other text than the explanation was written from, where it was tried."""
    gains = ladder.shifted_gains(claim.level)
    if not gains:
        return claim
    own = gains.get((AUTHOR, ladder.config.recursion.simulator), {}).get(claim.unit, 0.0)
    checked = _strict(ladder, claim.level, claim.unit, gains)
    return replace(claim, gain_shifted=own, gain_strict_shifted=checked)


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
