"""Geometry of the charts: numbers in, positions in an SVG view box out; `_charts.jinja` draws them.

Every chart of one kind shares its axes with its siblings, so that they can be compared by eye.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from scrutable.evaluators.report import wording

WIDTH, HEIGHT = 340, 158  # of a panel's view box
LEFT, RIGHT, TOP, BOTTOM = 38, 14, 8, 36  # its margins
STRIP_WIDTH, STRIP_HEIGHT, STRIP_MARGIN = 420, 26, 14  # of one row of the interval chart

GOLDEN = 0.6180339887  # multiples of it fill the unit interval evenly


class Tick(NamedTuple):
    """A labelled place on an axis."""

    at: float
    label: str


class Bar(NamedTuple):
    """A column of a histogram."""

    x: float
    y: float
    width: float
    height: float
    title: str


class Mean(NamedTuple):
    """A horizontal stroke at a group's mean."""

    x1: float
    x2: float
    y: float
    title: str


@dataclass(frozen=True, slots=True)
class Range:
    """The ends of a linear axis, and where its ticks are."""

    low: float
    high: float
    step: float

    def place(self, value: float, start: float, end: float) -> float:
        """Where `value` lies between the pixels `start` and `end`."""
        return round(start + (value - self.low) / (self.high - self.low) * (end - start), 1)

    @property
    def ticks(self) -> tuple[float, ...]:
        """Multiples of the step within the range."""
        first, last = round(self.low / self.step), round(self.high / self.step)
        return tuple(i * self.step for i in range(first, last + 1))

    @property
    def bins_per_step(self) -> int:
        """So many that the ends of bins are round numbers: a step of 0.2 has four, 0.5 has five."""
        leading = f"{self.step:e}"[0]
        return 4 if leading == "2" else 5

    @property
    def bin_width(self) -> float:
        """Width of a histogram's bin."""
        return self.step / self.bins_per_step


@dataclass(frozen=True, slots=True)
class Strip:
    """One row of the interval chart: a dot with its interval; no dot if it is undefined."""

    dot: float | None
    low: float | None
    high: float | None
    zero: float
    grid: tuple[float, ...]
    title: str


@dataclass(frozen=True, slots=True)
class Panel:
    """A small chart with axes: bars or points, and means."""

    title: str
    x_label: str
    y_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    zero_x: float | None = None
    zero_y: float | None = None
    bars: tuple[Bar, ...] = ()
    means: tuple[Mean, ...] = ()
    mean_x: float | None = None
    points: str = ""  # an SVG path of zero-length strokes with round caps: ten bytes for each point
    note: str = ""


CURVES_WIDTH, CURVES_HEIGHT = 760, 320  # of the rate-distortion chart's view box
CURVES_RIGHT = 190  # its right margin, where the lines are named
_LOWEST = -0.2  # explained variance below it is drawn at the edge: one bad unit would flatten the rest


class Line(NamedTuple):
    """A named line of points, or a single point."""

    name: str
    path: str  # SVG path; empty for a point
    points: tuple[tuple[float, float], ...]
    label: tuple[float, float]
    colour: int  # number of a class in the style sheet


@dataclass(frozen=True, slots=True)
class Curves:
    """Lines over bits, on a logarithmic axis."""

    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    zero_y: float


