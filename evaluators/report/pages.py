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

from scrutable.evaluators.report import behaviour, charts, colour, ladder_page, provenance
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
from scrutable.evaluators.report.findings import Study, read_study
from scrutable.evaluators.report.index import index_page
from scrutable.evaluators.report.recursion import Recursion, read_recursion
from scrutable.evaluators.report.unit import Frame, Material, unit_page
from scrutable.pipeline.errors import RunFolderError
from scrutable.pipeline.records import Unit

_FILE_SAFE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


class _OfUnit(Protocol):
    @property
    def unit(self) -> str: ...


Record = TypeVar("Record", bound=_OfUnit)


def write_report(run: ReportData, folder: Path) -> Path:
    """Writes `folder/index.html`, and a page for each unit, behaviour and ladder; returns the first.

    Raises RunFolderError for the id of a unit or behaviour that is not safe as a file name.
    """
    units, study = read_units(run), read_study(run.behaviours)
    recursion = read_recursion(run.recursion)
    _check_ids("unit", [unit.id for unit in units])
    _check_ids("behaviour", [found.behaviour.id for found in study.findings] if study else [])
    _check_ids("unit", recursion.roots if recursion else [])
    made = environment()
    template = made.get_template("unit.jinja")
    for material, frame in _pages(run, units):
        page = template.render(page=unit_page(material, frame))
        _write(folder / "units" / f"{material.unit.id}.html", page)
    template = made.get_template("behaviour.jinja")
    for name, behaving in _behaviour_pages(run, study) if study else ():
        _write(folder / "behaviours" / f"{name}.html", template.render(page=behaving))
    template = made.get_template("ladder.jinja")
    for name, climbing in _ladder_pages(run, units, recursion) if recursion else ():
        _write(folder / "ladders" / f"{name}.html", template.render(page=climbing))
    index = folder / "index.html"
    _write(index, made.get_template("index.jinja").render(page=index_page(run, study, recursion)))
    return index


def _check_ids(noun: str, ids: Iterable[str]) -> None:
    for id in ids:
        if not _FILE_SAFE.fullmatch(id):
            raise RunFolderError(f"{noun} id {id!r} cannot be a file name: the report is not written")


def environment() -> Environment:
    """The templates of the report; every value that they print is escaped."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent, encoding="utf-8"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.globals["charts"] = charts
    made.globals["palette"] = colour.palette()
    return made


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


def _behaviour_pages(run: ReportData, study: Study) -> Iterator[tuple[str, behaviour.BehaviourPage]]:
    """Each behaviour's id and page, in the run's order."""
    notes = provenance.weight_notes(run.manifest)
    subject = provenance.behaving_subject(run.manifest)
    ids = ["", *(found.behaviour.id for found in study.findings), ""]
    for i, found in enumerate(study.findings, 1):
        frame = behaviour.Frame(run.title, run.banner, subject, notes, previous=ids[i - 1], next=ids[i + 1])
        yield found.behaviour.id, behaviour.behaviour_page(found, frame)


def _ladder_pages(
    run: ReportData, units: tuple[Unit, ...], study: Recursion
) -> Iterator[tuple[str, ladder_page.LadderPage]]:
    """Each root unit and the page of its ladder, in the run's order."""
    notes, with_page = provenance.weight_notes(run.manifest), {unit.id for unit in units}
    ids = ["", *study.roots, ""]
    for i, unit in enumerate(study.roots, 1):
        frame = ladder_page.Frame(
            run.title, run.banner, notes, unit in with_page, previous=ids[i - 1], next=ids[i + 1]
        )
        yield unit, ladder_page.ladder_page(unit, study, frame)


def _by_unit(records: Iterable[Record]) -> dict[str, tuple[Record, ...]]:
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.unit, []).append(record)
    return {unit: tuple(group) for unit, group in found.items()}


def _write(path: Path, page: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # A token may hold half of a surrogate pair, which UTF-8 cannot: it is spelled out.
    path.write_bytes(page.encode("utf-8", "backslashreplace"))
