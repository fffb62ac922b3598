"""Units and excerpts from a subject: corpus, capture, traces and exemplars, each a stage of a run.

A stage does what its part files do not hold yet. The subject is loaded only by a stage that has work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from scrutable.pipeline.capture import capture
from scrutable.pipeline.config import RunConfig
from scrutable.pipeline.cutting import cut_corpus
from scrutable.pipeline.exemplars import build_exemplars, sampled_windows
from scrutable.pipeline.protocols import Parts, Subject, Watch
from scrutable.pipeline.records import Excerpt, Failure, Unit
from scrutable.pipeline.sampling import Captured, SamplingPlan
from scrutable.pipeline.selection import select_units
from scrutable.pipeline.store import RunFolder, shards_of
from scrutable.pipeline.traces import Traces, pack, unpack
from scrutable.pipeline.windows import Windows

_CHECKPOINT_SECONDS = 60.0
_WINDOWS_IN_TRACE_PART = 256


@dataclass(frozen=True)
class Collector:
    """Reads a corpus with a subject, and keeps excerpts of the selected units."""

    config: RunConfig
    folder: RunFolder
    parts: Parts
    watch: Watch
    note: Callable[[str, Any], None]  # puts a fact into the manifest

    def stages(self) -> dict[str, Callable[[], None]]:
        """In order; each does what is missing."""
        return {
            "corpus": self.cut_corpus,
            "capture": self.capture_units,
            "traces": self.trace_excerpts,
            "exemplars": self.collect_exemplars,
        }

    @property
    def is_collected(self) -> bool:
        """True if the subject has been read."""
        return self._kept.exists()

    @cached_property
    def units(self) -> list[Unit]:
        """Selected units that fire in the corpus and in the explain split."""
        return [
            unit
            for unit in self.captured.units
            if unit.max_activation > 0 and self._sampled[unit.id]["explain"].n_top > 0
        ]

    # -- corpus -------------------------------------------------------------------------------

    @property
    def _windows_path(self) -> Path:
        return self.folder.level / "windows.npz"

    def cut_corpus(self) -> None:
        """Documents in, windows out. Raises CorpusError for a corpus too small for its splits."""
        if self._windows_path.exists():
            return
        with self.watch("corpus") as progress:
            windows, facts = cut_corpus(
                self.config.corpus, self.parts.corpus(), self.parts.subject(), progress, seed=self.config.seed
            )
        self.note("corpus", facts)
        self.folder.write(self._windows_path, windows.save)

    @cached_property
    def windows(self) -> Windows:
        return Windows.load(self._windows_path)

    # -- capture ------------------------------------------------------------------------------

    @property
    def _kept(self) -> Path:
        return self.folder.level / "capture.npz"

    def capture_units(self) -> None:
        """The streaming pass: figures of every unit, samples of the selected ones."""
        if self._kept.exists():
            return
        subject = self.parts.subject()
        if self.config.units.ids:
            subject.check_units(self.config.units.ids)
        selected = select_units(subject.unit_ids(), self.config.units, seed=self.config.seed)
        self.note("subject", dict(subject.provenance))
        captured = self._captured(subject)
        self.folder.write_records(self.folder.level / "all_units.parquet", Unit, captured.units)
        chosen = captured.only(selected)
        self.folder.write_records(self.folder.level / "units.parquet", Unit, chosen.units)
        self.folder.write_arrays(self._kept, chosen.arrays())
        self._checkpoint.unlink(missing_ok=True)

    @property
    def _checkpoint(self) -> Path:
        return self.folder.level / "capture.state.npz"

    def _captured(self, subject: Subject) -> Captured:
        samples = self.config.samples
        plan = SamplingPlan(top=samples.top, per_stratum=samples.per_stratum, pilot=samples.pilot)
        sampler = subject.sampler(plan)
        done = 0
        if self._checkpoint.exists():
            with np.load(self._checkpoint, allow_pickle=False) as state:
                sampler.restore(state)
                done = int(state["batches"])
        saved_at = monotonic()

        def after_batch(batches: int) -> None:
            nonlocal saved_at
            if monotonic() - saved_at > _CHECKPOINT_SECONDS:
                state = sampler.state() | {"batches": np.array(batches)}
                self.folder.write_arrays(self._checkpoint, state)
                saved_at = monotonic()

        with self.watch("capture") as progress:
            return capture(
                sampler,
                self.windows,
                batch_size=self.config.subject.batch_size,
                seed=self.config.seed,
                done=done,
                after_batch=after_batch,
                progress=progress,
            )

    @cached_property
    def captured(self) -> Captured:
        """What the pass kept of the selected units."""
        units = self.folder.read_records(Unit, self.folder.level / "units.parquet")
        with np.load(self._kept, allow_pickle=False) as arrays:
            return Captured(units=tuple(units), **dict(arrays))

    @cached_property
    def _sampled(self) -> dict[str, Any]:
        samples = self.config.samples
        return {unit.id: sampled_windows(self.captured, unit.id, samples) for unit in self.captured.units}

    # -- traces -------------------------------------------------------------------------------

    def trace_excerpts(self) -> None:
        """The second pass: activations of the selected units, on the sampled windows only."""
        wanted: dict[int, list[int]] = {}
        for u, unit in enumerate(self.units):
            for chosen in self._sampled[unit.id].values():
                for window in chosen.windows:
                    wanted.setdefault(window, []).append(u)
        order = sorted(wanted)
        shards = shards_of(order, _WINDOWS_IN_TRACE_PART)
        todo = [(n, shard) for n, shard in enumerate(shards) if not self._trace_part(n).exists()]
        if not todo:
            return
        subject, ids = self.parts.subject(), [unit.id for unit in self.units]
        with self.watch("traces") as progress:
            for done, (number, shard) in enumerate(todo, 1):
                self.folder.write_arrays(
                    self._trace_part(number), pack(subject.traces(self.windows, shard, ids), wanted)
                )
                progress(len(shards) - len(todo) + done, len(shards))
        self.parts.release_subject()

    def _trace_part(self, number: int) -> Path:
        return self.folder.level / "traces" / f"{number:04d}.npz"

    def _traces(self) -> Traces:
        ids = [unit.id for unit in self.units]
        parts = sorted((self.folder.level / "traces").glob("[0-9]*.npz"))
        return {(ids[u], window): values for path in parts for u, window, values in unpack(path)}

    # -- exemplars ----------------------------------------------------------------------------

    def collect_exemplars(self) -> None:
        """Excerpts of each unit; a unit that never fires is a counted failure."""
        silent = self.folder.part("failures", "exemplars")
        if not silent.exists():
            firing = {unit.id for unit in self.units}
            failures = [_silent(unit) for unit in self.captured.units if unit.id not in firing]
            self.folder.write_records(silent, Failure, failures)
        shards = shards_of(self.units, self.config.shard)
        todo = [n for n in range(len(shards)) if not self.folder.part("excerpts", f"{n:04d}").exists()]
        traces = self._traces() if todo else {}
        for number in todo:
            excerpts: dict[str, Sequence[Excerpt]] = {}
            for unit in shards[number]:
                built = build_exemplars(unit.id, self._sampled[unit.id], self.windows, traces)
                excerpts[unit.id] = [*built.shown, *built.calibrate, *built.held_out]
            self.folder.write_excerpts(self.folder.part("excerpts", f"{number:04d}"), excerpts)


def _silent(unit: Unit) -> Failure:
    if unit.max_activation > 0:
        return Failure(unit.id, "exemplars", "silent_in_explain", "the unit fires in no explain document")
    return Failure(unit.id, "capture", "never_fires", "the unit is 0 on every token of the corpus")