def curves(
    lines: Mapping[str, Sequence[tuple[float, float]]], points: Mapping[str, tuple[float, float]]
) -> Curves | None:
    """Named lines and single points of (bits, explained variance); None if there is nothing to draw."""
    everything = [pair for line in lines.values() for pair in line] + list(points.values())
    if not everything:
        return None
    low, high = (pick(math.log2(bits) for bits, _ in everything) for pick in (min, max))
    high = high if high > low else low + 1
    axis = score_range([max(value, _LOWEST) for _, value in everything])
    end_x, end_y = CURVES_WIDTH - CURVES_RIGHT, CURVES_HEIGHT - BOTTOM

    def place(bits: float, value: float) -> tuple[float, float]:
        x = LEFT + (math.log2(bits) - low) / (high - low) * (end_x - LEFT)
        return round(x, 1), axis.place(max(value, _LOWEST), end_y, TOP)

    named = [(name, [place(*pair) for pair in line]) for name, line in lines.items()]
    named += [(name, [place(*pair)]) for name, pair in points.items()]
    drawn = [
        Line(
            name=name,
            path="M" + " L".join(f"{x} {y}" for x, y in placed) if len(placed) > 1 else "",
            points=tuple(placed),
            label=(placed[-1][0] + 8, placed[-1][1]),
            colour=number,
        )
        for number, (name, placed) in enumerate(named)
    ]
    bits = [2**k for k in range(math.ceil(low), math.floor(high) + 1)]
    return Curves(
        lines=tuple(_apart(drawn)),
        x_ticks=tuple(Tick(place(b, 0.0)[0], wording.count(b)) for b in bits),
        y_ticks=tuple(Tick(axis.place(v, end_y, TOP), wording.score(v)) for v in axis.ticks),
        zero_y=axis.place(0.0, end_y, TOP),
    )


def _apart(lines: Sequence[Line]) -> list[Line]:
    """The lines with their names moved down where they would cover each other."""
    found: list[Line] = []
    for line in sorted(lines, key=lambda line: line.label[1]):
        x, y = line.label
        taken = [other.label[1] for other in found if abs(other.label[0] - x) < 150]
        found.append(line._replace(label=(x, max([y, *(t + 14 for t in taken if t + 14 > y)]))))
    return sorted(found, key=lambda line: line.colour)


def score_range(values: Sequence[float]) -> Range:
    """An axis from at most 0 to at least the largest finite value, ending on ticks."""
    finite = [value for value in values if math.isfinite(value)]
    low, high = min([0.0, *finite]), max([0.0, *finite])
    high = high if high > low else low + 1.0
    step = _nice_step((high - low) / 5)
    return Range(math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step, step)


def strip(value: float, low: float, high: float, *, axis: Range, title: str) -> Strip:
    """One row of the interval chart on a shared axis."""

    def place(number: float) -> float | None:
        if not math.isfinite(number):
            return None
        return axis.place(number, STRIP_MARGIN, STRIP_WIDTH - STRIP_MARGIN)

    grid = tuple(tick.at for tick in strip_ticks(axis))
    zero = axis.place(0, STRIP_MARGIN, STRIP_WIDTH - STRIP_MARGIN)
    has_interval = math.isfinite(low) and math.isfinite(high)
    ends = (place(low), place(high)) if has_interval else (None, None)
    return Strip(place(value), *ends, zero=zero, grid=grid, title=title)


def strip_ticks(axis: Range) -> tuple[Tick, ...]:
    """The ticks below the rows of the interval chart."""
    return tuple(
        Tick(axis.place(tick, STRIP_MARGIN, STRIP_WIDTH - STRIP_MARGIN), tick_text(tick, axis.step))
        for tick in axis.ticks
    )


def bin_counts(values: Sequence[float], axis: Range) -> list[int]:
    """How many values lie in each bin of the axis; the last bin is closed."""
    n_bins = axis.bins_per_step * (len(axis.ticks) - 1)
    counts = [0] * n_bins
    for value in values:
        counts[min(n_bins - 1, max(0, int((value - axis.low) / axis.bin_width + 1e-9)))] += 1
    return counts


def histogram(values: Sequence[float], *, axis: Range, tallest: int, x_label: str) -> Panel:
    """The distribution of finite `values`; `tallest` is the largest count of all sibling panels."""
    counts = bin_counts(values, axis)
    heights = Range(0, max(1, tallest), 1)
    width = axis.bin_width
    bars = []
    for i, n in enumerate(counts):
        start = axis.low + i * width
        x, end = _x(axis, start), _x(axis, start + width)
        y = _y(heights, n)
        title = f"{wording.score(start)} to {wording.score(start + width)}: {wording.counted(n, 'unit')}"
        if n:
            bars.append(Bar(x, y, round(end - x - 1, 1), round(HEIGHT - BOTTOM - y, 1), title))
    mean = math.fsum(values) / len(values) if values else math.nan
    return Panel(
        title=f"Distribution over {wording.counted(len(values), 'unit')}",
        x_label=x_label,
        y_label="units",
        x_ticks=tuple(Tick(_x(axis, tick), tick_text(tick, axis.step)) for tick in axis.ticks),
        y_ticks=tuple(Tick(_y(heights, n), str(n)) for n in sorted({0, max(1, tallest)})),
        zero_x=_x(axis, 0),
        bars=tuple(bars),
        mean_x=_x(axis, mean) if values else None,
    )


