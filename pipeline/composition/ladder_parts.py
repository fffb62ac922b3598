"""Where a ladder becomes runs of its levels, authors, opened authors and simulators."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, cast

from scrutable.evaluators.nulls import assign_nulls
from scrutable.evaluators.statistics import fit_affine
from scrutable.evaluators.worth_following import clears
from scrutable.pipeline.collecting import Collector
from scrutable.pipeline.composition.jobs import EVALUATION, Composition, plan_of
from scrutable.pipeline.composition.models import Models
from scrutable.pipeline.config import (
    AUTHOR,
    COMPILED,
    JobConfig,
    LlmExplainer,
    NeuronSubjectConfig,
    PlantedExplainer,
    RecurseConfig,
    RunConfig,
    UnitsConfig,
)
from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.placement import Placement, place
from scrutable.pipeline.protocols import Ask, Progress, Simulator, TraceableExplainer, Watch
from scrutable.pipeline.records import Excerpt, Simulation
from scrutable.pipeline.recursion.ladder import FOLLOWED, RecursionEvaluation, again
from scrutable.pipeline.recursion.ledger import End, Party
from scrutable.pipeline.recursion.protocols import Affine, LikelihoodsOf, Writer
from scrutable.pipeline.runner import Plan, Runner, Source
from scrutable.pipeline.sections import ModelConfig, ServerConfig
from scrutable.pipeline.store import RunFolder


def fit(excerpts: Sequence[Excerpt], simulations: Sequence[Simulation]) -> Affine:
    """The weighted least-squares map from simulated values to raw units, slope >= 0; NaN without data."""
    if not excerpts:
        return Affine(math.nan, math.nan)
    true = [a for e in excerpts for a in e.activations[e.passage.n_context :]]
    weights = [e.weight for e in excerpts for _ in e.activations[e.passage.n_context :]]
    predicted = [x for s in simulations for x in s.expected]
    slope, intercept = fit_affine(true, [predicted], weights)
    return Affine(float(slope[0]), float(intercept[0]))


_WRITTEN = (AUTHOR, COMPILED)  # whose explanations are taken to other text
RECURSION_EVALUATION = RecursionEvaluation(clears=clears, fit=fit, assign_nulls=assign_nulls)


class LadderComposition:
    """Makes the parts of one ladder; each model is loaded once, when it is first needed."""

    def __init__(
        self,
        config: RecurseConfig,
        folder: Path,
        *,
        models: Models,
        say: Callable[[str], None],
        watch: Watch,
        note: Callable[[str, Any], None],
    ) -> None:
        self._config = config
        self._path = folder
        self._models = models
        self._say, self._watch, self._note = say, watch, note
        self._of_level: dict[int, Composition] = {}
        self._writers: dict[int, Writer] = {}
        self._twins: dict[int, Writer] = {}
        self._subject_run: Runner | None = None

    def check(self, depth: int) -> None:
        """Resolves every model, and checks prompts and shapes, before anything is computed.

        Raises AssetError, ConfigError or CapabilityError for what could not work later.
        """
        settings = self._config.recursion
        if depth > len(self._config.authors) and settings.then == "cut_off":
            raise ConfigError(
                f"depth {depth} needs {depth} authors, but authors has {len(self._config.authors)}: give "
                "more, ask for less depth, or set recursion.then=loop to have the last one explain itself"
            )
        for level in range(1, depth + 1 + (self._config.author(depth + 1) is not None)):
            if level == 1:
                self._parts(1).check()
            elif level <= len(self._config.authors):
                self._parts(level).check()
            config = self._config.author(level)
            if isinstance(config, LlmExplainer) and level <= depth and self.is_traceable(level):
                from scrutable.pipeline.subjects.writing import check_traceable

                check_traceable(self._models.locate(config).path, name=config.model)
            if isinstance(config, LlmExplainer):
                self._note("parameters", {config.model: self._parameters(level)})
            if level <= depth and settings.lenient:
                self._composed(self._config.read_again(level), again(level)).check()

    # -- levels -------------------------------------------------------------------------------

    def run_of_subject(self) -> Runner:
        """The run of level 0."""
        if self._subject_run is None:
            config = self._config.run_of_subject()
            folder = RunFolder(self._path, level="level-0")
            parts = self._parts(1)
            source = Collector(config, folder, parts, self._watch, self._note)
            self._subject_run = self._runner(config, folder, source, parts, "level 0")
        return self._subject_run

    def run_of(self, level: int, source: Source) -> Runner:
        """The run of the level whose units are those of the author of that level of claims."""
        folder = RunFolder(self._path, level=f"level-{level}")
        return self._runner(
            self._config.level(level + 1), folder, source, self._parts(level + 1), f"level {level}"
        )

    def pairs(self, level: int) -> Sequence[tuple[str, str]]:
        """Explainers and simulators of a level's run that read each other."""
        return list(plan_of(self._config.level(level + 1)).pairs.values())

    def read_again(self, level: int, source: Source) -> Runner:
        """The run of the lenient tier over claims of a level; what is read already is not read again."""
        config = self._config.read_again(level)
        name = again(level)
        parts = self._composed(config, name)
        return self._runner(
            config,
            RunFolder(self._path, level=name),
            source,
            parts,
            f"level {level - 1}, read again",
            plan=readings_of(self._config, level),
        )

    def followed(self, procedures: Mapping[str, str], source: Source) -> Runner:
        """The run of explainers that follow what was written of the first author."""
        config = self._config.followed(procedures)
        parts = self._composed(config, FOLLOWED)
        return self._runner(config, RunFolder(self._path, level=FOLLOWED), source, parts, "level 0, followed")

    def _runner(
        self,
        config: JobConfig,
        folder: RunFolder,
        source: Source,
        parts: Composition,
        name: str,
        plan: Plan | None = None,
    ) -> Runner:
        def watch(stage: str) -> AbstractContextManager[Progress]:
            return self._watch(f"{name}: {stage}")

        plan = plan or plan_of(config)
        return Runner(config, folder, source, parts, EVALUATION, plan, watch, self._note)

    def _parts(self, claims: int) -> Composition:
        """The maker of explainers and simulators for a level of claims."""
        if claims not in self._of_level:

            def note(key: str, fact: Any) -> None:
                self._note(key if claims == 1 else f"level_{claims - 1}_{key}", fact)

            config = self._config.run_of_subject() if claims == 1 else self._config.level(claims)
            self._of_level[claims] = Composition(config, say=self._say, note=note, models=self._models)
        return self._of_level[claims]

    # -- other text -----------------------------------------------------------------------------

    def general(self, level: int, units: Sequence[str]) -> Runner | None:
        """The units of an author on the general corpus, explained from there by the next author."""
        run = general_run(self._config, level, UnitsConfig(ids=tuple(units)))
        if run is None:
            return None
        name = f"level-{level}-general"
        parts = self._composed(run, name)
        folder = RunFolder(self._path, level=name)

        def watch(stage: str) -> AbstractContextManager[Progress]:
            return self._watch(f"level {level}, general text: {stage}")

        source = Collector(run, folder, parts, watch, parts.note)
        return self._runner(run, folder, source, parts, f"level {level}, general text")

    def other_text(self) -> Source | None:
        """The subject's units on text of another kind."""
        if self._config.shifted is None:
            return None
        first = self.run_of_subject()
        run = shifted_run(self._config, UnitsConfig(ids=tuple(unit.id for unit in first.source.units)))

        def watch(stage: str) -> AbstractContextManager[Progress]:
            return self._watch(f"level 0, other text: {stage}")

        parts = self._composed(run, "level-0-other")
        return Collector(run, RunFolder(self._path, level="level-0-other"), parts, watch, parts.note)

    def crossed(self, level: int, name: str, source: Source) -> Runner:
        """A run that scores explanations that it did not write."""
        config = self._config.level(level + 1)
        explainers = {one: made for one, made in config.explainers.items() if one in _WRITTEN}
        config = config.model_copy(update={"explainers": explainers})
        parts = self._composed(config, name)
        return self._runner(config, RunFolder(self._path, level=name), source, parts, name)

    def _composed(self, config: JobConfig, name: str) -> Composition:
        def note(key: str, fact: Any) -> None:
            self._note(name, {key: fact})

        return Composition(config, say=self._say, note=note, models=self._models)

    # -- authors ------------------------------------------------------------------------------

    def author(self, level: int) -> TraceableExplainer:
        """Who wrote the claims of a level."""
        return cast(TraceableExplainer, self._parts(level).explainer(AUTHOR))

    def is_traceable(self, level: int) -> bool:
        """Whether an author can be looked into."""
        config = self._config.author(level)
        if isinstance(config, LlmExplainer):
            is_served = isinstance(config.backend, ServerConfig)
            return not is_served and config.model not in self._config.recursion.text_only
        return isinstance(config, PlantedExplainer)

    def writer(self, level: int) -> Writer:
        """An author, opened up."""
        if level not in self._writers:
            self._writers[level] = self._opened(level, random_seed=None)
            self._note("writers", {str(level): dict(self._writers[level].provenance)})
        return self._writers[level]

    def twin(self, level: int) -> LikelihoodsOf | None:
        """The likelihoods of a model of the same shape with random weights."""
        config = self._config.author(level)
        if not self._config.recursion.random_weights or not isinstance(config, LlmExplainer):
            return None
        if level not in self._twins:
            self._twins[level] = self._opened(level, random_seed=self._config.seed)
        return self._twins[level].likelihoods

    def _opened(self, level: int, *, random_seed: int | None) -> Writer:
        config = self._config.author(level)
        if isinstance(config, PlantedExplainer):
            from scrutable.pipeline.subjects.planted_writing import PlantedWriter

            return PlantedWriter(config)
        assert isinstance(config, LlmExplainer), f"level {level} has no author that can be opened"
        from scrutable.pipeline.subjects.writing import WritingModel

        model = self._models.locate(config)
        return WritingModel(
            model.path,
            name=model.name,
            placement=self._placement(config),
            random_seed=random_seed,
            provenance=model.provenance,
        )

    def _placement(self, config: LlmExplainer) -> Placement:
        """float32 on a CPU: single nodes move a hundredth of a nat, which bfloat16 rounds away."""
        dtype = self._config.recursion.dtype
        found = place(device=config.device, dtype=dtype if dtype != "auto" else config.dtype)
        is_cpu = found.device == "cpu" and dtype == "auto"
        return Placement(found.device, "float32") if is_cpu else found

    def release(self) -> None:
        """Lets go of opened authors."""
        self._writers.clear()
        self._twins.clear()

    def ask(self, config: ModelConfig) -> Ask:
        """The door to a model."""
        return self._models.ask(config, role="writing")

    def simulator(self, level: int, name: str) -> Simulator:
        """A simulator of a level's run."""
        return self._parts(level + 1).simulator(name)

    # -- who is trusted -----------------------------------------------------------------------

    def parties(self, depth: int) -> dict[int, Party]:
        """Level → who wrote its claims, who is trusted with the rest, and how the ladder ends."""
        found = {}
        for level in range(1, depth + 1):
            above = self._config.author(level + 1)
            found[level] = Party(
                author=self.named(level),
                trusted=self.named(level + 1) if above is not None else "",
                parameters=self._parameters(level + 1) if above is not None else math.nan,
                end=self._end(level, depth),
            )
        return found

    def _end(self, level: int, depth: int) -> End:
        config, above = self._config.author(level), self._config.author(level + 1)
        if not self.is_traceable(level):
            return "text_only" if isinstance(config, LlmExplainer) else "foundation"
        if level < depth:
            return ""
        if above is not None and not isinstance(above, LlmExplainer | PlantedExplainer):
            return "foundation"
        return "loop" if above is not None and self.named(level) == self.named(level + 1) else "cut_off"

    def named(self, level: int) -> str:
        """The model of an author, or its kind; empty above the last."""
        config = self._config.author(level)
        return config.model if isinstance(config, LlmExplainer) else config.kind if config else ""

    def _parameters(self, level: int) -> float:
        """Of a model's files; 0 for a program."""
        config = self._config.author(level)
        if not isinstance(config, LlmExplainer):
            return 0.0
        return self._models.n_parameters(config)


