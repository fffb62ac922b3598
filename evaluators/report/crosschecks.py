"""What is measured beside the ledger: transfer, ceilings, overlaps, replicas, and the matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from scrutable.evaluators.report import wording
from scrutable.evaluators.report.drawing import short_count
from scrutable.evaluators.report.table import Cell, Row, Table, number, numbers, table, texts
from scrutable.evaluators.report.trust import mean, why
from scrutable.pipeline.config import AUTHOR
from scrutable.pipeline.recursion.records import (
    Ceiling,
    Effect,
    Foretold,
    MatrixCell,
    Overlap,
    Replica,
    SecondReading,
    Transfer,
    WritingTrait,
)

_TEXTS: tuple[Literal["working", "general"], ...] = ("working", "general")


EDITS_TOLD = {
    "none": "as they were",
    "swap_top": "the strongest replaced by another unit’s",
    "permute": "in another order",
    "drop_one": "without the strongest",
}


def transfer_table(transfers: Sequence[Transfer]) -> Table | None:
    """The 2 x 2 of each level and pairing: written from, and scored on, working or general text."""
    found = {(t.level, t.explainer, t.simulator, t.written_from, t.scored_on): t for t in transfers}
    keys = dict.fromkeys((t.level, t.explainer, t.simulator, t.written_from) for t in transfers)
    rows: list[Row] = [
        (
            str(level),
            explainer,
            simulator,
            f"{written} text",
            *(_transfer(found.get((level, explainer, simulator, written, on))) for on in _TEXTS),
        )
        for level, explainer, simulator, written in keys
    ]
    heads = [
        *texts("Level", "Explainer", "Simulator", "Written from"),
        *numbers("Scored on working text", "Scored on general text"),
    ]
    note = (
        "Mean excess correlation over the null. Working text is what the author ran on to write explanations."
    )
    return table("Transfer between working and general text", heads, rows, note=note)


def _transfer(one: Transfer | None) -> Cell:
    if one is None:
        return "not tried"
    reason = f"not defined for any of {wording.counted(one.n_units, 'unit')}"
    return wording.figure(one.value, one.low, one.high, reason=reason, signed=True)


def ceiling_table(ceilings: Sequence[Ceiling]) -> Table | None:
    """Mean ceiling over units, for each level and length of context."""
    keys = sorted({(one.level, one.context) for one in ceilings})
    rows: list[Row] = []
    for key in keys:
        values = [one.value for one in ceilings if (one.level, one.context) == key]
        value, n = mean(values)
        reason = f"not defined for any of {wording.counted(len(values), 'unit')}"
        rows.append((str(key[0]), str(key[1]), f"{n} of {len(values)}", number(value, reason)))
    heads = [*texts("Level"), *numbers("Context, tokens", "Units, n", "Ceiling h")]
    note = (
        "Explained variance of a unit’s activation with all of its context by that with a short one, mean "
        "over units: no simulator that sees so many tokens can know more."
    )
    return table("Ceilings of short contexts", heads, rows, note=note)


def overlap_table(overlaps: Sequence[Overlap]) -> Table | None:
    """How alike the causal sets of jobs are."""
    reason = "fewer than two jobs"
    rows: list[Row] = [
        (
            str(one.level),
            one.family,
            wording.count(one.n_jobs),
            number(one.mean, reason),
            number(one.largest, reason),
        )
        for one in overlaps
    ]
    heads = [*texts("Level", "Nodes"), *numbers("Jobs, n", "Mean Jaccard index", "Largest")]
    return table("Overlap of causal sets between jobs", heads, rows)


def replica_table(replicas: Sequence[Replica]) -> Table | None:
    """Stand-ins that were built from an explanation of the explainer."""
    rows: list[Row] = [
        (
            str(one.level),
            one.replica,
            one.about,
            wording.count(one.n_units),
            number(one.gain_real, why(one.reason)),
            number(one.gain_replica, why(one.reason)),
            wording.figure(one.s, one.low, one.high, reason=why(one.reason)),
        )
        for one in replicas
    ]
    heads = [
        *texts("Level", "Replica", "What it does"),
        *numbers("Units, n", "Gain of the real explainer", "Gain of the replica", "S [95 % interval]"),
    ]
    note = (
        "S is the gain of the replica’s explanations over that of the real ones, both less the null: 1 if "
        "the replica is worth as much. Gains in bits per token. follower-own is a model that follows what "
        "the next author wrote of the first one’s way of writing; follower-shuffled, its control, follows "
        "what was written from exchanged explanations."
    )
    return table("Replicas of the explainer", heads, rows, note=note)


def second_reading_table(readings: Sequence[SecondReading]) -> Table | None:
    """What others find in the claims, and in their paraphrases."""
    rows: list[Row] = [
        (
            str(one.level),
            "the author’s own" if one.wording == AUTHOR else one.wording,
            one.simulator,
            wording.count(one.n_claims),
            wording.count(one.n_unread),
            wording.count(one.n_same),
            number(one.gain, why(one.reason)),
            wording.figure(one.share, one.low, one.high, reason=why(one.reason)),
        )
        for one in readings
    ]
    heads = [
        *texts("Level", "Words", "Read by"),
        *numbers("Claims, n", "Without a gain", "Left as they were", "Gain", "Share kept [95 % interval]"),
    ]
    note = (
        "The lenient tier. Share kept: the gain of this reading over the gain as scored, all claims "
        "together; claims without a gain count as 0. The reading that keeps least is the lenient v, at most "
        "1. A weak paraphraser or reader lowers it as a private code would. Gains in bits per token."
    )
    return table("The same claims, read by others and in other words", heads, rows, note=note)


def foretold_table(rows_of: Sequence[Foretold]) -> Table | None:
    """How often the author's own text is found."""
    rows: list[Row] = [
        (
            EDITS_TOLD[one.edit],
            wording.count(one.n_units),
            number(one.chance, why(one.reason)),
            number(one.own, why(one.reason)),
            number(one.shuffled, why(one.reason)),
            number(one.none, why(one.reason)),
            wording.figure(one.difference, one.low, one.high, reason=why(one.reason)),
        )
        for one in rows_of
    ]
    heads = [
        *texts("Exemplars"),
        *numbers("Units, n", "Chance", "Own procedure", "Shuffled", "None", "Own − shuffled [95 % interval]"),
    ]
    note = (
        "The author wrote again on edited exemplars; a model that is given a procedure of how the author "
        "writes looks for its text among others. Shares of units on which it finds it. Shuffled: the "
        "procedure was written from exchanged explanations."
    )
    return table("The author’s writing, foretold from a procedure", heads, rows, note=note)


