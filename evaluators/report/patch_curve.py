"""What patching costs: the effect of the best n nodes on the text of one job, against n."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scrutable.evaluators.report import charts, wording
from scrutable.evaluators.report.drawing import (
    Curve,
    Dot,
    Drawing,
    Label,
    LogAxis,
    Mark,
    Stroke,
    cut,
    line_path,
    log_axis,
    share_axis,
    share_grid,
    torn,
)
from scrutable.pipeline.recursion.records import Cause, Patch

WIDTH, HEIGHT = 560, 260
LEFT, RIGHT, TOP, BOTTOM = 46, 24, 34, 44
DRAWN = {"prefix": "best n by attribution", "random": "n random", "layer_matched": "n in the same layers"}
"""The kinds of patches with a number of nodes, and what the legend calls them."""
_ACROSS = (LEFT + 8.0, WIDTH - RIGHT - 8.0)
_SPAN = (HEIGHT - BOTTOM, TOP)


def patch_curve(patches: Sequence[Patch], cause: Cause | None, *, name: str) -> Drawing | None:
    """Effects as shares of the content gap; None if no patch of several nodes was made.

    Args:
        patches: of one job.
        cause: its causal set, whose size is marked.
        name: of the drawing.
    """
    counted = [patch for patch in patches if patch.kind in DRAWN and patch.n > 0]
    shown = [patch for patch in counted if math.isfinite(patch.effect)]
    if not shown:
        return None
    axis = share_axis([patch.effect for patch in shown])
    across = log_axis([float(patch.n) for patch in shown]) or LogAxis(0, 1, has_zero=False)
    marks = [*_frame(axis, across, cause), *_legend({patch.kind for patch in shown})]
    prefix = sorted((patch for patch in shown if patch.kind == "prefix"), key=lambda patch: patch.n)
    if len(prefix) > 1:
        path = [(across.place(p.n, *_ACROSS), cut(axis, p.effect, *_SPAN).at) for p in prefix]
        marks.append(Curve(line_path(path), "line prefix"))
    for patch in shown:
        marks += _point(patch, axis, across)
    n_left_out = len(counted) - len(shown)
    notes = (f"{wording.counted(n_left_out, 'patch')} without a defined effect not drawn",) * bool(n_left_out)
    label = "Share of the content gap that is lost when n nodes take their counterfactual values"
    return Drawing(name, WIDTH, HEIGHT, label, tuple(marks), notes)


def _frame(axis: charts.Range, across: LogAxis, cause: Cause | None) -> list[Mark]:
    bottom, top = _SPAN
    left, right = LEFT, WIDTH - RIGHT
    one = axis.place(1, bottom, top)
    marks = [
        *share_grid(axis, left, right, bottom, top),
        Stroke(left, one, right, one, "conserved", "1: the whole content gap"),
        Label((left + right) / 2, HEIGHT - 8, "nodes patched, logarithmic"),
        Label(12, (top + bottom) / 2, "share of the content gap", turn=-90),
    ]
    for tick in across.ticks(*_ACROSS):
        marks += [
            Stroke(tick.at, bottom, tick.at, bottom + 4, "axis"),
            Label(tick.at, bottom + 17, tick.label),
        ]
    if cause and across.low <= math.log10(max(1, cause.n_nodes)) <= across.high:
        x = across.place(cause.n_nodes, *_ACROSS)
        title = f"causal set: {wording.counted(cause.n_nodes, 'node')}"
        marks.append(Stroke(x, bottom, x, top, "causal", title))
    return marks


def _legend(kinds: set[str]) -> list[Mark]:
    marks: list[Mark] = []
    x = float(LEFT)
    for kind, text in DRAWN.items():
        if kind in kinds:
            marks += [Dot(x + 5, 13.5, 4, kind), Label(x + 14, 17, text, "start")]
            x += 34 + 5.6 * len(text)
    return [*marks, Stroke(x + 2, 7, x + 2, 20, "causal"), Label(x + 9, 17, "causal set", "start")]


def _point(patch: Patch, axis: charts.Range, across: LogAxis) -> list[Mark]:
    x, (y, is_cut) = across.place(patch.n, *_ACROSS), cut(axis, patch.effect, *_SPAN)
    title = f"{DRAWN[patch.kind]}: n = {wording.count(patch.n)}, effect {wording.score(patch.effect)}"
    tear: list[Mark] = [torn(x - 8, y, 16)] if is_cut else []
    return [Dot(x, y, 4, patch.kind, title), *tear]
