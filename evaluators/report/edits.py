"""Edited inputs on a behaviour's page: what an explanation says of them, and what the subject did.

What was taken out and what was put in is marked word by word.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from scrutable.evaluators.report import colour, wording
from scrutable.evaluators.report.findings import Findings
from scrutable.evaluators.report.visible import legible
from scrutable.evaluators.report.wording import Figure
from scrutable.pipeline.behaviours.records import CounterfactualScore, Edit
from scrutable.pipeline.records import Explanation

EDITS_LISTED = 60  # of each explanation
LONGEST_DIFFED = 4_000  # characters; comparing takes quadratic time
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")

SCOPES = {
    "inside": "inside: should change",
    "outside": "outside: should stay",
}


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a text, with True if the other text lacks it."""

    text: str
    is_changed: bool


@dataclass(frozen=True, slots=True)
class EditRow:
    """An edited input."""

    scope: str
    original: tuple[Piece, ...]
    text: tuple[Piece, ...]
    before: str
    after: str
    is_changed: bool
    is_as_claimed: bool  # by the scope of the edit
    own: str  # probability that the prediction from the explanation gave to what the subject did
    shade: int
    null: str


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """Precision and coverage of an explanation as one simulator reads it."""

    simulator: str
    precision: Figure
    precision_null: str
    n_inside: str
    coverage: Figure
    coverage_null: str
    n_changed: str
    n_unedited: str


@dataclass(frozen=True, slots=True)
class Edited:
    """What came of editing inside and outside of the scope of one explanation."""

    explainer: str
    simulator: str  # whose predictions stand beside the edits; empty if there are none
    scores: tuple[ScoreRow, ...]
    rows: tuple[EditRow, ...]
    note: str  # how many are not listed


def edited(found: Findings, explanations: Sequence[Explanation]) -> tuple[Edited, ...]:
    """For each explanation that was edited by, in their order."""
    originals = {one.id: one.text for one in found.inputs}
    blocks = []
    for explanation in explanations:
        scores = [one for one in found.counterfactuals if one.explainer == explanation.author]
        edits = [one for one in found.edits if one.explanation == explanation.id]
        if not scores and not edits:
            continue
        note = f"The first {EDITS_LISTED} of {wording.counted(len(edits), 'edit')}."
        blocks.append(
            Edited(
                explainer=explanation.author,
                simulator=scores[0].simulator if scores else "",
                scores=tuple(_score(one) for one in scores),
                rows=tuple(
                    _row(one, originals.get(one.input, ""), found.behaviour.outcomes)
                    for one in edits[:EDITS_LISTED]
                ),
                note=note if len(edits) > EDITS_LISTED else "",
            )
        )
    return tuple(blocks)


def _score(one: CounterfactualScore) -> ScoreRow:
    return ScoreRow(
        simulator=one.simulator,
        precision=wording.figure(
            one.precision, one.precision_low, one.precision_high, reason=one.reason or "no prediction"
        ),
        precision_null=wording.share(one.precision_null),
        n_inside=wording.count(one.n_inside),
        coverage=wording.figure(
            one.coverage, one.coverage_low, one.coverage_high, reason=one.reason or "no prediction"
        ),
        coverage_null=wording.share(one.coverage_null),
        n_changed=wording.count(one.n_changed),
        n_unedited=wording.count(one.n_unedited),
    )


def _row(edit: Edit, original: str, outcomes: Sequence[str]) -> EditRow:
    number = outcomes.index(edit.after)
    own = edit.probabilities[number] if edit.probabilities else None
    removed, added = differing(legible(original), legible(edit.text))
    return EditRow(
        scope=SCOPES.get(edit.scope, edit.scope),
        original=removed,
        text=added,
        before=edit.before,
        after=edit.after,
        is_changed=edit.before != edit.after,
        is_as_claimed=(edit.before != edit.after) == (edit.scope == "inside"),
        own=wording.NO_NUMBER if own is None else wording.share(own),
        shade=0 if own is None else colour.shade(own, scale_max=1.0),
        null=wording.share(edit.null[number]) if edit.null else wording.NO_NUMBER,
    )


def differing(first: str, second: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """Both texts in pieces that join to them; what only one of them has is marked in it."""
    if len(first) + len(second) > LONGEST_DIFFED:
        return (Piece(first, False),), (Piece(second, False),)
    one, two = _WORDS.findall(first), _WORDS.findall(second)
    left: list[Piece] = []
    right: list[Piece] = []
    for tag, i, j, k, m in SequenceMatcher(None, one, two, autojunk=False).get_opcodes():
        if i < j:
            left.append(Piece("".join(one[i:j]), tag != "equal"))
        if k < m:
            right.append(Piece("".join(two[k:m]), tag != "equal"))
    return tuple(left), tuple(right)
