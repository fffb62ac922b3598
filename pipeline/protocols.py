"""What the core expects of its leaves: Subject, Ask, Explainer, Simulator, Scorer.

A leaf implements one of these, and is named in one registry line. Batches go in and come out in
the same order; a single item that fails is a value in its place, never an exception and never a
missing item.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.records import (
    Assurance,
    AttackCase,
    AttackResult,
    Calibration,
    CallFailure,
    Comparison,
    Completion,
    Difference,
    Excerpt,
    Explanation,
    Failure,
    GateCase,
    GateResult,
    Language,
    Metric,
    Passage,
    Prompt,
    RatePoint,
    Score,
    Simulation,
    Summary,
    Unit,
    Verdict,
)
from scrutable.pipeline.sampling import Captured, SamplingPlan
from scrutable.pipeline.sections import ModelConfig
from scrutable.pipeline.windows import Windows

Ask = Callable[[Sequence[Prompt]], "list[Completion | CallFailure]"]
"""The narrow door to a language model: a batch of prompts in, as many answers out, in order.

Synchronous: a backend that talks to servers runs its own event loop inside. The same batch gives
the same answers, whatever was asked before; another batch may differ in the last bits."""

Progress = Callable[[int, int], None]
"""Called with (done, total) in the stage's own unit of work."""


class Watch(Protocol):
    """Shows how far a stage is."""

    def __call__(self, stage: str) -> AbstractContextManager[Progress]: ...


class Tokenized(NamedTuple):
    """A text in a subject's tokens; the pieces join to the text that the subject saw."""

    ids: tuple[int, ...]  # (T,)
    pieces: tuple[str, ...]  # (T,)


