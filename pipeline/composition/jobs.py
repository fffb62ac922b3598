"""Where a job becomes subjects, explainers, simulators and judges of units."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any

from scrutable.evaluators.assurance import assure
from scrutable.evaluators.choosing import choose_best
from scrutable.evaluators.comparison import compare, differences
from scrutable.evaluators.gate import run_gate
from scrutable.evaluators.hearings import score_hearing
from scrutable.evaluators.judges import JUDGES
from scrutable.evaluators.multiplicity import adjust
from scrutable.evaluators.nulls import assign_nulls
from scrutable.evaluators.rates import rate_points
from scrutable.evaluators.scorers import SCORERS
from scrutable.evaluators.scorers.simulation import calibration
from scrutable.evaluators.simulators import SIMULATORS
from scrutable.evaluators.summary import summarise
from scrutable.evaluators.trained.adapters import adapter_facts, adapter_folder
from scrutable.pipeline.assets import resolve_corpus
from scrutable.pipeline.collecting import Collector
from scrutable.pipeline.composition.behaviours import study_of
from scrutable.pipeline.composition.models import Models, price_of
from scrutable.pipeline.config import (
    CausalJudge,
    CompiledExplainer,
    CorpusConfig,
    ExplainerConfig,
    GateConfig,
    GenerativeJudge,
    JobConfig,
    JudgeConfig,
    ProbeExplainer,
    ProbeSimulator,
    RecordsConfig,
    RunConfig,
    SimulatorConfig,
    TrainedSimulator,
    of_another,
)
from scrutable.pipeline.cutting import cut_corpus
from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.executors import Executor, InThisProcess
from scrutable.pipeline.explainers import EXPLAINERS
from scrutable.pipeline.importing import Given, Importer, read_given, unread
from scrutable.pipeline.journal import dollars
from scrutable.pipeline.prompting import template
from scrutable.pipeline.protocols import (
    Ask,
    Evaluation,
    Explainer,
    Gate,
    Judge,
    Progress,
    Services,
    Simulator,
    Subject,
    Tab,
    Watch,
)
from scrutable.pipeline.puzzles import read_puzzles
from scrutable.pipeline.records import CallFailure, Completion, Cost, Generate, Language, Prompt, Unit
from scrutable.pipeline.runner import Panel, Plan, Runner, Source, pairings
from scrutable.pipeline.sections import AskingConfig, ModelConfig, ServerConfig
from scrutable.pipeline.store import RunFolder
from scrutable.pipeline.subjects import SUBJECTS

if TYPE_CHECKING:
    from pathlib import Path


EVALUATION = Evaluation(
    assign_nulls=assign_nulls,
    scorers=SCORERS,
    score_hearing=score_hearing,
    choose_best=choose_best,
    calibrate=calibration,
    differences=differences,
    compare=compare,
    adjust=adjust,
    summarise=summarise,
    rate_points=rate_points,
    assure=assure,
)

_MOST_LANES = 64  # threads that wait for servers


class Composition:
    """Makes the parts of one job; each model is loaded once, when it is first needed."""

    def __init__(
        self,
        config: JobConfig,
        *,
        say: Callable[[str], None],
        note: Callable[[str, Any], None],
        models: Models | None = None,
        is_rehearsal: bool = False,
    ) -> None:
        """`models` are those of another job of this process, whose loaded ones are shared.

        In a rehearsal, a server that costs money is not asked: what it would be asked is kept for `tab`.
        """
        self._is_rehearsal = is_rehearsal
        self._rehearsed: dict[str, list[Prompt]] = {}
        self._config = config
        self._say = say
        self.note = note
        self.models: Models = models or Models(say)
        self._subject: Subject | None = None
        self._services = Services(
            locate=self.models.locate, ask=self.models.ask, seed=config.seed, subject=self.subject
        )

    def check(self) -> None:
        """Resolves every model and corpus, and checks prompts and labels, before anything is computed.

        Raises AssetError, ConfigError or CapabilityError for what could not work later.
        """
        if isinstance(self._config, RunConfig):
            self.corpus()
            if isinstance(self._config.subject, ModelConfig):
                self.models.locate(self._config.subject)
        if self._config.gate:
            for name in filter(None, (self._config.gate.source, self._config.gate.puzzles)):
                resolve_corpus(name, say=self._say)
        for part in (*self._config.explainers.values(), *self._config.simulators.values()):
            self._check_prompt(part)
            if isinstance(part, ProbeExplainer | ProbeSimulator):
                self.models.locate(ModelConfig(model=part.model))
            elif isinstance(part, TrainedSimulator):
                adapter_folder(part.model, part.adapter)
                self.models.locate(part)
        for judge in self._config.judges.values():
            self._check_prompt(judge)

    def _check_prompt(self, config: ExplainerConfig | SimulatorConfig | JudgeConfig) -> None:
        if not isinstance(config, AskingConfig):
            return
        prompt = template(config.prompt)
        labels = prompt.required_labels().strings if config.reads_labels else ()
        self.models.check(config, labels=labels, is_chat=prompt.is_chat)

    def corpus(self) -> Path:
        """The corpus file or folder of a run."""
        return resolve_corpus(self._run.corpus.source, say=self._say)

    def subject(self) -> Subject:
        """The subject of a run, loaded once. Raises ConfigError for a job that has none."""
        if self._subject is None:
            config = self._run.subject
            self._subject = SUBJECTS[config.kind](config, self._services)
        return self._subject

    def release_subject(self) -> None:
        """Lets go of the subject's memory."""
        self._subject = None

    @property
    def _run(self) -> RunConfig:
        if not isinstance(self._config, RunConfig):
            raise ConfigError("this job has no subject model, so nothing can be run on it")
        return self._config

    def explainer(self, name: str) -> Explainer:
        """The explainer of that name."""
        config = self._config.explainers[name]
        made: Explainer = EXPLAINERS[config.kind](name, config, self._services_of(f"explainer {name}"))
        return made

    def simulator(self, name: str) -> Simulator:
        """The simulator of that name."""
        config = self._config.simulators[name]
        made: Simulator = SIMULATORS[config.kind](name, config, self._services_of(f"simulator {name}"))
        return made

    def judge(self, name: str) -> Judge:
        """The judge of that name."""
        config = self._config.judges[name]
        made: Judge = JUDGES[config.kind](name, config, self._services_of(f"judge {name}"))
        return made

    def describe(self, stage: str, name: str) -> None:
        """Puts the explainer, simulator or judge of a stage into the manifest."""
        section, part, config = self._part_of(stage, name)
        if config is not None:
            self.note(section, {part: self._facts(config)})

    def lanes(self, stage: str, name: str) -> int:
        """As many shards as servers can take; 1 where this process does the work, or runs the subject."""
        _, _, config = self._part_of(stage, name)
        backend = getattr(config, "backend", None)
        if not isinstance(backend, ServerConfig) or isinstance(config, GenerativeJudge | CausalJudge):
            return 1
        in_flight = backend.concurrency * len(backend.urls)
        return max(1, min(_MOST_LANES, in_flight // self._config.shard))

    def _part_of(
        self, stage: str, name: str
    ) -> tuple[str, str, ExplainerConfig | SimulatorConfig | JudgeConfig | None]:
        part = name.rpartition("+")[2]
        if stage == "explain":
            return "explainers", name, self._config.explainers[name]
        if stage == "simulate":
            return "simulators", part, self._config.simulators[part]
        if stage == "judge":
            return "judges", part, self._config.judges[part]
        return "", "", None

    def _services_of(self, role: str) -> Services:
        """What a leaf may ask, charged to its role."""
        return self._services._replace(ask=partial(self._ask, role=role))

    def _ask(self, config: ModelConfig, *, role: str) -> Ask:
        price = price_of(config)
        if self._is_rehearsal and not (price and price.is_free):
            return partial(_refuse_and_keep, self._rehearsed.setdefault(role, []))
        return self.models.ask(config, role=role)

    def tab(self, stage: str, name: str) -> Tab | None:
        """What a part has asked since the last call, in a rehearsal; None for one that was really asked."""
        section, part, config = self._part_of(stage, name)
        asked = self._rehearsed.get(f"{section[:-1]} {part}")
        if asked is None or not isinstance(config, ModelConfig):
            return None
        prompts = list(dict.fromkeys(asked))
        asked.clear()
        n_prompt = sum(self.models.count_prompts(config, prompts))
        n_reply = sum(p.read.max_tokens if isinstance(p.read, Generate) else 1 for p in prompts)
        price = price_of(config)
        paid = dollars(Cost(n_prompt, n_prompt, n_reply), price) if price else math.nan
        return Tab(len(prompts), n_prompt, n_reply, paid)

    def gate(self, progress: Progress) -> Gate:
        """The simulators and explainers of this job on known answers; explainers `of` another have none."""
        from scrutable.pipeline.subjects.planted import PlantedSubject

        config = self._config.gate or GateConfig()
        corpus = CorpusConfig(
            source=config.source,
            max_tokens=config.max_tokens,
            max_document_tokens=config.max_document_tokens,
            window=config.window,
            skip=config.skip,
        )
        path = resolve_corpus(config.source, say=self._say)
        windows, _ = cut_corpus(corpus, path, PlantedSubject(()), lambda _d, _t: None, seed=self._config.seed)
        puzzles = read_puzzles(resolve_corpus(config.puzzles, say=self._say)) if config.puzzles else ()
        explainers = [
            (self.explainer(name), EXPLAINERS[settings.kind].language)
            for name, settings in self._config.explainers.items()
            if not of_another(settings)
        ]
        return run_gate(
            windows,
            puzzles,
            [self.simulator(name) for name in self._config.simulators],
            explainers,
            config=config,
            seed=self._config.seed,
            progress=progress,
        )

    def _facts(self, config: ExplainerConfig | SimulatorConfig | JudgeConfig) -> dict[str, Any]:
        facts: dict[str, Any] = {"kind": config.kind, "name": f"{config.kind} (no model)"}
        if isinstance(config, AskingConfig):
            facts |= {**self.models.locate(config).provenance, "prompt": config.prompt}
            facts["prompt_digest"] = template(config.prompt).digest
        elif isinstance(config, TrainedSimulator):
            base = self.models.locate(config)
            facts |= {**base.provenance, **adapter_facts(adapter_folder(config.model, config.adapter), base)}
        elif isinstance(config, ProbeExplainer | ProbeSimulator):
            facts |= {
                **self.models.locate(ModelConfig(model=config.model)).provenance,
                "note": "input embeddings alone",
            }
        return facts


def _refuse_and_keep(asked: list[Prompt], prompts: Sequence[Prompt]) -> list[Completion | CallFailure]:
    """An `Ask` that asks nobody."""
    asked += prompts
    return [CallFailure("unavailable", "a rehearsal asks nobody") for _ in prompts]


class _Nothing:
    """The source of a job that has no units of its own."""

    is_collected = True

    @property
    def units(self) -> list[Unit]:
        return []

    def stages(self) -> dict[str, Callable[[], None]]:
        return {}


def runner_of(
    config: JobConfig,
    folder: RunFolder,
    *,
    say: Callable[[str], None],
    watch: Watch,
    note: Callable[[str, Any], None],
    models: Models | None = None,
    executor: Executor | None = None,
) -> tuple[Runner, Composition]:
    """The stages of a job and the maker of their parts.

    Raises ConfigError or CorpusError where the files of a job hold nothing usable.
    """
    parts = Composition(config, say=say, note=note, models=models)
    plan = plan_of(config)
    source: Source = _Nothing()
    if isinstance(config, RunConfig):
        source = Collector(config, folder, parts, watch, note)
    elif isinstance(config, RecordsConfig):
        given = read_given(config)
        _announce(given, say)
        plan = plan_of(config, given.languages)
        readers = [pair[0] for pair in plan.pairs.values()] + [p.explainer for p in plan.panels.values()]
        for line in unread(given, readers):
            say(line)
        source = Importer(config, folder, given, watch, note)
    twin = _twin_of(config, folder, parts.models, say=say, watch=watch, note=note)
    study = None
    if isinstance(config, RunConfig) and config.behaviours and isinstance(config.subject, ModelConfig):
        study, behaving = study_of(
            config.behaviours,
            config.subject,
            folder,
            parts.models,
            seed=config.seed,
            watch=watch,
            note=note,
        )
        if not study.is_scored:
            behaving.check()
    runner = Runner(
        config,
        folder,
        source,
        parts,
        EVALUATION,
        plan,
        watch,
        note,
        executor=executor or InThisProcess(),
        twin=twin,
        study=study,
    )
    return runner, parts


def _twin_of(
    config: JobConfig,
    folder: RunFolder,
    models: Models,
    *,
    say: Callable[[str], None],
    watch: Watch,
    note: Callable[[str, Any], None],
) -> Runner | None:
    twin = config.twin if isinstance(config, RunConfig) else None
    if twin is None:
        return None

    def watch_twin(stage: str) -> AbstractContextManager[Progress]:
        return watch(f"random weights: {stage}")

    def note_twin(key: str, fact: Any) -> None:
        note("random_subject", {key: fact})

    level = RunFolder(folder.path, level="random-0")
    parts = Composition(twin, say=say, note=note_twin, models=models)
    source = Collector(twin, level, parts, watch_twin, note_twin)
    return Runner(twin, level, source, parts, EVALUATION, plan_of(twin), watch_twin, note_twin)


def _announce(given: Given, say: Callable[[str], None]) -> None:
    for line in given.imported.notes:
        say(line)
    for problem in (*given.imported.problems, *given.problems):
        say(f"{problem.kind}: {problem.detail}")


def plan_of(config: JobConfig, written: Mapping[str, Language] | None = None) -> Plan:
    """Who reads whom; `written` are explainers whose explanations are given, and their languages."""
    languages: dict[str, Language] = {
        **(written or {}),
        **{name: EXPLAINERS[explainer.kind].language for name, explainer in config.explainers.items()},
    }
    readers = {name: SIMULATORS[simulator.kind].language for name, simulator in config.simulators.items()}
    panels = {}
    for name, judge in config.judges.items():
        kind = JUDGES[judge.kind]
        english = [explainer for explainer, language in languages.items() if language == "english"]
        for explainer in english if kind.reads_explanations else [""]:
            panels[f"{explainer}+{name}"] = Panel(explainer, name, kind.metric)
    compiled = {
        name: explainer.of
        for name, explainer in config.explainers.items()
        if isinstance(explainer, CompiledExplainer)
    }
    return Plan(pairings(languages, readers), panels, compiled)
