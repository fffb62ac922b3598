"""A language model as simulator of a behaviour: the probability of each outcome is read from it.

What it is told comes first and is computed once for all inputs. Outcomes are read by name, as the beginning
of the answer, so that nothing is parsed and every input has a forced distribution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from scrutable.pipeline.behaviours.config import PromptedPredictor as PromptedConfig
from scrutable.pipeline.behaviours.protocols import BehaviourServices, PredictionJob
from scrutable.pipeline.behaviours.records import Input, Prediction
from scrutable.pipeline.prompting import template
from scrutable.pipeline.records import CallFailure, Completion, Failure, Language, Prompt


class PromptedPredictor:
    """Reads a distribution over outcomes for each input."""

    language: Language = "english"
    reads_examples = True

    def __init__(self, name: str, config: PromptedConfig, services: BehaviourServices) -> None:
        self.name = name
        self._config = config
        self._services = services
        self._ask = services.ask(config)
        self._template = template(config.prompt)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, as this model cuts it."""
        return self._services.count_tokens(self._config, texts)

    def predict(self, jobs: Sequence[PredictionJob]) -> list[Prediction | Failure]:
        """One distribution for each input of each job; an unusable answer is a Failure."""
        asked = [(job, one) for job in jobs for one in job.inputs]
        answers = self._ask([self._prompt(job, one) for job, one in asked])
        return [self._read(job, one, answer) for (job, one), answer in zip(asked, answers, strict=True)]

    def _prompt(self, job: PredictionJob, one: Input) -> Prompt:
        outcomes = job.definition.outcomes
        return self._template.choose(
            [name if self._template.is_chat else f" {name}" for name in outcomes],
            about=job.definition.about,
            outcomes=outcomes,
            explanation=job.explanation.text if job.explanation and job.condition == "explained" else "",
            examples=job.examples,
            text=one.text,
        )

    def _read(self, job: PredictionJob, one: Input, answer: Completion | CallFailure) -> Prediction | Failure:
        behaviour = job.definition.name
        where = f"{job.explanation.id if job.explanation else job.condition} on {one.id}"
        if isinstance(answer, CallFailure):
            return Failure(behaviour, "predict", answer.kind, f"{where}: {answer.detail}", self.name)
        logprobs = answer.label_logprobs[-1] if answer.label_logprobs else ()
        if len(logprobs) != len(job.definition.outcomes) or any(math.isnan(value) for value in logprobs):
            return Failure(behaviour, "predict", "malformed", f"{where}: no log-probabilities", self.name)
        p = np.exp(np.maximum(np.array(logprobs, dtype=np.float64), -1e3))
        mass = float(p.sum())
        if mass <= 0:
            return Failure(
                behaviour, "predict", "no_label_mass", f"{where}: no outcome is possible", self.name
            )
        return Prediction(
            behaviour=behaviour,
            input=one.id,
            simulator=self.name,
            condition=job.condition,
            explanation=job.explanation.id if job.explanation else "",
            probabilities=tuple((p / mass).tolist()),
            label_mass=min(mass, 1.0),
            draw=job.draw,
            cost=answer.cost,
        )
