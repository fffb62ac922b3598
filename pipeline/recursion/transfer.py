"""Explanations on other text than they were written from: the interpretability-illusion test for levels.

An author's neurons are read twice, on its working text and on the general corpus, explained from each and
scored on each (SCIENCE.md 3, step 5); a subject's claims are scored on a corpus of another kind if one is
given. What a check keeps on other text is the ledger's shifted corpus.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol

from scrutable.pipeline.config import AUTHOR, COMPILED
from scrutable.pipeline.records import Explanation, Summary, Unit
from scrutable.pipeline.recursion.records import Transfer
from scrutable.pipeline.runner import Runner, Source
from scrutable.pipeline.store import RunFolder, shards_of

Text = Literal["working", "general"]


class TransferParts(Protocol):
    """Makes the runs between two texts."""

    def general(self, level: int, units: Sequence[str]) -> Runner | None:
        """The units of an author on the general corpus, explained from there by the next author.

        None for an author that is no language model, and can be run on its own prompts only.
        """
        ...

    def other_text(self) -> Source | None:
        """The subject's units on text of another kind, without explanations; None if there is none."""
        ...

    def crossed(self, level: int, name: str, source: Source) -> Runner:
        """A run that scores explanations that it did not write."""
        ...


@dataclass(frozen=True)
class BorrowingSource:
    """Units and excerpts of one folder, with the explanations of another."""

    folder: RunFolder
    excerpts_of: RunFolder
    explanations_of: RunFolder
    explainers: Sequence[str]  # the first decides which units there are; may be empty
    shard: int
    only: frozenset[str] | None = None  # units; None: all

    @property
    def _path(self) -> Path:
        return self.folder.level / "units.parquet"

    @property
    def is_collected(self) -> bool:
        return self._path.exists()

    @cached_property
    def units(self) -> list[Unit]:
        """Those that fire in the one text and are explained from the other."""
        return self.folder.read_records(Unit, self._path)

    def stages(self) -> Mapping[str, Callable[[], None]]:
        """One stage, which copies."""
        return {"exemplars": self.borrow}

    def borrow(self) -> None:
        """Explanations that are there are not written again."""
        if self.is_collected:
            return
        written = {name: self._written(name) for name in self.explainers}
        units = self.excerpts_of.read_records(Unit, self.excerpts_of.level / "units.parquet")
        excerpts = self.excerpts_of.read_excerpts()
        kept = set(excerpts) if self.only is None else self.only & set(excerpts)
        for name in self.explainers[:1]:
            kept &= {explanation.unit for explanation in written[name]}
        units = [unit for unit in units if unit.id in kept]
        for number, shard in enumerate(shards_of(units, self.shard)):
            part = f"{number:04d}"
            own = {unit.id: excerpts[unit.id] for unit in shard}
            self.folder.write_excerpts(self.folder.part("excerpts", part), own)
            for name, explanations in written.items():
                some = [e for e in explanations if e.unit in own]
                self.folder.write_records(
                    self.folder.part("explanations", f"{name}~{part}"), Explanation, some
                )
        self.folder.write_records(self._path, Unit, units)

    def _written(self, explainer: str) -> list[Explanation]:
        paths = self.explanations_of.parts_of("explanations", explainer)
        return self.explanations_of.read_records(Explanation, *paths)


def transfer(path: Path, parts: TransferParts, *, level: int, units: Sequence[str], shard: int) -> None:
    """Runs the other three cells of the 2 x 2 table of an author's units; the first is the level itself."""
    working, general = (
        RunFolder(path, level=f"level-{level}"),
        RunFolder(path, level=f"level-{level}-general"),
    )
    run = parts.general(level, units)
    if run is None:
        return
    run.run()
    _cross(path, parts, level, f"level-{level}-shifted", general, working, shard)
    _cross(path, parts, level, f"level-{level}-general-on-working", working, general, shard)


def shift(path: Path, parts: TransferParts, *, shard: int) -> None:
    """Scores the claims about the subject on text of another kind, if there is any."""
    source = parts.other_text()
    if source is None:
        return
    for stage in source.stages().values():
        stage()
    other, own = RunFolder(path, level="level-0-other"), RunFolder(path, level="level-0")
    _cross(path, parts, 0, "level-0-shifted", other, own, shard)


def _cross(
    path: Path,
    parts: TransferParts,
    level: int,
    name: str,
    excerpts: RunFolder,
    written: RunFolder,
    shard: int,
) -> None:
    explainers = [name for name in (AUTHOR, COMPILED) if written.parts_of("explanations", name)]
    source = BorrowingSource(RunFolder(path, level=name), excerpts, written, explainers, shard)
    parts.crossed(level, name, source).run()


def transfers_of(path: Path, *, level: int, simulator: str) -> list[Transfer]:
    """The 2 x 2 table of a level, by mean excess correlation; empty where it was not run."""
    cells: list[tuple[Text, Text, str]] = [
        ("working", "working", f"level-{level}"),
        ("working", "general", f"level-{level}-shifted"),
        ("general", "general", f"level-{level}-general"),
        ("general", "working", f"level-{level}-general-on-working"),
    ]
    if not (path / cells[-1][2] / "summary.parquet").exists():
        return []
    found = []
    for written_from, scored_on, name in cells:
        folder = RunFolder(path, level=name)
        for row in folder.read_records(Summary, folder.level / "summary.parquet"):
            if (row.explainer, row.simulator, row.metric) == (AUTHOR, simulator, "correlation"):
                found.append(
                    Transfer(
                        level=level,
                        explainer=AUTHOR,
                        simulator=simulator,
                        written_from=written_from,
                        scored_on=scored_on,
                        n_units=row.n_excess,
                        value=row.excess,
                        low=row.excess_low,
                        high=row.excess_high,
                    )
                )
    return found