def trait_table(rows_of: Sequence[WritingTrait]) -> Table | None:
    """Traits of explanations, foretold by readable stand-ins."""
    rows: list[Row] = [
        (
            one.trait.replace("_", " "),
            one.predictor,
            wording.count(one.n),
            number(one.mean, why(one.reason)),
            wording.figure(one.r2, one.low, one.high, reason=why(one.reason)),
        )
        for one in rows_of
    ]
    heads = [*texts("Trait", "Stand-in"), *numbers("Units, n", "Mean", "R² [95 % interval]")]
    note = "R² over the mean of other units: 0 is the mean itself; not clipped."
    return table("Traits of the author’s explanations", heads, rows, note=note)


def matrix_table(cells: Sequence[MatrixCell]) -> Table | None:
    """Every explainer on every subject; v only where something was compiled and checked."""
    is_checked = any(math.isfinite(cell.v) for cell in cells)
    rows: list[Row] = [
        (
            cell.subject,
            _size(cell.subject_parameters),
            cell.explainer,
            _size(cell.explainer_parameters),
            "yes" if cell.is_same else "no",
            wording.count(cell.n_units),
            wording.figure(
                cell.value,
                cell.low,
                cell.high,
                reason=f"not defined for any of {wording.counted(cell.n_units, 'unit')}",
                signed=True,
            ),
            *([number(cell.v, "nothing to keep a share of")] if is_checked else []),
        )
        for cell in cells
    ]
    heads = [
        *texts("Subject", "Parameters", "Explainer", "Parameters", "Same model"),
        *numbers("Units, n", "Mean excess correlation", *(["v"] if is_checked else [])),
    ]
    return table("Subject by explainer, with the same simulator", heads, rows)


def effect_table(effects: Sequence[Effect]) -> Table | None:
    """The coefficients of the regression over the matrix."""
    rows: list[Row] = [
        (
            one.term,
            wording.figure(one.value, one.low, one.high, reason=why(one.reason), signed=True),
            wording.count(one.n),
        )
        for one in effects
    ]
    heads = [*texts("Term"), *numbers("Coefficient [95 % interval]", "n")]
    return table("What size, family and level do to the score", heads, rows)


def _size(parameters: float) -> str:
    if not math.isfinite(parameters):
        return "unknown"
    return "0, a program" if parameters == 0 else short_count(parameters)
