"""The stages of a study of behaviours: each does what its part files do not hold yet, and nothing else.

    define ─▶ observe ─▶ explain ─▶ ask others ─▶ predict ─▶ edit ─▶ score

A part is one behaviour, or one behaviour and one model; running again continues. A behaviour that cannot be
explained (one outcome only, too few sources, nothing that can be read) is kept with the reason, and the rest
goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple, Protocol, TypeVar

import yaml

from scrutable.pipeline.behaviours.conditions import assign_null_behaviours, prediction_jobs
from scrutable.pipeline.behaviours.config import BehaviourStudy
from scrutable.pipeline.behaviours.definition import Definition
from scrutable.pipeline.behaviours.editing import edited_and_rerun, edited_input
from scrutable.pipeline.behaviours.finding import found_behaviour
from scrutable.pipeline.behaviours.inputs import make_inputs
from scrutable.pipeline.behaviours.library import Defined
from scrutable.pipeline.behaviours.protocols import (
    BehavingSubject,
    BehaviourParts,
    Pair,
    PredictionJob,
    Shown,
)
from scrutable.pipeline.behaviours.readouts import decide
from scrutable.pipeline.behaviours.records import (
    SUBJECT,
    Behaviour,
    CounterfactualScore,
    Edit,
    Forecast,
    Gain,
    GainSummary,
    Input,
    Loss,
    Observation,
    Prediction,
    Reading,
)
from scrutable.pipeline.errors import CapabilityError, ConfigError, RunFolderError
from scrutable.pipeline.protocols import Watch
from scrutable.pipeline.records import CallFailure, Explanation, Failure, Language
from scrutable.pipeline.store import RunFolder

T = TypeVar("T")

_TOGETHER = 8  # behaviours that are explained in one batch: decoding is bound by reading the weights


class Judged(NamedTuple):
    """All that the predictions of one behaviour come to."""

    losses: tuple[Loss, ...]
    gains: tuple[Gain, ...]
    forecasts: tuple[Forecast, ...]
    edits: tuple[Edit, ...]
    counterfactuals: tuple[CounterfactualScore, ...]


class Material(NamedTuple):
    """What a behaviour is judged on: all that was stored of it."""

    behaviour: Behaviour
    inputs: tuple[Input, ...]
    observations: tuple[Observation, ...]  # of the subject, of peers, of simulators' models
    predictions: tuple[Prediction, ...]  # of inputs
    edits: tuple[Edit, ...]
    edit_predictions: tuple[Prediction, ...]  # `input` is `INPUT~SCOPE`
    unedited: Mapping[str, int]  # explanation id → replies of the editor that were no edit


class Judge(Protocol):
    """Turns what was stored of one behaviour into losses, gains and counterfactual scores; pure."""

    def __call__(self, material: Material, *, peers: Sequence[str], seed: int, draws: int) -> Judged: ...


class SummariseGains(Protocol):
    """Gains over behaviours."""

    def __call__(
        self, gains: Sequence[Gain], behaviours: Sequence[str], *, seed: int, draws: int
    ) -> tuple[GainSummary, ...]: ...


class BehaviourEvaluation(NamedTuple):
    """The judges of a study."""

    judge: Judge
    summarise: SummariseGains


@dataclass(frozen=True)
class Study:
    """One study: its config, its folder, and the makers of its parts."""

    config: BehaviourStudy
    seed: int
    defined: Sequence[Defined]
    folder: RunFolder
    parts: BehaviourParts
    evaluation: BehaviourEvaluation
    languages: Mapping[str, Language]  # of the simulators, by name
    watch: Watch

    @property
    def is_scored(self) -> bool:
        """True if no model is needed any more: scores come last, and are made from what is stored."""
        return (self.folder.level / "gain_summary.parquet").exists()

    def run(self, *, until: str = "score") -> None:
        """All stages in order, up to and including `until`."""
        stages = {
            "observe": self.observe,
            "explain": self.explain,
            "ask": self.ask_others,
            "simulate": self.predict,
            "judge": self.edit,
            "score": self.score,
        }
        for name, stage in stages.items():
            stage()
            if name == until:
                return

    # -- observe ------------------------------------------------------------------------------

    def observe(self) -> None:
        """Inputs of every behaviour, and what the subject does with them."""
        self._keep_definitions()
        todo = [d for d in self.defined if not self.folder.part("behaviours", d.definition.name).exists()]
        if not todo:
            return
        with self.watch("observe") as progress:
            for number, defined in enumerate(todo, 1):
                self._observe(defined)
                progress(number, len(todo))

    def _keep_definitions(self) -> None:
        """Raises RunFolderError for a definition that is not the one that this folder was made from."""
        for defined in self.defined:
            path = self.folder.level / "definitions" / f"{defined.definition.name}.yaml"
            data = defined.definition.model_dump(mode="json")
            text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
            if not path.exists():
                self.folder.write_text(path, text)
            elif path.read_text(encoding="utf-8") != text:
                raise RunFolderError(
                    f"{self.folder.path} was made from another definition of the behaviour "
                    f"{defined.definition.name}: give the run another name (name=...), or the behaviour"
                )

    def _observe(self, defined: Defined) -> None:
        definition, name = defined.definition, defined.definition.name
        try:
            inputs = make_inputs(definition, folder=defined.folder, count=self.config.inputs, seed=self.seed)
        except ConfigError as error:
            failure = Failure(name, "define", "no_inputs", str(error))
            nothing = found_behaviour(definition, (), (), problem=str(error))
            self._write("behaviours", name, Behaviour, [failure, nothing])
            return
        seen, failures = self._asked(self.parts.subject(definition), definition, inputs, SUBJECT)
        problem = next((failure.detail for failure in failures if failure.kind == "incapable"), "")
        behaviour = found_behaviour(definition, inputs, seen, problem=problem)
        if behaviour.reason:
            failures = [*failures, Failure(name, "observe", "nothing_to_explain", behaviour.reason)]
        by_subject = self.folder.part("observations", _part_name(name, SUBJECT))
        self.folder.write_records(self.folder.part("inputs", name), Input, inputs)
        self.folder.write_records(by_subject, Observation, seen)
        self._write("behaviours", name, Behaviour, [*failures, behaviour])

    def _asked(
        self, subject: BehavingSubject, definition: Definition, inputs: Sequence[Input], model: str
    ) -> tuple[list[Observation], list[Failure]]:
        """What a model does with inputs, and those on which no outcome can be read."""
        try:
            answers = subject.read(definition, inputs)
        except CapabilityError as error:
            return [], [Failure(definition.name, "observe", "incapable", str(error), model)]
        readings = [answer if isinstance(answer, Reading) else None for answer in answers]
        decided = decide(definition, inputs, readings, model=model)
        failures = [
            Failure(definition.name, "observe", answer.kind, f"{one.id}: {answer.detail}", model)
            for one, answer in zip(inputs, answers, strict=True)
            if isinstance(answer, CallFailure)
        ]
        return [seen for seen in decided if seen], failures

    # -- explain ------------------------------------------------------------------------------

    def explain(self) -> None:
        """Every explainer on every behaviour that can be explained."""
        for name in self.config.explainers:
            todo = self._todo("explanations", name)
            if not todo:
                continue
            explainer = self.parts.explainer(name)
            with self.watch(f"explain: {name}") as progress:
                for start in range(0, len(todo), _TOGETHER):
                    some = todo[start : start + _TOGETHER]
                    answers = explainer.explain([self._shown(definition) for definition in some])
                    for definition, answer in zip(some, answers, strict=True):
                        self._write("explanations", definition.name, Explanation, [answer], who=name)
                    progress(start + len(some), len(todo))

    # -- others -------------------------------------------------------------------------------

    def ask_others(self) -> None:
        """What other models do with the same inputs: peers, and the simulators' own models."""
        asked: dict[str, Callable[[], BehavingSubject | None]] = {
            **{name: partial(self.parts.peer, name) for name in self.config.peers},
            **{name: partial(self.parts.own, name) for name in self.config.simulators},
        }
        for name, make in asked.items():
            todo = self._todo("observations", name)
            model = make() if todo else None
            if model is None:
                continue
            with self.watch(f"ask: {name}") as progress:
                for number, definition in enumerate(todo, 1):
                    seen, failures = self._asked(model, definition, self._inputs[definition.name], name)
                    answers = [*failures, *seen]
                    self._write("observations", definition.name, Observation, answers, who=name)
                    progress(number, len(todo))

    # -- predict ------------------------------------------------------------------------------

    def predict(self) -> None:
        """Every simulator under every condition, on calibrate and test inputs."""
        nulls = self._nulls
        for name in self.config.simulators:
            todo = self._todo("predictions", name)
            if not todo:
                continue
            simulator = self.parts.simulator(name)
            with self.watch(f"simulate: {name}") as progress:
                for number, definition in enumerate(todo, 1):
                    asked = [one for one in self._inputs[definition.name] if one.split != "explain"]
                    own = self._explanations[definition.name]
                    jobs = prediction_jobs(
                        simulator,
                        self._shown(definition),
                        asked,
                        own,
                        [e for other in nulls[definition.name] for e in self._explanations[other]],
                        scoring=self.config.scoring,
                        seed=self.seed,
                    )
                    answers = simulator.predict(jobs) if jobs else []
                    self._write("predictions", definition.name, Prediction, answers, who=name)
                    progress(number, len(todo))

    # -- edit ---------------------------------------------------------------------------------

    def edit(self) -> None:
        """Test inputs edited inside and outside the scope of each explanation, and the subject on them."""
        if self.config.editor is None:
            return
        todo = self._todo("edits")
        if todo:
            with self.watch("edit") as progress:
                for number, definition in enumerate(todo, 1):
                    self._edit(definition)
                    progress(number, len(todo))
        for name, language in self.languages.items():
            todo = self._todo("edit_predictions", name)
            if todo and language == "english":
                self._predict_edits(name, todo)

    def _edit(self, definition: Definition) -> None:
        assert self.config.editor is not None
        seen = self._observed[definition.name]
        pairs = [
            Pair(one, seen[one.id])
            for one in self._inputs[definition.name]
            if one.split == "test" and one.id in seen
        ][: self.config.editor.inputs]
        english = [e for e in self._explanations[definition.name] if e.language == "english"]
        answers: list[Edit | Failure] = []
        if english:
            editor, subject = self.parts.editor(), self.parts.subject(definition)
            shown = self._shown(definition)
            for explanation in english:
                answers += edited_and_rerun(editor, subject, shown, explanation, pairs)
        self._write("edits", definition.name, Edit, answers)

    def _predict_edits(self, name: str, todo: Sequence[Definition]) -> None:
        simulator = self.parts.simulator(name)
        with self.watch(f"simulate edits: {name}") as progress:
            for number, definition in enumerate(todo, 1):
                edits = self.folder.read_records(Edit, self.folder.part("edits", definition.name))
                jobs = [
                    PredictionJob(definition, "explained", read, (), tuple(asked))
                    for own in self._explanations[definition.name]
                    if (asked := self._edited_inputs(definition, edits, own.id))
                    for read in (own, *self._same_author(definition.name, own))
                ]
                answers = simulator.predict(jobs) if jobs else []
                self._write("edit_predictions", definition.name, Prediction, answers, who=name)
                progress(number, len(todo))

    def _edited_inputs(self, definition: Definition, edits: Sequence[Edit], id: str) -> list[Input]:
        by_id = {one.id: one for one in self._inputs[definition.name]}
        return [
            edited_input(by_id[edit.input], edit.scope, edit.text) for edit in edits if edit.explanation == id
        ]

    def _same_author(self, behaviour: str, own: Explanation) -> list[Explanation]:
        """The first null of an explanation: what its author wrote of another behaviour."""
        found = [
            other
            for name in self._nulls[behaviour]
            for other in self._explanations[name]
            if other.author == own.author
        ]
        return found[:1]

    # -- score --------------------------------------------------------------------------------

    def score(self) -> None:
        """Losses, gains, forecasts and counterfactual scores, all from what is stored."""
        failures = self.folder.read_records(Failure, *self.folder.parts("failures"))
        judged: list[Judged] = []
        with self.watch("score behaviours") as progress:
            for number, definition in enumerate(self._explained, 1):
                judged.append(
                    self.evaluation.judge(
                        self._material(definition, failures),
                        peers=list(self.config.peers),
                        seed=self.seed,
                        draws=self.config.scoring.draws,
                    )
                )
                progress(number, len(self._explained))
        gains = [gain for one in judged for gain in one.gains]
        summary = self.evaluation.summarise(
            gains, [d.name for d in self._explained], seed=self.seed, draws=self.config.scoring.draws
        )
        tables: dict[str, tuple[type, Sequence[Any]]] = {
            "losses": (Loss, [loss for one in judged for loss in one.losses]),
            "gains": (Gain, gains),
            "forecasts": (Forecast, [forecast for one in judged for forecast in one.forecasts]),
            "predicted_edits": (Edit, [edit for one in judged for edit in one.edits]),
            "counterfactuals": (CounterfactualScore, [s for one in judged for s in one.counterfactuals]),
            "failures": (Failure, failures),
            "gain_summary": (GainSummary, summary),
        }
        for table, (kind, rows) in tables.items():
            self.folder.write_records(self.folder.level / f"{table}.parquet", kind, rows)

    def _material(self, definition: Definition, failures: Sequence[Failure]) -> Material:
        name = definition.name
        unedited = Counter(
            failure.detail.partition(",")[0]
            for failure in failures
            if failure.unit == name and failure.stage == "edit"
        )
        return Material(
            behaviour=self._behaviours[name],
            inputs=tuple(self._inputs[name]),
            observations=tuple(self._read_all("observations", name, Observation)),
            predictions=tuple(self._read_all("predictions", name, Prediction)),
            edits=tuple(self._read_all("edits", name, Edit)),
            edit_predictions=tuple(self._read_all("edit_predictions", name, Prediction)),
            unedited=unedited,
        )

    # -- what is stored -----------------------------------------------------------------------

    def _todo(self, stage: str, who: str = "") -> list[Definition]:
        """Behaviours without a part of a stage, of one explainer, simulator or model if it has several."""
        return [d for d in self._explained if not self.folder.part(stage, _part_name(d.name, who)).exists()]

    def _write(
        self, stage: str, behaviour: str, kind: type[T], answers: Sequence[T | Failure], *, who: str = ""
    ) -> None:
        """Failures first: the part itself is the mark that it is done."""
        part = _part_name(behaviour, who)
        failures = [answer for answer in answers if isinstance(answer, Failure)]
        self.folder.write_records(self.folder.part("failures", f"{stage}~{part}"), Failure, failures)
        good = [answer for answer in answers if isinstance(answer, kind)]
        self.folder.write_records(self.folder.part(stage, part), kind, good)

    def _read_all(self, stage: str, behaviour: str, kind: type[T]) -> list[T]:
        paths = [path for path in self.folder.parts(stage) if path.stem.rpartition("~")[2] == behaviour]
        return self.folder.read_records(kind, *paths)

    @cached_property
    def _behaviours(self) -> dict[str, Behaviour]:
        rows = self.folder.read_records(Behaviour, *self.folder.parts("behaviours"))
        return {row.id: row for row in rows}

    @cached_property
    def _explained(self) -> list[Definition]:
        """Behaviours without a reason against."""
        return [d.definition for d in self.defined if not self._behaviours[d.definition.name].reason]

    @cached_property
    def _inputs(self) -> dict[str, list[Input]]:
        return {d.name: self._read_all("inputs", d.name, Input) for d in self._explained}

    @cached_property
    def _observed(self) -> dict[str, dict[str, Observation]]:
        """Behaviour → input → what the subject did."""
        return {
            d.name: {
                seen.input: seen
                for seen in self.folder.read_records(
                    Observation, self.folder.part("observations", _part_name(d.name, SUBJECT))
                )
            }
            for d in self._explained
        }

    @cached_property
    def _explanations(self) -> dict[str, list[Explanation]]:
        """Behaviour → what was written of it, explainers in the order of the config."""
        return {
            d.name: [
                explanation
                for name in self.config.explainers
                for explanation in self.folder.read_records(
                    Explanation, self.folder.part("explanations", _part_name(d.name, name))
                )
            ]
            for d in self._explained
        }

    @cached_property
    def _nulls(self) -> Mapping[str, tuple[str, ...]]:
        return assign_null_behaviours(self._explained, count=self.config.scoring.nulls, seed=self.seed)

    def _shown(self, definition: Definition) -> Shown:
        seen = self._observed[definition.name]
        return Shown(
            definition,
            tuple(
                Pair(one, seen[one.id])
                for one in self._inputs[definition.name]
                if one.split == "explain" and one.id in seen
            ),
        )


def _part_name(behaviour: str, who: str) -> str:
    """Of the part of a behaviour, and of one explainer, simulator or model where there are several."""
    return f"{who}~{behaviour}" if who else behaviour
