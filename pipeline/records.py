"""The nouns of scrutable: frozen records that every stage speaks, and nothing else.

Imports only the standard library, so that a record can be read anywhere.
Shape key: T tokens of an excerpt, L label levels of a simulator, E excerpts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

Split = Literal["explain", "calibrate", "test"]
SPLITS: tuple[Split, ...] = ("explain", "calibrate", "test")

Language = Literal["english", "table", "ngrams", "program", "probe", "policy", "concepts", "words"]
"""What an explanation is written in; a simulator says which one it reads."""

Metric = Literal[
    "correlation",
    "explained_variance",
    "auprc",
    "gain_bits",
    "top_and_random",
    "auroc",
    "accuracy",
]
"""Simulation scores are the first five, judgement scores the last two; units and ranges stand with
the scorers. Bits are per token of the population."""


@dataclass(frozen=True, slots=True)
class Document:
    """A text with a stable id; it belongs to exactly one split."""

    id: str
    text: str
    split: Split


@dataclass(frozen=True, slots=True)
class Unit:
    """A scalar function of (text, token) of a subject.

    A neuron is half-wave rectified: the unit `L8.N715.neg` has the value max(-a, 0), so that a
    gated neuron, which fires both ways, is two units with non-negative activations.
    """

    id: str
    """Stable, and safe as a file name on every platform: `L8.N715.pos`."""
    layer: int
    index: int
    """Position within its layer."""
    sign: Literal["pos", "neg"]
    density: float
    """Treves-Rolls activity ratio E[a]^2 / E[a^2] over the corpus, in [0, 1]; for a unit that is
    either silent or fires at one level this is the share of tokens on which it fires. NaN for a
    unit that never fires."""
    max_activation: float
    """Largest activation in the corpus, in the subject's raw units; 0 for a unit that never fires."""


@dataclass(frozen=True, slots=True)
class Passage:
    """The part of an excerpt that a simulator may see: its text, never its activations."""

    id: str
    tokens: tuple[str, ...]  # (T,) the subject's tokens; joined, they give back the text
    n_context: int  # leading tokens that give context and are neither simulated nor scored

    @property
    def text(self) -> str:
        return "".join(self.tokens)


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A window of one document with a unit's activation on each token."""

    passage: Passage
    document: str
    split: Split
    activations: tuple[float, ...]  # (T,) subject's raw units, >= 0; context tokens included
    weight: float  # 1 / inclusion probability, >= 1
    is_top: bool  # among the unit's strongest excerpts of its split (inclusion probability 1)

    def __post_init__(self) -> None:
        if len(self.activations) != len(self.passage.tokens):
            raise ValueError(
                f"excerpt {self.passage.id}: {len(self.passage.tokens)} tokens but "
                f"{len(self.activations)} activations"
            )

    @property
    def max_activation(self) -> float:
        """Largest activation outside the context tokens."""
        return max(self.activations[self.passage.n_context :], default=0.0)


@dataclass(frozen=True, slots=True)
class Exemplars:
    """What the explainer may see, what calibrates, and what only judges may see.

    Raises ValueError when built from excerpts that share a document across the three.
    """

    unit: str
    shown: tuple[Excerpt, ...]
    calibrate: tuple[Excerpt, ...]
    held_out: tuple[Excerpt, ...]

    def __post_init__(self) -> None:
        groups = {"shown": self.shown, "calibrate": self.calibrate, "held_out": self.held_out}
        seen: dict[str, str] = {}
        for name, excerpts in groups.items():
            for document in {excerpt.document for excerpt in excerpts}:
                if document in seen:
                    raise ValueError(
                        f"unit {self.unit}: document {document!r} is in {seen[document]} and in {name}"
                    )
                seen[document] = name


@dataclass(frozen=True, slots=True)
class Cost:
    """What a call took; zero for work that no model did."""

    prompt_tokens: int = 0
    computed_tokens: int = 0  # prompt tokens that were really computed, after prefix sharing
    generated_tokens: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.prompt_tokens + other.prompt_tokens,
            self.computed_tokens + other.computed_tokens,
            self.generated_tokens + other.generated_tokens,
        )


