"""What a run is told: YAML and dotted overrides in, frozen models out.

Unknown keys are refused with the nearest known one. Knows the shape of a config, and nothing of
the models and files that it names.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin

import yaml
from pydantic import (
    BaseModel,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from scrutable.pipeline.behaviours.config import BehavioursConfig, BehaviourSelftestConfig, BehaviourStudy
from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.records import Split
from scrutable.pipeline.recursion.config import ParaphraserConfig, RecursionConfig, RulesConfig
from scrutable.pipeline.sections import (
    AskingConfig,
    EngineConfig,
    ModelConfig,
    Name,
    NamedJob,
    PositiveInt,
    Section,
    ServerConfig,
    Share,
    kinds_that_need_no_more,
    what_answers_depend_on,
)

Objective = Literal["levels", "hurdle", "ranking"]
"""What the head of a trained simulator is taught, see scrutable.evaluators.trained.objectives."""
SHIPPED = "shipped"
"""The adapter that comes with the package for a base model."""


class NeuronSubjectConfig(ModelConfig):
    """A language model whose MLP neurons are explained."""

    kind: Literal["neuron"] = "neuron"
    signs: Literal["both", "pos"] = "both"
    weights: Literal["trained", "random"] = "trained"  # random: initialised anew, seeded, never trained
    batch_size: PositiveInt = 32


class PlantedSubjectConfig(Section):
    """No model: units whose rule is known, written as programs."""

    kind: Literal["planted"]
    rules: tuple[str, ...] = Field(min_length=1)
    batch_size: PositiveInt = 32


def _subject_kind(data: Any) -> str:
    kind = data.get("kind", "neuron") if isinstance(data, Mapping) else getattr(data, "kind", "neuron")
    return str(kind)


SubjectConfig = Annotated[
    Annotated[NeuronSubjectConfig, Tag("neuron")] | Annotated[PlantedSubjectConfig, Tag("planted")],
    Discriminator(_subject_kind),
]


class CorpusConfig(Section):
    """The text, how it is cut into windows, and how documents are split."""

    source: str
    text_field: str = "text"  # JSONL and parquet
    id_field: str = "id"
    max_tokens: PositiveInt = 100_000  # stop after the document that reaches this many subject tokens
    max_document_tokens: PositiveInt = 4_000  # longer documents are cut, so that none dominates
    window: PositiveInt = 64  # tokens
    skip: Annotated[int, Field(ge=0)] = 4  # first tokens of a window: attention sinks, not scored
    splits: dict[Split, Share] = {"explain": 0.5, "calibrate": 0.15, "test": 0.35}
    near_duplicate: Annotated[float, Field(gt=0, le=1)] = 0.7  # Jaccard similarity of 5-grams

    @model_validator(mode="after")
    def _check(self) -> CorpusConfig:
        if self.skip >= self.window:
            raise ValueError(f"skip ({self.skip}) must be smaller than window ({self.window})")
        if set(self.splits) != {"explain", "calibrate", "test"} or abs(sum(self.splits.values()) - 1) > 1e-6:
            raise ValueError("splits needs explain, calibrate and test, with shares that sum to 1")
        return self


class UnitsConfig(Section):
    """Which units are explained: a random sample, spread evenly over layers, or a list."""

    sample: PositiveInt = 60
    layers: tuple[int, ...] = ()  # empty: all
    ids: tuple[str, ...] = ()  # if given, exactly these


class SamplesConfig(Section):
    """How many windows of each unit are kept: the strongest, and at random in each of 8 strata."""

    top: dict[Split, PositiveInt] = {"explain": 10, "calibrate": 2, "test": 5}
    per_stratum: dict[Split, PositiveInt] = {"explain": 4, "calibrate": 1, "test": 3}
    pilot: PositiveInt = 256  # windows from which the strata are cut

    @model_validator(mode="after")
    def _check(self) -> SamplesConfig:
        for name in ("top", "per_stratum"):
            if set(getattr(self, name)) != {"explain", "calibrate", "test"}:
                raise ValueError(f"{name} needs explain, calibrate and test")
        return self


class LlmExplainer(AskingConfig):
    """A language model writes the explanation."""

    kind: Literal["llm"] = "llm"
    prompt: str = "explain_completion"
    reads_labels: ClassVar[bool] = False
    excerpts: PositiveInt = 8  # strongest excerpts shown
    highlight: Share = 0.5  # tokens above this share of the excerpt's maximum are marked
    max_tokens: PositiveInt = 32
    temperature: Annotated[float, Field(ge=0)] = 0.0


class FollowerExplainer(AskingConfig):
    """A language model writes the explanation by following a procedure, in place of its author."""

    kind: Literal["follower"] = "follower"
    procedure: str = Field(min_length=1)
    prompt: str = "follow_procedure"
    reads_labels: ClassVar[bool] = False
    excerpts: PositiveInt = 8  # strongest excerpts shown
    highlight: Share = 0.5  # tokens above this share of the excerpt's maximum are marked
    max_tokens: PositiveInt = 32
    temperature: Annotated[float, Field(ge=0)] = 0.0


class TemplateExplainer(Section):
    """Twenty readable lines of code list the highlighted words."""

    kind: Literal["template"] = "template"
    excerpts: PositiveInt = 8
    highlight: Share = 0.5
    words: PositiveInt = 6


class GenericExplainer(Section):
    """The same sentence for every unit: what a simulator gives for nothing."""

    kind: Literal["generic"] = "generic"
    text: str = "words that matter for the meaning of the sentence"


class TableExplainer(Section):
    """The mean activation of each token of the explain excerpts."""

    kind: Literal["table"] = "table"


class NgramsExplainer(Section):
    """The mean activation of each pair of neighbouring tokens, backing off to the token alone."""

    kind: Literal["ngrams"] = "ngrams"


class ProgramExplainer(Section):
    """The best short program over readable token features."""

    kind: Literal["program"] = "program"
    max_terms: PositiveInt = 4


class Budget(Section):
    """How long a surrogate may be: as long as another explainer's text, or a number of bits."""

    bits: PositiveInt = 400  # where `of` is not given
    of: str = ""  # another explainer; the budget is the length of its explanation of the unit


