"""The stages of a run: each does what its part files do not hold yet, and nothing else.

A stage reads the parts of the stages before it, decides, and writes its own; running again
continues. Models are made only by a stage that has work for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from time import monotonic
from typing import Any, Protocol, TypeVar

import numpy as np

from scrutable.pipeline.capture import capture
from scrutable.pipeline.config import RunConfig
from scrutable.pipeline.cutting import cut_corpus
from scrutable.pipeline.exemplars import build_exemplars, sampled_windows
from scrutable.pipeline.protocols import (
    Evaluation,
    Evidence,
    Explainer,
    Explanatory,
    Progress,
    SimulationJob,
    Simulator,
    Subject,
)
from scrutable.pipeline.records import (
    Calibration,
    Excerpt,
    Explanation,
    Failure,
    Score,
    Simulation,
    Summary,
    Unit,
)
from scrutable.pipeline.sampling import Captured, SamplingPlan
from scrutable.pipeline.selection import select_units
from scrutable.pipeline.store import RunFolder
from scrutable.pipeline.traces import Traces, pack, unpack
from scrutable.pipeline.windows import Windows

_CHECKPOINT_SECONDS = 60.0
_WINDOWS_IN_TRACE_PART = 256

T = TypeVar("T")


class Watch(Protocol):
    """Shows how far a stage is."""

    def __call__(self, stage: str) -> AbstractContextManager[Progress]: ...


class Parts(Protocol):
    """Makes the parts of a run; what is expensive is made when it is first asked for."""

    def corpus(self) -> Path: ...

    def subject(self) -> Subject: ...

    def release_subject(self) -> None:
        """Lets go of the subject's memory; a later `subject()` loads it again."""
        ...

    def explainer(self, name: str) -> Explainer: ...

    def simulator(self, name: str) -> Simulator: ...