@dataclass(frozen=True, slots=True)
class Explanation:
    """What someone says a unit does."""

    unit: str
    explainer: str  # name of the explainer in the config, for example "llm"
    language: Language
    text: str
    model: str = ""  # who wrote it; empty where no model did
    prompt: str = ""  # the rendered prompt; empty where there was none
    prompt_digest: str = ""  # SHA-256 of the prompt templates, first 16 hex digits
    reply: str = ""  # the model's raw reply, before parsing
    is_cut: bool = False  # the reply ran into max_tokens, so the text may end in the middle
    shown: tuple[str, ...] = ()  # ids of the excerpts that it was written from
    cost: Cost = field(default_factory=Cost)
    candidate: int = 1  # where one explainer wrote several of one unit: 1, 2, ... in the order written

    @property
    def author(self) -> str:
        """The explainer, with the number of the candidate beyond the first: `llm`, `llm.2`."""
        return self.explainer if self.candidate == 1 else f"{self.explainer}.{self.candidate}"

    @property
    def id(self) -> str:
        return f"{self.unit}/{self.author}"


@dataclass(frozen=True, slots=True)
class Simulation:
    """A prediction of a unit on one passage, from an explanation alone."""

    unit: str  # whose excerpt it is; for a null this is not the unit that was explained
    explanation: str  # id of the explanation that was used
    simulator: str
    excerpt: str
    expected: tuple[float, ...]  # (T - n_context,) in the simulator's own scale
    probabilities: tuple[float, ...] = ()  # (T - n_context, L) row-major, rows sum to 1; may be empty
    levels: tuple[float, ...] = ()  # (L,) the value of each label
    label_mass: float = math.nan  # mean probability of all labels together, in [0, 1]; NaN: no labels
    cost: Cost = field(default_factory=Cost)

    @property
    def is_null(self) -> bool:
        """True if the explanation was written for another unit."""
        return self.explanation.rpartition("/")[0] != self.unit


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to one question about a unit whose right answer is known.

    A judge asks whether an excerpt, a mark, a list of words or a text goes with an explanation; the
    explanation is worth something if the answers are right more often than with those of other units.
    """

    unit: str  # whose question it is; for a null this is not the unit that was explained
    explanation: str  # id of the explanation that was used; empty for a judge that reads none
    judge: str
    trial: str  # id of the question, unique within unit and judge
    document: str  # of the excerpt in question; questions are resampled by document
    truth: bool
    value: float  # higher says "true": a probability in [0, 1], or the unit's activation
    label_mass: float = math.nan  # probability of all labels together, in [0, 1]; NaN: no labels
    cost: Cost = field(default_factory=Cost)

    @property
    def is_null(self) -> bool:
        """True if the explanation was written for another unit."""
        return bool(self.explanation) and self.explanation.rpartition("/")[0] != self.unit


@dataclass(frozen=True, slots=True)
class Score:
    """How much of a unit an explanation is worth, on the test split.

    A value that is not defined (a constant simulation, a unit silent on every excerpt) is NaN and
    `reason` says why; it is never zero and never a missing row.
    """

    unit: str
    explainer: str  # author of the explanation: `llm`, `llm.2`, or `llm.best` (chosen on calibrate)
    simulator: str  # or the judge; its name in the config
    scorer: str
    metric: Metric
    value: float
    low: float  # 95 % interval of value, bootstrap over documents
    high: float
    null: float  # mean of the same score with other units' explanations
    excess: float  # value - null
    excess_low: float  # 95 % interval of excess, paired bootstrap over documents
    excess_high: float
    n_asked: int  # excerpts
    n_answered: int
    n_documents: int
    n_nulls: int  # null explanations for which the score is defined
    label_mass: float  # mean over excerpts; NaN where the simulator reads no labels
    reason: str = ""  # empty if value is defined
    p: float = math.nan  # (1 + nulls at least as good) / (1 + nulls): the rank among the nulls
    q: float = math.nan  # false discovery rate at which the unit is found among those of explainer and metric
    null_values: tuple[float, ...] = ()  # (n_nulls,) the score of each null explanation
    n_flat_nulls: int = 0  # further nulls that predict one value everywhere; they rank as a correlation of 0

    @property
    def ranked_nulls(self) -> tuple[float, ...]:
        """What the value is ranked among."""
        return self.null_values + (0.0,) * self.n_flat_nulls


@dataclass(frozen=True, slots=True)
class Calibration:
    """The affine map, fitted on the calibrate split, from a simulation to the subject's raw units."""

    unit: str
    explainer: str
    simulator: str
    slope: float  # >= 0; NaN if nothing could be fitted
    intercept: float  # subject's raw units

    @property
    def is_defined(self) -> bool:
        """True if both coefficients are numbers."""
        return math.isfinite(self.slope) and math.isfinite(self.intercept)

    def raw(self, expected: float) -> float:
        """`expected` in the subject's raw units."""
        return self.slope * expected + self.intercept