class TreeExplainer(Budget):
    """A decision tree over readable token features, written as a program."""

    kind: Literal["tree"] = "tree"


class RulesExplainer(Budget):
    """A rule list over readable token features, written as a program."""

    kind: Literal["rules"] = "rules"


class CompilingConfig(AskingConfig):
    """A language model writes English again as a program."""

    prompt: str = "compile"
    reads_labels: ClassVar[bool] = False
    candidates: PositiveInt = 4  # the first greedy, the others sampled
    temperature: Annotated[float, Field(gt=0)] = 0.7
    max_tokens: PositiveInt = 48


class CompiledExplainer(CompilingConfig):
    """Another explainer's explanations, written again as programs."""

    kind: Literal["compiled"] = "compiled"
    of: str  # another explainer


class ParaphraseExplainer(ParaphraserConfig):
    """Another explainer's explanations, said again in other words."""

    kind: Literal["paraphrase"] = "paraphrase"
    of: str  # another explainer, which writes English


class ProbeExplainer(Section):
    """Ridge regression on a model's input embeddings; weights quantised to a byte each."""

    kind: Literal["probe"] = "probe"
    model: str  # whose input embeddings


class PlantedExplainer(Section):
    """No model: a known program names the concept that fits most of the listed words. A control."""

    kind: Literal["planted"] = "planted"
    concepts: tuple[str, ...] = Field(min_length=2)  # programs
    hidden: str = ""  # a program: why the last concept is really named, whatever it says
    blind: bool = False  # names concepts without looking at the words
    words: PositiveInt = 8  # strongest words listed
    highlight: Share = 0.5


