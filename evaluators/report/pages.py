"""Writes the pages of a report: records in, files out.

Explanations, tokens and documents are untrusted, so every value is escaped; the pages load nothing
from elsewhere and hold no time stamps, so the same run gives the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from scrutable.evaluators.report import charts, colour, provenance
from scrutable.evaluators.report.data import (
    ReportData,
    read_calibrations,
    read_excerpts,
    read_explanations,
    read_failures,
    read_pairings,
    read_scores,
    read_simulations,
    read_units,
)
from scrutable.evaluators.report.index import index_page
from scrutable.evaluators.report.unit import Frame, Material, unit_page
from scrutable.pipeline.errors import RunFolderError
from scrutable.pipeline.records import Unit

_FILE_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


class _OfUnit(Protocol):
    @property
    def unit(self) -> str: ...


Record = TypeVar("Record", bound=_OfUnit)


def write_report(run: ReportData, folder: Path) -> Path:
    """Writes `folder/index.html` and `folder/units/<unit id>.html`; returns the path of the index.

    Raises RunFolderError for a unit id that is not safe as a file name.
    """
    units = read_units(run)
    for unit in units:
        if not _FILE_SAFE.fullmatch(unit.id):
            raise RunFolderError(f"unit id {unit.id!r} cannot be a file name: the report is not written")
    environment = _environment()
    (folder / "units").mkdir(parents=True, exist_ok=True)

    template = environment.get_template("unit.jinja")
    for material, frame in _pages(run, units):
        page = template.render(page=unit_page(material, frame))
        _write(folder / "units" / f"{material.unit.id}.html", page)

    index = folder / "index.html"
    _write(index, environment.get_template("index.jinja").render(page=index_page(run)))
    return index


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent, encoding="utf-8"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["charts"] = charts
    environment.globals["palette"] = colour.palette()
    return environment


def _pages(run: ReportData, units: tuple[Unit, ...]) -> Iterator[tuple[Material, Frame]]:
    """For each unit what belongs to it, and its neighbours in order of layer and index."""
    excerpts, simulations = read_excerpts(run), read_simulations(run)
    explanations = _by_unit(read_explanations(run))
    scores, failures = _by_unit(read_scores(run)), _by_unit(read_failures(run))
    calibrations = read_calibrations(run)
    pairings, notes = read_pairings(run), provenance.weight_notes(run.manifest)
    ids = ["", *(unit.id for unit in units), ""]
    for i, unit in enumerate(units, 1):
        material = Material(
            unit=unit,
            excerpts=excerpts.get(unit.id, ()),
            explanations=explanations.get(unit.id, ()),
            scores=scores.get(unit.id, ()),
            failures=failures.get(unit.id, ()),
            simulations=simulations.get(unit.id, {}),
            calibrations={
                pairing: calibrations[unit.id, pairing]
                for pairing in pairings
                if (unit.id, pairing) in calibrations
            },
            pairings=pairings,
        )
        yield material, Frame(run.title, run.banner, notes, previous=ids[i - 1], next=ids[i + 1])


def _by_unit(records: Iterable[Record]) -> dict[str, tuple[Record, ...]]:
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.unit, []).append(record)
    return {unit: tuple(group) for unit, group in found.items()}


def _write(path: Path, page: str) -> None:
    # A token may hold half of a surrogate pair, which UTF-8 cannot: it is spelled out.
    path.write_bytes(page.encode("utf-8", "backslashreplace"))
