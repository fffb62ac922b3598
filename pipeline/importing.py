"""Units, excerpts and explanations from files that someone else made: stages of a job without a subject."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from scrutable.pipeline.activation_records import Imported, read_records
from scrutable.pipeline.config import RecordsConfig
from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.explanation_files import read_explanations
from scrutable.pipeline.protocols import Watch
from scrutable.pipeline.records import Explanation, Failure, Language, Unit
from scrutable.pipeline.store import RunFolder, shards_of


class Given(NamedTuple):
    """What the two files of a job hold."""

    imported: Imported
    explanations: tuple[Explanation, ...]  # of units that the records hold
    problems: tuple[Failure, ...]  # explanations that cannot be used
    languages: dict[str, Language]  # explainer → what it writes, in the order of the file


@dataclass(frozen=True)
class Importer:
    """Puts records and explanations into a run folder, in place of a subject and its explainers."""

    config: RecordsConfig
    folder: RunFolder
    given: Given
    watch: Watch
    note: Callable[[str, Any], None]

    def stages(self) -> dict[str, Callable[[], None]]:
        """In order; each does what is missing."""
        return {"records": self.import_records, "explanations": self.import_explanations}

    @property
    def is_collected(self) -> bool:
        """Reading files needs no model, so there is nothing that could not be done at once."""
        return True

    @cached_property
    def units(self) -> list[Unit]:
        """The units that have usable records, in the order of the file."""
        return list(self.given.imported.units)

    def import_records(self) -> None:
        """Excerpts as they were given; a record that cannot be used is a counted failure."""
        level = self.folder.level
        if not (level / "units.parquet").exists():
            self.note("records", {"path": self.config.records, "digest": self.given.imported.digest})
            failures = [*self.given.imported.problems, *self.given.problems]
            self.folder.write_records(self.folder.part("failures", "records"), Failure, failures)
            self.folder.write_records(level / "units.parquet", Unit, self.units)
        for number, shard in enumerate(shards_of(self.units, self.config.shard)):
            part = self.folder.part("excerpts", f"{number:04d}")
            if not part.exists():
                excerpts = {unit.id: self.given.imported.excerpts[unit.id] for unit in shard}
                self.folder.write_excerpts(part, excerpts)

    def import_explanations(self) -> None:
        """Explanations as they were given, in shards of the same units as those of our explainers."""
        for explainer in self.given.languages:
            for number, shard in enumerate(shards_of(self.units, self.config.shard)):
                part = self.folder.part("explanations", f"{explainer}~{number:04d}")
                if not part.exists():
                    self.folder.write_records(part, Explanation, list(self._of(explainer, shard)))

    def _of(self, explainer: str, units: Sequence[Unit]) -> Iterator[Explanation]:
        for unit in units:
            yield from self._by_unit.get((explainer, unit.id), ())

    @cached_property
    def _by_unit(self) -> dict[tuple[str, str], list[Explanation]]:
        def key(explanation: Explanation) -> tuple[str, str]:
            return explanation.explainer, explanation.unit

        ordered = sorted(self.given.explanations, key=key)  # stable: candidates keep their order
        return {name: list(group) for name, group in groupby(ordered, key)}


def read_given(config: RecordsConfig) -> Given:
    """What the files of a job hold.

    Raises CorpusError or ConfigError where nothing can be used.
    """
    imported = read_records(Path(config.records), seed=config.seed, population=config.population)
    known = [unit.id for unit in imported.units]
    explanations, problems = read_explanations(Path(config.explanations), known)
    languages: dict[str, Language] = {}
    for explanation in explanations:
        first = languages.setdefault(explanation.explainer, explanation.language)
        if first != explanation.language:
            raise ConfigError(
                f"{config.explanations}: explainer {explanation.explainer!r} writes {first} and "
                f"{explanation.language}: give the two different names"
            )
    clash = sorted(languages.keys() & config.explainers.keys())
    if clash:
        raise ConfigError(
            f"{config.explanations}: explainer {clash[0]!r} is in the config too: rename one of them"
        )
    return Given(imported, explanations, problems, languages)
