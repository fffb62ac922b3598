"""The tree explainer: a decision tree over readable features of tokens, written as a program."""

from __future__ import annotations

from collections.abc import Sequence

from scrutable.pipeline.config import TreeExplainer as TreeConfig
from scrutable.pipeline.features import readable_features
from scrutable.pipeline.program_text import write_program
from scrutable.pipeline.protocols import Explanatory, Services
from scrutable.pipeline.records import Explanation, Failure, Language, Prompt
from scrutable.pipeline.surrogates import allowed_bits, largest_within
from scrutable.pipeline.trees import trees


class TreeExplainer:
    """Fits a tree and prunes it to the largest whose program is within the budget."""

    language: Language = "program"

    def __init__(self, name: str, config: TreeConfig, services: Services) -> None:
        del services
        self.name = name
        self._config = config

    def prompts(self, jobs: Sequence[Explanatory]) -> list[Prompt]:
        """None: no model is asked."""
        del jobs
        return []

    def explain(self, jobs: Sequence[Explanatory]) -> list[Explanation | Failure]:
        """The program of each job; a failure where none fits, or there is no source to match."""
        return [self._explain(job) for job in jobs]

    def _explain(self, job: Explanatory) -> Explanation | Failure:
        bits = allowed_bits(self._config, job)
        if bits is None:
            detail = f"no explanation of the unit by {self._config.of} whose length could be matched"
            return Failure(job.unit, "explain", "no_source", detail, self.name)
        sized = largest_within(trees(readable_features(job.shown)), bits)
        if sized is None:
            detail = f"no tree within {bits:.0f} bits tells tokens apart by activation"
            return Failure(job.unit, "explain", "no_program", detail, self.name)
        return Explanation(
            unit=job.unit,
            explainer=self.name,
            language=self.language,
            text=write_program(sized.program),
            shown=tuple(excerpt.passage.id for excerpt in job.shown),
        )
