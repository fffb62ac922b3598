"""The section of a study of recursion on the index page, as records: verdicts, ledger, figures, checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scrutable.evaluators.report import causes, crosschecks, ledger, wording
from scrutable.evaluators.report.data import ReportData, read_summary
from scrutable.evaluators.report.depth import depth
from scrutable.evaluators.report.drawing import Drawing
from scrutable.evaluators.report.frontier import frontier
from scrutable.evaluators.report.matrix_map import matrix_map
from scrutable.evaluators.report.opacity import opacity
from scrutable.evaluators.report.recursion import Recursion
from scrutable.evaluators.report.table import Link, Row, Table, number, numbers, table, texts
from scrutable.evaluators.report.trust import STOPS
from scrutable.evaluators.report.visible import legible
from scrutable.pipeline.recursion.records import Claim

ROOTS_LISTED = 200
LONGEST_TEXT = 140  # characters of an explanation in the table of roots
NO_PROGRAM = "no program was tried"


@dataclass(frozen=True, slots=True)
class Pictured:
    """A figure and what stands above it."""

    title: str
    about: str
    drawing: Drawing


@dataclass(frozen=True, slots=True)
class LadderSection:
    """All that the index prints of recursion."""

    is_matrix: bool  # no ladder was climbed, and nothing is said of a ledger
    counted: str
    complaint: str  # why the ledger is not to be believed yet; empty if every known ladder passed
    rulings: tuple[ledger.RulingRow, ...]
    known: Table | None
    gated: Table | None
    ledger: Table | None
    estimates: Table | None
    pictures: tuple[Pictured, ...]
    inside: tuple[Table, ...]  # what was found in the authors
    each_job: Table | None
    checks: tuple[Table, ...]
    roots: Table | None


def ladder_section(study: Recursion, data: ReportData) -> LadderSection:
    """What the index page tells of a study of recursion."""
    inside = (
        causes.cause_summary(study.causes, study.jobs),
        causes.substitution_table(study.substitutions),
        causes.proxy_table(study.proxies),
    )
    checks = (
        crosschecks.transfer_table(study.transfers),
        crosschecks.ceiling_table(study.ceilings),
        crosschecks.overlap_table(study.overlaps),
        crosschecks.second_reading_table(study.second_readings),
        crosschecks.replica_table(study.replicas),
        crosschecks.foretold_table(study.foretold),
        crosschecks.trait_table(study.traits),
        crosschecks.matrix_table(study.matrix),
        crosschecks.effect_table(study.effects),
    )
    return LadderSection(
        is_matrix=study.is_matrix,
        counted=_counted(study, n_ladders=len(data.config.get("ladders", ()))),
        complaint="" if study.is_matrix else ledger.known_complaint(study.known),
        rulings=ledger.ruling_rows(study.rulings),
        known=ledger.known_table(study.known),
        gated=ledger.gated_table(study.gated),
        ledger=ledger.ledger_table(study.ledger),
        estimates=ledger.estimate_table(study.ledger),
        pictures=pictures(study, data),
        inside=tuple(one for one in inside if one),
        each_job=causes.cause_table(study.causes),
        checks=tuple(one for one in checks if one),
        roots=_roots(study.claims),
    )


def pictures(study: Recursion, data: ReportData) -> tuple[Pictured, ...]:
    """The figures for which there are records, in the order in which they are read."""
    found = (
        (
            "Where the opacity goes",
            "The weight of all root claims is 1 at level 1. Each bar shows what became of what came in: the "
            "passed-up part is the next level’s bar. Strict tier, on the text that was sampled; shares are "
            "not clipped, so noise may put a part below 0. Whiskers: 95 % intervals over roots.",
            opacity(study.ledger),
        ),
        (
            "Trust that is left, by depth",
            "U: the share of the root weight that still rests on somebody’s word after so many levels. If "
            "explaining the explainer only moves trust, U stays on the dotted line.",
            depth(study.ledger),
        ),
        (
            "Opacity against fidelity",
            "The dilemma is real if the upper left is empty: what predicts well must be taken from a large "
            "model, and what nobody has to trust predicts badly.",
            frontier(read_summary(data), data.config, data.manifest),
        ),
        (
            "Subject by explainer",
            "Mean excess correlation of each explainer on each subject. Blue is above 0, orange below.",
            matrix_map(study.matrix),
        ),
    )
    return tuple(Pictured(title, about, drawing) for title, about, drawing in found if drawing)


def _counted(study: Recursion, *, n_ladders: int) -> str:
    """What was studied; `n_ladders` are those whose scores a matrix takes in."""
    if study.is_matrix:
        subjects, explainers = ({getattr(c, name) for c in study.matrix} for name in ("subject", "explainer"))
        beside = f", beside {wording.counted(n_ladders, 'ladder')}" if n_ladders else ""
        return (
            f"{wording.counted(len(subjects), 'subject')}, "
            f"{wording.counted(len(explainers), 'explainer')}{beside}"
        )
    ladders = dict.fromkeys(row.ladder for row in study.ledger)
    levels = {row.level for row in study.ledger}
    return (
        f"{wording.counted(len(ladders), 'ladder')}, {wording.counted(len(levels), 'level')}, "
        f"{wording.counted(len(study.roots), 'root unit')}"
    )


def _roots(claims: Sequence[Claim]) -> Table | None:
    rows: list[Row] = [
        (
            Link(claim.unit, f"ladders/{claim.unit}.html"),
            claim.ladder,
            claim.author,
            wording.clipped(legible(claim.text), LONGEST_TEXT),
            number(claim.gain, "gain not defined"),
            number(claim.gain_strict, NO_PROGRAM),
            STOPS[claim.stop],
        )
        for claim in claims
        if not claim.parent
    ]
    heads = [
        *texts("Root unit", "Ladder", "Written by", "Explanation"),
        *numbers("Gain, bits per token", "Strict gain"),
        *texts("Then"),
    ]
    return table("Root claims; each unit has a page of its ladder", heads, rows, listed=ROOTS_LISTED)
