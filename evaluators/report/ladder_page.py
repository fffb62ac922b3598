"""The page of one root unit: its claim in each ladder, the claims below, and its jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scrutable.evaluators.report import wording
from scrutable.evaluators.report.job_view import Fact, JobView, job_view
from scrutable.evaluators.report.ladder import NO_PROGRAM
from scrutable.evaluators.report.recursion import Recursion
from scrutable.evaluators.report.table import Cell, Row, Table, number, numbers, ratio, table, texts
from scrutable.evaluators.report.trust import STOPS, STOPS_TOLD
from scrutable.evaluators.report.visible import legible
from scrutable.evaluators.report.wording import Figure
from scrutable.pipeline.recursion.records import Claim


@dataclass(frozen=True, slots=True)
class Frame:
    """What is the same on all pages, and where this page is among them."""

    title: str
    banner: str | None
    weight_notes: tuple[str, ...]
    has_unit_page: bool
    previous: str = ""
    next: str = ""


@dataclass(frozen=True, slots=True)
class RootView:
    """The root claim in one ladder, and every claim below it."""

    ladder: str
    author: str
    text: str
    gains: tuple[Fact, ...]
    stop: str
    trust: tuple[Fact, ...]  # what its job lost and what was restored
    below: Table | None


@dataclass(frozen=True, slots=True)
class LadderPage:
    """All that the template of a ladder prints."""

    title: str
    banner: str | None
    id: str
    weight_notes: tuple[str, ...]
    has_unit_page: bool
    previous: str
    next: str
    roots: tuple[RootView, ...]
    jobs: tuple[JobView, ...]


def ladder_page(unit: str, study: Recursion, frame: Frame) -> LadderPage:
    """The page of a unit that a root claim is about."""
    roots = [claim for claim in study.claims if claim.unit == unit and not claim.parent]
    jobs = [job for job in study.jobs if job.unit == unit and job.level == 1]
    explained = {claim.unit: claim for claim in study.claims if claim.parent and claim.root in _names(roots)}
    return LadderPage(
        title=frame.title,
        banner=frame.banner,
        id=unit,
        weight_notes=frame.weight_notes,
        has_unit_page=frame.has_unit_page,
        previous=frame.previous,
        next=frame.next,
        roots=tuple(_root(claim, study.claims) for claim in roots),
        jobs=tuple(job_view(number, job, study, explained) for number, job in enumerate(jobs)),
    )


def _names(roots: Sequence[Claim]) -> set[str]:
    """How descendants may call their root: by its claim or by its unit."""
    return {claim.id for claim in roots} | {claim.unit for claim in roots}


def _root(claim: Claim, claims: Sequence[Claim]) -> RootView:
    return RootView(
        ladder=claim.ladder,
        author=claim.author,
        text=legible(claim.text),
        gains=(
            ("Gain", number(claim.gain, "gain not defined")),
            ("Strict gain, of the compiled program", number(claim.gain_strict, NO_PROGRAM)),
            (
                "Lenient gain, of the reading that finds least",
                number(claim.gain_lenient, "no others were tried"),
            ),
            ("Gain on shifted text", number(claim.gain_shifted, "not tried on other text")),
            ("Strict gain on shifted text", number(claim.gain_strict_shifted, "not tried on other text")),
        ),
        stop=STOPS_TOLD[claim.stop],
        trust=_trust(claim),
        below=_below(claim, claims),
    )


def _trust(claim: Claim) -> tuple[Fact, ...]:
    """X of the explained nodes of a claim whose author was looked into; nothing of another."""
    if claim.stop:
        return ()
    return (
        ("Gap of its job, nats", number(claim.gap, "no job")),
        ("Effect of its causal set, nats", number(claim.effect, "no causal set")),
        ("X, own explanations", _x(claim, claim.restored)),
        ("X, explanations of other nodes", _x(claim, claim.restored_shuffled)),
    )


def _x(claim: Claim, restored: float) -> Figure:
    """Both less what explanations of other nodes restore."""
    null = claim.restored_null
    return ratio(restored - null, claim.lost - null, of="what the explained nodes lose")


def _below(root: Claim, claims: Sequence[Claim]) -> Table | None:
    """The claims under a root, each after its parent."""
    children: dict[str, list[Claim]] = {}
    for claim in claims:
        if claim.parent and claim.ladder == root.ladder:
            children.setdefault(claim.parent, []).append(claim)
    rows: list[Row] = []
    stack = list(reversed(children.get(root.id, [])))
    seen = {root.id}
    while stack:
        claim = stack.pop()
        if claim.id in seen:
            continue
        seen.add(claim.id)
        rows.append(_claim_row(claim))
        stack += reversed(children.get(claim.id, []))
    heads = [
        *texts("Level", "Node", "Explanation", "Written by"),
        *numbers("Share", "Gain", "Strict gain", "X", "X, shuffled"),
        *texts("Then"),
    ]
    return table("Claims below, each after the one that it answers for", heads, rows)


def _claim_row(claim: Claim) -> Row:
    not_followed: Cell = wording.NO_NUMBER
    return (
        str(claim.level),
        claim.unit,
        legible(claim.text),
        claim.author,
        number(claim.share, "share not defined"),
        number(claim.gain, "gain not defined"),
        number(claim.gain_strict, NO_PROGRAM),
        _x(claim, claim.restored) if not claim.stop else not_followed,
        _x(claim, claim.restored_shuffled) if not claim.stop else not_followed,
        STOPS[claim.stop],
    )