ExplainerConfig = Annotated[
    LlmExplainer
    | FollowerExplainer
    | PlantedExplainer
    | TemplateExplainer
    | GenericExplainer
    | TableExplainer
    | NgramsExplainer
    | ProgramExplainer
    | TreeExplainer
    | RulesExplainer
    | CompiledExplainer
    | ParaphraseExplainer
    | ProbeExplainer,
    Field(discriminator="kind"),
]


class PromptedSimulator(AskingConfig):
    """A language model reads the explanation and the text, and label probabilities are read from it."""

    kind: Literal["prompted"] = "prompted"
    prompt: str = "simulate_marks"


class TrainedSimulator(ModelConfig):
    """A small model that was trained to simulate reads explanation and text in one pass."""

    kind: Literal["trained"] = "trained"
    model: str = "qwen2.5-coder-0.5b"
    adapter: str = SHIPPED  # or a folder that `scrutable simulator train` wrote
    batch_size: PositiveInt = 64
    window: Annotated[int, Field(ge=64)] = 512  # its tokens that are read at once; longer passages in windows


class CompiledSimulator(CompilingConfig):
    """A language model writes the explanation as a program, which is run."""

    kind: Literal["compiled"] = "compiled"
    candidates: PositiveInt = 2  # tried in order until one can be read


class TableSimulator(Section):
    """Looks tokens up in a token table."""

    kind: Literal["table"] = "table"


class NgramsSimulator(Section):
    """Looks pairs of tokens up in an n-gram table."""

    kind: Literal["ngrams"] = "ngrams"


class ProgramSimulator(Section):
    """Runs a program."""

    kind: Literal["program"] = "program"


class ProbeSimulator(Section):
    """Applies the weights of a probe to a model's input embeddings."""

    kind: Literal["probe"] = "probe"
    model: str  # whose input embeddings; the one that the probe was fitted on


SimulatorConfig = Annotated[
    PromptedSimulator
    | TrainedSimulator
    | CompiledSimulator
    | TableSimulator
    | NgramsSimulator
    | ProgramSimulator
    | ProbeSimulator,
    Field(discriminator="kind"),
]


class DetectionJudge(AskingConfig):
    """Does an explanation tell excerpts on which the unit fires from excerpts on which it does not?"""

    kind: Literal["detection"] = "detection"
    prompt: str = "detect"
    per_class: PositiveInt = 8  # excerpts of each class


class FuzzingJudge(AskingConfig):
    """Does an explanation tell tokens on which the unit fires from as many others, marked alike?"""

    kind: Literal["fuzzing"] = "fuzzing"
    prompt: str = "fuzz"
    per_class: PositiveInt = 8


class IntruderJudge(AskingConfig):
    """Can the excerpt on which the unit is silent be told from those on which it fires? No explanation."""

    kind: Literal["intruder"] = "intruder"
    prompt: str = "intruder"
    trials: PositiveInt = 8
    excerpts: Annotated[int, Field(ge=3, le=9)] = 5  # in each trial, the intruder included


class GenerativeJudge(AskingConfig):
    """The model writes texts that should excite the unit and texts that should not; the unit is run."""

    kind: Literal["generative"] = "generative"
    prompt: str = "generate"
    reads_labels: ClassVar[bool] = False
    texts: PositiveInt = 4  # of each class
    max_tokens: PositiveInt = 24
    temperature: Annotated[float, Field(gt=0)] = 0.8


class CausalJudge(AskingConfig):
    """Does an explanation tell the words that the unit promotes from those that a matched unit promotes?"""

    kind: Literal["causal"] = "causal"
    prompt: str = "causal"
    trials: PositiveInt = 6
    words: PositiveInt = 6  # in each list
    scale: Annotated[float, Field(gt=1)] = 3.0  # steering: the activation is set to this many maxima


