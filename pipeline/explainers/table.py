"""The table explainer: the mean activation of each token of the explain excerpts."""

from __future__ import annotations

from collections.abc import Sequence

from scrutable.pipeline.config import TableExplainer as TableConfig
from scrutable.pipeline.protocols import Explanatory, Services
from scrutable.pipeline.records import Explanation, Failure, Language, Prompt
from scrutable.pipeline.tables import fit_table


class TableExplainer:
    """Fits a token table to everything that the explain split offers, weighted to the population."""

    language: Language = "table"

    def __init__(self, name: str, config: TableConfig, services: Services) -> None:
        del config, services
        self.name = name

    def prompts(self, jobs: Sequence[Explanatory]) -> list[Prompt]:
        """None: no model is asked."""
        del jobs
        return []

    def explain(self, jobs: Sequence[Explanatory]) -> list[Explanation | Failure]:
        """One table for each job."""
        return [
            Explanation(
                unit=job.unit,
                explainer=self.name,
                language=self.language,
                text=fit_table(job.shown).write(),
                shown=tuple(excerpt.passage.id for excerpt in job.shown),
            )
            for job in jobs
        ]
