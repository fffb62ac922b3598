"""The nouns of recursion: jobs, what causes them, substitutions, claims and the ledger of trust.

Imports only the other records. Levels count from 1: at level k the claims are about units of model k - 1
and were written by model k; model 0 is the subject. SCIENCE.md 2 and 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from scrutable.pipeline.records import Cost

Stop = Literal["", "foundation", "text_only", "cut_off", "budget", "below_gap", "no_job", "no_children"]
"""Why a claim's author is not looked into: "" it is; "foundation" the author is a readable program, so that
nothing is hidden in it (r = 0); "text_only" its weights may not be read, so that all of its writing is
unaccounted for (r = 1); "cut_off" no model above is given to explain it; "budget" more claims than may be
traced; "below_gap" the prompt does not determine the text; "no_job" the text was not written from a prompt
that can be traced; "no_children" nothing in the author that caused the text could be explained. The last five
leave a claim open.
"""

Patched = Literal[
    "prefix",  # the best m nodes by attribution
    "random",  # as many nodes, drawn at random
    "layer_matched",  # as many in each layer as the causal set has, none of them in it
    "single",  # one node alone
    "mlp_exemplars",  # every MLP node at the positions where the prompts differ
    "mlp_tail",  # after those, before the text
    "mlp_text",  # in the text itself
    "attention_exemplars",  # inputs of the attention's output projection where the prompts differ
]


@dataclass(frozen=True, slots=True)
class Job:
    """An explanation as the work that its author did: the prompt, the text, and a counterfactual prompt.

    Log-likelihoods are in nats, of the text's tokens given all before them. Content tokens are those that
    the true prompt makes likelier by more than a nat: what follows is about them alone, so that fluency
    is not counted as content.
    """

    id: str  # `LEVEL/UNIT`, unique within a ladder
    level: int
    unit: str
    author: str  # name of the model
    text: str
    document: str  # id of the job's text in the author's working text
    matched: str  # the unit whose exemplars stand in the counterfactual prompt; empty if there is none
    prompt_ids: tuple[int, ...]  # (P,) everything before the text
    counterfactual_ids: tuple[int, ...]  # (P,) aligned position by position; empty if there is none
    reply_ids: tuple[int, ...]  # (R,)
    spans: tuple[int, ...]  # flat pairs [start, stop) of prompt positions that hold exemplars
    n_prefix: int  # leading prompt positions that every job shares
    seed: int
    precision: str
    digest: str  # of the author's weights
    likelihood: float  # log p(text | prompt), nats
    gap: float  # log p(text | prompt) - log p(text | counterfactual), nats; NaN without counterfactual
    content_gap: float  # the same over content tokens
    n_content: int
    random_gap: float  # the gap in a model of the same shape with random weights; NaN where it was not asked
    is_gated: bool  # the gap reaches the threshold
    reason: str = ""  # why it is not


@dataclass(frozen=True, slots=True)
class Patch:
    """What true patching does: nodes take their values under the counterfactual prompt.

    `effect` is the share of the content gap that is lost, (clean - patched) / content gap; unclipped.
    """

    job: str
    kind: Patched
    n: int  # nodes patched; for sites, 0
    effect: float
    unit: str = ""  # of a single node
    attribution: float = math.nan  # what attribution says of the same node, share of the content gap


@dataclass(frozen=True, slots=True)
class Cause:
    """The causal set of a job: the shortest prefix of the ranked nodes whose patching costs enough."""

    job: str
    n_nodes: int  # size of T
    coverage: float  # C, by true patching; share of the content gap
    is_reached: bool  # C reached what was asked for
    random: float  # the effect of as many random nodes
    layer_matched: float  # of as many in the same layers, none of them in T
    rank_agreement: float  # Spearman of attribution and true single patches; NaN for fewer than 3 nodes
    n_singles: int
    attention: float  # share of the gap by patching attention at exemplar positions
    attribution_sum: float  # sum over all nodes as a share of the gap: shown to be no coverage
    content: tuple[str, ...]  # the strongest content nodes, unit ids
    format: tuple[str, ...]  # nodes whose mean-ablation hurts the text under both prompts, strongest first


@dataclass(frozen=True, slots=True)
class Node:
    """A node of a job's causal set."""

    job: str
    unit: str
    attribution: float  # nats, > 0; what children are drawn in proportion to


@dataclass(frozen=True, slots=True)
class Substitution:
    """Simulated activations of explained nodes in the running author, in place of the true ones.

    All figures are nats of the content tokens. "null" and "shuffled" are simulated from explanations of other
    nodes, calibrated as the own ones are; X = (own - null) / (lost - null), so that what a constant would
    restore counts as nothing. "mean" holds the nodes at their mean.
    """

    job: str
    explainer: str  # who explained the nodes
    simulator: str
    kind: Literal["own", "null", "shuffled", "mean"]
    n_nodes: int  # substituted
    n_failed: int  # of the explained nodes, without a usable simulation: they stay counterfactual
    lost: float  # clean - (nodes at their counterfactual values)
    restored: float  # (nodes at their simulated values) - (nodes at their counterfactual values)


