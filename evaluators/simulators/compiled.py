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
from scrutable.pipeline.records import Cost, Failure, Language, Prompt, Simulation


class CompiledSimulator:
    """Predicts the level that the first program which can be read gives each token, 0 to 9."""

    language: Language = "english"

    def __init__(self, name: str, config: CompiledConfig, services: Services) -> None:
        self.name = name
        self._candidates = config.candidates
        self._compiler = Compiler(config, services.ask(config), seed=services.seed)

    def prompts(self, jobs: Sequence[SimulationJob]) -> list[Prompt]:
        """The first attempt at each different explanation; more are made only where it cannot be read."""
        return self._compiler.prompts(_texts(jobs), candidate=0)

    def simulate(self, jobs: Sequence[SimulationJob]) -> list[Simulation | Failure]:
        """One simulation for each passage of each job; a Failure for each if no program can be read.

        A text is compiled once in a call; its cost is counted with the first passage of its first job.
        """
        compiled = self._compile(_texts(jobs))
        first = {job.explanation.text: number for number, job in reversed(list(enumerate(jobs)))}
        return [
            answer
            for number, job in enumerate(jobs)
            for answer in self._simulate(
                job, compiled[job.explanation.text], is_first=first[job.explanation.text] == number
            )
        ]

    def _compile(self, texts: Sequence[str]) -> dict[str, Compiled]:
        """Each text with its first attempt that can be read, or else its last; costs added up."""
        compiled: dict[str, Compiled] = {}
        for candidate in range(self._candidates):
            left = [text for text in texts if text not in compiled or compiled[text].program is None]
            for text, attempt in zip(left, self._compiler.attempts(left, candidate=candidate), strict=True):
                before = compiled[text].cost if text in compiled else Cost()
                compiled[text] = attempt._replace(cost=before + attempt.cost)
        return compiled

    def _simulate(
        self, job: SimulationJob, compiled: Compiled, *, is_first: bool
    ) -> list[Simulation | Failure]:
        if compiled.program is None:
            detail = f"{job.explanation.id}: {compiled.detail}"
            return [Failure(job.unit, "simulate", compiled.kind, detail, self.name)] * len(job.passages)
        return [
            Simulation(
                unit=job.unit,
                explanation=job.explanation.id,
                simulator=self.name,
                excerpt=passage.id,
                expected=tuple(map(float, levels(compiled.program, passage.tokens)[passage.n_context :])),
                cost=compiled.cost if is_first and not number else Cost(),
            )
            for number, passage in enumerate(job.passages)
        ]


def _texts(jobs: Sequence[SimulationJob]) -> list[str]:
    return list(dict.fromkeys(job.explanation.text for job in jobs))
