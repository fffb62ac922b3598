"""Where a ladder becomes runs of its levels, authors, opened authors and simulators."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, cast

from scrutable.evaluators.foretelling import foretold, traits
from scrutable.evaluators.nulls import assign_nulls
from scrutable.evaluators.proxies import proxies
from scrutable.evaluators.replicas import replicas
from scrutable.evaluators.second_readings import second_readings
from scrutable.evaluators.statistics import fit_affine
from scrutable.evaluators.worth_following import clears
from scrutable.pipeline.collecting import Collector
from scrutable.pipeline.composition.jobs import EVALUATION, Composition, plan_of
from scrutable.pipeline.composition.models import Models
from scrutable.pipeline.config import (
    AUTHOR,
    COMPILED,
    FollowerExplainer,
    JobConfig,
    LlmExplainer,
    NeuronSubjectConfig,
    PlantedExplainer,
    RecurseConfig,
    UnitsConfig,
)
from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.placement import Placement, place
from scrutable.pipeline.protocols import Ask, Progress, Simulator, TraceableExplainer, Watch
from scrutable.pipeline.records import Excerpt, Simulation, Summary
from scrutable.pipeline.recursion.config import WritingConfig
from scrutable.pipeline.recursion.known import planted_ladders, read_known
from scrutable.pipeline.recursion.ladder import Ladder, NothingToFollow, RecursionEvaluation, gains_of
from scrutable.pipeline.recursion.ledger import End, Party, keep_ledger
from scrutable.pipeline.recursion.protocols import Affine, LikelihoodsOf, Writer
from scrutable.pipeline.recursion.records import (
    Ceiling,
    Choice,
    Claim,
    Foretold,
    Gated,
    KnownLadder,
    LedgerRow,
    Procedure,
    Proxy,
    Replica,
    Ruling,
    SecondReading,
    Transfer,
    WritingTrait,
)
from scrutable.pipeline.recursion.rules import rule
from scrutable.pipeline.recursion.settling import (
    AUTHORS,
    Opponent,
    claims_of,
    gated_of,
    opponent_claims,
)
from scrutable.pipeline.recursion.tables import LEVEL
from scrutable.pipeline.recursion.transfer import transfers_of
from scrutable.pipeline.recursion.writing import choices, procedures, traits_of, writing_of
from scrutable.pipeline.runner import Plan, Runner, Source
from scrutable.pipeline.sections import AskingConfig, ModelConfig, ServerConfig
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
                self._composed(self._config.read_again(level), f"level-{level - 1}-again").check()

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
        name = f"level-{level - 1}-again"
        parts = self._composed(config, name)
        return self._runner(
            config,
            RunFolder(self._path, level=name),
            source,
            parts,
            f"level {level - 1}, read again",
            plan=readings_of(self._config, level),
        )

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
        author = self._config.author(level)
        if not isinstance(author, LlmExplainer):
            return None
        subject = NeuronSubjectConfig(model=author.model, device=author.device, dtype=author.dtype)
        explainers = self._config.explainers_of(level + 1)
        run = self._config.run_of_subject().model_copy(
            update={
                "subject": subject,
                "units": UnitsConfig(ids=tuple(units)),
                "explainers": {name: explainers[name] for name in _WRITTEN if name in explainers},
                "gate": None,
                "judges": {},
            }
        )
        name = f"level-{level}-general"
        parts = self._composed(run, name)
        folder = RunFolder(self._path, level=name)

        def watch(stage: str) -> AbstractContextManager[Progress]:
            return self._watch(f"level {level}, general text: {stage}")

        source = Collector(run, folder, parts, watch, parts.note)
        return self._runner(run, folder, source, parts, f"level {level}, general text")

    def other_text(self) -> Source | None:
        """The subject's units on text of another kind."""
        shifted = self._config.shifted
        if shifted is None:
            return None
        first = self.run_of_subject()
        units = UnitsConfig(ids=tuple(unit.id for unit in first.source.units))
        run = self._config.run_of_subject().model_copy(update={"corpus": shifted, "units": units})

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


def recurse(
    config: RecurseConfig,
    path: Path,
    *,
    depth: int,
    models: Models,
    say: Callable[[str], None],
    watch: Watch,
    note: Callable[[str, Any], None],
) -> tuple[list[LedgerRow], str]:
    """All levels, controls and the ledger of a study; the rows, and why there are none where there are none.

    Raises ScrutableError for what cannot work.
    """
    parts = LadderComposition(config, path, models=models, say=say, watch=watch, note=note)
    parts.check(depth)
    folder = RunFolder(path, level=LEVEL)
    ladder = Ladder(config, depth, folder, parts, RECURSION_EVALUATION, watch)
    if config.recursion.known:
        draws, seed = config.scoring.draws, config.seed
        try_known(path, seed=seed, draws=draws, models=models, say=say, watch=watch)
    why = ""
    try:
        ladder.run()
    except NothingToFollow as error:
        why = str(error)
    if config.recursion.writing:
        study_writing(ladder, parts, config.recursion.writing)
    with watch("ledger"):
        return settle(ladder, parts), why


