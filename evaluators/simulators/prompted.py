"""A language model as simulator: it reads an explanation and a text, and label probabilities are read.

One forward pass for each passage; the few-shot part is computed once, the explanation once for all
its passages. Shape key: T tokens of a passage after its context, L levels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from scrutable.pipeline.config import PromptedSimulator as PromptedConfig
from scrutable.pipeline.errors import ParseError
from scrutable.pipeline.prompting import Labels, template
from scrutable.pipeline.protocols import Services, SimulationJob
from scrutable.pipeline.records import (
    CallFailure,
    Completion,
    Failure,
    Language,
    Passage,
    Prompt,
    Simulation,
)

_ABOVE_CERTAIN = 1e-2  # log-probabilities end at 0, but for rounding in half precision


class PromptedSimulator:
    """Reads a distribution over levels at every token from a model that was never trained for it."""

    language: Language = "english"

    def __init__(self, name: str, config: PromptedConfig, services: Services) -> None:
        self.name = name
        self._ask = services.ask(config)
        self._template = template(config.prompt)

    def prompts(self, jobs: Sequence[SimulationJob]) -> list[Prompt]:
        """One prompt for each passage of each job."""
        return [
            self._template.read_labels(explanation=job.explanation.text, passage=passage)
            for job in jobs
            for passage in job.passages
        ]

    def simulate(self, jobs: Sequence[SimulationJob]) -> list[Simulation | Failure]:
        """One simulation for each passage of each job; an unusable answer is a Failure."""
        answers = self._ask(self.prompts(jobs))
        pairs = [(job, passage) for job in jobs for passage in job.passages]
        return [
            self._read(job, passage, answer) for (job, passage), answer in zip(pairs, answers, strict=True)
        ]

    def _read(
        self, job: SimulationJob, passage: Passage, answer: Completion | CallFailure
    ) -> Simulation | Failure:
        if isinstance(answer, CallFailure):
            detail = f"{job.explanation.id} on {passage.id}: {answer.detail}"
            return Failure(job.unit, "simulate", answer.kind, detail, self.name)
        labels = self._template.required_labels()
        shape = (len(passage.tokens) - passage.n_context, len(labels.strings))
        if complaint := _complaint(answer.label_logprobs, shape):
            detail = f"{job.explanation.id} on {passage.id}: {complaint}"
            return Failure(job.unit, "simulate", "malformed", detail, self.name)
        try:
            probabilities, mass = distributions(answer.label_logprobs, labels)
        except ParseError as error:
            detail = f"{job.explanation.id} on {passage.id}: {error}"
            return Failure(job.unit, "simulate", "no_label_mass", detail, self.name)
        expected = (probabilities @ np.array(labels.levels)).tolist()
        return Simulation(
            unit=job.unit,
            explanation=job.explanation.id,
            simulator=self.name,
            excerpt=passage.id,
            expected=tuple(expected),
            probabilities=tuple(probabilities.flatten().tolist()),
            levels=labels.levels,
            label_mass=mass,
            cost=answer.cost,
        )


def _complaint(logprobs: Sequence[Sequence[float]], shape: tuple[int, int]) -> str:
    """Why these are no (T, L) log-probabilities; empty if they are."""
    n_tokens, n_labels = shape
    if len(logprobs) != n_tokens:
        return f"{len(logprobs)} readings for {n_tokens} tokens"
    if any(len(row) != n_labels for row in logprobs):
        return f"a reading without a number for each of the {n_labels} labels"
    if any(not value < _ABOVE_CERTAIN for row in logprobs for value in row):  # NaN is not smaller either
        return "a number that is no log-probability"
    return ""


def distributions(
    logprobs: Sequence[Sequence[float]], labels: Labels
) -> tuple[np.ndarray[tuple[int, int], np.dtype[np.float64]], float]:
    """((T, L) probabilities of the levels, mean mass of the labels before renormalising).

    With a rest level, whatever is no label stands for it, and the mass is 1 by construction: it is
    then reported as NaN, since it says nothing about whether the model understood the task.

    Raises ParseError where the labels have no mass at all, so that nothing can be renormalised.
    """
    p = np.exp(np.array(logprobs, dtype=np.float64).reshape(-1, len(labels.strings)))
    if labels.has_rest:
        return np.column_stack([p, np.clip(1.0 - p.sum(axis=1), 0.0, 1.0)]), math.nan
    mass = p.sum(axis=1)
    if not mass.all():
        raise ParseError(f"the labels {', '.join(labels.strings)} have no probability at some token")
    return p / mass[:, None], float(mass.mean())
