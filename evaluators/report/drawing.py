"""Figures as marks in an SVG view box, and the axes that place them; `_drawing.jinja` prints them.

A mark has a style, which is a class of `figures.css`, and a title, which is what a reader sees on it.
Nothing here knows what a figure is about.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

from scrutable.evaluators.report import charts, wording
from scrutable.evaluators.report.visible import legible

LOWEST, HIGHEST = -0.4, 1.4
"""Shares beyond these are cut off where they are drawn: one noisy claim would flatten all others."""
LONGEST_TITLE = 400  # characters
BOLD = 7.6  # mean width of a letter of a name, pixels
SMALL = 5.5  # and of a small label
BREAK = 0.16  # of a logarithmic axis, kept free for zero
SHARE_STEP = 0.2  # between the ticks of a share axis
LETTER = 6.2  # mean width of a letter of the figures, pixels


@dataclass(frozen=True, slots=True)
class Rect:
    """A filled box."""

    kind: ClassVar[str] = "rect"
    x: float
    y: float
    width: float
    height: float
    style: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Stroke:
    """A straight line."""

    kind: ClassVar[str] = "stroke"
    x1: float
    y1: float
    x2: float
    y2: float
    style: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Curve:
    """A line through points, as the data of an SVG path."""

    kind: ClassVar[str] = "curve"
    path: str
    style: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Dot:
    """A point."""

    kind: ClassVar[str] = "dot"
    x: float
    y: float
    radius: float
    style: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Label:
    """A text at a place; `turn` in degrees."""

    kind: ClassVar[str] = "label"
    x: float
    y: float
    text: str
    anchor: Literal["start", "middle", "end"] = "middle"
    style: str = ""
    turn: int = 0
    title: str = ""


Mark = Rect | Stroke | Curve | Dot | Label


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure: its marks in the order in which they are painted, and what its title says."""

    name: str  # of its file, without suffix
    width: float
    height: float
    label: str
    marks: tuple[Mark, ...]
    notes: tuple[str, ...] = ()  # what is not drawn, and why


class Placed(NamedTuple):
    """A place on an axis, and whether the value lies beyond the axis's end."""

    at: float
    is_cut: bool


def share_axis(values: Iterable[float]) -> charts.Range:
    """An axis for shares: it holds 0, 1 and the finite values, but nothing beyond LOWEST and HIGHEST."""
    finite = [min(HIGHEST, max(LOWEST, value)) for value in values if math.isfinite(value)]
    low = math.floor(min([0.0, *finite]) / SHARE_STEP + 1e-9) * SHARE_STEP
    high = math.ceil(max([1.0, *finite]) / SHARE_STEP - 1e-9) * SHARE_STEP
    return charts.Range(low, high, SHARE_STEP)


def cut(axis: charts.Range, value: float, start: float, end: float) -> Placed:
    """Where a finite value lies between the pixels `start` and `end`, which it does not leave."""
    inside = min(axis.high, max(axis.low, value))
    return Placed(axis.place(inside, start, end), abs(inside - value) > 1e-9)


@dataclass(frozen=True, slots=True)
class LogAxis:
    """A logarithmic axis, with zero beyond a break where there is one."""

    low: float  # log10 of its ends
    high: float
    has_zero: bool

    def place(self, value: float, start: float, end: float) -> float:
        """Where a value >= 0 lies between the pixels `start` and `end`; zero lies at `start`."""
        if value <= 0:
            return round(start, 1)
        free = BREAK if self.has_zero else 0.0
        along = free + (1 - free) * (math.log10(value) - self.low) / (self.high - self.low)
        return round(start + along * (end - start), 1)

    def ticks(self, start: float, end: float, *, most: int = 6) -> tuple[charts.Tick, ...]:
        """Labelled round numbers, and zero; powers of ten where they are enough."""
        powers = range(math.ceil(self.low - 1e-9), math.floor(self.high + 1e-9) + 1)
        every = max(1, math.ceil(len(powers) / most))
        values = [10.0**k for k in powers[::every]]
        if len(powers) < 3:
            found = [m * 10.0**k for k in range(math.floor(self.low), powers.stop) for m in (1, 2, 5)]
            values = [v for v in found if self.low - 1e-9 <= math.log10(v) <= self.high + 1e-9]
        shown = [0.0, *values] if self.has_zero else values
        return tuple(charts.Tick(self.place(value, start, end), short_count(value)) for value in shown)

    def gap(self, start: float, end: float) -> float | None:
        """Where the break is; None if there is none."""
        return round(start + BREAK / 2 * (end - start), 1) if self.has_zero else None


def log_axis(values: Sequence[float]) -> LogAxis | None:
    """The axis of the finite values >= 0; None if there is none."""
    finite = [value for value in values if math.isfinite(value) and value >= 0]
    if not finite:
        return None
    logs = [math.log10(value) for value in finite if value > 0] or [0.0]
    low, high = min(logs) - 0.1, max(logs) + 0.1
    if high - low < 1:
        low, high = math.floor(low), math.floor(low) + 1 + (high > math.floor(low) + 1)
    return LogAxis(low, high, has_zero=0.0 in finite)


def short_count(value: float) -> str:
    """A number of parameters in a few characters: "0", "500", "135M", "1.5B"."""
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if value >= size * 0.9995:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def fitted(text: str, width: float, *, letter: float = LETTER) -> str:
    """An untrusted text on one line, cut to about `width` pixels at `letter` pixels a letter."""
    return wording.clipped(legible(text), max(4, int(width / letter)))


def titled(text: str) -> str:
    """An untrusted text on one line, as a title tells it."""
    return wording.clipped(legible(text), LONGEST_TITLE)


def line_path(points: Sequence[tuple[float, float]]) -> str:
    """The data of a path through the points."""
    return "M" + " L".join(f"{x:g} {y:g}" for x, y in points)


def whisker(x: float, low: float, high: float, *, style: str = "whisker", title: str = "") -> list[Mark]:
    """An upright interval with end strokes, between two pixels."""
    ends: list[Mark] = [Stroke(x - 3, y, x + 3, y, style) for y in (low, high)]
    return [Stroke(x, low, x, high, style, title), *ends]


def torn(x: float, y: float, width: float) -> Curve:
    """The mark of an end that is cut off: a zigzag across it."""
    step = width / 6
    points = [(round(x + i * step, 1), round(y + (3 if i % 2 else -3), 1)) for i in range(7)]
    return Curve(line_path(points), "torn", "cut off: the title has the figure")


def slashes(x: float, y: float, *, is_upright: bool) -> list[Mark]:
    """The mark of a break in an axis."""
    shifts = (-2.0, 2.0)
    if is_upright:
        return [Stroke(x - 4, y + s + 2, x + 4, y + s - 2, "axis") for s in shifts]
    return [Stroke(x + s - 2, y + 4, x + s + 2, y - 4, "axis") for s in shifts]


def share_grid(axis: charts.Range, left: float, right: float, bottom: float, top: float) -> list[Mark]:
    """Grid lines and labels of an upright share axis."""
    marks: list[Mark] = []
    for tick in axis.ticks:
        y = axis.place(tick, bottom, top)
        marks.append(Stroke(left, y, right, y, "zero" if abs(tick) < axis.step / 2 else "grid"))
        marks.append(Label(left - 5, y + 3.5, charts.tick_text(tick, axis.step), "end"))
    return marks