@dataclass(frozen=True, slots=True)
class Summary:
    """One metric of one explainer and simulator over units; an undefined score counts, never as zero."""

    explainer: str
    simulator: str
    scorer: str
    metric: Metric
    n_units: int  # asked: n_defined + n_undefined + n_failed
    n_defined: int
    n_undefined: int  # scored, but the value is NaN; the score's reason says why
    n_failed: int  # no score at all, because an earlier stage failed for the unit
    value: float  # mean over the n_defined units
    low: float  # 95 % interval of that mean, bootstrap over units
    high: float
    median: float  # of value, over the n_defined units
    null: float  # mean over the units whose null is defined
    n_excess: int  # units whose excess is defined: value and null are
    excess: float  # mean over the n_excess units
    excess_low: float  # 95 % interval of that mean, bootstrap over units
    excess_high: float
    share_above_null: float  # of the n_excess units: their own excess interval lies above 0
    p: float = math.nan  # permutation p of the mean: own and null explanations swapped within units
    n_found: int = 0  # units with q <= 0.05


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better one explanation of a unit is simulated than another, on the excerpts that both have."""

    unit: str
    explainer: str  # author, as in Score
    simulator: str
    other: str  # the explanation that is taken off: its author
    other_simulator: str
    metric: Metric
    value: float  # of the first minus of the other; NaN where one of them is not defined
    low: float  # 95 % interval, paired bootstrap over documents
    high: float
    n_documents: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """The differences between two explainers, or simulators, over the units that both explain."""

    explainer: str
    simulator: str
    other: str
    other_simulator: str
    metric: Metric
    n_units: int  # with a defined difference
    n_undefined: int
    difference: float  # mean over the n_units units
    low: float  # 95 % interval of that mean, bootstrap over units
    high: float
    n_above: int  # units whose own interval lies above 0
    n_below: int  # and below


@dataclass(frozen=True, slots=True)
class RatePoint:
    """What a surrogate of one family is worth at one length: a point of the rate-distortion curve."""

    unit: str
    family: str  # "table", "ngrams", "tree" or "rules"
    budget: float  # bits allowed
    bits: float  # bits of its description, at most the budget; see scrutable.pipeline.description
    explained_variance: float  # on the test split, as in `Score`; NaN if undefined
    correlation: float
    reason: str = ""  # why it is undefined


@dataclass(frozen=True, slots=True)
class Assurance:
    """The share v of an explanation's worth that survives without trust in any model.

    SCIENCE 2.4, tier A: v = gain of the program that it was compiled to / gain of the text, both
    excess gains in bits for each token, summed over units before the ratio is taken. Never clipped.
    """

    explainer: str  # who wrote the text
    simulator: str  # that reads the text
    compiled: str  # who wrote the program
    checker: str  # that runs the program
    n_units: int  # with a defined gain of the text, and of the program if there is one
    n_uncompiled: int  # of them without a program: nothing of the text's gain can be checked
    gain_text: float  # bits per token, mean over units
    gain_program: float  # the same; 0 where there is no program
    v: float  # NaN where the text has no gain that differs from 0
    low: float  # 95 % interval, bootstrap over units
    high: float
    reason: str = ""  # why v is undefined


@dataclass(frozen=True, slots=True)
class GateCase:
    """One explanation of one unit whose truth is known, as scored by the instrument under test."""

    simulator: str
    explainer: str  # "truth", "false", "placebo", or the name of an explainer under test
    kind: Literal["planted", "placebo", "puzzle"]
    unit: str
    text: str
    value: float  # correlation on test excerpts
    null: float
    excess: float
    p: float  # NaN where there is no null or no value
    is_called: bool  # p <= 0.05: the instrument says that the explanation holds of this unit
    truth: float = math.nan  # correlation of the true explanation of the unit, same simulator
    reason: str = ""


@dataclass(frozen=True, slots=True)
class GateResult:
    """What the instrument does with known answers; rates carry 95 % Wilson intervals."""

    simulator: str
    explainer: str  # whose recovery rate this is; empty without one
    n_planted: int
    power: float  # share of planted units whose true explanation is called
    power_low: float
    power_high: float
    n_placebos: int
    size: float  # share of placebos that are called
    size_low: float
    size_high: float
    n_pairs: int  # (true, false) explanations of one puzzle
    auc: float  # share of pairs in which the true one scores higher, ties half
    auc_low: float  # 95 % interval, bootstrap over puzzles
    auc_high: float
    n_puzzles: int
    n_first: int  # puzzles whose true explanation scores highest
    ceiling: float  # mean correlation of the true explanations of planted units
    ceiling_low: float  # 95 % interval, bootstrap over units
    ceiling_high: float
    n_explained: int = 0  # planted units that the explainer explained
    recovery: float = math.nan  # share of planted units that it explained at least 0.8 as well as the truth
    recovery_low: float = math.nan
    recovery_high: float = math.nan
    is_passed: bool = False
    reason: str = ""  # which demands are not met


@dataclass(frozen=True, slots=True)
class AttackCase:
    """A false explanation that was written to be scored as a true one, of a unit whose truth was called."""

    simulator: str
    explainer: str  # whose exemplars were poisoned; empty for an explanation that the attack wrote itself
    attack: str
    unit: str
    text: str
    usual_truth: float  # top-and-random correlation, as the literature scores, of the true explanation
    usual: float  # and of this one
    truth: float  # correlation on test excerpts, weighted to the population, of the true explanation
    value: float  # and of this one
    p: float  # rank among nulls; NaN where there is no value
    table: float  # correlation of the token table of the exemplars
    succeeds_before: bool  # keeps half of the usual score of the truth
    succeeds_after: bool  # keeps half of the score of the truth, and is called
    is_beyond_table: bool  # and scores above the table
    reason: str = ""  # "true of the unit": no attack, and not counted; or why there is no value


@dataclass(frozen=True, slots=True)
class AttackResult:
    """How often an attack succeeds; rates carry 95 % Wilson intervals."""

    simulator: str
    explainer: str
    attack: str
    n: int  # explanations that are false
    n_true: int  # what the attack wrote of other units was true, and is not counted
    before: float  # share that succeeds with the score of the literature
    before_low: float
    before_high: float
    after: float  # share that succeeds with ours
    after_low: float
    after_high: float
    beyond_table: float  # share that moreover scores above the token table


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure is a named value, never a plausible one."""

    unit: str
    stage: str
    """"records", "explanations", "capture", "exemplars", "explain", "simulate" or "judge"; of a behaviour
    "define", "observe", "explain", "predict" or "edit"."""
    kind: str
    detail: str
    part: str = ""  # which explainer or simulator, where there are several