def settle(ladder: Ladder, parts: LadderComposition) -> list[LedgerRow]:
    """Claims, ledger and rulings, all from what is stored."""
    config, folder = ladder.config, ladder.folder
    draws, seed = config.scoring.draws, config.seed
    parties = parts.parties(ladder.depth)
    everything = claims_of(ladder, levels=ladder.depth)
    claims = [claim for claim in everything if claim.level <= ladder.depth]
    rows: list[LedgerRow] = []
    opponents = _opponents(config)
    units = [claim.unit for claim in claims if claim.level == 1]
    if claims:
        rows += keep_ledger(claims, parties, draws=draws, seed=seed)
        if any(not math.isnan(claim.gain_lenient) for claim in claims):
            rows += keep_ledger(claims, parties, tier="lenient", draws=draws, seed=seed)
        if not math.isnan(claims[0].gain_shifted):
            rows += keep_ledger(claims, parties, corpus="shifted", draws=draws, seed=seed)
        for opponent in opponents:
            found = opponent_claims(opponent, units, ladder.gains(1), ladder.explanations(1, opponent.name))
            everything += found
            ends = {
                1: Party(opponent.name, "its code", 0.0, "foundation"),
                2: Party("its code", "", 0.0, "foundation"),
            }
            rows += keep_ledger(found, ends, draws=draws, seed=seed)
    followers = [
        (name, config.recursion.simulator)
        for name, made in config.explainers.items()
        if isinstance(made, FollowerExplainer)
    ]
    stand_ins = replicas(
        ladder.gains(1),
        (AUTHOR, config.recursion.simulator),
        [*((o.name, o.simulator) for o in opponents), *followers],
        units=units,
        draws=draws,
        seed=seed,
    )
    rulings = rule(
        rows,
        ladder=AUTHORS,
        worth=_worth(ladder),
        readable=[
            name for name, made in config.explainers_of(1).items() if not isinstance(made, AskingConfig)
        ],
        replicas=stand_ins,
        rules=config.recursion.rules,
    )
    level = folder.level
    folder.write_records(level / "claims.parquet", Claim, everything)
    folder.write_records(level / "gated.parquet", Gated, gated_of(ladder, levels=ladder.depth))
    folder.write_records(level / "replicas.parquet", Replica, stand_ins)
    folder.write_records(level / "proxies.parquet", Proxy, _proxies(ladder))
    folder.write_records(level / "second_readings.parquet", SecondReading, _second_readings(ladder))
    folder.write_records(level / "rulings.parquet", Ruling, rulings)
    folder.write_records(level / "ceilings.parquet", Ceiling, _ceilings(ladder))
    found_transfers = [
        cell
        for number in range(1, ladder.depth + 1)
        for cell in transfers_of(folder.path, level=number, simulator=config.recursion.simulator)
    ]
    folder.write_records(level / "transfers.parquet", Transfer, found_transfers)
    folder.write_records(level / "ledger.parquet", LedgerRow, rows)
    return rows


def study_writing(ladder: Ladder, parts: LadderComposition, settings: WritingConfig) -> None:
    """The first author's writing as a behaviour; a table that is there is not made again."""
    folder, config = ladder.folder, ladder.config
    level = folder.level
    if (level / "foretold.parquet").exists():
        return
    excerpts = ladder.level_folder(0).read_excerpts()
    writing = writing_of(ladder.explanations(1), excerpts, settings, seed=config.seed)
    with ladder.watch("writing") as progress:
        above = config.author(2)
        writer = above if isinstance(above, LlmExplainer) else settings.simulator
        told = procedures(
            writing.told, parts.ask(writer), settings, author=parts.named(1), writer=writer.model
        )
        progress(1, 2)
        found = choices(
            writing, parts.author(1), parts.ask(settings.simulator), told, settings, seed=config.seed
        )
    draws, seed = config.scoring.draws, config.seed
    stand_ins = {
        opponent.name: {
            pair.unit: traits_of(written[pair.unit].text, pair.shown)
            for pair in writing.held_out
            if pair.unit in written
        }
        for opponent in _opponents(config)
        if not opponent.is_checked
        for written in [ladder.explanations(1, opponent.name)]
    }
    of_told = [traits_of(pair.text, pair.shown) for pair in writing.told]
    of_held = {pair.unit: traits_of(pair.text, pair.shown) for pair in writing.held_out}
    rows = traits(of_told, of_held, stand_ins, draws=draws, seed=seed)
    folder.write_records(level / "procedures.parquet", Procedure, list(told.values()))
    folder.write_records(level / "choices.parquet", Choice, found)
    folder.write_records(level / "traits.parquet", WritingTrait, rows)
    folder.write_records(level / "foretold.parquet", Foretold, foretold(found, draws=draws, seed=seed))


