"""The stages of a job: each does what its part files do not hold yet, and nothing else.

A stage reads the parts of the stages before it, decides, and writes its own; running again
continues. Models are made only by a stage that has work for them. Where units and excerpts come
from is a source's business: a subject (`collecting`) or files (`importing`).
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from scrutable.pipeline.behaviours.study import Study
from scrutable.pipeline.config import JobConfig, of_another
from scrutable.pipeline.executors import Executor, InThisProcess, Task
from scrutable.pipeline.protocols import (
    Evaluation,
    Evidence,
    Examination,
    Explanatory,
    Hearing,
    Parts,
    Progress,
    Simulated,
    SimulationJob,
    Watch,
)
from scrutable.pipeline.records import (
    Assurance,
    AttackCase,
    AttackResult,
    Calibration,
    Comparison,
    Difference,
    Excerpt,
    Explanation,
    Failure,
    GateCase,
    GateResult,
    Metric,
    Prompt,
    RatePoint,
    Score,
    Simulation,
    Summary,
    Unit,
    Verdict,
)
from scrutable.pipeline.store import RunFolder, shards_of

T = TypeVar("T")
K = TypeVar("K")


class Source(Protocol):
    """Where units and excerpts come from."""

    @property
    def units(self) -> list[Unit]:
        """Units that have excerpts, in the order of all shards."""
        ...

    @property
    def is_collected(self) -> bool:
        """True if `units` can be told without a model."""
        ...

    def stages(self) -> Mapping[str, Callable[[], None]]:
        """In order; each does what is missing."""
        ...


class _Scored(NamedTuple):
    """What the simulations of a job are worth."""

    scores: list[Score]
    calibrations: list[Calibration]
    differences: list[Difference]


PARTS = {"explain": "explanations", "simulate": "simulations", "judge": "verdicts", "rates": "rates"}
"""Stages that are worked on in shards, in order, and the folder of their part files."""


_PASSING = ("unavailable", "timeout", "malformed")
"""Kinds of failures that another attempt may mend."""


class Panel(NamedTuple):
    """A judge, and whose explanations it examines."""

    explainer: str  # empty for a judge that reads no explanation
    judge: str
    metric: Metric


class Plan(NamedTuple):
    """Who reads whom; part files are named by the keys."""

    pairs: Mapping[str, tuple[str, str]]  # "explainer+simulator" → the two
    panels: Mapping[str, Panel]  # "explainer+judge"
    compiled: Mapping[str, str]  # explainer that compiles → explainer whose text it compiles


@dataclass(frozen=True)
class Runner:
    """One job: its config, its folder, its source, and the makers of its parts."""

    config: JobConfig
    folder: RunFolder
    source: Source
    parts: Parts
    evaluation: Evaluation
    plan: Plan
    watch: Watch
    note: Callable[[str, Any], None]  # puts a fact into the manifest
    executor: Executor = field(default_factory=InThisProcess)  # where the shards of a stage are worked on
    twin: Runner | None = None  # the same job on a subject with random weights, as an opponent
    study: Study | None = None  # of the subject's behaviours
    _benches: dict[tuple[str, str], Callable[[int], None]] = field(default_factory=dict)  # one at a time
    _making: threading.Lock = field(default_factory=threading.Lock)

    def run(self, *, until: str = "score") -> None:
        """All stages in order, up to and including `until`."""
        for name, stage in self._stages().items():
            stage()
            if name == until:
                return

    def _stages(self) -> dict[str, Callable[[], None]]:
        return {
            **self.source.stages(),
            "explain": self.explain,
            "gate": self.gate if self.config.gate else lambda: None,
            "simulate": self.simulate,
            "judge": self.judge,
            "rates": self.rates,
            "twin": self.twin.run if self.twin else lambda: None,
            "behaviours": self.study.run if self.study else lambda: None,
            "score": self.score,
        }

    @property
    def is_simulated(self) -> bool:
        """True if every part that needs a model is there."""
        if not self.source.is_collected or (self.config.gate and not self._gate_path.exists()):
            return False
        if self.twin and not self.twin.is_simulated:
            return False
        asking = ("explain", "simulate", "judge")
        return not any(self.tasks(stage, name) for stage in asking for name in self.names(stage))

    @cached_property
    def _shards(self) -> list[Sequence[Unit]]:
        return shards_of(self.source.units, self.config.shard)

    @cached_property
    def _excerpts(self) -> dict[str, list[Excerpt]]:
        return self.folder.read_excerpts()

    def _split(self, unit: str, split: str) -> tuple[Excerpt, ...]:
        return tuple(excerpt for excerpt in self._excerpts[unit] if excerpt.split == split)

    def evidence(self, explainer: str, simulator: str) -> Iterator[Evidence]:
        """What was simulated of each unit from one explainer's explanations, candidates one by one."""
        written = self._explanations(explainer)
        for path in self.folder.parts_of("simulations", f"{explainer}+{simulator}"):
            yield from self._evidence(path, written, explainer, simulator)

    # -- shards -------------------------------------------------------------------------------

    @property
    def has_excerpts(self) -> bool:
        """True if there is all that a worker needs to begin."""
        return self.source.is_collected and len(self.folder.parts("excerpts")) == len(self._shards)

    def names(self, stage: str) -> list[str]:
        """The explainers, pairs or panels of a stage, each with shards of its own."""
        names: Mapping[str, Iterable[str]] = {
            "explain": self.config.explainers,
            "simulate": self.plan.pairs,
            "judge": self.plan.panels,
            "rates": [""] if self.config.scoring.budgets else [],
        }
        return list(names[stage])

    def tasks(self, stage: str, name: str) -> list[Task]:
        """The shards that have no part file yet."""
        tasks = [Task(stage, name, number) for number in range(len(self._shards))]
        return [task for task in tasks if not self._part_of(task).exists()]

    def forget_failed(self) -> int:
        """Drops the shards in which a server did not answer, and all that was made from them; says how many.

        What was answered is in the journal, so only what failed is asked again. An explainer whose texts may
        change takes with it those that start from them, and everything that reads them or has them as nulls.
        """
        again: dict[str, set[str]] = {}
        for path in self.folder.parts("failures"):
            stage, _, rest = path.stem.partition("~")
            if stage in PARTS.values() and any(
                failure.kind in _PASSING for failure in self.folder.read_records(Failure, path)
            ):
                again.setdefault(stage, set()).add(rest)
        changed = {rest.rpartition("~")[0] for rest in again.get(PARTS["explain"], ())}
        for name, settings in self.config.explainers.items():  # in order: each after the one it starts from
            if of_another(settings) in changed:
                changed.add(name)
                again[PARTS["explain"]] |= {p.stem for p in self.folder.parts_of(PARTS["explain"], name)}
        for stage in (PARTS["simulate"], PARTS["judge"]):
            of_changed = {p.stem for p in self.folder.parts(stage) if p.stem.partition("+")[0] in changed}
            again[stage] = again.get(stage, set()) | of_changed
        dropped = 0
        for stage, parts in again.items():
            for part in parts:
                self.folder.part(stage, part).unlink(missing_ok=True)
                self.folder.part("failures", f"{stage}~{part}").unlink(missing_ok=True)
                dropped += 1
        return dropped

    def prompts(self, stage: str, name: str) -> list[Prompt]:
        """The prompts that the missing shards of an explainer or a pair would send."""
        shards = [task.number for task in self.tasks(stage, name)]
        if stage == "explain":
            sources = self._explanations(of_another(self.config.explainers[name]))
            writer = self.parts.explainer(name)
            asked = [self._explanatory(self._shards[number], sources, name)[0] for number in shards]
            return [prompt for jobs in asked for prompt in writer.prompts(jobs)]
        explainer, simulator = self.plan.pairs[name]
        jobs_of = self._simulation_jobs(self._explanations(explainer))
        reader = self.parts.simulator(simulator)
        return [prompt for number in shards for prompt in reader.prompts(jobs_of(number))]

    def do(self, task: Task) -> None:
        """Works on one shard; what several shards of a stage have in common is made for the first."""
        self._bench(task.stage, task.name)(task.number)

    def _work(self, stage: str) -> None:
        """All shards of a stage that are missing, explainer by explainer or pair by pair."""
        for name in self.names(stage):
            tasks = self.tasks(stage, name)
            if not tasks:
                continue
            self.parts.describe(stage, name)
            with self.watch(f"{stage}: {name}" if name else stage) as progress:
                count = _counting(progress, first=len(self._shards) - len(tasks), total=len(self._shards))
                self.executor(tasks, self.do, lanes=self.parts.lanes(stage, name), finished=count)
            self._benches.clear()

    def _bench(self, stage: str, name: str) -> Callable[[int], None]:
        with self._making:
            if (stage, name) not in self._benches:
                self._benches.clear()  # a worker goes from stage to stage, and need not hold what is done
                makers = {
                    "explain": self._explaining,
                    "simulate": self._simulating,
                    "judge": self._judging,
                    "rates": self._rating,
                }
                self._benches[stage, name] = makers[stage](name)
            return self._benches[stage, name]

    def _part_of(self, task: Task) -> Path:
        part = f"{task.name}~{task.number:04d}" if task.name else f"{task.number:04d}"
        return self.folder.part(PARTS[task.stage], part)

    # -- explain ------------------------------------------------------------------------------

    def explain(self) -> None:
        """Every explainer on every unit; one that starts from another's text gets that too."""
        self._work("explain")

    def _explaining(self, name: str) -> Callable[[int], None]:
        explainer = self.parts.explainer(name)
        sources = self._explanations(of_another(self.config.explainers[name]))

        def work(number: int) -> None:
            jobs, answers = self._explanatory(self._shards[number], sources, name)
            answers += explainer.explain(jobs) if jobs else []
            self._write_part("explanations", name, number, Explanation, answers)

        return work

    def _explanatory(
        self, units: Sequence[Unit], sources: Mapping[str, Sequence[Explanation]], name: str
    ) -> tuple[list[Explanatory], list[Explanation | Failure]]:
        """What an explainer is asked, and failures for units without an excerpt that it may see."""
        jobs: list[Explanatory] = []
        failures: list[Explanation | Failure] = []
        for unit in units:
            shown = self._split(unit.id, "explain")
            if shown:
                jobs.append(Explanatory(unit.id, shown, next(iter(sources.get(unit.id, ())), None)))
            else:
                detail = "no excerpt of the unit is in the explain split"
                failures.append(Failure(unit.id, "explain", "nothing_to_show", detail, name))
        return jobs, failures

    def _explanations(self, explainer: str) -> dict[str, list[Explanation]]:
        """Unit → what an explainer wrote of it, candidates in order."""
        paths = self.folder.parts_of("explanations", explainer)
        return _grouped(self.folder.read_records(Explanation, *paths), lambda e: e.unit)

    # -- gate ---------------------------------------------------------------------------------

    @property
    def _gate_path(self) -> Path:
        return self.folder.level / "gate.parquet"

    def gate(self) -> None:
        """Simulators and explainers on known answers; of the default size where the config says none."""
        if self._gate_path.exists():
            return
        for name in self.config.explainers:
            self.parts.describe("explain", name)
        for name in self.config.simulators:
            self.parts.describe("simulate", name)
        with self.watch("gate") as progress:
            gate = self.parts.gate(progress)
        self.note("gate", {"notes": list(gate.notes), "table": gate.table})
        self.folder.write_records(self.folder.level / "gate_cases.parquet", GateCase, gate.cases)
        self.folder.write_records(self.folder.level / "attack_cases.parquet", AttackCase, gate.attack_cases)
        self.folder.write_records(self.folder.level / "attacks.parquet", AttackResult, gate.attacks)
        self.folder.write_records(self._gate_path, GateResult, gate.results)

    # -- simulate -----------------------------------------------------------------------------

    def simulate(self) -> None:
        """Every explanation, its own and the nulls', on calibrate and test excerpts of its unit."""
        self._work("simulate")

    def _simulating(self, pairing: str) -> Callable[[int], None]:
        explainer, simulator = self.plan.pairs[pairing]
        jobs_of = self._simulation_jobs(self._explanations(explainer))
        made = self.parts.simulator(simulator)

        def work(number: int) -> None:
            answers = made.simulate(jobs_of(number))
            self._write_part("simulations", pairing, number, Simulation, answers)

        return work

    def _simulation_jobs(
        self, explanations: Mapping[str, Sequence[Explanation]]
    ) -> Callable[[int], list[SimulationJob]]:
        nulls = self._nulls(explanations)

        def jobs_of(number: int) -> list[SimulationJob]:
            return [
                SimulationJob(unit.id, explanation, self._passages(unit.id))
                for unit in self._shards[number]
                for explanation in _own_and_nulls(unit.id, explanations, nulls, of_each=True)
            ]

        return jobs_of

    def _passages(self, unit: str) -> tuple[Any, ...]:
        return tuple(e.passage for e in self._excerpts[unit] if e.split != "explain")

    def _nulls(self, explanations: Mapping[str, Sequence[Explanation]]) -> dict[str, tuple[str, ...]]:
        explained = [unit for unit in self.source.units if unit.id in explanations]
        return self.evaluation.assign_nulls(explained, count=self.config.scoring.nulls, seed=self.config.seed)

    # -- judge --------------------------------------------------------------------------------

    def judge(self) -> None:
        """Every judge on every explanation that it reads, its own and the nulls'."""
        self._work("judge")
        self.parts.release_subject()

    def _judging(self, name: str) -> Callable[[int], None]:
        panel = self.plan.panels[name]
        explanations = self._explanations(panel.explainer)
        nulls = self._nulls(explanations)
        made = self.parts.judge(panel.judge)

        def work(number: int) -> None:
            jobs = [
                Examination(
                    unit.id,
                    tuple(_own_and_nulls(unit.id, explanations, nulls)),
                    self._split(unit.id, "test"),
                )
                for unit in self._shards[number]
                if unit.id in explanations or not made.reads_explanations
            ]
            answers = made.judge(jobs) if jobs else []
            self._write_part("verdicts", name, number, Verdict, answers)

        return work

    # -- rates --------------------------------------------------------------------------------

    def rates(self) -> None:
        """The rate-distortion curve of readable surrogates, for units with excerpts to fit them on."""
        self._work("rates")

    def _rating(self, _name: str) -> Callable[[int], None]:
        def work(number: int) -> None:
            points = [
                point
                for unit in self._shards[number]
                if self._split(unit.id, "explain")
                for point in self.evaluation.rate_points(
                    unit.id,
                    *(self._split(unit.id, split) for split in ("explain", "calibrate", "test")),
                    budgets=self.config.scoring.budgets,
                )
            ]
            self.folder.write_records(self.folder.part("rates", f"{number:04d}"), RatePoint, points)

        return work

    # -- score --------------------------------------------------------------------------------

    def score(self) -> None:
        """Scores, calibrations, failures and the summary, all from what is stored."""
        failures = self.folder.read_records(Failure, *self.folder.parts("failures"))
        draws, seed = self.config.scoring.draws, self.config.seed
        simulated = self._simulation_scores()
        scores = self.evaluation.adjust([*simulated.scores, *self._judgement_scores()])
        summary = [*self.evaluation.summarise(scores, failures, draws=draws, seed=seed), *self._opponents()]
        assurance = self.evaluation.assure(scores, self._compiled(scores), draws=draws, seed=seed)
        comparisons = self.evaluation.compare(simulated.differences, draws=draws, seed=seed)
        level = self.folder.level
        self.folder.write_records(level / "failures.parquet", Failure, failures)
        self.folder.write_records(level / "calibrations.parquet", Calibration, simulated.calibrations)
        self.folder.write_records(level / "differences.parquet", Difference, simulated.differences)
        self.folder.write_records(level / "comparisons.parquet", Comparison, comparisons)
        self.folder.write_records(level / "assurance.parquet", Assurance, assurance)
        self.folder.write_records(level / "summary.parquet", Summary, summary)
        self.folder.write_records(level / "scores.parquet", Score, scores)

    def _simulation_scores(self) -> _Scored:
        """All pairs on one shard of units after the other: memory holds what was simulated on one shard."""
        found = _Scored([], [], [])
        draws, seed = self.config.scoring.draws, self.config.seed
        written = {name: self._explanations(name) for name, _ in self.plan.pairs.values()}
        with self.watch("score") as progress:
            for number in range(len(self._shards)):
                of_unit: dict[str, list[Evidence]] = {}
                for pairing, (explainer, simulator) in self.plan.pairs.items():
                    part = self.folder.part("simulations", f"{pairing}~{number:04d}")
                    for evidence in self._evidence(part, written[explainer], explainer, simulator):
                        found.calibrations.append(self.evaluation.calibrate(evidence))
                        for scorer in self.evaluation.scorers.values():
                            found.scores.extend(scorer(evidence, seed=seed, draws=draws))
                        if evidence.explainer in (explainer, f"{explainer}.best"):
                            of_unit.setdefault(evidence.unit, []).append(evidence)
                for several in of_unit.values():
                    found.differences.extend(self.evaluation.differences(several, seed=seed, draws=draws))
                progress(number + 1, len(self._shards))
        return found

    def _judgement_scores(self) -> Iterator[Score]:
        for name, panel in self.plan.panels.items():
            for hearing in self._hearings(name, panel):
                yield self.evaluation.score_hearing(
                    hearing, seed=self.config.seed, draws=self.config.scoring.draws
                )

    def _opponents(self) -> Iterator[Summary]:
        """What the same explainers made of random weights."""
        if self.twin:
            folder = self.twin.folder
            for row in folder.read_records(Summary, folder.level / "summary.parquet"):
                yield replace(row, explainer=f"{row.explainer} on random weights")

    def _compiled(self, scores: Sequence[Score]) -> dict[str, str]:
        """The program that stands for each compiled text: the best of its candidates where there are some."""
        authors = {score.explainer for score in scores}
        best = {name: f"{name}.best" if f"{name}.best" in authors else name for name in self.plan.compiled}
        return {best[name]: text for name, text in self.plan.compiled.items()}

    def _evidence(
        self, part: Path, explanations: Mapping[str, Sequence[Explanation]], explainer: str, simulator: str
    ) -> Iterator[Evidence]:
        """Every candidate of every unit of a part, and the best of them where there are several."""
        has_candidates = any(len(written) > 1 for written in explanations.values())
        firsts = {written[0].id for written in explanations.values()}
        for unit, simulated in self.folder.read_simulated(part):
            nulls = [s for name, s in sorted(simulated.items()) if _unit_of(name) != unit]
            # One of each unit: candidates of one unit are alike, and a rank among them would be too good.
            single = tuple(null for null in nulls if null.explanation in firsts)
            candidates = [
                self._evidence_of(unit, explanation, simulator, simulated.get(explanation.id), single)
                for explanation in explanations[unit]
            ]
            yield from candidates
            if has_candidates:  # also of a unit with one, so that all units are in its row
                best = self.evaluation.choose_best(
                    candidates, nulls, author=f"{explainer}.best", seed=self.config.seed
                )
                if best is not None:
                    yield best

    def _evidence_of(
        self,
        unit: str,
        explanation: Explanation,
        simulator: str,
        own: Simulated | None,
        nulls: tuple[Simulated, ...],
    ) -> Evidence:
        return Evidence(
            unit=unit,
            explainer=explanation.author,
            simulator=simulator,
            calibrate=self._split(unit, "calibrate"),
            held_out=self._split(unit, "test"),
            own=own,
            nulls=nulls,
        )

    def _hearings(self, name: str, panel: Panel) -> Iterator[Hearing]:
        explanations = self._explanations(panel.explainer)
        for path in self.folder.parts_of("verdicts", name):
            by_unit = _grouped(self.folder.read_records(Verdict, path), lambda v: v.unit)
            for unit, verdicts in by_unit.items():
                by_explanation = _grouped(verdicts, lambda v: v.explanation)
                nulls = [group for group in by_explanation.values() if group[0].is_null]
                authors = {e.id: e.author for e in explanations.get(unit, ())} or {"": ""}
                for id, author in authors.items():
                    yield Hearing(
                        unit=unit,
                        explainer=author,
                        judge=panel.judge,
                        metric=panel.metric,
                        own=tuple(by_explanation.get(id, ())),
                        nulls=tuple(map(tuple, nulls)),
                        n_asked=len({verdict.trial for verdict in verdicts}),
                    )

    # -- parts --------------------------------------------------------------------------------

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


def _counting(progress: Progress, *, first: int, total: int) -> Callable[[], None]:
    """Tells `progress` of one more at each call."""
    done = itertools.count(first + 1)
    return lambda: progress(next(done), total)


def _own_and_nulls(
    unit: str,
    explanations: Mapping[str, Sequence[Explanation]],
    nulls: Mapping[str, Sequence[str]],
    *,
    of_each: bool = False,
) -> Iterator[Explanation]:
    """All candidates of a unit, then the first candidate of each unit that serves as its null.

    With `of_each`, as many candidates of each as the unit has itself: best of k has best of k as its null.
    """
    own = explanations.get(unit, ())
    yield from own
    for other in nulls.get(unit, ()):
        yield from explanations[other][: len(own) if of_each else 1]


def _grouped(items: Sequence[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def _unit_of(explanation: str) -> str:
    return explanation.rpartition("/")[0]