JudgeConfig = Annotated[
    DetectionJudge | FuzzingJudge | IntruderJudge | GenerativeJudge | CausalJudge,
    Field(discriminator="kind"),
]


_Following = Budget | CompiledExplainer | ParaphraseExplainer  # start from another explainer's text


def of_another(explainer: ExplainerConfig) -> str:
    """The explainer whose text this one starts from; empty for one that starts from excerpts alone."""
    return explainer.of if isinstance(explainer, _Following) else ""


EXPLAINER_KINDS = kinds_that_need_no_more(ExplainerConfig)
SIMULATOR_KINDS = kinds_that_need_no_more(SimulatorConfig)
"""Kinds that a command line may name without more."""


class ScoringConfig(Section):
    """How simulations become scores."""

    nulls: Annotated[int, Field(ge=0)] = 3  # explanations of other units, scored on the same excerpts
    draws: PositiveInt = 2_000  # bootstrap draws over documents
    budgets: tuple[PositiveInt, ...] = (32, 64, 128, 256, 512, 1024, 2048)
    """Bits at which the surrogates' rate-distortion curve is drawn; empty: it is not."""


class GateConfig(Section):
    """Known answers: planted units on real text, placebos and the neuron puzzles."""

    source: str = "enwiki-sample"
    max_tokens: PositiveInt = 200_000
    max_document_tokens: PositiveInt = 4_000
    window: PositiveInt = 32
    skip: Annotated[int, Field(ge=0)] = 4
    test_windows: PositiveInt = 150  # of the sample that all units share, about
    placebos: PositiveInt = 40
    puzzles: str = "puzzles"  # a file of neuron puzzles by name or path; empty: none
    attacked: Annotated[int, Field(ge=0)] = 20  # planted units on which each scripted attack is tried


class JobConfig(NamedJob):
    """A job that scores: simulators and judges of explanations, and how their answers become scores."""

    explainers: dict[Name, ExplainerConfig] = {}
    simulators: dict[Name, SimulatorConfig] = Field(min_length=1)
    judges: dict[Name, JudgeConfig] = {}
    gate: GateConfig | None = None  # if given, the simulators are tried on known answers first
    scoring: ScoringConfig = ScoringConfig()
    shard: PositiveInt = 8  # units in one part file: what an interruption can cost

    @field_validator("explainers")
    @classmethod
    def _order(cls, explainers: dict[str, ExplainerConfig]) -> dict[str, ExplainerConfig]:
        """Each after the one whose text it starts from, wherever the file has it."""
        needs = {name: {of_another(e)} & set(explainers) for name, e in explainers.items()}
        try:
            order = list(TopologicalSorter(needs).static_order())
        except CycleError as error:
            circle = " of ".join(error.args[1])
            raise ValueError(f"{circle}: none of them can come first") from None
        return {name: explainers[name] for name in order}


class SubjectJob(JobConfig):
    """A job on the units of a subject, read on a corpus."""

    subject: SubjectConfig
    corpus: CorpusConfig
    units: UnitsConfig = UnitsConfig()
    samples: SamplesConfig = SamplesConfig()


class RunConfig(SubjectJob):
    """A whole run: a subject on a corpus is explained, and the explanations are scored."""

    job: Literal["run"] = "run"
    explainers: dict[Name, ExplainerConfig] = Field(min_length=1)
    random_subject: Annotated[int, Field(ge=0)] = 0
    """Units of a twin of the subject with random weights, which goes through all stages as an opponent."""
    behaviours: BehaviourStudy | None = None  # of the same subject, in the same report

    @model_validator(mode="after")
    def _check(self) -> RunConfig:
        _refuse_unknown_of(self.explainers)
        if self.random_subject and not isinstance(self.subject, NeuronSubjectConfig):
            raise ValueError("random_subject needs a subject with weights")
        if self.behaviours and not isinstance(self.subject, NeuronSubjectConfig):
            raise ValueError("behaviours needs a subject that is a language model")
        return self

    @property
    def twin(self) -> RunConfig | None:
        """The same run on random weights; None if `random_subject` is 0."""
        if not self.random_subject:
            return None
        units = self.units.model_copy(update={"sample": self.random_subject, "ids": ()})
        subject = self.subject.model_copy(update={"weights": "random"})
        change: dict[str, Any] = {
            "subject": subject,
            "units": units,
            "random_subject": 0,
            "gate": None,
            "judges": {},
            "behaviours": None,
        }
        return self.model_copy(update=change)