@dataclass(frozen=True)
class Runner:
    """One run: its config, its folder, and the makers of its parts."""

    config: RunConfig
    folder: RunFolder
    parts: Parts
    evaluation: Evaluation
    pairs: Mapping[str, tuple[str, str]]  # name of a pair to (explainer, simulator), see `pairings`
    watch: Watch
    note: Callable[[str, Any], None]  # puts a fact into the manifest

    def run(self, *, until: str = "score") -> None:
        """All stages in order, up to and including `until`."""
        for name, stage in self._stages().items():
            stage()
            if name == until:
                return

    def _stages(self) -> dict[str, Callable[[], None]]:
        return {
            "corpus": self.cut_corpus,
            "capture": self.capture_units,
            "traces": self.trace_excerpts,
            "exemplars": self.collect_exemplars,
            "explain": self.explain,
            "simulate": self.simulate,
            "score": self.score,
        }

    @property
    def is_simulated(self) -> bool:
        """True if every part that needs a model is there."""
        if not (self.folder.level / "capture.npz").exists():
            return False
        n = len(_shards(self._firing, self.config.shard))
        return not any(
            [self._todo("explanations", name, n) for name in self.config.explainers]
            + [self._todo("simulations", pair, n) for pair in self.pairs]
        )

    # -- corpus -------------------------------------------------------------------------------

    @property
    def _windows_path(self) -> Path:
        return self.folder.level / "windows.npz"

    def cut_corpus(self) -> None:
        """Documents in, windows out. Raises CorpusError for a corpus too small for its splits."""
        if self._windows_path.exists():
            return
        with self.watch("corpus") as progress:
            windows, facts = cut_corpus(self.config, self.parts.corpus(), self.parts.subject(), progress)
        self.note("corpus", facts)
        self.folder.write(self._windows_path, windows.save)

    @cached_property
    def windows(self) -> Windows:
        return Windows.load(self._windows_path)

    # -- capture ------------------------------------------------------------------------------

    def capture_units(self) -> None:
        """The streaming pass: figures of every unit, samples of the selected ones."""
        kept = self.folder.level / "capture.npz"
        if kept.exists():
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
        self.folder.write_arrays(kept, chosen.arrays())
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
        with np.load(self.folder.level / "capture.npz", allow_pickle=False) as arrays:
            return Captured(units=tuple(units), **dict(arrays))

    @cached_property
    def _firing(self) -> list[Unit]:
        """Selected units that fire in the corpus and in the explain split."""
        return [
            unit
            for unit in self.captured.units
            if unit.max_activation > 0 and self._sampled[unit.id]["explain"].n_top > 0
        ]

    @cached_property
    def _sampled(self) -> dict[str, Any]:
        samples = self.config.samples
        return {unit.id: sampled_windows(self.captured, unit.id, samples) for unit in self.captured.units}

    # -- traces -------------------------------------------------------------------------------

    def trace_excerpts(self) -> None:
        """The second pass: activations of the selected units, on the sampled windows only."""
        wanted: dict[int, list[int]] = {}
        for u, unit in enumerate(self._firing):
            for chosen in self._sampled[unit.id].values():
                for window in chosen.windows:
                    wanted.setdefault(window, []).append(u)
        order = sorted(wanted)
        shards = _shards(order, _WINDOWS_IN_TRACE_PART)
        todo = [(n, shard) for n, shard in enumerate(shards) if not self._trace_part(n).exists()]
        if not todo:
            return
        subject, ids = self.parts.subject(), [unit.id for unit in self._firing]
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
        ids = [unit.id for unit in self._firing]
        parts = sorted((self.folder.level / "traces").glob("[0-9]*.npz"))
        return {(ids[u], window): values for path in parts for u, window, values in unpack(path)}

    # -- exemplars ----------------------------------------------------------------------------

    def collect_exemplars(self) -> None:
        """Excerpts of each unit; a unit that never fires is a counted failure."""
        silent = self.folder.part("failures", "exemplars")
        if not silent.exists():
            firing = {unit.id for unit in self._firing}
            failures = [_silent(unit) for unit in self.captured.units if unit.id not in firing]
            self.folder.write_records(silent, Failure, failures)
        shards = _shards(self._firing, self.config.shard)
        todo = [n for n in range(len(shards)) if not self.folder.part("excerpts", f"{n:04d}").exists()]
        traces = self._traces() if todo else {}
        for number in todo:
            excerpts: dict[str, Sequence[Excerpt]] = {}
            for unit in shards[number]:
                built = build_exemplars(unit.id, self._sampled[unit.id], self.windows, traces)
                excerpts[unit.id] = [*built.shown, *built.calibrate, *built.held_out]
            self.folder.write_excerpts(self.folder.part("excerpts", f"{number:04d}"), excerpts)

    @cached_property
    def _excerpts(self) -> dict[str, list[Excerpt]]:
        return self.folder.read_excerpts()

    # -- explain ------------------------------------------------------------------------------

    def explain(self) -> None:
        """Every explainer on every unit that fires."""
        for name in self.config.explainers:
            shards = _shards(self._firing, self.config.shard)
            todo = self._todo("explanations", name, len(shards))
            if not todo:
                continue
            explainer = self.parts.explainer(name)
            with self.watch(f"explain: {name}") as progress:
                for number in todo:
                    jobs = [self._explanatory(unit.id) for unit in shards[number]]
                    self._write_part("explanations", name, number, Explanation, explainer.explain(jobs))
                    progress(number + 1, len(shards))

    def _explanatory(self, unit: str) -> Explanatory:
        shown = tuple(excerpt for excerpt in self._excerpts[unit] if excerpt.split == "explain")
        return Explanatory(unit=unit, shown=shown)

    def _explanations(self, explainer: str) -> dict[str, Explanation]:
        paths = [
            path for path in self.folder.parts("explanations") if path.stem.rpartition("~")[0] == explainer
        ]
        return {e.unit: e for e in self.folder.read_records(Explanation, *paths)}

    # -- simulate -----------------------------------------------------------------------------

    def simulate(self) -> None:
        """Every explanation, its own and the nulls', on calibrate and test excerpts of its unit."""
        for pairing, (explainer, simulator) in self.pairs.items():
            shards = _shards(self._firing, self.config.shard)
            todo = self._todo("simulations", pairing, len(shards))
            if not todo:
                continue
            explanations = self._explanations(explainer)
            nulls = self._nulls(explanations)
            made = self.parts.simulator(simulator)
            with self.watch(f"simulate: {pairing}") as progress:
                for number in todo:
                    jobs = [
                        job
                        for unit in shards[number]
                        if unit.id in explanations
                        for job in self._jobs(unit.id, explanations, nulls)
                    ]
                    self._write_part("simulations", pairing, number, Simulation, made.simulate(jobs))
                    progress(number + 1, len(shards))

    def _nulls(self, explanations: Mapping[str, Explanation]) -> dict[str, tuple[str, ...]]:
        explained = [unit for unit in self._firing if unit.id in explanations]
        return self.evaluation.assign_nulls(explained, count=self.config.scoring.nulls, seed=self.config.seed)

    def _jobs(
        self, unit: str, explanations: Mapping[str, Explanation], nulls: Mapping[str, tuple[str, ...]]
    ) -> Iterator[SimulationJob]:
        passages = tuple(e.passage for e in self._excerpts[unit] if e.split != "explain")
        for writer in (unit, *nulls[unit]):
            yield SimulationJob(unit=unit, explanation=explanations[writer], passages=passages)

    # -- score --------------------------------------------------------------------------------

    def score(self) -> None:
        """Scores, calibrations, failures and the summary, all from what is stored."""
        failures = self.folder.read_records(Failure, *self.folder.parts("failures"))
        scores: list[Score] = []
        calibrations: list[Calibration] = []
        with self.watch("score") as progress:
            for done, (pairing, (explainer, simulator)) in enumerate(self.pairs.items(), 1):
                for evidence in self._evidence(pairing, explainer, simulator):
                    calibrations.append(self.evaluation.calibrate(evidence))
                    for scorer in self.evaluation.scorers.values():
                        scores += scorer(evidence, seed=self.config.seed, draws=self.config.scoring.draws)
                progress(done, len(self.pairs))
        summary = self.evaluation.summarise(
            scores, failures, draws=self.config.scoring.draws, seed=self.config.seed
        )
        level = self.folder.level
        self.folder.write_records(level / "failures.parquet", Failure, failures)
        self.folder.write_records(level / "calibrations.parquet", Calibration, calibrations)
        self.folder.write_records(level / "summary.parquet", Summary, summary)
        self.folder.write_records(level / "scores.parquet", Score, scores)

    def _evidence(self, pairing: str, explainer: str, simulator: str) -> Iterator[Evidence]:
        for path in self.folder.parts("simulations"):
            if path.stem.rpartition("~")[0] != pairing:
                continue
            by_unit: dict[str, list[Simulation]] = {}
            for simulation in self.folder.read_records(Simulation, path):
                by_unit.setdefault(simulation.unit, []).append(simulation)
            for unit, simulations in by_unit.items():
                excerpts = self._excerpts[unit]
                yield Evidence(
                    unit=unit,
                    explainer=explainer,
                    simulator=simulator,
                    calibrate=tuple(e for e in excerpts if e.split == "calibrate"),
                    held_out=tuple(e for e in excerpts if e.split == "test"),
                    simulations=tuple(simulations),
                )

    # -- parts --------------------------------------------------------------------------------

    def _todo(self, stage: str, name: str, n_shards: int) -> list[int]:
        return [n for n in range(n_shards) if not self.folder.part(stage, f"{name}~{n:04d}").exists()]

    def _write_part(
        self, stage: str, name: str, number: int, kind: type[T], answers: Sequence[T | Failure]
    ) -> None:
        """Failures first: the part itself is the mark that the shard is done."""
        part = f"{name}~{number:04d}"
        failures = [answer for answer in answers if isinstance(answer, Failure)]
        self.folder.write_records(self.folder.part("failures", f"{stage}~{part}"), Failure, failures)
        good = [answer for answer in answers if isinstance(answer, kind)]
        self.folder.write_records(self.folder.part(stage, part), kind, good)


def pairings(explainers: Mapping[str, str], simulators: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Every explainer with every simulator that reads its language: "explainer+simulator" to the two.

    Args:
        explainers: name to the language that it writes.
        simulators: name to the language that it reads.
    """
    return {
        f"{explainer}+{simulator}": (explainer, simulator)
        for explainer, written in explainers.items()
        for simulator, read in simulators.items()
        if written == read
    }


def _silent(unit: Unit) -> Failure:
    if unit.max_activation > 0:
        return Failure(unit.id, "exemplars", "silent_in_explain", "the unit fires in no explain document")
    return Failure(unit.id, "capture", "never_fires", "the unit is 0 on every token of the corpus")


def _shards(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
