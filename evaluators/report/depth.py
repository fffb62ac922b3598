"""The trust that is left, by depth: U_k of each ladder in both tiers (SCIENCE.md 2.9, F5)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scrutable.evaluators.report import charts, opacity, wording
from scrutable.evaluators.report.drawing import (
    BOLD,
    Curve,
    Dot,
    Drawing,
    Label,
    Mark,
    Stroke,
    cut,
    fitted,
    line_path,
    share_axis,
    share_grid,
    titled,
    torn,
    whisker,
)
from scrutable.evaluators.report.trust import why
from scrutable.pipeline.recursion.records import LedgerRow

TIERS = {"strict": -4.0, "lenient": 4.0}
"""Both tiers, and how far each is moved aside so that their intervals do not cover each other."""


def depth(rows: Sequence[LedgerRow]) -> Drawing | None:
    """U_k over levels, with the line that trust keeps to if it is only moved; None without rows."""
    ladders = opacity.by_ladder([row for row in rows if row.corpus == "sampled"])
    if not ladders:
        return None
    drawn = [row for group in ladders.values() for row in group]
    axis = share_axis([x for r in drawn for x in (r.unresolved, r.unresolved_low, r.unresolved_high)])
    marks = _legend()
    for number, (name, group) in enumerate(ladders.items()):
        marks += _panel(name, group, axis, opacity.corner(number))
    width, height = opacity.size(len(ladders))
    label = "Unresolved trust by depth: the share of the root weight that still rests on trust"
    notes = tuple(
        f"{row.ladder}, {row.tier}, level {row.level}: undefined: {why(row.reason)}"
        for row in drawn
        if not math.isfinite(row.unresolved)
    )
    return Drawing("unresolved-by-depth", width, height, label, tuple(marks), notes)


def _legend() -> list[Mark]:
    marks: list[Mark] = []
    x = float(opacity.LEFT)
    for tier in TIERS:
        marks += [Stroke(x, 13.5, x + 24, 13.5, f"line {tier}"), Dot(x + 12, 13.5, 4, tier)]
        marks.append(Label(x + 30, 17, tier, "start"))
        x += 84
    marks += [Stroke(x, 13.5, x + 24, 13.5, "conserved"), Label(x + 30, 17, "conserved: only moved", "start")]
    return marks


def _panel(name: str, rows: Sequence[LedgerRow], axis: charts.Range, at: opacity.Corner) -> list[Mark]:
    left, right = at.x + opacity.LEFT, at.x + opacity.WIDTH - 24
    bottom, top = at.y + opacity.HEIGHT - opacity.BOTTOM, at.y + opacity.TOP
    deepest = max(row.level for row in rows)
    one = axis.place(1, bottom, top)
    marks: list[Mark] = [
        Label(left, at.y + 16, fitted(name, right - left, letter=BOLD), "start", "name", title=titled(name)),
        Label(at.x + 12, (top + bottom) / 2, "share that rests on trust", turn=-90),
        Label((left + right) / 2, bottom + 34, "levels looked into"),
        *share_grid(axis, left, right, bottom, top),
        Stroke(left, one, right, one, "conserved", "conserved: trust that is only moved stays at 1"),
    ]
    step = (right - left - 40) / max(1, deepest)
    places = [round(left + 20 + k * step, 1) for k in range(deepest + 1)]
    marks += [Label(x, bottom + 17, str(k)) for k, x in enumerate(places)]
    for tier, aside in TIERS.items():
        chosen = {row.level: row for row in rows if row.tier == tier}
        if chosen:
            marks += _line(chosen, tier, axis, [x + aside for x in places], (bottom, top))
    return marks


def _line(
    rows: dict[int, LedgerRow],
    tier: str,
    axis: charts.Range,
    places: Sequence[float],
    span: tuple[float, float],
) -> list[Mark]:
    """A tier's dots with intervals, and a line through neighbouring levels that are both defined.

    At depth 0 nothing has been looked into, so all of the root weight rests on trust: that dot is 1.
    """
    marks: list[Mark] = []
    dots: list[Mark] = [Dot(places[0], axis.place(1, *span), 4, tier, "nothing looked into: 1 by definition")]
    before: tuple[float, float] | None = (places[0], axis.place(1, *span))
    for level in range(1, len(places)):
        row = rows.get(level)
        if row is None or not math.isfinite(row.unresolved):
            before = None
            continue
        x, (y, is_cut) = places[level], cut(axis, row.unresolved, *span)
        told = wording.interval(row.unresolved_low, row.unresolved_high)
        title = f"{tier}, level {level}: {wording.score(row.unresolved)} {told}".strip()
        if before:
            marks.append(Curve(line_path([before, (x, y)]), f"line {tier}"))
        if told:
            ends = [cut(axis, value, *span).at for value in (row.unresolved_low, row.unresolved_high)]
            marks += whisker(x, ends[0], ends[1], style=f"whisker {tier}")
        dots += [Dot(x, y, 4, tier, title), *([torn(x - 8, y, 16)] if is_cut else [])]
        before = (x, y)
    return marks + dots