def _refuse_unknown_of(explainers: Mapping[str, ExplainerConfig]) -> None:
    for name, explainer in explainers.items():
        if (of := of_another(explainer)) and of not in explainers:
            known = ", ".join(explainers)
            raise ValueError(f"explainers.{name}.of: no explainer {of!r} (there are {known})")


class MatrixConfig(JobConfig):
    """Every explainer on every subject, each a run of its own: what tells level, size and family apart.

    What is scored is the excess correlation by one simulator, the same in all cells; programs are run.
    """

    job: Literal["matrix"]
    subjects: dict[Name, SubjectConfig] = Field(min_length=1)
    corpus: CorpusConfig
    units: UnitsConfig = UnitsConfig()
    samples: SamplesConfig = SamplesConfig()
    explainers: dict[Name, ExplainerConfig] = Field(min_length=1)
    simulator: Name = "trained"  # whose scores of English count
    checker: str = "checker"  # the simulator whose scores of programs count; empty: there are none
    ladders: tuple[str, ...] = ()  # run folders of ladders with that simulator: for the slope over levels
    rules: RulesConfig = RulesConfig()

    @model_validator(mode="after")
    def _check(self) -> MatrixConfig:
        _refuse_unknown_of(self.explainers)
        for key in ("simulator", "checker"):
            if (name := getattr(self, key)) and name not in self.simulators:
                known = ", ".join(self.simulators)
                raise ValueError(f"{key}: no simulator {name!r} among simulators (there are {known})")
        return self

    def run_of(self, subject: str) -> RunConfig:
        """One row of the matrix, as a run; known answers are tried once, for the whole matrix."""
        fields = (
            "seed",
            "corpus",
            "units",
            "samples",
            "explainers",
            "simulators",
            "judges",
            "scoring",
            "shard",
        )
        given = {name: getattr(self, name) for name in fields}
        return RunConfig(name=f"{self.name}-{subject}", subject=self.subjects[subject], **given)


AUTHOR, COMPILED = "author", "compiled"
"""Names of the explainers of every level of a ladder: who is looked into next, and their text as programs."""


