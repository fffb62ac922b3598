"""The nouns of behaviours: frozen records, and nothing else.

A behaviour is a set of inputs and a readout that turns what a model does with an input into one of K
outcomes. Shape key: K outcomes of a behaviour, in the order of its definition.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from scrutable.pipeline.records import Cost, Split

Condition = Literal["explained", "task", "examples", "many_examples", "nothing", "own_answer", "consensus"]
"""What a prediction rests on besides the task: an explanation, nothing, as many tokens of raw examples as
the explanation has, a fixed number of examples, the rates of the outcomes alone (without the input), what
the simulator's own model does with the input, or what other models do with it."""
BASELINES: tuple[str, ...] = (
    "nothing",
    "task",
    "examples",
    "many_examples",
    "shuffled",
    "own_answer",
    "consensus",
)
"""What a gain is taken over; `shuffled` is an explanation of another behaviour."""

SUBJECT = "subject"
"""The name of the subject among the models that are asked."""

Inputs = Literal["all", "surprising"]
"""`surprising` are those on which the subject does not do what the simulator expects from the task alone."""

Scope = Literal["inside", "outside"]
"""Of an edit: it should change what the model does if the explanation holds, or should not."""


@dataclass(frozen=True, slots=True)
class Input:
    """One input of a behaviour."""

    id: str  # `sentiment.0042`
    behaviour: str
    source: str  # the template, row or document it was made from: splits and resampling go by it
    split: Split
    text: str  # what varies between inputs; the rest of the prompt is the behaviour's
    slot_names: tuple[str, ...] = ()
    slot_values: tuple[str, ...] = ()

    @property
    def slots(self) -> dict[str, str]:
        """What the slots of its template were filled with."""
        return dict(zip(self.slot_names, self.slot_values, strict=True))


@dataclass(frozen=True, slots=True)
class Reading:
    """What came back for one input, before an outcome is decided."""

    scores: tuple[float, ...]  # (K,) log-probabilities of the outcomes; () where only text is read
    value: float  # as in Observation
    label_mass: float
    outcome: str  # of a text; empty where scores decide
    reply: str
    cost: Cost = field(default_factory=Cost)


@dataclass(frozen=True, slots=True)
class Observation:
    """What a model did with an input."""

    behaviour: str
    input: str
    model: str  # "subject", or the name of another model in the config
    outcome: str
    probabilities: tuple[float, ...]  # (K,) sum to 1; one-hot where only text can be read
    value: float  # what the outcome was decided by: nats or a probability, see the readout; NaN for text
    label_mass: float  # probability of all labels together before renormalising, in [0, 1]; NaN for text
    reply: str = ""  # the text that was parsed, where there is one
    cost: Cost = field(default_factory=Cost)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """A behaviour as it was found in the subject."""

    id: str
    about: str  # the task as a simulator is told it
    readout: str  # kind of readout
    outcomes: tuple[str, ...]  # (K,)
    is_planted: bool  # the subject follows a stated rule
    n_inputs: int  # asked
    n_sources: int
    n_unreadable: int  # inputs on which no outcome could be read
    rates: tuple[float, ...]  # (K,) share of readable inputs with each outcome
    label_mass: float  # mean; NaN where no labels are read
    truth: str = ""  # the stated rule of a planted one
    reason: str = ""  # why it is not explained; empty if it is


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a simulator expects of the subject on one input."""

    behaviour: str
    input: str
    simulator: str
    condition: Condition
    explanation: str  # its id; of `examples`, the one whose length they have; empty where there is none
    probabilities: tuple[float, ...]  # (K,) sum to 1, before calibration
    label_mass: float = math.nan  # as in Observation
    draw: int = 1  # which of several draws of examples
    cost: Cost = field(default_factory=Cost)

    @property
    def is_null(self) -> bool:
        """True if the explanation was written of another behaviour."""
        return bool(self.explanation) and self.explanation.rpartition("/")[0] != self.behaviour


@dataclass(frozen=True, slots=True)
class Forecast:
    """A calibrated prediction of one test input, beside what the subject did: a row of a behaviour's page."""

    behaviour: str
    input: str
    simulator: str
    condition: str  # as in Prediction; "shuffled" for an explanation of another behaviour
    explanation: str
    probabilities: tuple[float, ...]  # (K,) calibrated on the calibrate split
    bits: float  # -log2 of the probability of what the subject did
    is_surprising: bool  # the subject does not do what the simulator expects from the task alone