@dataclass(frozen=True, slots=True)
class Proxy:
    """What attribution-weighted fidelity would have said of X, beside X: a guess and its calibration.

    Both are shares of what the explained nodes lose beyond the null, over the jobs of a level, unclipped.
    """

    level: int
    explainer: str  # who explained the nodes
    simulator: str
    n_jobs: int
    proxy: float  # mean excess explained variance of the nodes' explanations, by attribution
    substitution: float  # X, as measured in the same jobs
    low: float  # of proxy - X, 95 %
    high: float
    agreement: float  # Spearman over jobs of the two; NaN where too few can be ranked
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """A node of the claim tree, "e describes u", with what was measured of it.

    Gains are excess gains in bits for each token of that unit's own population, test split.
    """

    id: str  # `LEVEL/UNIT` for roots, `PARENT>LEVEL/UNIT` below
    ladder: str
    level: int
    root: str
    parent: str  # empty for a root
    unit: str
    author: str
    text: str
    share: float  # of its parent's passed-up weight; 1 for a root
    gain: float  # of the text, by the main simulator
    gain_strict: float  # of the program that the text was compiled to, by the checker; 0 without one
    gain_lenient: float  # the smallest over diverse simulators and paraphrases; NaN where there are none
    gain_shifted: float  # of the text on other text than it was written from; NaN where it was not tried
    gain_strict_shifted: float
    gap: float  # of its job, nats; 0 where it is not followed
    effect: float  # of its causal set, nats: coverage x gap
    lost: float  # of its explained nodes, nats
    restored: float  # by their simulations
    restored_null: float  # by simulations from other nodes' explanations
    restored_shuffled: float  # by those from yet other nodes': a control in place of `restored`
    stop: Stop

    @property
    def is_followed(self) -> bool:
        """True if it is known what in its author accounts for it."""
        return self.stop in ("", "foundation", "text_only")


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """Where the trust in one level of a ladder went; shares of what came in, unclipped, with 95 % intervals.

    discharged + stranded + passed_up + open = 1: v, (1-v)r, (1-v)(1-r) of what could be followed, and what
    was not looked into. Intervals resample roots.
    """

    ladder: str
    level: int
    tier: Literal["strict", "lenient"]
    corpus: Literal["sampled", "shifted"]
    author: str  # who wrote the claims of this level
    trusted: str  # who is trusted with what is passed up; empty at the top
    parameters: float  # of the trusted party, for information; 0 for a program, NaN if unknown
    n_claims: int
    n_followed: int
    n_roots: int
    weight: float  # what came in, share of the root weight
    weight_bits: float  # the same in bits for each token, summed over roots
    discharged: float
    discharged_low: float
    discharged_high: float
    stranded: float
    stranded_low: float
    stranded_high: float
    passed_up: float
    passed_up_low: float
    passed_up_high: float
    open: float
    v: float
    v_low: float
    v_high: float
    r: float
    r_low: float
    r_high: float
    coverage: float  # sum of effects / sum of gaps
    substitution: float  # X: sum of (restored - null) / sum of (lost - null)
    substitution_low: float
    substitution_high: float
    substitution_shuffled: float  # the same with shuffled explanations: 0 if the instrument is sound
    unresolved: float  # U_k: share of the root weight that still rests on trust after this level
    unresolved_low: float
    unresolved_high: float
    stop: str  # why claims of this level stay open
    end: Literal["", "cut_off", "loop", "foundation", "text_only", "nothing_left"]
    """How the ladder ends here, the trilemma named; empty where it goes on. A loop explains itself."""
    reason: str = ""  # why a share is undefined


@dataclass(frozen=True, slots=True)
class Transfer:
    """How well explanations written from one text describe the same units on another (2 x 2)."""

    level: int
    explainer: str
    simulator: str
    written_from: Literal["working", "general"]
    scored_on: Literal["working", "general"]
    n_units: int
    value: float  # mean excess correlation over the null
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Ceiling:
    """How much of a unit can be known from a short context: h(c), a ceiling for any simulator that sees c."""

    level: int
    unit: str
    context: int  # tokens
    value: float  # explained variance of the full-context activation by the short-context one


@dataclass(frozen=True, slots=True)
class Overlap:
    """How alike the causal sets of jobs are: mean Jaccard index over pairs of jobs."""

    level: int
    family: Literal["content", "format"]
    n_jobs: int
    mean: float
    largest: float


