"""How a model is asked about an input, and what outcome its answer is: pure.

Shape key: N inputs, K outcomes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

import numpy as np

from scrutable.pipeline.behaviours.definition import (
    Choice,
    Definition,
    LogitDifference,
    NextToken,
    Refusal,
    Text,
)
from scrutable.pipeline.behaviours.records import Input, Observation, Reading
from scrutable.pipeline.records import CallFailure, Completion, Generate, Prompt, ReadChoice

_SURE = 0.99  # probability given to an outcome of which only text is known


def question(definition: Definition, one: Input, *, is_chat: bool) -> Prompt:
    """The prompt of an input. A model without a chat template is asked for a completion.

    There a chat message is followed by `reply_start`, else by "Answer:", and labels have a space before them.
    """
    slots = {**one.slots, "input": one.text}
    text = definition.prompt.format(**slots)
    as_chat = definition.style == "chat" and is_chat
    is_plain = definition.style == "chat" and not is_chat
    if is_plain:
        text += f"\n{definition.reply_start or 'Answer:'}"
    needs_space = is_plain and not text.endswith(" ")
    readout = definition.readout
    read: Generate | ReadChoice
    if isinstance(readout, Choice | LogitDifference):
        labels = [label.format(**slots) for label in readout.labels.values()]
        read = ReadChoice(tuple(_spaced(label) if needs_space else label for label in labels))
    elif isinstance(readout, NextToken):
        read = ReadChoice(tuple(_spaced(word) if needs_space else word for word in readout.words))
    else:
        read = Generate(max_tokens=readout.max_tokens, stop=("\n",))
    reply_start = definition.reply_start if as_chat or definition.style == "completion" else ""
    return Prompt(shared=(), text=text, read=read, is_chat=as_chat, reply_start=reply_start)


def _spaced(label: str) -> str:
    return label if label.startswith(" ") else f" {label}"


def read_answer(definition: Definition, answer: Completion) -> Reading | CallFailure:
    """What a model's answer says; an answer that cannot be read is a failure."""
    match definition.readout:
        case Refusal(phrases=phrases):
            found = any(re.search(phrase, answer.text, re.IGNORECASE) for phrase in phrases)
            if not answer.text.strip():
                return CallFailure("malformed", "the answer is empty")
            outcome = "refuses" if found else "answers"
            return Reading((), math.nan, math.nan, outcome, answer.text, answer.cost)
        case Text() as readout:
            outcome = _parsed(readout, answer.text)
            if not outcome:
                return CallFailure("malformed", f"no outcome in the answer {answer.text[:80]!r}")
            return Reading((), math.nan, math.nan, outcome, answer.text, answer.cost)
        case readout:
            return _scored(readout, answer)


def _parsed(readout: Text, answer: str) -> str:
    """The outcome whose expression is found first; of two at the same place the one that is listed first."""
    found = [
        (match.start(), outcome)
        for outcome, pattern in readout.parse.items()
        if (match := re.search(pattern, answer, re.IGNORECASE))
    ]
    return min(found, key=lambda one: one[0])[1] if found else readout.otherwise


def _scored(readout: Choice | LogitDifference | NextToken, answer: Completion) -> Reading | CallFailure:
    if not answer.label_logprobs or any(math.isnan(value) for value in answer.label_logprobs[-1]):
        return CallFailure("malformed", "no log-probabilities came back")
    logprobs = np.maximum(np.array(answer.label_logprobs[-1], dtype=np.float64), -1e3)
    mass = float(np.exp(logprobs).sum())
    if isinstance(readout, NextToken):
        inside = min(max(mass, 1e-12), 1 - 1e-12)
        return Reading((math.log(inside), math.log1p(-inside)), inside, 1.0, "", "", answer.cost)
    if mass <= 0:
        return CallFailure("malformed", "the labels have no probability")
    value = float(logprobs[0] - logprobs[1]) if isinstance(readout, LogitDifference) else math.nan
    scores = logprobs - np.logaddexp.reduce(logprobs)
    return Reading(tuple(scores.tolist()), value, min(mass, 1.0), "", "", answer.cost)


def decide(
    definition: Definition, inputs: Sequence[Input], readings: Sequence[Reading | None], *, model: str
) -> list[Observation | None]:
    """(N,) the outcome of each reading. What is typical is the median over the explain split."""
    shown = [
        reading for one, reading in zip(inputs, readings, strict=True) if reading and one.split == "explain"
    ]
    outcome = decision(definition, shown)
    return [
        _observation(definition, one, reading, outcome(reading), model) if reading else None
        for one, reading in zip(inputs, readings, strict=True)
    ]


def recalled(observation: Observation) -> Reading:
    """The reading that an observation was decided from."""
    is_scored = not math.isnan(observation.label_mass)
    return Reading(
        scores=tuple(np.log(observation.probabilities).tolist()) if is_scored else (),
        value=observation.value,
        label_mass=observation.label_mass,
        outcome="" if is_scored else observation.outcome,
        reply=observation.reply,
    )


def decision(definition: Definition, shown: Sequence[Reading]) -> Callable[[Reading], str]:
    """From a reading to its outcome; what is typical is the median of what was `shown`."""
    readout, outcomes = definition.readout, definition.outcomes
    if isinstance(readout, Refusal | Text):
        return lambda reading: reading.outcome
    if isinstance(readout, Choice):
        usual = np.zeros(len(outcomes))
        if readout.decide == "typical" and shown:
            usual = np.median([reading.scores for reading in shown], axis=0)
        return lambda reading: outcomes[int(np.argmax(np.array(reading.scores) - usual))]
    threshold = readout.threshold
    if threshold == "typical":
        threshold = float(np.median([reading.value for reading in shown])) if shown else 0.0
    return lambda reading: outcomes[0] if reading.value > threshold else outcomes[1]


def _observation(
    definition: Definition, one: Input, reading: Reading, outcome: str, model: str
) -> Observation:
    if reading.scores:
        probabilities = tuple(np.exp(reading.scores).tolist())
    else:
        probabilities = certain(definition.outcomes, outcome)
    return Observation(
        behaviour=definition.name,
        input=one.id,
        model=model,
        outcome=outcome,
        probabilities=probabilities,
        value=reading.value,
        label_mass=reading.label_mass,
        reply=reading.reply,
        cost=reading.cost,
    )


def certain(outcomes: Sequence[str], outcome: str) -> tuple[float, ...]:
    """(K,) nearly all on one outcome, so that no log-probability is infinite."""
    rest = (1 - _SURE) / (len(outcomes) - 1)
    return tuple(_SURE if name == outcome else rest for name in outcomes)
