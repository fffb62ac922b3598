"""A language model writes an explanation as a program, and the program is run on every passage.

One call for each explanation instead of one for each passage, and what it understood can be read. The model
is in the loop all the same: this is a simulator of English, not the transparent checker.
"""

from __future__ import annotations

from collections.abc import Sequence

from scrutable.pipeline.compiling import Compiled, Compiler
from scrutable.pipeline.config import CompiledSimulator as CompiledConfig
from scrutable.pipeline.programs import levels
from scrutable.pipeline.protocols import Services, SimulationJob
from scrutable.pipeline.records import Failure, Language, Prompt, Simulation


class CompiledSimulator:
    """Predicts the level that the first program which can be read gives each token, 0 to 9."""

    language: Language = "english"

    def __init__(self, name: str, config: CompiledConfig, services: Services) -> None:
        self.name = name
        self._compiler = Compiler(config, services.ask(config), seed=services.seed)
        self._compiled: dict[str, list[Compiled]] = {}  # text → attempts; many units have the same nulls

    def prompts(self, jobs: Sequence[SimulationJob]) -> list[Prompt]:
        """The candidates of each different explanation, once."""
        return self._compiler.prompts(_texts(jobs))

    def simulate(self, jobs: Sequence[SimulationJob]) -> list[Simulation | Failure]:
        """One simulation for each passage of each job; a Failure for each if no program can be read.

        What a text cost is counted with the first passage that it was compiled for.
        """
        found: list[Simulation | Failure] = []
        for job in jobs:
            text = job.explanation.text
            is_first = text not in self._compiled
            if is_first:  # asked by itself, so that the answer depends on nothing that is asked beside it
                (self._compiled[text],) = self._compiler.attempts([text])
            found += self._simulate(job, self._compiled[text], is_first=is_first)
        return found

    def _simulate(
        self, job: SimulationJob, attempts: Sequence[Compiled], *, is_first: bool
    ) -> list[Simulation | Failure]:
        readable = [attempt.program for attempt in attempts if attempt.program]
        if not readable:
            first = attempts[0]
            detail = f"{job.explanation.id}: {first.detail}"
            return [Failure(job.unit, "simulate", first.kind, detail, self.name)] * len(job.passages)
        cost = sum((attempt.cost for attempt in attempts[1:]), start=attempts[0].cost)
        return [
            Simulation(
                unit=job.unit,
                explanation=job.explanation.id,
                simulator=self.name,
                excerpt=passage.id,
                expected=tuple(map(float, levels(readable[0], passage.tokens)[passage.n_context :])),
                **({"cost": cost} if is_first and not number else {}),
            )
            for number, passage in enumerate(job.passages)
        ]


def _texts(jobs: Sequence[SimulationJob]) -> list[str]:
    return list(dict.fromkeys(job.explanation.text for job in jobs))
