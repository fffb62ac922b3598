"""What a study of behaviours is told: which behaviours, who explains, who predicts, against what."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from scrutable.pipeline.records import Language
from scrutable.pipeline.sections import (
    AskingConfig,
    ModelConfig,
    Name,
    NamedJob,
    PositiveInt,
    Section,
    kinds_that_need_no_more,
)

ConceptLabels = Literal["llm", "keywords", "shuffled"]
"""Who labels inputs with concepts: a model, the words that it named with each, or a model's labels of another
input (what is left is what the head makes of noise)."""


class LlmAccount(AskingConfig):
    """A language model reads pairs of input and outcome, and writes what decides the outcome."""

    kind: Literal["llm"] = "llm"
    prompt: str = "explain_behaviour"
    reads_labels: ClassVar[bool] = False
    pairs: PositiveInt = 12  # shown, about as many of each outcome
    max_tokens: PositiveInt = 48
    temperature: Annotated[float, Field(ge=0)] = 0.0


class TemplateAccount(Section):
    """Twenty readable lines of code list the words that go with each outcome."""

    kind: Literal["template"] = "template"
    words: PositiveInt = 6  # for each outcome


class TreeAccount(Section):
    """A decision tree over readable cues of an input, written as a policy."""

    kind: Literal["tree"] = "tree"
    leaves: PositiveInt = 6  # at most


class RulesAccount(Section):
    """A rule list over readable cues of an input, written as a policy."""

    kind: Literal["rules"] = "rules"
    rules: PositiveInt = 5  # at most


class WordsAccount(Section):
    """A weight for each word, by logistic regression: the token table of behaviours."""

    kind: Literal["words"] = "words"


class ConceptsAccount(AskingConfig):
    """A concept bottleneck: a model proposes concepts and labels inputs with them, a linear head decides."""

    kind: Literal["concepts"] = "concepts"
    prompt: str = "propose_concepts"
    reads_labels: ClassVar[bool] = False
    labels: ConceptLabels = "llm"
    concepts: PositiveInt = 6
    pairs: PositiveInt = 12
    max_tokens: PositiveInt = 120


class AttributionAccount(Section):
    """Local attributions of many inputs, averaged to one weight for each word (captum)."""

    kind: Literal["attribution"] = "attribution"
    method: Literal["lime", "kernel_shap", "gradient"]
    inputs: PositiveInt = 40  # attributed, of the explain split
    samples: PositiveInt = 48  # perturbed texts for each; not of gradients


class GivenAccount(Section):
    """Explanations that someone else wrote, from a file of JSON lines (docs/records.md)."""

    kind: Literal["given"] = "given"
    file: str
    explainer: str = ""  # whose lines; empty: the first of each behaviour
    language: Language = "english"


AccountConfig = Annotated[
    LlmAccount
    | GivenAccount
    | TemplateAccount
    | TreeAccount
    | RulesAccount
    | WordsAccount
    | ConceptsAccount
    | AttributionAccount,
    Field(discriminator="kind"),
]


class PromptedPredictor(AskingConfig):
    """A language model reads task, explanation and input, and the probability of each outcome is read."""

    kind: Literal["prompted"] = "prompted"
    prompt: str = "predict_behaviour"


class PolicyPredictor(Section):
    """Follows a policy."""

    kind: Literal["policy"] = "policy"


class WordsPredictor(Section):
    """Adds up weights of words."""

    kind: Literal["words"] = "words"


class ConceptsPredictor(ModelConfig):
    """Labels an input with concepts as the explanation says, and applies its head."""

    kind: Literal["concepts"] = "concepts"
    prompt: str = "label_concept"
    model: str  # that labels, where a model does


PredictorConfig = Annotated[
    PromptedPredictor | PolicyPredictor | WordsPredictor | ConceptsPredictor,
    Field(discriminator="kind"),
]


ACCOUNT_KINDS = kinds_that_need_no_more(AccountConfig)
PREDICTOR_KINDS = kinds_that_need_no_more(PredictorConfig)
"""Kinds that a command line may name without more."""


class EditorConfig(AskingConfig):
    """A model that edits test inputs inside and outside the scope of an explanation."""

    prompt: str = "edit_input"
    reads_labels: ClassVar[bool] = False
    inputs: PositiveInt = 12  # of each behaviour, edited twice each
    max_tokens: PositiveInt = 64
    temperature: Annotated[float, Field(ge=0)] = 0.0


class BehaviourScoring(Section):
    """How predictions become gains."""

    nulls: Annotated[int, Field(ge=0)] = 2  # explanations of other behaviours
    many_examples: Annotated[int, Field(ge=0)] = 12  # raw examples beside the equal-token ones; 0: none
    example_draws: PositiveInt = 2  # different draws of the equal-token examples, averaged
    draws: PositiveInt = 2_000  # bootstrap draws over sources


class BehaviourPartsConfig(Section):
    """Who explains behaviours, who predicts, and who else is asked."""

    explainers: dict[Name, AccountConfig] = {}
    simulators: dict[Name, PredictorConfig] = Field(min_length=1)
    peers: dict[Name, ModelConfig] = {}  # whose consensus is a baseline
    editor: EditorConfig | None = None


class BehaviourStudy(BehaviourPartsConfig):
    """Behaviours of a subject are explained, and the explanations are scored by prediction."""

    behaviours: tuple[str, ...] = Field(min_length=1)  # names of the library, or paths of definitions
    inputs: PositiveInt | None = None  # at most so many of each behaviour
    explainers: dict[Name, AccountConfig] = Field(min_length=1)
    scoring: BehaviourScoring = BehaviourScoring()

    @model_validator(mode="after")
    def _no_name_twice(self) -> BehaviourStudy:
        for name in ("subject", *self.simulators):
            if name in self.peers:
                raise ValueError(f"peers.{name}: the name is taken")
        return self


class BehavioursConfig(NamedJob, BehaviourStudy):
    """A study of behaviours by itself."""

    job: Literal["behaviours"]
    subject: ModelConfig | None = None  # not needed where all behaviours are planted


class PolicyTestConfig(Section):
    """Known answers of behaviours: planted policies, and how many inputs each is tried on."""

    policies: str = ""  # a file; empty: those that come with the package
    inputs: PositiveInt = 120
    scoring: BehaviourScoring = BehaviourScoring(nulls=2, many_examples=0)


class BehaviourSelftestConfig(NamedJob, BehaviourPartsConfig):
    """Simulators, and explainers if there are any, on planted policies."""

    job: Literal["behaviour_selftest"]
    gate: PolicyTestConfig = PolicyTestConfig()
