"""What the core expects of its leaves: Subject, Ask, Explainer, Simulator, Scorer.

A leaf implements one of these, and is named in one registry line. Batches go in and come out in
the same order; a single item that fails is a value in its place, never an exception and never a
missing item.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from scrutable.pipeline.config import ModelConfig
from scrutable.pipeline.records import (
    Calibration,
    CallFailure,
    Completion,
    Excerpt,
    Explanation,
    Failure,
    Language,
    Passage,
    Prompt,
    Score,
    Simulation,
    Summary,
    Unit,
)
from scrutable.pipeline.sampling import Captured, SamplingPlan
from scrutable.pipeline.windows import Windows

Ask = Callable[[Sequence[Prompt]], "list[Completion | CallFailure]"]
"""The narrow door to a language model: a batch of prompts in, as many answers out, in order.

Synchronous: a backend that talks to servers runs its own event loop inside. The same batch gives
the same answers, whatever was asked before; another batch may differ in the last bits."""

Progress = Callable[[int, int], None]
"""Called with (done, total) in the stage's own unit of work."""


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


class Services(NamedTuple):
    """What a leaf may ask of the composition root when it is made."""

    locate: Callable[[ModelConfig], LocatedModel]
    ask: Callable[[ModelConfig], Ask]  # opens the door to a model; one model is loaded once
    seed: int


class Explanatory(NamedTuple):
    """What an explainer sees of a unit: nothing but these excerpts of the explain split."""

    unit: str
    shown: tuple[Excerpt, ...]


class Explainer(Protocol):
    """Writes explanations."""

    @property
    def name(self) -> str:
        """Its name in the config; the second half of an explanation's id."""
        ...

    def prompts(self, jobs: Sequence[Explanatory]) -> list[Prompt]:
        """The prompts that `explain` would send, for the dry run; empty where no model is asked."""
        ...

    def explain(self, jobs: Sequence[Explanatory]) -> list[Explanation | Failure]: ...


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


class Evidence(NamedTuple):
    """All that a scorer gets of one unit, one explainer and one simulator."""

    unit: str
    explainer: str
    simulator: str
    calibrate: tuple[Excerpt, ...]
    held_out: tuple[Excerpt, ...]
    simulations: tuple[Simulation, ...]  # own and null, on calibrate and held-out excerpts


class Scorer(Protocol):
    """Turns stored simulations into scores; pure."""

    def __call__(self, evidence: Evidence, *, seed: int, draws: int) -> tuple[Score, ...]: ...


class AssignNulls(Protocol):
    """Chooses, for each unit, other units whose explanations serve as its null."""

    def __call__(self, units: Sequence[Unit], *, count: int, seed: int) -> dict[str, tuple[str, ...]]: ...


class Calibrate(Protocol):
    """Fits the map from a simulation to the subject's raw units on the calibrate split."""

    def __call__(self, evidence: Evidence) -> Calibration: ...


class Summarise(Protocol):
    """Summarises scores over units, counting failures."""

    def __call__(
        self, scores: Sequence[Score], failures: Sequence[Failure], *, draws: int, seed: int
    ) -> tuple[Summary, ...]: ...


class Evaluation(NamedTuple):
    """The judges of a run: all that the stages need of the evaluators."""

    assign_nulls: AssignNulls
    scorers: Mapping[str, Scorer]
    calibrate: Calibrate
    summarise: Summarise
