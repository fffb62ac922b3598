"""What a behaviour is told in YAML: its inputs, how they are put to a model, and how an outcome is read.

    name: sentiment
    about: Is the review called positive or negative?
    prompt: |-
      Review: {input}
      Is this review positive or negative? Answer with one word.
    readout: {kind: choice, labels: [positive, negative]}
    inputs:
      templates: ["The {thing} was {quality}."]
      slots: {thing: [film, book], quality: [great, dull]}

Knows the shape of a definition and nothing of models. docs/behaviours.md describes every key.
"""

from __future__ import annotations

import string
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from scrutable.pipeline.sections import Name, PositiveInt, Section

Threshold = float | Literal["typical"]
"""A number, or what is typical: the median over the explain split."""

REFUSALS = (
    r"\bI('m| am) sorry\b",
    r"\bI (can('|no)t|am unable to|am not able to|won't|will not|must decline)\b",
    r"\bas an AI\b",
    r"\bI apologi[sz]e\b",
)
"""Regular expressions, any case, of which one is found in a refusal."""


class Choice(Section):
    """Which of several labels is likeliest as the answer; `{slot}` in a label is filled in for each input.

    `typical` compares each label with its own median over the explain split, so that a model that favours
    one label throughout still has a behaviour.
    """

    kind: Literal["choice"]
    labels: dict[str, str]  # outcome → what the answer begins with
    decide: Literal["highest", "typical"] = "highest"

    @field_validator("labels", mode="before")
    @classmethod
    def _named(cls, labels: Any) -> Any:
        return {str(label): str(label) for label in labels} if isinstance(labels, list | tuple) else labels

    @model_validator(mode="after")
    def _check(self) -> Choice:
        if len(self.labels) < 2:
            raise ValueError("labels needs at least two")
        return self

    @property
    def outcomes(self) -> tuple[str, ...]:
        return tuple(self.labels)


class LogitDifference(Section):
    """Whether the log-probability of the first label less that of the second is above a threshold (nats)."""

    kind: Literal["logit_difference"]
    labels: dict[str, str]  # two: outcome → what the answer begins with
    threshold: Threshold = "typical"

    @model_validator(mode="after")
    def _check(self) -> LogitDifference:
        if len(self.labels) != 2:
            raise ValueError(f"labels needs two, got {len(self.labels)}")
        return self

    @property
    def outcomes(self) -> tuple[str, ...]:
        return tuple(self.labels)


class NextToken(Section):
    """Whether the probability that the answer begins with one of some words is above a threshold."""

    kind: Literal["next_token"]
    words: tuple[str, ...] = Field(min_length=1)
    names: tuple[str, str] = ("yes", "no")  # of the outcomes above and below
    threshold: Threshold = "typical"

    @property
    def outcomes(self) -> tuple[str, ...]:
        return self.names


class Refusal(Section):
    """Whether the answer refuses, by phrases."""

    kind: Literal["refusal"]
    max_tokens: PositiveInt = 24
    phrases: tuple[str, ...] = REFUSALS  # regular expressions, any case

    @property
    def outcomes(self) -> tuple[str, ...]:
        return ("refuses", "answers")


class Text(Section):
    """Which of several regular expressions is found first in a short answer."""

    kind: Literal["text"]
    max_tokens: PositiveInt = 16
    parse: dict[str, str] = Field(min_length=1)  # outcome → regular expression, any case
    otherwise: str = (
        ""  # the outcome of an answer with none of them; empty: it cannot be read, and is counted
    )

    @model_validator(mode="after")
    def _check(self) -> Text:
        if len(self.outcomes) < 2:
            raise ValueError("parse needs two outcomes, or one and `otherwise`")
        return self

    @property
    def outcomes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*self.parse, *([self.otherwise] if self.otherwise else [])]))


Readout = Annotated[
    Choice | LogitDifference | NextToken | Refusal | Text,
    Field(discriminator="kind"),
]


class Numbers(Section):
    """A slot of whole numbers."""

    least: int
    most: int

    @model_validator(mode="after")
    def _check(self) -> Numbers:
        if self.least > self.most:
            raise ValueError(f"least ({self.least}) is above most ({self.most})")
        return self


class TemplatedInputs(Section):
    """Inputs made from templates: `{slot}` is filled from `slots`, or from one of the `rows`."""

    templates: tuple[str, ...] = Field(min_length=1)
    slots: dict[str, tuple[str, ...] | Numbers] = {}
    rows: tuple[dict[str, str], ...] = ()  # slots that belong together
    source: str = "template"  # what splits go by: "template", "row", or a slot
    count: PositiveInt = 200  # at most; fewer where fewer are different

    @field_validator("rows", mode="before")
    @classmethod
    def _texts(cls, rows: Any) -> Any:
        if not isinstance(rows, list | tuple):
            return rows
        return [{k: str(v) for k, v in row.items()} if isinstance(row, dict) else row for row in rows]

    @model_validator(mode="after")
    def _check(self) -> TemplatedInputs:
        known = {*self.slots, *(self.rows[0] if self.rows else ())}
        if any(set(row) != set(self.rows[0]) for row in self.rows):
            raise ValueError("rows need the same slots each")
        wanted = {name for template in self.templates for name in slots_in(template)}
        if wanted - known:
            raise ValueError(
                f"no slot {', '.join(sorted(wanted - known))} (there are {', '.join(sorted(known))})"
            )
        if self.source not in {"template", *(["row"] if self.rows else []), *known}:
            raise ValueError(f"source {self.source!r} is neither template, row nor a slot")
        return self


class FileInputs(Section):
    """Inputs from a JSONL file; every other text or number of a line is a slot."""

    file: str  # a path, relative to the definition
    text_field: str = "text"
    source_field: str = "source"
    count: PositiveInt = 1_000  # at most: the first lines


class Definition(Section):
    """A behaviour."""

    name: Name
    about: str = Field(min_length=1)  # all that a simulator is told of the task
    prompt: str = "{input}"  # as the model is asked; may use slots too
    style: Literal["chat", "completion"] = "chat"  # chat: one user message, where the model has a template
    reply_start: str = ""  # words put into the model's mouth
    readout: Readout
    inputs: TemplatedInputs | FileInputs
    policy: str = (
        ""  # a stated rule that the subject follows: a known answer, see pipeline/behaviours/policies
    )
    kind: str = ""  # of planted rule, for the table of known answers

    @model_validator(mode="after")
    def _check(self) -> Definition:
        if "input" not in slots_in(self.prompt):
            raise ValueError("prompt does not show the input: write {input} where it goes")
        if isinstance(self.inputs, TemplatedInputs):
            inputs = self.inputs
            known = {"input", *inputs.slots, *(inputs.rows[0] if inputs.rows else ())}
            labels = self.readout.labels if isinstance(self.readout, Choice | LogitDifference) else {}
            wanted = {name for text in (self.prompt, *labels.values()) for name in slots_in(text)}
            if wanted - known:
                raise ValueError(f"no slot {', '.join(sorted(wanted - known))}")
        return self

    @property
    def outcomes(self) -> tuple[str, ...]:
        """(K,) in the order of all probabilities."""
        return self.readout.outcomes


def slots_in(template: str) -> list[str]:
    """The names in braces. Raises ValueError for braces that do not match."""
    try:
        return [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    except ValueError as error:
        raise ValueError(f"template {template!r}: {error} (write {{{{ for a brace)") from None