class RecurseConfig(SubjectJob):
    """A ladder: the first author explains the subject, the second the first author's neurons, and so on.

    `explainers` are opponents at every level, and may be `of: author`.
    """

    job: Literal["recurse"]
    authors: tuple[ExplainerConfig, ...] = Field(min_length=1)
    candidates: PositiveInt = 2  # programs that are written of each text, by its author
    shifted: CorpusConfig | None = None  # text of another kind, on which the subject's claims are checked too
    recursion: RecursionConfig = RecursionConfig()

    @model_validator(mode="after")
    def _check(self) -> RecurseConfig:
        for name in (AUTHOR, COMPILED):
            if name in self.explainers:
                raise ValueError(f"explainers.{name}: this name is kept for what `authors` makes")
        if any(isinstance(author, FollowerExplainer) for author in self.authors):
            raise ValueError("authors: a follower only stands in for an author; put it in explainers")
        settings = self.recursion
        others = settings.lenient.simulators if settings.lenient else ()
        named = [settings.simulator, *filter(None, [settings.checker]), *others]
        if unknown := [name for name in named if name not in self.simulators]:
            known = ", ".join(self.simulators)
            raise ValueError(f"recursion: no simulator {unknown[0]!r} among simulators (there are {known})")
        if kept := {settings.simulator, settings.checker} & set(others):
            raise ValueError(f"recursion.lenient.simulators: {kept.pop()!r} reads the claims already")
        said_again = settings.lenient.paraphrasers if settings.lenient else ()
        if said_again and not all(isinstance(author, LlmExplainer) for author in self.authors):
            raise ValueError("recursion.lenient.paraphrasers: only what language models write is said again")
        for name, explainer in self.explainers.items():
            if (of := of_another(explainer)) and of not in (AUTHOR, *self.explainers):
                raise ValueError(f"explainers.{name}.of: no explainer {of!r} (the author's is {AUTHOR})")
        return self

    def author(self, level: int) -> ExplainerConfig | None:
        """Who writes the claims of a level, from 1; None above a ladder that is cut off."""
        if level <= len(self.authors):
            return self.authors[level - 1]
        return self.authors[-1] if self.recursion.then == "loop" else None

    @property
    def writer_of_procedures(self) -> ModelConfig:
        """Who says how the first author writes: the next one, or the chooser where that is no model.

        Only for a config that studies the writing.
        """
        assert self.recursion.writing is not None, "no procedures are written without a study of the writing"
        above = self.author(2)
        return above if isinstance(above, LlmExplainer) else self.recursion.writing.simulator

    def run_of_subject(self) -> RunConfig:
        """The first level as a run of its own."""
        fields = ("seed", "subject", "corpus", "units", "samples", "scoring", "shard", "judges")
        given = {name: getattr(self, name) for name in fields}
        return RunConfig(
            name=self.name,
            explainers=self.explainers_of(1),
            simulators=self._first_readers,
            gate=self.gate,
            **given,
        )

    def level(self, number: int) -> JobConfig:
        """Explainers and simulators of the claims of a level, from 1."""
        return self._job(self.explainers_of(number), self._first_readers)

    def read_again(self, number: int) -> JobConfig:
        """The author's claims of a level, paraphrased and read by the lenient tier's simulators too.

        Only for a config with a lenient tier.
        """
        author, lenient = self.author(number), self.recursion.lenient
        assert author is not None, f"no author of level {number}"
        assert lenient is not None, "nothing is read again without a lenient tier"
        written: dict[str, ExplainerConfig] = {AUTHOR: author}
        for place, paraphraser in enumerate(lenient.paraphrasers, 1):
            written[f"paraphrase-{place}"] = ParaphraseExplainer(of=AUTHOR, **paraphraser.model_dump())
        names = (self.recursion.simulator, *lenient.simulators)
        return self._job(written, {name: self.simulators[name] for name in names})

    def followed(self, procedures: Mapping[str, str]) -> JobConfig:
        """Explanations in the first author's place, by following procedures; only where writing is studied.

        Args:
            procedures: name of the explainer → what it follows.
        """
        assert self.recursion.writing is not None, "nobody follows a procedure without a study of the writing"
        model = self.recursion.writing.simulator.model_dump(exclude={"prompt"})
        name = self.recursion.simulator
        followers: dict[str, ExplainerConfig] = {
            follower: FollowerExplainer(procedure=text, **model) for follower, text in procedures.items()
        }
        return self._job(followers, {name: self.simulators[name]})

    def _job(
        self, explainers: Mapping[str, ExplainerConfig], simulators: Mapping[str, SimulatorConfig]
    ) -> JobConfig:
        return JobConfig(
            name=self.name,
            seed=self.seed,
            explainers=dict(explainers),
            simulators=dict(simulators),
            scoring=self.scoring,
            shard=self.shard,
        )

    @property
    def _first_readers(self) -> dict[str, SimulatorConfig]:
        """The simulators that read everything; the lenient tier's read what is followed."""
        lenient = self.recursion.lenient
        return {n: s for n, s in self.simulators.items() if not lenient or n not in lenient.simulators}

    def explainers_of(self, level: int) -> dict[str, ExplainerConfig]:
        """The author of a level, their texts as programs where they write English, and the opponents."""
        author = self.author(level)
        assert author is not None, f"no author of level {level}"
        made: dict[str, ExplainerConfig] = {AUTHOR: author}
        if isinstance(author, LlmExplainer) and self.recursion.checker:
            made[COMPILED] = CompiledExplainer(
                of=AUTHOR,
                model=author.model,
                backend=author.backend,
                device=author.device,
                dtype=author.dtype,
                batch_size=author.batch_size,
                candidates=self.candidates,
            )
        return made | dict(self.explainers)


