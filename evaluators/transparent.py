"""What simulators that ask no model have in common: read the explanation, or fail by name; then predict."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from scrutable.pipeline.errors import ParseError
from scrutable.pipeline.protocols import Services, SimulationJob
from scrutable.pipeline.records import Failure, Prompt, Simulation

Predict = Callable[[Sequence[str]], Sequence[float]]
"""(T,) tokens of a passage to (T,) predictions."""


class TransparentSimulator(ABC):
    """Base of a simulator whose prediction anyone can follow by hand."""

    def __init__(self, name: str, config: Any, services: Services) -> None:
        del config, services
        self.name = name

    @abstractmethod
    def read(self, text: str) -> Predict:
        """What an explanation predicts. Raises ParseError for one that cannot be read."""

    def prompts(self, jobs: Sequence[SimulationJob]) -> list[Prompt]:
        """None: no model is asked."""
        del jobs
        return []

    def simulate(self, jobs: Sequence[SimulationJob]) -> list[Simulation | Failure]:
        """One simulation for each passage of each job; a Failure for each if it cannot be read."""
        return [answer for job in jobs for answer in self._simulate(job)]

    def _simulate(self, job: SimulationJob) -> list[Simulation | Failure]:
        try:
            predict = self.read(job.explanation.text)
        except ParseError as error:
            return [Failure(job.unit, "simulate", "parse", str(error), self.name)] * len(job.passages)
        return [
            Simulation(
                unit=job.unit,
                explanation=job.explanation.id,
                simulator=self.name,
                excerpt=passage.id,
                expected=tuple(predict(passage.tokens)[passage.n_context :]),
            )
            for passage in job.passages
        ]
