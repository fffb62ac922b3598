"""The generic explainer: the same sentence for every unit. What it scores, a simulator gives for nothing."""

from __future__ import annotations

from collections.abc import Sequence

from scrutable.pipeline.config import GenericExplainer as GenericConfig
from scrutable.pipeline.protocols import Explanatory, Services
from scrutable.pipeline.records import Explanation, Failure, Language, Prompt


class GenericExplainer:
    """Says the configured sentence, whatever the unit."""

    language: Language = "english"

    def __init__(self, name: str, config: GenericConfig, services: Services) -> None:
        del services
        self.name = name
        self._text = config.text

    def prompts(self, jobs: Sequence[Explanatory]) -> list[Prompt]:
        """None: no model is asked."""
        del jobs
        return []

    def explain(self, jobs: Sequence[Explanatory]) -> list[Explanation | Failure]:
        """The sentence once for each job; it was written from no excerpt."""
        return [Explanation(job.unit, self.name, self.language, self._text) for job in jobs]
