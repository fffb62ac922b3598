"""What the study of behaviours expects of its leaves: subjects, explainers, simulators.

As elsewhere, batches go in and come out in the same order, and a single item that fails is a value in its
place. Shape key: N inputs, K outcomes, T tokens of a text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from scrutable.pipeline.behaviours.definition import Definition
from scrutable.pipeline.behaviours.records import Condition, Input, Observation, Prediction, Reading, Scope
from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.protocols import Ask, LocatedModel
from scrutable.pipeline.records import CallFailure, Explanation, Failure, Language
from scrutable.pipeline.sections import ModelConfig

NO_CAPTUM = "captum is not installed: pip install 'scrutable[attribution]', or leave attribution out"


class Attribution(NamedTuple):
    """What each piece of a text adds to the log-odds of each outcome; the pieces join to the text."""

    pieces: tuple[str, ...]  # (T,)
    values: NDArray[np.float64]  # (T, K) nats


class BehavingSubject(Protocol):
    """The model whose behaviours are explained, or one that follows a stated rule."""

    @property
    def name(self) -> str: ...

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What the manifest says of it."""
        ...

    def read(self, definition: Definition, inputs: Sequence[Input]) -> list[Reading | CallFailure]:
        """(N,) what it does with each input."""
        ...

    def gradients(self, definition: Definition, inputs: Sequence[Input]) -> list[Attribution | CallFailure]:
        """(N,) gradient times input of each token of the input's text, for each outcome.

        Raises CapabilityError for a subject without gradients, or an outcome that is read from text.
        """
        ...


class Pair(NamedTuple):
    """An input and what the subject did with it."""

    input: Input
    observation: Observation


class Shown(NamedTuple):
    """What an explainer sees of a behaviour: its definition, and pairs of the explain split."""

    definition: Definition
    pairs: tuple[Pair, ...]


class BehaviourExplainer(Protocol):
    """Writes what decides the outcome of a behaviour."""

    @property
    def name(self) -> str:
        """Its name in the config; the second half of an explanation's id."""
        ...

    @property
    def language(self) -> Language: ...

    def explain(self, jobs: Sequence[Shown]) -> list[Explanation | Failure]:
        """One answer for each job."""
        ...


class PredictionJob(NamedTuple):
    """Inputs of one behaviour, and what a simulator is told besides its task."""

    definition: Definition
    condition: Condition
    explanation: Explanation | None  # what it reads if `explained`; of `examples` the one they are as long as
    examples: tuple[Pair, ...]  # of the explain split
    inputs: tuple[Input, ...]
    draw: int = 1  # of the examples


class BehaviourSimulator(Protocol):
    """Predicts the subject's outcome on inputs, from what it is told alone."""

    @property
    def name(self) -> str: ...

    @property
    def language(self) -> Language:
        """The language of the explanations that it reads."""
        ...

    @property
    def reads_examples(self) -> bool:
        """True if it can be told the task alone, or raw examples, in place of an explanation."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """The length of texts in its tokens: the common coin of explanations and examples."""
        ...

    def predict(self, jobs: Sequence[PredictionJob]) -> list[Prediction | Failure]:
        """One answer for each input of each job, jobs in order, inputs in order."""
        ...


class EditJob(NamedTuple):
    """An input to be edited as little as possible.

    Inside the scope of the explanation: so that, by the explanation, the outcome is `wanted`. Outside: in
    what, by the explanation, does not matter, so that the outcome stays.
    """

    definition: Definition
    explanation: Explanation
    input: Input
    scope: Scope
    wanted: str


class Editor(Protocol):
    """Changes inputs inside and outside the scope that an explanation claims."""

    @property
    def name(self) -> str: ...

    def edit(self, jobs: Sequence[EditJob]) -> list[str | CallFailure]:
        """One text for each job; a reply that is no edit is a CallFailure of kind "malformed"."""
        ...


def _no_subject() -> BehavingSubject:
    raise ConfigError("this job has no subject model, so nothing can be run on it")


class BehaviourServices(NamedTuple):
    """What a leaf may ask of the composition root when it is made."""

    locate: Callable[[ModelConfig], LocatedModel]
    ask: Callable[[ModelConfig], Ask]
    is_chat: Callable[[ModelConfig], bool]  # whether a model has a chat template
    count_tokens: Callable[[ModelConfig, Sequence[str]], list[int]]
    seed: int
    subject: Callable[[Definition], BehavingSubject] = lambda _definition: _no_subject()
    """Of a behaviour: the model, or the rule that is planted in its place."""


class BehaviourParts(Protocol):
    """Makes the parts of a study; what is expensive is made when it is first asked for."""

    def subject(self, definition: Definition) -> BehavingSubject: ...

    def peer(self, name: str) -> BehavingSubject:
        """Another model that is asked the same questions."""
        ...

    def own(self, simulator: str) -> BehavingSubject | None:
        """The model of a simulator, asked the same questions; None if it has none."""
        ...

    def explainer(self, name: str) -> BehaviourExplainer: ...

    def simulator(self, name: str) -> BehaviourSimulator: ...

    def editor(self) -> Editor: ...
