"""Units, excerpts and explanations from files that someone else made: stages of a job without a subject."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from scrutable.pipeline.activation_records import Imported, read_records
from scrutable.pipeline.config import RecordsConfig
from scrutable.pipeline.errors import ConfigError, RunFolderError
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
    digests: dict[str, str]  # of the bytes of both files: other bytes are another job


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
        before = self.folder.manifest().get("records")
        if before is not None and before != self._facts:
            raise RunFolderError(
                f"{self.folder.path} was made from other contents of {self.config.records} or "
                f"{self.config.explanations}. Give the run another name, or delete the folder to start anew"
            )
        if not (level / "units.parquet").exists():
            self.note("records", self._facts)
            failures = [*self.given.imported.problems, *self.given.problems]
            self.folder.write_records(self.folder.part("failures", "records"), Failure, failures)
            self.folder.write_records(level / "units.parquet", Unit, self.units)
        for number, shard in enumerate(shards_of(self.units, self.config.shard)):
            part = self.folder.part("excerpts", f"{number:04d}")
            if not part.exists():
                excerpts = {unit.id: self.given.imported.excerpts[unit.id] for unit in shard}
                self.folder.write_excerpts(part, excerpts)

    @property
    def _facts(self) -> dict[str, str]:
        return {"path": self.config.records, **self.given.digests}

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
    written = hashlib.sha256(Path(config.explanations).read_bytes()).hexdigest()[:16]
    digests = {"digest": imported.digest, "explanations_digest": written}
    return Given(imported, explanations, problems, languages, digests)


def unread(given: Given, readers: Collection[str]) -> list[str]:
    """A line for each given explainer that none of the job's parts reads.

    Args:
        given: what the files hold.
        readers: the explainers that some simulator or judge reads.

    Raises ConfigError if none of them is read: there would be nothing to score.
    """
    lines = [
        f"explanations by {explainer} are written in {language}, which no simulator of this job reads; "
        f"they are not scored. {_HOW_TO_READ[language]}"
        for explainer, language in given.languages.items()
        if explainer not in readers
    ]
    if len(lines) == len(given.languages):
        raise ConfigError(lines[0])
    return lines


_HOW_TO_READ: dict[Language, str] = {
    "english": "Name one that does, for example --simulator trained",
    "program": "Add --simulator program",
    "table": "Add --simulator table",
    "ngrams": "Add --simulator ngrams",
    "probe": "A probe is read by a simulator of kind probe in a config, with the model that it was fitted on",
}