@dataclass(frozen=True, slots=True)
class Loss:
    """How well the subject is predicted under one condition, on test inputs."""

    behaviour: str
    simulator: str
    condition: str  # as in Forecast
    explainer: str  # author of the explanation; empty where the condition has none
    inputs: Inputs
    bits: float  # mean of -log2 p(what the subject did) for each input, >= 0; NaN if undefined
    accuracy: float  # share of inputs whose likeliest outcome is what the subject did, in [0, 1]
    n_inputs: int  # predicted
    n_asked: int
    n_sources: int
    label_mass: float  # mean over inputs; NaN where no labels are read
    reason: str = ""  # why bits is undefined


@dataclass(frozen=True, slots=True)
class Gain:
    """What an explanation saves over a baseline, on the test inputs that both predict."""

    behaviour: str
    explainer: str
    simulator: str
    baseline: str  # one of BASELINES
    inputs: Inputs
    bits: float  # for each input, positive if the explanation is better; NaN if undefined
    low: float  # 95 % interval, paired bootstrap over sources
    high: float
    n_inputs: int
    n_sources: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class GainSummary:
    """A gain over behaviours."""

    explainer: str
    simulator: str
    baseline: str
    inputs: Inputs
    n_behaviours: int  # asked: defined + undefined + failed
    n_defined: int
    n_undefined: int
    n_failed: int  # the explainer or the simulator gave nothing
    bits: float  # mean over the defined
    low: float  # 95 % interval, bootstrap over behaviours
    high: float
    n_above: int  # behaviours whose own interval lies above 0
    n_below: int


@dataclass(frozen=True, slots=True)
class Edit:
    """A test input as another model changed it, and what the subject did with the result."""

    behaviour: str
    input: str  # that was edited
    explanation: str  # id: whose scope the edit goes by
    scope: Scope
    text: str
    before: str  # outcome on the input
    after: str  # outcome on the edited text
    probabilities: tuple[float, ...] = ()  # (K,) calibrated prediction from the explanation; () if none
    null: tuple[float, ...] = ()  # (K,) calibrated prediction from an explanation of another behaviour

    @property
    def edited_id(self) -> str:
        """The id of the edited input, as predictions name it."""
        return edited_id(self.input, self.scope)


@dataclass(frozen=True, slots=True)
class CounterfactualScore:
    """Precision and coverage of an explanation on edited inputs (Chen et al. 2023, arXiv 2307.08678).

    Predictions are forced probabilities, so each is a mean probability of what the subject did.
    """

    behaviour: str
    explainer: str
    simulator: str
    n_inside: int
    precision: float  # mean probability of what the subject did on inside edits, in [0, 1]
    precision_low: float  # 95 % interval, bootstrap over sources
    precision_high: float
    precision_null: float  # the same with an explanation of another behaviour
    n_changed: int  # edits, inside or outside, after which the subject does something else
    coverage: float  # mean probability of that other outcome, in [0, 1]
    coverage_low: float
    coverage_high: float
    coverage_null: float
    n_unedited: int  # replies of the editor that were no edit
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PolicyCase:
    """A planted policy, predicted by one simulator under one condition: a known answer."""

    simulator: str
    explainer: str  # "truth", or the name of an explainer under test
    policy: str
    kind: str  # of rule: "feature", "conjunction", "exception", "sum" or "position"
    text: str
    bits: float  # gain over the rates of the outcomes, for each test input; NaN if undefined
    low: float
    high: float
    over_examples: float  # gain over the same token budget of raw examples
    over_examples_low: float
    over_examples_high: float
    over_shuffled: float  # gain over true rules of other policies
    shuffled: float  # gain of those over the rates of the outcomes
    ceiling: float  # the most that can be gained: the bits of the rates alone
    accuracy: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """What a simulator, with the truth or with an explainer, does on planted policies."""

    simulator: str
    explainer: str
    n_policies: int
    n_defined: int
    bits: float  # mean gain over the rates of the outcomes
    low: float  # 95 % interval, bootstrap over policies
    high: float
    share_of_ceiling: float  # sum of gains over sum of ceilings
    shuffled: float  # mean gain of rules of other policies over the rates
    shuffled_low: float
    shuffled_high: float
    beats_examples: float  # share of policies whose gain over the same tokens of raw examples is above 0
    beats_examples_low: float  # Wilson
    beats_examples_high: float
    recovery: float = math.nan  # of an explainer: share explained at least 0.8 as well as by the truth
    is_passed: bool = False
    reason: str = ""  # which demands are not met


def edited_id(input: str, scope: Scope) -> str:
    """The id of an input after an edit."""
    return f"{input}~{scope}"
