"""The author's working text: the prompts that it got and what it wrote, with its neurons on every token.

A neuron is read in the running author, with the whole prompt before it, and only then cut into windows: a
simulator sees less than the neuron did, and the context ceiling says how much less.
Shape key: T tokens of a document after what all documents share, U units.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scrutable.pipeline.density import density_of
from scrutable.pipeline.protocols import Watch
from scrutable.pipeline.records import SPLITS, Excerpt, Failure, Passage, Split, Unit
from scrutable.pipeline.recursion.config import WorkingConfig
from scrutable.pipeline.recursion.protocols import Floats, Task, Writer
from scrutable.pipeline.recursion.records import Ceiling
from scrutable.pipeline.sampling import Sampled, design
from scrutable.pipeline.store import RunFolder, shards_of
from scrutable.pipeline.windows import Cut, cuts


class WorkingText(NamedTuple):
    """One prompt and its reply, as one document."""

    id: str
    task: Task
    pieces: tuple[str, ...]  # (lead + T,) the last `lead` tokens of what is shared, the prompt, the reply
    lead: int


@dataclass(frozen=True)
class WorkingSource:
    """Units and excerpts of an author's neurons, read from its working text."""

    texts: Callable[[], Sequence[WorkingText]]
    parents: Mapping[str, Sequence[str]]  # unit → documents of the jobs that it was drawn from: test text
    settings: WorkingConfig
    contexts: Sequence[int]
    level: int
    folder: RunFolder
    writer: Callable[[], Writer]
    shard: int
    seed: int
    watch: Watch

    def stages(self) -> dict[str, Callable[[], None]]:
        """One stage: the author runs once on each of its texts."""
        return {"exemplars": self.collect}

    @cached_property
    def _texts(self) -> Sequence[WorkingText]:
        return self.texts()

    @property
    def _path(self) -> Path:
        return self.folder.level / "units.parquet"

    @property
    def is_collected(self) -> bool:
        return self._path.exists()

    @cached_property
    def units(self) -> list[Unit]:
        """Units that fire in a text that the next author may see."""
        return [u for u in self.folder.read_records(Unit, self._path) if u.max_activation > 0]

    def collect(self) -> None:
        """Writes units, excerpts and context ceilings; a unit that cannot be shown is a counted failure."""
        if self.is_collected:
            return
        writer, ids = self.writer(), sorted(self.parents)
        read: dict[str, Floats] = {}
        with self.watch("working text") as progress:
            for number, text in enumerate(self._texts, 1):
                read[text.id] = writer.activations(text.task, ids)
                progress(number, len(self._texts))
        excerpts, units, failures = {}, [], []
        for column, id in enumerate(ids):
            found = self._excerpts(id, {name: values[:, column] for name, values in read.items()})
            shown = [e for e in found if e.split == "explain" and e.max_activation > 0]
            if shown:
                excerpts[id] = found
            else:
                detail = "the neuron fires in no text that the next author may see"
                failures.append(Failure(id, "exemplars", "silent_in_explain", detail))
            units.append(_unit(id, found if shown else ()))
        kept = [unit for unit in units if unit.max_activation > 0]
        for number, shard in enumerate(shards_of(kept, self.shard)):
            self.folder.write_excerpts(
                self.folder.part("excerpts", f"{number:04d}"), {u.id: excerpts[u.id] for u in shard}
            )
        self.folder.write_records(self.folder.part("failures", "exemplars"), Failure, failures)
        self.folder.write_records(
            self.folder.level / "ceilings.parquet",
            Ceiling,
            self._ceilings(writer, [u.id for u in kept], read),
        )
        self.folder.write_records(self._path, Unit, units)

    # -- excerpts -----------------------------------------------------------------------------

    def split_of(self, unit: str, document: str) -> Split:
        """A job that a unit was drawn from is test text for it; the others are split by a seeded hash."""
        if document in self.parents[unit]:
            return "test"
        digest = hashlib.sha256(f"{self.seed}/{document}".encode()).digest()
        place, reached = int.from_bytes(digest[:8], "big") / 2**64, 0.0
        for split in SPLITS:
            reached += self.settings.splits[split]
            if place < reached:
                return split
        return "test"

    def _excerpts(self, unit: str, activations: Mapping[str, NDArray[np.float32]]) -> list[Excerpt]:
        by_split: dict[Split, list[Excerpt]] = {split: [] for split in SPLITS}
        for text in self._texts:
            by_split[self.split_of(unit, text.id)] += self._windows(text, activations[text.id])
        found: list[Excerpt] = []
        for split in SPLITS:
            sampled = self._sampled(by_split[split], split, unit)
            for place, (number, weight) in enumerate(zip(sampled.windows, sampled.weights, strict=True)):
                one = by_split[split][number]
                found.append(
                    Excerpt(one.passage, one.document, split, one.activations, weight, place < sampled.n_top)
                )
        return found

    def _windows(self, text: WorkingText, values: NDArray[np.float32]) -> list[Excerpt]:
        whole = np.concatenate([np.zeros(text.lead, dtype=np.float32), values])
        return [
            Excerpt(
                passage=passage_of(text, cut),
                document=text.id,
                split="explain",
                activations=tuple(whole[cut.start : cut.start + cut.length].tolist()),
                weight=1.0,
                is_top=False,
            )
            for cut in self._cuts(text)
        ]

    def _cuts(self, text: WorkingText) -> list[Cut]:
        return cuts_of(text, self.settings)

    def _sampled(self, windows: Sequence[Excerpt], split: Split, unit: str) -> Sampled:
        """The strongest windows for certain, and a random sample of the others."""
        order = sorted(range(len(windows)), key=lambda w: (-windows[w].max_activation, windows[w].passage.id))
        top = order[: self.settings.top[split]]
        rng = np.random.default_rng([self.seed, *f"{unit}/{split}".encode()])
        rest = rng.permutation(np.array(order[len(top) :], dtype=np.int64))
        slots = [*top, *rest[: self.settings.random[split]].tolist()]
        return design(top=top, top_strata=[0] * len(top), slots=[slots], population=[len(windows)])

    # -- ceilings -----------------------------------------------------------------------------

    def _ceilings(self, writer: Writer, units: Sequence[str], read: Mapping[str, Floats]) -> list[Ceiling]:
        """Explained variance of a neuron by itself when it sees only so many tokens, on the last tokens of
        texts (h(c), SCIENCE.md 0.5).
        """
        if not units or not self.contexts:
            return []
        columns = [sorted(self.parents).index(unit) for unit in units]
        found = []
        for context in self.contexts:
            true, short = [], []
            for text in self._texts:
                ids = (*text.task.prompt, *text.task.reply)
                if stops := ends_of_contexts(len(ids), context):
                    true.append(read[text.id][[stop - 1 for stop in stops]][:, columns])
                    short.append(writer.alone([ids[stop - context : stop] for stop in stops], units)[:, -1])
            if true:
                a, b = np.concatenate(true), np.concatenate(short)
                found += [
                    Ceiling(self.level, unit, context, _explained(a[:, u], b[:, u]))
                    for u, unit in enumerate(units)
                ]
        return found


