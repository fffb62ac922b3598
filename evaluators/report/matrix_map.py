"""Subject x explainer as a heat map of mean excess correlation (SCIENCE.md 2.9, F3)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scrutable.evaluators.report import wording
from scrutable.evaluators.report.drawing import BOLD, Drawing, Label, Mark, Rect, fitted, short_count, titled
from scrutable.pipeline.recursion.records import MatrixCell

LEFT, TOP = 170, 56  # room for the names
CELL_WIDTH, CELL_HEIGHT = 112, 50
BOTTOM = 40
SHADES = 6
"""Steps of the colour scale to either side of 0; `figures.css` has a class for each."""


def matrix_map(cells: Sequence[MatrixCell]) -> Drawing | None:
    """One box for each subject and explainer, both in order of size; None without cells."""
    if not cells:
        return None
    subjects = _by_size({cell.subject: cell.subject_parameters for cell in cells})
    explainers = _by_size({cell.explainer: cell.explainer_parameters for cell in cells})
    found = {(cell.subject, cell.explainer): cell for cell in cells}
    strongest = max((abs(c.value) for c in cells if math.isfinite(c.value)), default=0.0)
    marks = [*_names(subjects, explainers), *_legend(len(subjects), strongest)]
    for j, subject in enumerate(subjects):
        for i, explainer in enumerate(explainers):
            marks += _box(found.get((subject, explainer)), i, j, strongest)
    width = LEFT + CELL_WIDTH * len(explainers) + 10
    height = TOP + CELL_HEIGHT * len(subjects) + BOTTOM
    label = "Subject by explainer: mean excess correlation, with the same simulator in all cells"
    return Drawing("subject-by-explainer", max(width, LEFT + 360), height, label, tuple(marks))


def shade(value: float, strongest: float) -> str:
    """The class of a value: "plus1" to "plus6" above 0, "minus1" to "minus6" below."""
    if strongest <= 0:
        return "plus1"
    step = min(SHADES, max(1, math.ceil(abs(value) / strongest * SHADES)))
    return f"{'minus' if value < 0 else 'plus'}{step}"


def _by_size(sizes: dict[str, float]) -> list[str]:
    """The smallest first, unknown ones last, each with its place in the run's order kept."""
    return sorted(sizes, key=lambda name: (not math.isfinite(sizes[name]), sizes[name]))


def _names(subjects: Sequence[str], explainers: Sequence[str]) -> list[Mark]:
    marks: list[Mark] = [
        Label(LEFT - 8, TOP - 10, "subject ↓", "end"),
        Label(LEFT, 14, "explainer →", "start"),
    ]
    for i, name in enumerate(explainers):
        x, shown = LEFT + (i + 0.5) * CELL_WIDTH, fitted(name, CELL_WIDTH - 6, letter=BOLD)
        marks.append(Label(x, TOP - 10, shown, style="name", title=titled(name)))
    for j, name in enumerate(subjects):
        y, shown = TOP + (j + 0.5) * CELL_HEIGHT + 4, fitted(name, LEFT - 10, letter=BOLD)
        marks.append(Label(LEFT - 8, y, shown, "end", "name", title=titled(name)))
    return marks


def _box(cell: MatrixCell | None, i: int, j: int, strongest: float) -> list[Mark]:
    x, y = LEFT + i * CELL_WIDTH + 1.0, TOP + j * CELL_HEIGHT + 1.0
    width, height = CELL_WIDTH - 2.0, CELL_HEIGHT - 2.0
    middle = x + width / 2
    if cell is None:
        return [Rect(x, y, width, height, "empty"), Label(middle, y + 28, "not tried")]
    title = _title(cell)
    same = " same" if cell.is_same else ""
    if not math.isfinite(cell.value):
        return [
            Rect(x, y, width, height, f"empty{same}", title),
            Label(middle, y + 28, "undefined", style="absent", title=title),
        ]
    second = wording.interval(cell.low, cell.high) or "no interval"
    return [
        Rect(x, y, width, height, f"{shade(cell.value, strongest)}{same}", title),
        Label(middle, y + 17, wording.score(cell.value, signed=True), style="strong", title=title),
        Label(middle, y + 30, second, style="on", title=title),
        Label(middle, y + 42, f"n = {cell.n_units}", style="on", title=title),
    ]


def _title(cell: MatrixCell) -> str:
    value = f"{wording.score(cell.value, signed=True)} {wording.interval(cell.low, cell.high)}".strip()
    is_defined = math.isfinite(cell.value)
    told = value if is_defined else f"undefined for all of {wording.counted(cell.n_units, 'unit')}"
    sizes = [
        short_count(size) if math.isfinite(size) else "unknown"
        for size in (cell.subject_parameters, cell.explainer_parameters)
    ]
    v = wording.score(cell.v) if math.isfinite(cell.v) else "undefined"
    return titled(
        f"{cell.explainer} on {cell.subject}: {told}; parameters {sizes[1]} on {sizes[0]}; "
        f"v {v}{'; the same model' if cell.is_same else ''}"
    )


def _legend(n_subjects: int, strongest: float) -> list[Mark]:
    y = TOP + n_subjects * CELL_HEIGHT + 14
    marks: list[Mark] = []
    for k in range(-SHADES, SHADES + 1):
        style = "empty" if k == 0 else f"{'minus' if k < 0 else 'plus'}{abs(k)}"
        if k:
            marks.append(Rect(LEFT + (k + SHADES - (k > 0)) * 12.0, y, 12, 10, style))
    end = wording.score(strongest)
    marks += [
        Label(LEFT - 6, y + 9, f"{wording.MINUS}{end}", "end"),
        Label(LEFT + 2 * SHADES * 12 + 6, y + 9, f"{end}; thick frame: the same model", "start"),
    ]
    return marks
