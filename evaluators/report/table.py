"""A table of a report: heads, groups of rows, and cells that are texts, figures, links or verdicts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from scrutable.evaluators.report import wording
from scrutable.evaluators.report.wording import Figure


class Head(NamedTuple):
    """The head of a column."""

    text: str
    is_number: bool = False


class Link(NamedTuple):
    """A text that leads to another page."""

    text: str
    href: str


class Verdict(NamedTuple):
    """Whether something passed, in words, with the reason where there is one."""

    text: str
    is_passed: bool
    reason: str = ""


Cell = str | Figure | Link | Verdict
Row = tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table in groups; a group without a name has no row of its own for it."""

    caption: str
    heads: tuple[Head, ...]
    groups: tuple[tuple[str, tuple[Row, ...]], ...]
    note: str = ""


def table(
    caption: str, heads: Sequence[Head], rows: Sequence[Row], *, note: str = "", listed: int = 0
) -> Table | None:
    """A table of one group; None without rows. If `listed` is given, rows after so many are counted only."""
    if not rows:
        return None
    shown = rows[:listed] if listed else rows
    if len(shown) < len(rows):
        note = f"{note} The first {wording.count(len(shown))} of {wording.count(len(rows))}.".strip()
    return Table(caption, tuple(heads), (("", tuple(shown)),), note)


def texts(*names: str) -> list[Head]:
    """Heads of columns of text."""
    return [Head(name) for name in names]


def numbers(*names: str) -> list[Head]:
    """Heads of columns of numbers."""
    return [Head(name, is_number=True) for name in names]


def number(value: float, reason: str = "", *, signed: bool = False) -> Figure:
    """A figure without an interval; `reason` is told where it is not a finite number."""
    return wording.figure(value, math.nan, math.nan, reason=reason, signed=signed)


def ratio(part: float, whole: float, *, of: str) -> Figure:
    """A ratio of two sums, unclipped; undefined where either is, or the whole is not above 0."""
    if not (math.isfinite(part) and math.isfinite(whole)):
        return number(math.nan, f"{of} is not defined")
    if whole <= 0:
        return number(math.nan, f"{of} is {wording.score(whole)}, not above 0")
    return number(part / whole)