@dataclass(frozen=True, slots=True)
class Gated:
    """How many claims of a level were left out, and why: nothing is dropped silently."""

    ladder: str
    level: int
    reason: str
    n: int
    share: float  # of the claims that the level began with


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the pre-registered rule table says of one hypothesis, from the ledger alone."""

    ladder: str
    hypothesis: str  # H1 ... H5
    question: str
    outcome: Literal["supports", "against", "stuck", "no information"]
    why: str  # the figures that decided


@dataclass(frozen=True, slots=True)
class KnownLadder:
    """What the instrument says of a planted explainer, beside what is true of it."""

    name: str
    about: str
    share: Literal["discharged", "stranded", "passed_up", "gated_out"]
    expected: float
    value: float
    low: float
    high: float
    n_roots: int
    is_passed: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """One explainer on one subject, with the same simulator in all cells."""

    subject: str
    explainer: str
    subject_parameters: float
    explainer_parameters: float  # 0 for a program
    is_same: bool
    n_units: int
    value: float  # mean excess correlation
    low: float
    high: float
    v: float  # share that the checker keeps; NaN where undefined


@dataclass(frozen=True, slots=True)
class Effect:
    """A coefficient of the regression over the matrix: what size, family or level does to the score."""

    term: str
    value: float
    low: float
    high: float
    n: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Replica:
    """A stand-in that was built from an explanation of the explainer, and how much of its worth it keeps.

    S = (gain of the replica's explanations - null) / (gain of the real ones - null).
    """

    level: int
    replica: str
    about: str
    n_units: int
    gain_real: float
    gain_replica: float
    s: float
    low: float
    high: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SecondReading:
    """What claims are worth to another reader, or in other words: one reading of the lenient tier.

    share = (sum of gains of this reading) / (sum of the gains as scored), over the claims in the tree.
    """

    level: int  # of the claims
    wording: str  # "author": its own words; else a paraphraser
    simulator: str
    n_claims: int
    n_unread: int  # without a gain: no paraphrase, a failed call; they count as 0
    n_same: int  # that the paraphraser left word for word as they were
    gain: float  # mean, bits for each token
    share: float
    low: float
    high: float
    reason: str = ""


Edit = Literal["none", "swap_top", "permute", "drop_one"]
"""What is changed in the exemplars of a job before its author writes again: nothing; the strongest replaced
by the strongest of another unit; their order; the strongest, which is left out."""
EDITS: tuple[Edit, ...] = ("none", "swap_top", "permute", "drop_one")

Guide = Literal["own", "shuffled", "none"]
"""The procedure that a chooser is given: one written from pairs of exemplars and explanations as they were,
one written from pairs in which the explanations had changed places, or none."""
GUIDES: tuple[Guide, ...] = ("own", "shuffled", "none")

Trait = Literal["copy_rate", "length", "names_strongest"]
"""Share of an explanation's words that are among the words shown, in [0, 1]; its words; 1 if it holds the
token on which the unit was strongest, else 0."""
TRAITS: tuple[Trait, ...] = ("copy_rate", "length", "names_strongest")


@dataclass(frozen=True, slots=True)
class Procedure:
    """How an author writes explanations, as another model puts it after seeing some of them."""

    level: int  # of the explanations
    kind: Guide  # "own" or "shuffled"
    author: str  # whose writing it tells of
    writer: str  # the model that wrote it
    text: str  # empty where there is none
    shown: tuple[str, ...]  # units whose exemplars and explanations it was written from
    prompt_digest: str  # SHA-256 of the prompt file, first 16 hex digits
    cost: Cost = field(default_factory=Cost)
    reason: str = ""  # why there is no text


@dataclass(frozen=True, slots=True)
class Choice:
    """Which of several explanations did the author write of these exemplars? The likeliest is chosen."""

    level: int
    job: str  # the unit whose exemplars are shown
    procedure: Guide
    edit: Edit
    n_candidates: int  # chance is one in so many; 0 where nothing was asked
    candidates: tuple[str, ...]  # the texts, the same under every procedure
    log_probabilities: tuple[float, ...]  # (n_candidates,) of each text as the answer, nats
    truth: int  # place of the text that the author wrote; -1 where nothing was asked
    is_right: bool  # it is likelier than all others; False where nothing was asked
    reason: str = ""  # why nothing was asked or answered: such a row is no wrong answer and is not counted


@dataclass(frozen=True, slots=True)
class Foretold:
    """How often a chooser finds the author's own text: counterfactual simulatability of its writing.

    SCIENCE.md 2.7 (i), after Chen et al. 2023. Accuracies in [0, 1] over the same units.
    """

    level: int
    edit: Edit
    n_units: int
    chance: float  # mean of 1 / candidates
    own: float  # accuracy with the procedure that another model wrote of the author
    shuffled: float  # with one that was written from exchanged explanations
    none: float  # with none
    difference: float  # own - shuffled
    low: float  # 95 % interval, bootstrap over units
    high: float
    reason: str = ""  # why nothing is defined


@dataclass(frozen=True, slots=True)
class WritingTrait:
    """How well a trait of the author's explanations is foretold on held-out units by a readable stand-in.

    R2 = 1 - sum (y - predicted)^2 / sum (y - mean)^2, the mean being that of the units that a procedure may
    be written from; so it is 0 for the mean itself and has no lower bound. Intervals resample units.
    """

    level: int
    trait: Trait
    predictor: str  # an explainer without a model, whose text has the trait that is predicted
    mean: float  # of the trait over held-out units
    r2: float
    low: float  # 95 % interval
    high: float
    n: int  # held-out units with the trait and a prediction
    reason: str = ""  # why R2 is undefined