def readings_of(config: RecurseConfig, level: int) -> Plan:
    """Who reads the claims of a level for the lenient tier: everybody and everything but what scored them."""
    plan = plan_of(config.read_again(level))
    scored = (AUTHOR, config.recursion.simulator)
    return plan._replace(pairs={key: pair for key, pair in plan.pairs.items() if pair != scored})


def _opponents(config: RecurseConfig) -> list[Opponent]:
    """Explainers of the first level without a model, with the simulator that reads them."""
    run, settings = config.run_of_subject(), config.recursion
    return [
        Opponent(name, simulator, is_checked=simulator == settings.checker)
        for name, simulator in plan_of(run).pairs.values()
        if name not in (AUTHOR, COMPILED)
        and not isinstance(run.explainers[name], AskingConfig)
        and simulator in (settings.checker, settings.simulator)
    ]


def _worth(ladder: Ladder) -> dict[str, float]:
    """Explainer → mean excess correlation at the first level, by the simulator that finds most in it."""
    folder = ladder.level_folder(0)
    found: dict[str, float] = {}
    for row in folder.read_records(Summary, folder.level / "summary.parquet"):
        if row.metric == "correlation" and not math.isnan(row.excess):
            found[row.explainer] = max(found.get(row.explainer, -math.inf), row.excess)
    return found


def _proxies(ladder: Ladder) -> list[Proxy]:
    """What fidelity by attribution would have said of every substitution, level by level."""
    found: list[Proxy] = []
    for level in range(1, ladder.depth + 1):
        drawn = {f"{level}/{unit}": nodes for unit, nodes in ladder.drawn(level).items()}
        found += proxies(
            ladder.substitutions(level),
            drawn,
            gains_of(ladder.level_folder(level), "explained_variance"),
            level=level,
            draws=ladder.config.scoring.draws,
            seed=ladder.config.seed,
        )
    return found


def _second_readings(ladder: Ladder) -> list[SecondReading]:
    """All readings of the lenient tier, level by level."""
    config = ladder.config
    found: list[SecondReading] = []
    for level in range(1, ladder.depth + 1):
        again, units, texts = ladder.gains_again(level), ladder.in_tree(level), ladder.explanations(level)
        wordings = dict.fromkeys(wording for wording, _ in again if wording != AUTHOR)
        others = {wording: ladder.paraphrases(level, wording) for wording in wordings}
        found += second_readings(
            ladder.gains(level).get((AUTHOR, config.recursion.simulator), {}),
            again,
            level=level,
            units=units,
            n_same={
                wording: sum(texts[unit].text == said[unit].text for unit in units if unit in said)
                for wording, said in others.items()
            },
            draws=config.scoring.draws,
            seed=config.seed,
        )
    return found


def _ceilings(ladder: Ladder) -> list[Ceiling]:
    found: list[Ceiling] = []
    for level in range(1, ladder.depth + 1):
        path = ladder.level_folder(level).level / "ceilings.parquet"
        found += ladder.folder.read_records(Ceiling, path) if path.exists() else []
    return found


def try_known(
    path: Path, *, seed: int, draws: int, models: Models, say: Callable[[str], None], watch: Watch
) -> list[KnownLadder]:
    """Planted ladders, each in a folder of its own below a study's; kept once they are read."""
    folder = RunFolder(path, level=LEVEL)
    target = folder.level / "known_ladders.parquet"
    if target.exists():
        return folder.read_records(KnownLadder, target)
    found = []
    for planted in planted_ladders(seed=seed):
        place = path / "known" / planted.config.name

        def quiet(stage: str, name: str = planted.name) -> AbstractContextManager[Progress]:
            return watch(f"planted, {name}: {stage}")

        parts = LadderComposition(
            planted.config, place, models=models, say=say, watch=quiet, note=lambda _key, _fact: None
        )
        ladder = Ladder(planted.config, 1, RunFolder(place, level=LEVEL), parts, RECURSION_EVALUATION, quiet)
        try:
            ladder.run()
            claims = claims_of(ladder, levels=1)
        except NothingToFollow:
            claims = []
        n_written = len(ladder.explanations(1))
        found.append(read_known(planted, claims, n_written=n_written, draws=draws, seed=seed))
    folder.write_records(target, KnownLadder, found)
    return found
