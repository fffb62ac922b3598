"""The figures of a study of recursion as files that can be read alone."""

from __future__ import annotations

import textwrap
from pathlib import Path

from jinja2 import Environment

from scrutable.evaluators.report.data import ReportData
from scrutable.evaluators.report.drawing import LETTER, Drawing
from scrutable.evaluators.report.ladder import pictures
from scrutable.evaluators.report.pages import environment
from scrutable.evaluators.report.recursion import read_recursion
from scrutable.evaluators.report.visible import legible
from scrutable.pipeline.errors import ConfigError

LINE = 13  # height of a line of notes, pixels


def write_figures(run: ReportData, folder: Path) -> list[Path]:
    """Writes each figure of a study as `folder/NAME.svg`, with its style in it; returns the paths.

    Raises ConfigError for a run without a ledger.
    """
    study = read_recursion(run.recursion)
    if study is None or not study.ledger:
        raise ConfigError(f"{run.title} has no ledger of trust, so there are no figures to write")
    made, paths = environment(), []
    folder.mkdir(parents=True, exist_ok=True)
    for picture in pictures(study, run):
        path = folder / f"{picture.drawing.name}.svg"
        path.write_bytes(svg(picture.drawing, made).encode("utf-8", "backslashreplace"))
        paths.append(path)
    return paths


def svg(drawing: Drawing, made: Environment) -> str:
    """One figure as an SVG document; what is not drawn is told below it."""
    lines = [line for note in drawing.notes for line in _wrapped(legible(note), drawing.width - 20)]
    foot = LINE * len(lines) + 8 * bool(lines)
    return made.get_template("drawing.svg.jinja").render(drawing=drawing, lines=lines, foot=foot)


def _wrapped(text: str, width: float) -> list[str]:
    """The text in lines of about `width` pixels; a word that is longer than a line is cut apart."""
    return textwrap.wrap(text, max(20, int(width / LETTER)))
