"""Where the opacity goes: for each ladder, what became of the trust at every level (SCIENCE.md 2.9, F1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from scrutable.evaluators.report import charts, trust, wording
from scrutable.evaluators.report.drawing import (
    BOLD,
    SMALL,
    Curve,
    Dot,
    Drawing,
    Label,
    LogAxis,
    Mark,
    Rect,
    Stroke,
    cut,
    fitted,
    log_axis,
    share_axis,
    share_grid,
    short_count,
    slashes,
    titled,
    torn,
    whisker,
)
from scrutable.evaluators.report.trust import why
from scrutable.pipeline.recursion.records import LedgerRow

SHARES = {name: trust.SHARES[name] for name in ("discharged", "stranded", "passed_up", "open")}
"""What the bars are stacked from, from below."""
WIDTH, HEIGHT = 440, 272  # of one ladder's panel
LEFT, RIGHT, TOP, BOTTOM = 46, 62, 28, 50
LEGEND = 42  # height
COLUMNS = 2


class Corner(NamedTuple):
    """Where a panel begins."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class _Axes:
    """What all panels share: the share axis, and that of parameters if any are known."""

    shares: charts.Range
    parameters: LogAxis | None


def by_ladder(rows: Sequence[LedgerRow]) -> dict[str, tuple[LedgerRow, ...]]:
    """The rows of each ladder, in the run's order of ladders and by level."""
    names = dict.fromkeys(row.ladder for row in rows)
    return {
        name: tuple(sorted((row for row in rows if row.ladder == name), key=lambda row: row.level))
        for name in names
    }


