"""The transparent checker: runs a program of `scrutable.pipeline.programs`; no model, no trust."""

from __future__ import annotations

from collections.abc import Sequence

from scrutable.pipeline.config import ProgramSimulator as ProgramConfig
from scrutable.pipeline.errors import ParseError
from scrutable.pipeline.programs import fires, read_program
from scrutable.pipeline.protocols import Services, SimulationJob
from scrutable.pipeline.records import Failure, Language, Prompt, Simulation


class ProgramSimulator:
    """Predicts 1 where the program holds and 0 elsewhere."""

    language: Language = "program"

    def __init__(self, name: str, config: ProgramConfig, services: Services) -> None:
        del config, services
        self.name = name

    def prompts(self, jobs: Sequence[SimulationJob]) -> list[Prompt]:
        """None: no model is asked."""
        del jobs
        return []

    def simulate(self, jobs: Sequence[SimulationJob]) -> list[Simulation | Failure]:
        """One simulation for each passage of each job; a Failure for each if the program is unreadable."""
        return [answer for job in jobs for answer in self._simulate(job)]

    def _simulate(self, job: SimulationJob) -> list[Simulation | Failure]:
        try:
            program = read_program(job.explanation.text)
        except ParseError as error:
            return [Failure(job.unit, "simulate", "parse", str(error), self.name)] * len(job.passages)
        return [
            Simulation(
                unit=job.unit,
                explanation=job.explanation.id,
                simulator=self.name,
                excerpt=passage.id,
                expected=tuple(float(value) for value in fires(program, passage.tokens)[passage.n_context :]),
            )
            for passage in job.passages
        ]