def general_run(config: RecurseConfig, level: int, units: UnitsConfig) -> RunConfig | None:
    """An author's neurons as units on the corpus of the subject; None for an author without neurons."""
    author = config.author(level)
    if not isinstance(author, LlmExplainer):
        return None
    subject = NeuronSubjectConfig(model=author.model, device=author.device, dtype=author.dtype)
    return _written_only(config, level + 1).model_copy(update={"subject": subject, "units": units})


def shifted_run(config: RecurseConfig, units: UnitsConfig) -> RunConfig:
    """The subject's units on text of another kind."""
    return _written_only(config, 1).model_copy(update={"corpus": config.shifted, "units": units})


def _written_only(config: RecurseConfig, level: int) -> RunConfig:
    """A run on a corpus of what is taken to other text of the claims of a level."""
    explainers = config.explainers_of(level)
    kept = {name: explainers[name] for name in _WRITTEN if name in explainers}
    return config.run_of_subject().model_copy(update={"explainers": kept, "gate": None, "judges": {}})


def readings_of(config: RecurseConfig, level: int) -> Plan:
    """Who reads the claims of a level for the lenient tier: everybody and everything but what scored them."""
    plan = plan_of(config.read_again(level))
    scored = (AUTHOR, config.recursion.simulator)
    return plan._replace(pairs={key: pair for key, pair in plan.pairs.items() if pair != scored})
