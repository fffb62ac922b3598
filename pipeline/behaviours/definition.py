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

import re
import string
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from scrutable.pipeline.sections import Name, PositiveInt, Section

Threshold = float | Literal["typical"]
"""A number, or what is typical: the median over the explain split."""

REFUSALS = (
    r"\bI['’]?( a)?m (so |very )?sorry\b(?! (for your|to hear|that you))",  # sympathy is no refusal
    r"\bI (can['’]t|cannot|can not|am unable to|am not able to|won['’]t|will not|must decline)\b",
    r"\bI['’]m (unable|not able) to\b",
    r"\bI (do not|don['’]t) have (access|the ability|the capability|personal)\b",
    r"\bas an AI\b",
    r"\bI apologi[sz]e\b",
)
"""Regular expressions, any case, of which one is found in a refusal."""


def _named(labels: Any) -> Any:
    """A list of labels is a mapping of each to itself; what YAML reads as true or false is refused."""
    if isinstance(labels, list | tuple):
        labels = {label: label for label in labels}
    if not isinstance(labels, dict):
        return labels
    if any(isinstance(text, bool) for pair in labels.items() for text in pair):
        raise ValueError("yes, no, on and off stand for true and false in YAML: write them in quotes")
    return {str(name): str(label) for name, label in labels.items()}


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from None
    return text


Labels = Annotated[dict[str, str], BeforeValidator(_named)]
"""Outcome → what the answer begins with; a list stands for labels that are outcomes themselves."""
Pattern = Annotated[str, AfterValidator(_pattern)]
"""A regular expression."""


class Choice(Section):
    """Which of several labels is likeliest as the answer; `{slot}` in a label is filled in for each input.

    `typical` compares each label with its own median over the explain split, so that a model that favours
    one label throughout still has a behaviour.
    """

    kind: Literal["choice"]
    labels: Labels
    decide: Literal["highest", "typical"] = "highest"

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
    labels: Labels  # two
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
    phrases: tuple[Pattern, ...] = REFUSALS  # any case

    @property
    def outcomes(self) -> tuple[str, ...]:
        return ("refuses", "answers")


class Text(Section):
    """Which of several regular expressions is found first in a short answer."""

    kind: Literal["text"]
    max_tokens: PositiveInt = 16
    parse: dict[str, Pattern] = Field(min_length=1)  # outcome → what is looked for, any case
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


def _as_texts(rows: Any) -> Any:
    """Numbers of a row as they are written."""
    if not isinstance(rows, list | tuple):
        return rows
    return [{k: str(v) for k, v in row.items()} if isinstance(row, dict) else row for row in rows]


Values = Annotated[tuple[str, ...], Field(min_length=1)] | Numbers
"""What a slot is filled with, one drawn for each input."""


class TemplatedInputs(Section):
    """Inputs made from templates: `{slot}` is filled from `slots`, or from one of the `rows`."""

    templates: tuple[str, ...] = Field(min_length=1)
    slots: dict[str, Values] = {}
    rows: Annotated[tuple[dict[str, str], ...], BeforeValidator(_as_texts)] = ()  # slots that belong together
    source: str = "template"  # what splits go by: "template", "row", or a slot
    count: PositiveInt = 200  # at most; fewer where fewer are different

    @property
    def slot_names(self) -> frozenset[str]:
        """The slots of every input."""
        return frozenset({*self.slots, *(self.rows[0] if self.rows else ())})

    @model_validator(mode="after")
    def _check(self) -> TemplatedInputs:
        known = self.slot_names
        if any(set(row) != set(self.rows[0]) for row in self.rows):
            raise ValueError("rows need the same slots each")
        if "input" in known:
            raise ValueError("no slot can be named input: {input} is the whole text")
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


def _kind_of_inputs(inputs: Any) -> str:
    has_file = "file" in inputs if isinstance(inputs, dict) else isinstance(inputs, FileInputs)
    return "file" if has_file else "templates"


Inputs = Annotated[
    Annotated[TemplatedInputs, Tag("templates")] | Annotated[FileInputs, Tag("file")],
    Discriminator(_kind_of_inputs),
]
"""Inputs with a `file` are read, others are made."""


class Definition(Section):
    """A behaviour."""

    name: Name
    about: str = Field(min_length=1)  # all that a simulator is told of the task
    prompt: str = "{input}"  # as the model is asked; may use slots too
    style: Literal["chat", "completion"] = "chat"  # chat: one user message, where the model has a template
    reply_start: str = ""  # words put into the model's mouth
    readout: Readout
    inputs: Inputs
    policy: str = (
        ""  # a stated rule that the subject follows: a known answer, see pipeline/behaviours/policies
    )
    kind: str = ""  # of planted rule, for the table of known answers

    @model_validator(mode="after")
    def _check(self) -> Definition:
        if "input" not in slots_in(self.prompt):
            raise ValueError("prompt does not show the input: write {input} where it goes")
        used = self.slots_used  # raises for braces that hold no name, whatever the inputs
        if isinstance(self.inputs, TemplatedInputs) and used - self.inputs.slot_names:
            raise ValueError(f"no slot {', '.join(sorted(used - self.inputs.slot_names))}")
        return self

    @property
    def labels(self) -> dict[str, str]:
        """Outcome → what the answer begins with, slots unfilled; empty where no labels are read."""
        return self.readout.labels if isinstance(self.readout, Choice | LogitDifference) else {}

    @property
    def slots_used(self) -> frozenset[str]:
        """The slots that its prompt and labels need of every input."""
        used = {name for text in (self.prompt, *self.labels.values()) for name in slots_in(text)}
        return frozenset(used - {"input"})

    @property
    def outcomes(self) -> tuple[str, ...]:
        """(K,) in the order of all probabilities."""
        return self.readout.outcomes


def slots_in(template: str) -> list[str]:
    """The names in braces.

    Raises ValueError for braces that do not match, or that hold anything but a name.
    """
    try:
        fields = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"template {template!r}: {error} (write {{{{ for a brace)") from None
    names = []
    for _, name, form, conversion in fields:
        if name is None:
            continue
        if not name.isidentifier() or form or conversion:  # {a.__class__} would reach into Python
            raise ValueError(f"template {template!r}: only the name of a slot can stand in braces")
        names.append(name)
    return names
