"""Opacity against fidelity: who must be trusted, and what is predicted for it (SCIENCE.md 2.9, F2)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scrutable.evaluators.report import charts, wording
from scrutable.evaluators.report.data import Pairing
from scrutable.evaluators.report.drawing import (
    Dot,
    Drawing,
    Label,
    LogAxis,
    Mark,
    Stroke,
    fitted,
    log_axis,
    share_grid,
    short_count,
    slashes,
    titled,
    whisker,
)
from scrutable.pipeline.records import Summary

METRIC = "correlation"
WIDTH, HEIGHT = 880, 360
LEFT, RIGHT, TOP, BOTTOM = 46, 210, 16, 44
APART = 13.0  # between the baselines of two names, pixels


@dataclass(frozen=True, slots=True)
class Trusted:
    """The model behind an explainer, and how large it is."""

    parameters: float  # 0: nobody has to be trusted to read the text; NaN: unknown
    reason: str = ""  # why it is unknown


def trusted(explainer: str, config: Mapping[str, Any], manifest: Mapping[str, Any]) -> Trusted:
    """Who must be trusted with what an explainer writes.

    Nobody if no model stands behind it, or if its text is a program that a model compiled: such a text
    is run, and whoever wrote it is out of the account.
    """
    named = dict(config.get("explainers") or {}).get(explainer.removesuffix(".best"))
    if not isinstance(named, Mapping):
        return Trusted(math.nan, "not in the config")
    if not named.get("model") or named.get("kind") == "compiled":
        return Trusted(0.0)
    found = dict(manifest.get("parameters") or {}).get(named["model"])
    if not isinstance(found, int | float) or isinstance(found, bool) or not math.isfinite(found):
        return Trusted(math.nan, f"parameters of {named['model']} unknown")
    return Trusted(float(found))


@dataclass(frozen=True, slots=True)
class _Point:
    row: Summary
    parameters: float

    @property
    def title(self) -> str:
        label = Pairing(self.row.explainer, self.row.simulator).label
        told = (
            f"{wording.score(self.row.excess)} {wording.interval(self.row.excess_low, self.row.excess_high)}"
        )
        return titled(f"{label}: {told.strip()}, {short_count(self.parameters)} parameters")


def frontier(
    summary: Sequence[Summary], config: Mapping[str, Any], manifest: Mapping[str, Any]
) -> Drawing | None:
    """Mean excess correlation of each pairing over the parameters of its explainer's model.

    None if no pairing can be placed.
    """
    points, notes = [], []
    for row in (row for row in summary if row.metric == METRIC):
        who = trusted(row.explainer, config, manifest)
        label = Pairing(row.explainer, row.simulator).label
        if not math.isfinite(row.excess):
            notes.append(f"{label}: fidelity undefined for all of {row.n_units} units, not drawn")
        elif who.reason:
            notes.append(f"{label}: {who.reason}, not drawn")
        else:
            points.append(_Point(row, who.parameters))
    across = log_axis([point.parameters for point in points])
    if not points or across is None:
        return None
    marks = [*_axes(points, across), *_points(points, across)]
    label = "Opacity against fidelity: parameters of who must be trusted, and mean excess correlation"
    return Drawing("opacity-fidelity", WIDTH, HEIGHT, label, tuple(marks), tuple(notes))


def _upright(points: Sequence[_Point]) -> charts.Range:
    rows = [point.row for point in points]
    return charts.score_range([x for row in rows for x in (row.excess, row.excess_low, row.excess_high)])


_ACROSS = (LEFT + 24.0, WIDTH - RIGHT - 12.0)
_SPAN = (HEIGHT - BOTTOM, TOP)


def _axes(points: Sequence[_Point], across: LogAxis) -> list[Mark]:
    bottom, top = _SPAN
    marks = share_grid(_upright(points), LEFT, WIDTH - RIGHT, bottom, top)
    marks.append(Stroke(LEFT, bottom, WIDTH - RIGHT, bottom, "axis"))
    for tick in across.ticks(*_ACROSS):
        marks += [
            Stroke(tick.at, bottom, tick.at, bottom + 4, "axis"),
            Label(tick.at, bottom + 17, tick.label),
        ]
    gap = across.gap(*_ACROSS)
    if gap is not None:
        marks += slashes(gap, bottom, is_upright=False)
    about = "parameters of the explainer’s model, logarithmic; hollow, at 0: nobody has to be trusted"
    return [
        *marks,
        Label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, about),
        Label(12, (top + bottom) / 2, "mean excess correlation", turn=-90),
    ]


def _points(points: Sequence[_Point], across: LogAxis) -> list[Mark]:
    """The points with their intervals; names are moved down where they would cover each other."""
    axis = _upright(points)
    intervals: list[Mark] = []
    marks: list[Mark] = []
    taken: list[tuple[float, float]] = []
    for point in sorted(points, key=lambda point: -point.row.excess):
        row = point.row
        x, y = across.place(point.parameters, *_ACROSS), axis.place(row.excess, *_SPAN)
        style = "readable" if point.parameters == 0 else "opaque"
        if math.isfinite(row.excess_low) and math.isfinite(row.excess_high):
            low, high = (axis.place(value, *_SPAN) for value in (row.excess_low, row.excess_high))
            intervals += whisker(x, low, high)
        marks.append(Dot(x, y, 5, style, point.title))
        near = [other for at, other in taken if abs(at - x) < 150]
        label = max([y + 3.5, *(other + APART for other in near if other + APART > y + 3.5)])
        taken.append((x, label))
        name = fitted(Pairing(row.explainer, row.simulator).label, 200)
        marks.append(Label(x + 9, round(label, 1), name, "start", title=point.title))
    return intervals + marks
