"""What judges share: one question in each prompt, and the probability of each answer read from the model.

Peers put several items into one prompt and parse a list from the reply: what cannot be parsed is lost, one
item's answer leans on the next, and a list has a length that tells. Here each question is a prompt of its
own, nothing is parsed, and every item is scored; few-shots and explanation are computed once, so it costs
little more (a fifth on a server whose cache has blocks of 32 tokens, bench/scoring.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from scrutable.pipeline.protocols import Ask
from scrutable.pipeline.records import CallFailure, Completion, Cost, Failure, Prompt, Verdict


class Question(NamedTuple):
    """A question to a judge, with its right answer."""

    unit: str
    explanation: str  # id; empty for a judge that reads none
    trial: str
    document: str
    truth: bool
    prompt: Prompt


class Answer(NamedTuple):
    """Probabilities of the answers, renormalised over the labels."""

    probabilities: tuple[float, ...]  # (L,) sum to 1
    label_mass: float  # probability of all labels together, in [0, 1]
    cost: Cost


def answers(ask: Ask, questions: Sequence[Question], *, judge: str) -> list[Answer | Failure]:
    """The distribution over the labels that each prompt asks for, at its last position."""
    replies = ask([question.prompt for question in questions])
    return [_answer(*pair, judge=judge) for pair in zip(questions, replies, strict=True)]


def verdict(question: Question, answer: Answer, *, judge: str, value: float) -> Verdict:
    """The verdict on a question."""
    return Verdict(
        unit=question.unit,
        explanation=question.explanation,
        judge=judge,
        trial=question.trial,
        document=question.document,
        truth=question.truth,
        value=value,
        label_mass=answer.label_mass,
        cost=answer.cost,
    )


def too_few(unit: str, judge: str, detail: str) -> Failure:
    """A unit about which a question cannot be put."""
    return Failure(unit, "judge", "too_few_excerpts", detail, judge)


def _answer(question: Question, reply: Completion | CallFailure, *, judge: str) -> Answer | Failure:
    where = f"{question.explanation or question.unit}, {question.trial}"
    if isinstance(reply, CallFailure):
        return Failure(question.unit, "judge", reply.kind, f"{where}: {reply.detail}", judge)
    if not reply.label_logprobs or not all(map(math.isfinite, _capped(reply.label_logprobs[-1]))):
        return Failure(question.unit, "judge", "malformed", f"{where}: no log-probabilities", judge)
    p = np.exp(np.array(reply.label_logprobs[-1], dtype=np.float64))
    mass = float(p.sum())
    if mass <= 0.0:
        detail = f"{where}: the answers have no probability"
        return Failure(question.unit, "judge", "no_label_mass", detail, judge)
    return Answer(tuple((p / mass).tolist()), min(mass, 1.0), reply.cost)


def _capped(logprobs: Sequence[float]) -> list[float]:
    """-inf is a probability of 0; NaN and +inf are none."""
    return [max(value, -1e9) for value in logprobs]