class RecordsConfig(JobConfig):
    """Explanations and activation records that someone else made are scored; there is no subject.

    `explainers` are opponents, fitted on the explain split of the records.
    """

    job: Literal["score"]
    records: str  # path of a file or folder, see docs/records.md
    explanations: str  # path of a JSONL file
    population: PositiveInt | None = None  # excerpts that NeuronRecord samples were drawn from


class SelftestConfig(JobConfig):
    """The gate alone: simulators, and explainers if there are any, on known answers."""

    job: Literal["selftest"]
    gate: GateConfig = GateConfig()


class CurriculumConfig(Section):
    """Where the lessons of a trained simulator come from."""

    source: str = "enwiki-sample"
    wordnet: str = "/usr/share/wordnet"  # the dict folder of a WordNet 3.x
    window: PositiveInt = 36  # words of one text
    leave_out: tuple[str, ...] = ()  # families of rules that are not taught
    encoder: str = ""  # of sentences, for themes: minilm-l6 or a folder; empty: no themes are taught
    puzzles: str = "puzzles"  # whose descriptions must not be taught; empty: none


class TrainConfig(NamedJob):
    """A simulator is trained on planted units: an adapter and a head on the layers of a base model."""

    job: Literal["train"]
    base: ModelConfig
    start: str = ""  # an adapter that training begins with, its folder or `shipped`; empty: a new one
    curriculum: CurriculumConfig = CurriculumConfig()
    layers: PositiveInt | None = None  # of the base, from the bottom; null: all
    rank: PositiveInt = 8  # of the adapter
    objective: Objective = "levels"
    firing_weight: Annotated[float, Field(gt=0)] = 3.0  # in the loss, of a token at which the rule fires
    steps: PositiveInt = 800
    rules: PositiveInt = 3  # in one step, with three lessons each
    learning_rate: Annotated[float, Field(gt=0)] = 8e-4  # of the adapter; the head takes five times as much
    warm_up: PositiveInt = 30  # steps
    measure_every: PositiveInt = 100  # steps; the curve, and what an interruption can cost
    patience: PositiveInt = 4  # measurements without a better one, after which training stops
    measured_rules: PositiveInt = 32  # of the taught families and of the held-out ones, each


ScoredConfig = RunConfig | RecurseConfig | MatrixConfig | RecordsConfig | SelftestConfig
ReportedConfig = ScoredConfig | BehavioursConfig | BehaviourSelftestConfig
AnyConfig = ReportedConfig | TrainConfig
_JOBS: dict[str, type[AnyConfig]] = {
    "run": RunConfig,
    "recurse": RecurseConfig,
    "matrix": MatrixConfig,
    "score": RecordsConfig,
    "selftest": SelftestConfig,
    "train": TrainConfig,
    "behaviours": BehavioursConfig,
    "behaviour_selftest": BehaviourSelftestConfig,
}