def by_layer(values: Mapping[int, Sequence[float]], *, axis: Range, y_label: str) -> Panel:
    """A point for each unit above its layer, and the layer's mean."""
    layers = sorted(values)
    slot = (WIDTH - LEFT - RIGHT) / max(1, len(layers))
    points: list[tuple[float, float]] = []
    means = []
    for i, layer in enumerate(layers):
        centre, group = LEFT + (i + 0.5) * slot, values[layer]
        spread = min(slot * 0.6, 60)
        # Points are spread sideways by their rank: evenly, and the same in every run.
        points += [
            (centre + ((k * GOLDEN) % 1 - 0.5) * spread, _y(axis, value)) for k, value in enumerate(group)
        ]
        if group:
            mean, half = math.fsum(group) / len(group), min(slot * 0.36, 34)
            title = f"layer {layer}: mean {wording.score(mean)}, n = {len(group)}"
            means.append(Mean(round(centre - half, 1), round(centre + half, 1), _y(axis, mean), title))
    every = max(1, math.ceil(len(layers) / 12))  # more labels than that would run into each other
    return Panel(
        title="By layer",
        x_label="layer",
        y_label=y_label,
        x_ticks=tuple(
            Tick(round(LEFT + (i + 0.5) * slot, 1), str(layer))
            for i, layer in enumerate(layers)
            if i % every == 0
        ),
        y_ticks=_y_ticks(axis),
        zero_y=_y(axis, 0),
        points=_path(points),
        means=tuple(means),
    )


def by_density(pairs: Sequence[tuple[float, float]], *, axis: Range, span: Range, y_label: str) -> Panel:
    """A point for each (density, score), density on a logarithmic axis of decades."""
    drawn = [(density, value) for density, value in pairs if density > 0]
    n_left_out = len(pairs) - len(drawn)
    return Panel(
        title="Against density",
        x_label="activation density (log scale)",
        y_label=y_label,
        x_ticks=tuple(Tick(_x(span, tick), f"{100 * 10.0**tick:g} %") for tick in span.ticks),
        y_ticks=_y_ticks(axis),
        zero_y=_y(axis, 0),
        points=_path([(_x(span, math.log10(density)), _y(axis, value)) for density, value in drawn]),
        note=f"{wording.counted(n_left_out, 'unit')} without a density left out" if n_left_out else "",
    )


def decades(densities: Sequence[float]) -> Range:
    """A logarithmic axis over the positive densities, in whole decades."""
    logs = [math.log10(density) for density in densities if density > 0]
    low, high = math.floor(min(logs, default=-2.0)), math.ceil(max(logs, default=0.0))
    high = high if high > low else low + 1
    return Range(low, high, max(1, math.ceil((high - low) / 4)))


def _nice_step(rough: float) -> float:
    """The smallest of 1, 2 or 5 times a power of ten that is not below `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))


def tick_text(value: float, step: float) -> str:
    """The label of a tick, with as many decimals as the step has."""
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    is_zero = abs(value) < step / 2
    return ("" if value >= 0 or is_zero else wording.MINUS) + f"{0 if is_zero else abs(value):.{decimals}f}"


def _x(axis: Range, value: float) -> float:
    return axis.place(value, LEFT, WIDTH - RIGHT)


def _y(axis: Range, value: float) -> float:
    return axis.place(value, HEIGHT - BOTTOM, TOP)


def _y_ticks(axis: Range) -> tuple[Tick, ...]:
    return tuple(Tick(_y(axis, tick), tick_text(tick, axis.step)) for tick in axis.ticks)


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "".join(f"M{x:.1f} {y:.1f}h0" for x, y in points)
