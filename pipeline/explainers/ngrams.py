"""The n-gram explainer: the mean activation of each pair of neighbouring tokens of the explain excerpts."""

from __future__ import annotations

from collections.abc import Sequence

from scrutable.pipeline.config import NgramsExplainer as NgramsConfig
from scrutable.pipeline.ngrams import fit_ngrams
from scrutable.pipeline.protocols import Explanatory, Services
from scrutable.pipeline.records import Explanation, Failure, Language, Prompt


class NgramsExplainer:
    """Fits an n-gram table to everything that the explain split offers, weighted to the population."""

    language: Language = "ngrams"

    def __init__(self, name: str, config: NgramsConfig, services: Services) -> None:
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
                text=fit_ngrams(job.shown).write(),
                shown=tuple(excerpt.passage.id for excerpt in job.shown),
            )
            for job in jobs
        ]
