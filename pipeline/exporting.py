"""A run, or the neuron puzzles, as files that `scrutable score` and other tools read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from scrutable.pipeline.activation_records import write_records
from scrutable.pipeline.errors import RunFolderError
from scrutable.pipeline.explanation_files import write_explanations
from scrutable.pipeline.neuron_records import write_neuron_records
from scrutable.pipeline.puzzles import puzzle_explanations, read_puzzles
from scrutable.pipeline.records import Excerpt, Explanation, Unit
from scrutable.pipeline.store import RunFolder, writing


def export_run(path: Path, to: Path, *, as_neuron_records: bool) -> list[Path]:
    """The units, excerpts and explanations of a run. Returns the files or folders that were written.

    Raises RunFolderError for a folder that is no run, or has no excerpts yet.
    """
    folder = RunFolder(path)
    folder.config()
    excerpts = folder.read_excerpts()
    if not excerpts:
        raise RunFolderError(
            f"{path} has no excerpts yet: run it first, for example with `scrutable explain`"
        )
    units = [
        unit for unit in folder.read_records(Unit, folder.level / "units.parquet") if unit.id in excerpts
    ]
    explanations = folder.read_records(Explanation, *folder.parts("explanations"))
    return _export(to, units, excerpts, explanations, as_neuron_records=as_neuron_records)


def export_puzzles(path: Path, to: Path, *, as_neuron_records: bool) -> list[Path]:
    """The neuron puzzles as records, with their true (first) and false explanations."""
    puzzles = read_puzzles(path)
    units = [puzzle.unit for puzzle in puzzles]
    excerpts = {puzzle.unit.id: puzzle.excerpts for puzzle in puzzles}
    return _export(to, units, excerpts, puzzle_explanations(puzzles), as_neuron_records=as_neuron_records)


def _export(
    to: Path,
    units: Sequence[Unit],
    excerpts: Mapping[str, Sequence[Excerpt]],
    explanations: Sequence[Explanation],
    *,
    as_neuron_records: bool,
) -> list[Path]:
    with writing(to):
        to.mkdir(parents=True, exist_ok=True)
        if as_neuron_records:
            records = to / "neuron-records"
            write_neuron_records(records, units, excerpts)
        else:
            records = to / "records.jsonl"
            write_records(records, units, excerpts)
        written = to / "explanations.jsonl"
        write_explanations(written, explanations)
    return [records, written]
