"""A language model follows a written procedure: what is left of an author in the account given of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scrutable.pipeline.config import FollowerExplainer as FollowerConfig
from scrutable.pipeline.explainers.llm import LlmExplainer
from scrutable.pipeline.protocols import Explanatory, Services
from scrutable.pipeline.records import Explanation, Failure, Language, Prompt


class FollowerExplainer:
    """Shows a model the procedure and a unit's marked excerpts; it is no author, so it is not looked into."""

    language: Language = "english"

    def __init__(self, name: str, config: FollowerConfig, services: Services) -> None:
        self.name = name
        self._writing = _Following(name, config, services)

    def prompts(self, jobs: Sequence[Explanatory]) -> list[Prompt]:
        """One prompt for each job that has a word to show."""
        return self._writing.prompts(jobs)

    def explain(self, jobs: Sequence[Explanatory]) -> list[Explanation | Failure]:
        """One explanation for each job; an unusable reply, or no word to show, is a Failure."""
        return self._writing.explain(jobs)


class _Following(LlmExplainer):
    """The same prompts with the procedure in them."""

    def __init__(self, name: str, config: FollowerConfig, services: Services) -> None:
        super().__init__(name, config, services)
        self._procedure = config.procedure

    def _records(self, job: Explanatory) -> dict[str, Any]:
        return super()._records(job) | {"procedure": self._procedure}