def load_config(path: Path, overrides: Sequence[str] = ()) -> AnyConfig:
    """A job's config from a YAML file and `key.sub=value` overrides (values are YAML).

    Raises ConfigError with one line that names the file, the key, and the nearest known key.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"no config at {path}: give the path of a YAML file{_configs_nearby(path)}"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{path}: not a readable YAML file: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected a mapping of keys at the top, got {type(data).__name__}")
    for override in overrides:
        _apply(data, override)
    return parse_config(data, source=str(path))


def parse_config(data: Mapping[str, Any], *, source: str) -> AnyConfig:
    """A job's config from plain data; its key `job` says of which kind, and a run needs none.

    Raises ConfigError as `load_config` does.
    """
    job = data.get("job", "run")
    if job not in _JOBS:
        raise ConfigError(f"{source}: job: no job {job!r} (allowed: {', '.join(_JOBS)})")
    try:
        return _JOBS[job].model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{source}: {_describe(error, _JOBS[job])}") from error


def differing_keys(old: AnyConfig, new: AnyConfig) -> list[str]:
    """Dotted keys whose values differ, sorted."""
    a, b = (_flat(what_answers_depend_on(config.model_dump(mode="json"))) for config in (old, new))
    return sorted(key for key in a.keys() | b.keys() if a.get(key, _ABSENT) != b.get(key, _ABSENT))


_ABSENT = object()


def _apply(data: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"override {override!r}: write it as key.sub=value, for example units.sample=60")
    *parents, leaf = key.split(".")
    node = data
    for parent in parents:
        child = node.setdefault(parent, {})
        if not isinstance(child, dict):
            raise ConfigError(f"override {override!r}: {parent!r} holds a value, not a section")
        node = child
    try:
        node[leaf] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(
            f"override {override!r}: the value is not YAML: {' '.join(str(error).split())}"
        ) from error


def _describe(error: ValidationError, root: type[BaseModel]) -> str:
    """The first problem in one line; the number of others."""
    problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    first, *others = problems  # an unknown key first: it usually explains a missing one
    location: list[Any] = list(first["loc"])
    place = _PLACE_OF_KIND.get(location[0], 0) if location else 0
    kind = location.pop(place) if 0 < place < len(location) else None
    backend = location.pop(location.index("backend") + 1) if "backend" in location[:-1] else None
    where = ".".join(map(str, location))
    more = f" (and {len(others)} more)" if others else ""
    if first["type"] == "extra_forbidden":
        *section, key = location
        known = _keys_of_backend(backend) if backend else _known_keys(root, section, kind)
        near = difflib.get_close_matches(str(key), known, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        return f"{where}: unknown key.{hint} (allowed: {', '.join(known)}){more}"
    what = f"{first['msg'].removeprefix('Value error, ')}{more}"
    return f"{where}: {what}" if where else what


_PLACE_OF_KIND = {
    "subject": 1,
    "subjects": 2,
    "explainers": 2,
    "simulators": 2,
    "judges": 2,
}  # in the location of a pydantic error


def _keys_of_backend(kind: str) -> list[str]:
    return sorted((EngineConfig if kind == "vllm" else ServerConfig).model_fields)


def _known_keys(root: type[BaseModel], section: Sequence[Any], kind: Any) -> list[str]:
    """The keys that a section allows; `kind` is given where that depends on it."""
    models: list[type[BaseModel]] = [root]
    for part in section[:1] if kind else section:
        models = [found for m in models for found in _models_in(m.model_fields[part].annotation)]
    if kind:
        models = [m for m in models if get_args(m.model_fields["kind"].annotation) == (kind,)]
    return sorted({name for m in models for name in m.model_fields})


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if get_origin(annotation) in (Union, UnionType, Annotated, dict):
        return [model for part in get_args(annotation) for model in _models_in(part)]
    return [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []


def _flat(node: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(node, dict):
        return {prefix: node}
    return {k: v for key, sub in node.items() for k, v in _flat(sub, f"{prefix}.{key}".strip(".")).items()}


def _configs_nearby(path: Path) -> str:
    folder = path.parent if path.parent.is_dir() else Path("configs")
    names = sorted(p.name for p in folder.glob("*.yaml"))
    return f" ({folder} has {', '.join(names)})" if names else ""