class Sampler(Protocol):
    """Runs a subject over batches of windows and keeps what the plan asks for, in bounded memory."""

    def feed(self, windows: Windows, numbers: NDArray[np.int64], *, split: int) -> None:
        """Takes the next windows of a split; splits come in the order of SPLITS."""
        ...

    def end_of_split(self, split: int) -> None:
        """Told after the last window of a split."""
        ...

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything that `restore` needs to go on as if nothing had happened."""
        ...

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None: ...

    def captured(self) -> Captured:
        """What was kept of every unit."""
        ...


class Effects(NamedTuple):
    """What a unit does to the next token, as mean changes of log-probability in nats.

    Steered: with the unit set to a level at the last token of each text. Ablated: with its half-wave
    removed at every token, averaged over tokens. V tokens of the vocabulary.
    """

    words: tuple[str, ...]  # (V,)
    steered: NDArray[np.float32]  # (V,)
    ablated: NDArray[np.float32]  # (V,)


class Subject(Protocol):
    """The model that is explained."""

    @property
    def name(self) -> str: ...

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What the manifest says of it: weights digest, dtype, architecture, hook."""
        ...

    def unit_ids(self) -> list[str]:
        """Every unit, in the order of all arrays over units."""
        ...

    def check_units(self, units: Sequence[str]) -> None:
        """Raises ConfigError for a unit that this subject does not have."""
        ...

    def tokenize(self, texts: Sequence[str]) -> list[Tokenized]: ...

    def sampler(self, plan: SamplingPlan) -> Sampler:
        """A fresh sampler over all units of this subject."""
        ...

    def activations(self, texts: Sequence[str], units: Sequence[str]) -> list[NDArray[np.float32]]:
        """(T, U) activations of `units` on each token of each text, raw units, >= 0."""
        ...

    def effects(self, unit: str, texts: Sequence[str], *, level: float) -> Effects:
        """What the unit does to the next token after these texts; `level` is what it is steered to.

        Raises CapabilityError for a subject that predicts no tokens.
        """
        ...

    def traces(
        self, windows: Windows, wanted: Sequence[int], units: Sequence[str]
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """(window, (T, U) activations of `units`) for each wanted window, in the order given."""
        ...


class LocatedModel(NamedTuple):
    """A model whose files are on this machine."""

    name: str
    path: str  # a folder that transformers can load
    provenance: Mapping[str, Any]  # what the manifest says of it: digest, source, dtype, device, note


def _no_subject() -> Subject:
    raise ConfigError("this job has no subject model, so nothing can be run on it")


class Services(NamedTuple):
    """What a leaf may ask of the composition root when it is made."""

    locate: Callable[[ModelConfig], LocatedModel]
    ask: Callable[[ModelConfig], Ask]  # opens the door to a model; one model is loaded once
    seed: int
    subject: Callable[[], Subject] = _no_subject  # for judges that run the unit


class Explanatory(NamedTuple):
    """What an explainer sees of a unit: nothing but these excerpts of the explain split.

    An explainer that works from another one's explanation (its config says `of`) gets that too.
    """

    unit: str
    shown: tuple[Excerpt, ...]
    source: Explanation | None = None


class Written(NamedTuple):
    """A prompt that an explanation is written from, and where it tells of the unit.

    Everything outside the spans is the same for all units that are shown in the same way.
    """

    prompt: Prompt
    spans: tuple[tuple[int, int], ...]  # [start, stop) characters of `prompt.text`, ascending


class Explainer(Protocol):
    """Writes explanations."""

    @property
    def name(self) -> str:
        """Its name in the config; the second half of an explanation's id."""
        ...

    def prompts(self, jobs: Sequence[Explanatory]) -> list[Prompt]:
        """The prompts that `explain` would send, for the dry run; empty where no model is asked."""
        ...

    def explain(self, jobs: Sequence[Explanatory]) -> list[Explanation | Failure]:
        """The answers of all jobs, in order: one for each, or one for each candidate."""
        ...


class TraceableExplainer(Explainer, Protocol):
    """An explainer whose writing can be followed into the model that did it."""

    def written(self, job: Explanatory) -> Written | None:
        """The prompt that `explain` sends for a job; None where there is nothing to show."""
        ...


class SimulationJob(NamedTuple):
    """Passages on which one explanation is to be simulated."""

    unit: str
    explanation: Explanation
    passages: tuple[Passage, ...]


class Simulator(Protocol):
    """Predicts a unit on passages, from an explanation alone."""

    @property
    def name(self) -> str: ...

    @property
    def language(self) -> Language:
        """The language of the explanations that it reads."""
        ...

    def prompts(self, jobs: Sequence[SimulationJob]) -> list[Prompt]:
        """The prompts that `simulate` would send, for the dry run; empty where no model is asked."""
        ...

    def simulate(self, jobs: Sequence[SimulationJob]) -> list[Simulation | Failure]:
        """One answer for each passage of each job, jobs in order, passages in order."""
        ...


class Simulated(NamedTuple):
    """What one explanation predicts on all excerpts of a unit, as columns.

    Shape key: E excerpts, N scored tokens of all of them, L levels.
    """

    explanation: str  # its id
    excerpts: tuple[str, ...]  # (E,) ids
    lengths: NDArray[np.intp]  # (E,) scored tokens of each; sums to N
    expected: NDArray[np.float64]  # (N,) simulator's own scale
    probabilities: NDArray[np.float32]  # (N, L) rows sum to 1; (N, 0) where there is no distribution
    levels: tuple[float, ...]  # (L,) the value of each label
    label_mass: NDArray[np.float64]  # (E,) NaN where no labels were read


class Evidence(NamedTuple):
    """All that a scorer gets of one unit, one explanation and one simulator."""

    unit: str
    explainer: str  # author of the explanation, see `Explanation.author`
    simulator: str
    calibrate: tuple[Excerpt, ...]
    held_out: tuple[Excerpt, ...]
    own: Simulated | None  # on calibrate and held-out excerpts; None if no call was answered
    nulls: tuple[Simulated, ...]  # the same excerpts, with explanations of other units


class Scorer(Protocol):
    """Turns stored simulations into scores; pure."""

    def __call__(self, evidence: Evidence, *, seed: int, draws: int) -> tuple[Score, ...]: ...


class Examination(NamedTuple):
    """A unit to be asked about, and the explanations that are to answer: its own and the nulls."""

    unit: str
    explanations: tuple[Explanation, ...]
    excerpts: tuple[Excerpt, ...]  # of the test split


class Judge(Protocol):
    """Asks questions about a unit whose right answers are known, and has an explanation answer them.

    The questions depend on the unit and the seed only, so that every explanation gets the same ones.
    """

    @property
    def name(self) -> str: ...

    @property
    def metric(self) -> Metric:
        """How its verdicts become a score: "auroc" or "accuracy"."""
        ...

    @property
    def reads_explanations(self) -> bool:
        """False for a judge of the unit alone: its verdicts name no explanation and have no null."""
        ...

    def judge(self, jobs: Sequence[Examination]) -> list[Verdict | Failure]:
        """The verdicts of each job, jobs in order; a question without a usable answer is a Failure."""
        ...


class Hearing(NamedTuple):
    """All verdicts of one unit, one explanation and one judge."""

    unit: str
    explainer: str  # author of the explanation; empty for a judge that reads none
    judge: str
    metric: Metric
    own: tuple[Verdict, ...]
    nulls: tuple[tuple[Verdict, ...], ...]  # one for each null explanation
    n_asked: int  # questions put to the own explanation, answered or not


class ScoreHearing(Protocol):
    """Turns verdicts into a score; pure."""

    def __call__(self, hearing: Hearing, *, seed: int, draws: int) -> Score: ...


class ChooseBest(Protocol):
    """Of several explanations of one unit, the one that does best on the calibrate split.

    The null goes through the same choice, or best-of-k would make quality out of nothing: `nulls` holds
    the candidates of other units.
    """

    def __call__(
        self, candidates: Sequence[Evidence], nulls: Sequence[Simulated], *, author: str, seed: int
    ) -> Evidence | None: ...


class AssignNulls(Protocol):
    """Chooses, for each unit, other units whose explanations serve as its null."""

    def __call__(self, units: Sequence[Unit], *, count: int, seed: int) -> dict[str, tuple[str, ...]]: ...


class Calibrate(Protocol):
    """Fits the map from a simulation to the subject's raw units on the calibrate split."""

    def __call__(self, evidence: Evidence) -> Calibration: ...


class FindDifferences(Protocol):
    """Every two explanations or simulators of one unit, resampled together."""

    def __call__(self, evidence: Sequence[Evidence], *, seed: int, draws: int) -> tuple[Difference, ...]: ...


class Compare(Protocol):
    """Summarises differences over units."""

    def __call__(self, found: Sequence[Difference], *, seed: int, draws: int) -> tuple[Comparison, ...]: ...


class Adjust(Protocol):
    """Fills in the q of every score: Benjamini-Hochberg over units."""

    def __call__(self, scores: Sequence[Score]) -> list[Score]: ...


class Summarise(Protocol):
    """Summarises scores over units, counting failures."""

    def __call__(
        self, scores: Sequence[Score], failures: Sequence[Failure], *, draws: int, seed: int
    ) -> tuple[Summary, ...]: ...


class RatePoints(Protocol):
    """Points of the rate-distortion curve of one unit: surrogates fitted within each budget of bits."""

    def __call__(
        self,
        unit: str,
        explain: Sequence[Excerpt],
        calibrate: Sequence[Excerpt],
        held_out: Sequence[Excerpt],
        *,
        budgets: Sequence[int],
    ) -> tuple[RatePoint, ...]: ...


class Assure(Protocol):
    """The share v of a text's gain that the program compiled from it keeps.

    `compiled` maps the author of each program to the explainer whose text it was compiled from.
    """

    def __call__(
        self, scores: Sequence[Score], compiled: Mapping[str, str], *, draws: int, seed: int
    ) -> tuple[Assurance, ...]: ...


class Evaluation(NamedTuple):
    """The judges of a run: all that the stages need of the evaluators."""

    assign_nulls: AssignNulls
    scorers: Mapping[str, Scorer]
    score_hearing: ScoreHearing
    choose_best: ChooseBest
    calibrate: Calibrate
    differences: FindDifferences
    compare: Compare
    adjust: Adjust
    summarise: Summarise
    rate_points: RatePoints
    assure: Assure


class Gate(NamedTuple):
    """What the instrument did with known answers."""

    cases: tuple[GateCase, ...]
    results: tuple[GateResult, ...]
    attack_cases: tuple[AttackCase, ...]
    attacks: tuple[AttackResult, ...]
    notes: tuple[str, ...]  # lines for the person at the terminal
    table: str  # the results as the command prints them


class Tab(NamedTuple):
    """What a rehearsed part would have asked of a server that was not asked."""

    prompts: int
    prompt_tokens: int
    reply_tokens: int  # each reply as long as it may be
    dollars: float  # NaN where the price is unknown


class Parts(Protocol):
    """Makes the parts of a job; what is expensive is made when it is first asked for."""

    def corpus(self) -> Path: ...

    def subject(self) -> Subject: ...

    def release_subject(self) -> None:
        """Lets go of the subject's memory; a later `subject()` loads it again."""
        ...

    def explainer(self, name: str) -> Explainer: ...

    def simulator(self, name: str) -> Simulator: ...

    def judge(self, name: str) -> Judge: ...

    def describe(self, stage: str, name: str) -> None:
        """Puts what a stage is about to use into the manifest; loads no weights."""
        ...

    def lanes(self, stage: str, name: str) -> int:
        """How many shards of a stage one process should have under way: 1 where it does the work itself."""
        ...

    def tab(self, stage: str, name: str) -> Tab | None:
        """What a part has asked since the last call, in a rehearsal; None for one that was really asked."""
        ...

    def gate(self, progress: Progress) -> Gate:
        """Tries the simulators and explainers of the config on known answers."""
        ...
