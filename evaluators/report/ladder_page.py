"""The page of one root unit: its claim, the job of writing it, what caused the text, and the claims below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scrutable.evaluators.report import wording
from scrutable.evaluators.report.causes import substitution_table
from scrutable.evaluators.report.drawing import Drawing
from scrutable.evaluators.report.ladder import NO_PROGRAM
from scrutable.evaluators.report.patch_curve import patch_curve
from scrutable.evaluators.report.recursion import Recursion
from scrutable.evaluators.report.table import Cell, Row, Table, number, numbers, ratio, table, texts
from scrutable.evaluators.report.trust import STOPS, STOPS_TOLD, why
from scrutable.evaluators.report.visible import legible
from scrutable.evaluators.report.wording import Figure
from scrutable.pipeline.recursion.records import Cause, Claim, Job, Patch

NODES_LISTED = 40
SITES = {
    "mlp_exemplars": "MLP nodes at the exemplars",
    "mlp_tail": "MLP nodes between exemplars and text",
    "mlp_text": "MLP nodes in the text",
    "attention_exemplars": "attention at the exemplars",
}

SHARED = (
    "Another ladder has a job of the same id: what follows may be about either, since patches, causes and "
    "substitutions name their job alone."
)

Fact = tuple[str, str | Figure]


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
class JobView:
    """The work of writing the explanation, and what it depends on."""

    id: str
    author: str
    text: str
    verdict: str  # whether the job passes the gate
    shared: str  # what is told if another job has the same id
    facts: tuple[Fact, ...]
    cause: tuple[Fact, ...]  # empty if no causal set was looked for
    nodes: Table | None
    format_nodes: tuple[str, ...]
    curve: Drawing | None
    sites: Table | None
    substitutions: Table | None


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
        jobs=tuple(_job(number, job, study, explained) for number, job in enumerate(jobs)),
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
            ("Lenient gain, smallest over simulators", number(claim.gain_lenient, "no others were tried")),
            ("Gain on shifted text", number(claim.gain_shifted, "not tried on other text")),
            ("Strict gain on shifted text", number(claim.gain_strict_shifted, "not tried on other text")),
        ),
        stop=STOPS_TOLD[claim.stop],
        trust=_trust(claim),
        below=_below(claim, claims),
    )


def _trust(claim: Claim) -> tuple[Fact, ...]:
    """X of the explained nodes of a followed claim; nothing of one that is not followed."""
    if not claim.is_followed:
        return ()
    return (
        ("Gap of its job, nats", number(claim.gap, "no job")),
        ("Effect of its causal set, nats", number(claim.effect, "no causal set")),
        ("X, own explanations", _x(claim.restored, claim.lost)),
        ("X, explanations of other nodes", _x(claim.restored_shuffled, claim.lost)),
    )


def _x(restored: float, lost: float) -> Figure:
    return ratio(restored, lost, of="what the explained nodes lose")


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
        _x(claim.restored, claim.lost) if claim.is_followed else not_followed,
        _x(claim.restored_shuffled, claim.lost) if claim.is_followed else not_followed,
        STOPS[claim.stop],
    )


def _job(place: int, job: Job, study: Recursion, explained: dict[str, Claim]) -> JobView:
    patches = [patch for patch in study.patches if patch.job == job.id]
    cause = next((cause for cause in study.causes if cause.job == job.id), None)
    return JobView(
        id=job.id,
        author=job.author,
        text=legible(job.text),
        verdict="The job is traced." if job.is_gated else f"The job is not traced: {why(job.reason)}.",
        shared=SHARED if sum(other.id == job.id for other in study.jobs) > 1 else "",
        facts=_job_facts(job),
        cause=_cause_facts(cause) if cause else (),
        nodes=_nodes(cause, patches, explained) if cause else None,
        format_nodes=cause.format[:NODES_LISTED] if cause else (),
        curve=patch_curve(patches, cause, name=f"patch-curve-{place}"),
        sites=_sites(patches),
        substitutions=substitution_table([one for one in study.substitutions if one.job == job.id]),
    )


def _job_facts(job: Job) -> tuple[Fact, ...]:
    n_text = len(job.reply_ids)
    without = job.reason or "there is no counterfactual prompt"
    return (
        ("Counterfactual prompt", f"exemplars of {job.matched}" if job.matched else "none"),
        ("Tokens", f"{wording.count(len(job.prompt_ids))} of prompt, {wording.count(n_text)} of text"),
        ("Content tokens", f"{wording.count(job.n_content)} of {wording.count(n_text)}"),
        ("log p(text | prompt), nats", number(job.likelihood)),
        ("Gap, nats", number(job.gap, without)),
        ("Gap of content tokens, nats", number(job.content_gap, without)),
        ("Gap in a model with random weights, nats", number(job.random_gap, "not asked")),
    )


def _cause_facts(cause: Cause) -> tuple[Fact, ...]:
    reached = "reached" if cause.is_reached else "not reached"
    return (
        ("Nodes in the causal set", f"{wording.count(cause.n_nodes)}; asked coverage {reached}"),
        ("Coverage", number(cause.coverage)),
        ("As many random nodes", number(cause.random)),
        ("As many in the same layers", number(cause.layer_matched)),
        (
            f"Rank agreement of attribution and true patches of {wording.counted(cause.n_singles, 'node')}",
            number(cause.rank_agreement, "fewer than three nodes were patched alone"),
        ),
        ("Attribution sum, which is not a coverage", number(cause.attribution_sum)),
    )


def _nodes(cause: Cause, patches: Sequence[Patch], explained: dict[str, Claim]) -> Table | None:
    """The strongest content nodes, with what each does alone and how it is described."""
    singles = {patch.unit: patch for patch in patches if patch.kind == "single"}
    rows: list[Row] = [
        (
            node,
            _alone(singles.get(node), "effect"),
            _alone(singles.get(node), "attribution"),
            legible(explained[node].text) if node in explained else "not explained",
        )
        for node in cause.content
    ]
    heads = [
        *texts("Node"),
        *numbers("Effect alone, share of the content gap", "Attribution"),
        *texts("Explanation"),
    ]
    return table("Strongest content nodes", heads, rows, listed=NODES_LISTED)


def _alone(patch: Patch | None, field: str) -> Cell:
    return number(getattr(patch, field), "not defined") if patch else "not patched alone"


def _sites(patches: Sequence[Patch]) -> Table | None:
    rows: list[Row] = [
        (SITES[patch.kind], number(patch.effect, "the author has no such site"))
        for patch in patches
        if patch.kind in SITES
    ]
    return table("Whole sites", [*texts("Site"), *numbers("Share of the content gap that is lost")], rows)
