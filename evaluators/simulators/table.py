"""Looks every token up in a token table."""

from __future__ import annotations

from collections.abc import Sequence

from scrutable.pipeline.config import TableSimulator as TableConfig
from scrutable.pipeline.errors import ParseError
from scrutable.pipeline.protocols import Services, SimulationJob
from scrutable.pipeline.records import Failure, Language, Prompt, Simulation
from scrutable.pipeline.tables import read_table


class TableSimulator:
    """Predicts the table's mean for each token, in the subject's raw units."""

    language: Language = "table"

    def __init__(self, name: str, config: TableConfig, services: Services) -> None:
        del config, services
        self.name = name

    def prompts(self, jobs: Sequence[SimulationJob]) -> list[Prompt]:
        """None: no model is asked."""
        del jobs
        return []

    def simulate(self, jobs: Sequence[SimulationJob]) -> list[Simulation | Failure]:
        """One simulation for each passage of each job; a Failure for each if the table is unreadable."""
        return [answer for job in jobs for answer in self._simulate(job)]

    def _simulate(self, job: SimulationJob) -> list[Simulation | Failure]:
        try:
            table = read_table(job.explanation.text)
        except ParseError as error:
            return [Failure(job.unit, "simulate", "parse", str(error), self.name)] * len(job.passages)
        return [
            Simulation(
                unit=job.unit,
                explanation=job.explanation.id,
                simulator=self.name,
                excerpt=passage.id,
                expected=tuple(table.means.get(t, table.other) for t in passage.tokens[passage.n_context :]),
            )
            for passage in job.passages
        ]
