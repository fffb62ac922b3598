"""The job of writing an explanation, as a page shows it: the gap, the causal set, the nodes, the patches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scrutable.evaluators.report import wording
from scrutable.evaluators.report.causes import substitution_table
from scrutable.evaluators.report.drawing import Drawing
from scrutable.evaluators.report.patch_curve import patch_curve
from scrutable.evaluators.report.recursion import Recursion
from scrutable.evaluators.report.table import Cell, Row, Table, number, numbers, table, texts
from scrutable.evaluators.report.trust import why
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


def job_view(place: int, job: Job, study: Recursion, explained: Mapping[str, Claim]) -> JobView:
    """A job with what was found of it; `explained` are the claims about its author's nodes, by node."""
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


def _nodes(cause: Cause, patches: Sequence[Patch], explained: Mapping[str, Claim]) -> Table | None:
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