def passage_of(text: WorkingText, cut: Cut) -> Passage:
    """A window of a working text as a simulator sees it."""
    return Passage(
        id=f"{text.id}#{cut.start}",
        tokens=text.pieces[cut.start : cut.start + cut.length],
        n_context=cut.n_context,
    )


def cuts_of(text: WorkingText, settings: WorkingConfig) -> list[Cut]:
    """Windows that score every token of the text but what is shared."""
    return list(cuts(len(text.pieces), length=settings.window, skip=max(settings.skip, text.lead)))


def ends_of_contexts(n_tokens: int, context: int, count: int = 6) -> list[int]:
    """Where the short contexts of a text end, spread over it, for the context ceiling."""
    if n_tokens < context:
        return []
    return sorted({int(stop) for stop in np.linspace(context, n_tokens, num=count).round()})


def _explained(true: NDArray[Any], short: NDArray[Any]) -> float:
    """1 - Σ(a - short)² / Σ(a - ā)², unclipped; NaN for a neuron that is constant."""
    spread = float(((true - true.mean()) ** 2).sum())
    return 1 - float(((true - short) ** 2).sum()) / spread if spread > 0 else math.nan


def _unit(id: str, excerpts: Sequence[Excerpt]) -> Unit:
    layer, neuron, sign = id.split(".")
    return Unit(
        id=id,
        layer=int(layer.removeprefix("L")),
        index=int(neuron.removeprefix("N")),
        sign="pos" if sign == "pos" else "neg",
        density=density_of(excerpts) if excerpts else math.nan,
        max_activation=max((e.max_activation for e in excerpts), default=0.0),
    )