@dataclass(frozen=True, slots=True)
class Generate:
    """Read generated text."""

    max_tokens: int
    temperature: float = 0.0  # 0 is greedy
    stop: tuple[str, ...] = ()
    seed: int = 0


@dataclass(frozen=True, slots=True)
class ReadLabels:
    """Read the probability of each label as the next token at each position."""

    labels: tuple[str, ...]  # (L,) each a single token of the model
    positions: tuple[int, ...]  # (P,) character offsets into Prompt.text


@dataclass(frozen=True, slots=True)
class ReadChoice:
    """Read the probability of each of several texts as the beginning of the answer.

    Of labels that are all single tokens of the model, from one distribution; else the likelihood of each
    text as a sequence.
    """

    labels: tuple[str, ...]  # (L,) no two alike


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question to a model.

    The model sees the parts of `shared` and then `text`. What many prompts have in common comes
    first, the part with the most in common before the others: a backend may compute each once.
    `is_chat` sends the whole as one user message through the model's chat template; the answer then
    begins with `reply_start`.
    """

    shared: tuple[str, ...]
    text: str
    read: Generate | ReadLabels | ReadChoice
    is_chat: bool = False
    reply_start: str = ""

    @property
    def whole(self) -> str:
        """All that the model sees, before any chat template."""
        return "".join(self.shared) + self.text + self.reply_start


@dataclass(frozen=True, slots=True)
class Completion:
    """What came back: text for Generate, log-probabilities for ReadLabels, and for ReadChoice (P = 1)."""

    text: str = ""
    label_logprobs: tuple[tuple[float, ...], ...] = ()  # (P, L) natural log, not renormalised
    cost: Cost = field(default_factory=Cost)
    stopped: Literal["stop", "length", ""] = ""


@dataclass(frozen=True, slots=True)
class CallFailure:
    """A question that got no usable answer."""

    kind: Literal["too_long", "refused", "timeout", "malformed", "unavailable"]
    detail: str