def corner(number: int) -> Corner:
    """Where the panel with that number begins, from 0."""
    return Corner(number % COLUMNS * WIDTH, LEGEND + number // COLUMNS * HEIGHT)


def size(n_panels: int) -> tuple[float, float]:
    """Width and height of a figure of so many panels."""
    return WIDTH * min(COLUMNS, n_panels), LEGEND + HEIGHT * math.ceil(n_panels / COLUMNS)


def opacity(rows: Sequence[LedgerRow]) -> Drawing | None:
    """The strict, sampled rows as stacked bars of the root weight; None if there are none."""
    ladders = by_ladder([row for row in rows if row.tier == "strict" and row.corpus == "sampled"])
    if not ladders:
        return None
    drawn = [row for group in ladders.values() for row in group]
    axes = _Axes(share_axis(_ends(drawn)), log_axis([row.parameters for row in drawn if row.trusted]))
    marks = _legend(axes.parameters is not None)
    for number, (name, group) in enumerate(ladders.items()):
        marks += _panel(name, group, axes, corner(number))
    width, height = size(len(ladders))
    label = "Where the opacity goes: shares of the root weight at each level of each ladder, strict tier"
    return Drawing("opacity-by-level", width, height, label, tuple(marks), _notes(drawn))


def _ends(rows: Sequence[LedgerRow]) -> list[float]:
    """How far the stacks reach, and the upper ends of their intervals."""
    ends = []
    for row in rows:
        for name, (start, end) in _stack(row).items():
            ends += [end, start + row.weight * getattr(row, f"{name}_high", math.nan)]
    return ends


def _stack(row: LedgerRow) -> dict[str, tuple[float, float]]:
    """Where each defined share starts and ends: positive ones go up from 0, negative ones down from it."""
    up = down = 0.0
    places = {}
    for name in SHARES:
        height = row.weight * getattr(row, name)
        if height >= 0:
            places[name] = (up, up + height)
            up += height
        elif height < 0:
            places[name] = (down, down + height)
            down += height
    return places


def _legend(has_parameters: bool) -> list[Mark]:
    marks: list[Mark] = []
    x = float(LEFT)
    for style, text in SHARES.items():
        marks += [Rect(x, 8, 11, 11, style), Label(x + 16, 17, text, "start")]
        x += 28 + 6 * len(text)
    about = "size of who is then trusted (right); below: author → trusted"
    dot: list[Mark] = [Dot(LEFT + 5.5, 29.5, 4, "trusted"), Label(LEFT + 16, 33, about, "start")]
    return [*marks, *dot] if has_parameters else marks


def _panel(name: str, rows: Sequence[LedgerRow], axes: _Axes, at: Corner) -> list[Mark]:
    left, right = at.x + LEFT, at.x + WIDTH - RIGHT
    bottom, top = at.y + HEIGHT - BOTTOM, at.y + TOP
    middle = (top + bottom) / 2
    marks: list[Mark] = [
        Label(left, at.y + 16, fitted(name, right - left, letter=BOLD), "start", "name", title=titled(name)),
        Label(at.x + 12, middle, "share of the root weight", turn=-90),
        *share_grid(axes.shares, left, right, bottom, top),
    ]
    if axes.parameters:
        marks += _right_axis(axes.parameters, right, bottom, top)
    slot = (right - left) / len(rows)
    for number, row in enumerate(rows):
        marks += _level(row, axes, left + number * slot, slot, (bottom, top))
    return marks


def _right_axis(axis: LogAxis, x: float, bottom: float, top: float) -> list[Mark]:
    marks: list[Mark] = [
        Stroke(x, bottom, x, top, "axis"),
        Label(x + 52, (top + bottom) / 2, "parameters of who is trusted", turn=-90),
    ]
    for tick in axis.ticks(bottom, top):
        marks += [
            Stroke(x, tick.at, x + 4, tick.at, "axis"),
            Label(x + 7, tick.at + 3.5, tick.label, "start"),
        ]
    gap = axis.gap(bottom, top)
    return marks if gap is None else [*marks, *slashes(x, gap, is_upright=True)]


def _level(row: LedgerRow, axes: _Axes, left: float, slot: float, span: tuple[float, float]) -> list[Mark]:
    """One bar, its whiskers, the dot of who is trusted, and the labels below."""
    width = round(min(64.0, slot * 0.5), 1)
    x = round(left + slot * 0.5 - width * 0.62, 1)
    middle = left + slot / 2
    marks = _bar(row, axes.shares, x, width, span)
    if axes.parameters and row.trusted and math.isfinite(row.parameters) and row.parameters >= 0:
        y = axes.parameters.place(row.parameters, *span)
        title = f"level {row.level}: {titled(row.trusted)}, {short_count(row.parameters)} parameters"
        marks.append(Dot(round(x + width + 13, 1), y, 4.5, "trusted", title))
    after = f"→ {row.trusted}" if row.trusted else ""
    below = f"end: {row.end.replace('_', ' ')}" if row.end and row.end != "loop" else after
    bottom = span[0]
    return [
        *marks,
        Label(middle, bottom + 15, f"level {row.level}"),
        *_small(middle, bottom + 28, row.author, slot),
        *_small(middle, bottom + 41, below, slot),
    ]


def _small(x: float, y: float, text: str, slot: float) -> list[Mark]:
    """A name below a bar, as much of it as fits; its title has all of it."""
    shown = fitted(text, slot - 4, letter=SMALL)
    return [Label(x, y, shown, style="small", title=titled(text))] if text else []


def _bar(row: LedgerRow, axis: charts.Range, x: float, width: float, span: tuple[float, float]) -> list[Mark]:
    """The stack of a row with its intervals on top; an undefined share has no height, and says so."""
    marks: list[Mark] = []
    whiskers: list[Mark] = []
    stack = _stack(row)
    for number, style in enumerate(SHARES):
        if style in stack:
            marks += _segment(row, style, axis, x, width, stack[style], span)
            at = x + width * (0.2 + 0.3 * number)
            whiskers += _interval(row, style, axis, at, stack[style][0], span)
    missing = [noun for style, noun in SHARES.items() if style not in stack]
    if missing:
        title = titled(f"level {row.level}: {', '.join(missing)} undefined: {why(row.reason)}")
        y = axis.place(0, *span) - 5
        marks.append(Label(x + width / 2, y, "undefined", style="absent", title=title))
    return marks + whiskers


def _segment(
    row: LedgerRow,
    style: str,
    axis: charts.Range,
    x: float,
    width: float,
    ends: tuple[float, float],
    span: tuple[float, float],
) -> list[Mark]:
    start, end = (cut(axis, value, *span) for value in ends)
    height = round(abs(end.at - start.at), 1)
    title = (
        f"level {row.level}, {SHARES[style]}: {wording.score(ends[1] - ends[0])} of the root weight; "
        f"{told_share(row, style)} of what came in"
    )
    box = Rect(x, min(start.at, end.at), width, height, style, title)
    tear: list[Curve] = [torn(x, end.at, width)] if end.is_cut else []
    return [box, *tear]


def _interval(
    row: LedgerRow, style: str, axis: charts.Range, x: float, start: float, span: tuple[float, float]
) -> list[Mark]:
    """The whisker of a share, from where its segment starts; nothing where it has no interval."""
    low, high = (row.weight * getattr(row, f"{style}_{end}", math.nan) for end in ("low", "high"))
    if not (math.isfinite(low) and math.isfinite(high)):
        return []
    places = [cut(axis, start + value, *span).at for value in (low, high)]
    return whisker(round(x, 1), places[0], places[1], title=f"{SHARES[style]}: {told_share(row, style)}")


def told_share(row: LedgerRow, style: str) -> str:
    """A share of what came in, with its interval where it has one."""
    low, high = (getattr(row, f"{style}_{end}", math.nan) for end in ("low", "high"))
    return f"{wording.score(getattr(row, style))} {wording.interval(low, high)}".strip()


def _notes(rows: Sequence[LedgerRow]) -> tuple[str, ...]:
    unknown = [row for row in rows if row.trusted and not math.isfinite(row.parameters)]
    undefined = [row for row in rows if len(_stack(row)) < len(SHARES)]
    return (
        *(f"{r.ladder}, level {r.level}: parameters of {r.trusted} unknown, not drawn" for r in unknown),
        *(f"{r.ladder}, level {r.level}: undefined: {why(r.reason)}" for r in undefined),
    )
