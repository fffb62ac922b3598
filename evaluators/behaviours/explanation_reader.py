"""What simulators of behaviours that can be told nothing but an explanation have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from scrutable.pipeline.behaviours.protocols import BehaviourServices, PredictionJob
from scrutable.pipeline.behaviours.records import Input, Prediction
from scrutable.pipeline.records import Cost, Explanation, Failure


class ExplanationReader(ABC):
    """Base of a simulator that reads one explanation for each job, or fails by name on each of its inputs."""

    reads_examples = False

    def __init__(self, name: str, config: Any, services: BehaviourServices) -> None:
        del config, services
        self.name = name

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Words of each text, for a reader that has no tokens of its own."""
        return [len(text.split()) for text in texts]

    def predict(self, jobs: Sequence[PredictionJob]) -> list[Prediction | Failure]:
        """One answer for each input of each job; an explanation that cannot be read is a Failure for each."""
        return [answer for job in jobs for answer in self.predict_from(explanation_of(job), job)]

    @abstractmethod
    def predict_from(self, explanation: Explanation, job: PredictionJob) -> list[Prediction | Failure]:
        """One answer for each input of a job, from its explanation."""

    def failed(self, job: PredictionJob, kind: str, why: str) -> list[Prediction | Failure]:
        """The same failure for each input."""
        detail = f"{explanation_of(job).id}: {why}"
        return [Failure(job.definition.name, "predict", kind, detail, self.name) for _ in job.inputs]

    def unknown_outcome(self, job: PredictionJob, outcomes: Sequence[str]) -> list[Prediction | Failure]:
        """Failures if an explanation of the behaviour itself speaks of outcomes that it lacks; else nothing.

        Those of another behaviour, which is read as a null, may have other names.
        """
        strange = [name for name in outcomes if name not in job.definition.outcomes]
        if not strange or explanation_of(job).unit != job.definition.name:
            return []
        return self.failed(job, "unknown_outcome", f"the behaviour has no outcome {strange[0]!r}")

    def predicted(
        self, job: PredictionJob, one: Input, probabilities: Sequence[float], cost: Cost | None = None
    ) -> Prediction:
        """The prediction of one input."""
        return Prediction(
            behaviour=job.definition.name,
            input=one.id,
            simulator=self.name,
            condition=job.condition,
            explanation=explanation_of(job).id,
            probabilities=tuple(probabilities),
            cost=cost or Cost(),
        )


def explanation_of(job: PredictionJob) -> Explanation:
    """The explanation of a job that must have one."""
    assert job.explanation is not None
    return job.explanation
