"""The template explainer: twenty readable lines of code in place of a language model.

It lists the highlighted words. An explanation by a model that does not beat it has added nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from scrutable.pipeline.config import TemplateExplainer as TemplateConfig
from scrutable.pipeline.markup import strongest_tokens
from scrutable.pipeline.protocols import Explanatory, Services
from scrutable.pipeline.records import Explanation, Failure, Language, Prompt


class TemplateExplainer:
    """Says which words were highlighted most strongly."""

    language: Language = "english"

    def __init__(self, name: str, config: TemplateConfig, services: Services) -> None:
        del services
        self.name = name
        self._config = config

    def prompts(self, jobs: Sequence[Explanatory]) -> list[Prompt]:
        """None: no model is asked."""
        del jobs
        return []

    def explain(self, jobs: Sequence[Explanatory]) -> list[Explanation | Failure]:
        """The words of each job; a failure where no excerpt has a highlighted one."""
        return [self._explain(job) for job in jobs]

    def _explain(self, job: Explanatory) -> Explanation | Failure:
        shown = [excerpt for excerpt in job.shown if excerpt.is_top][: self._config.excerpts]
        words = strongest_tokens(shown, share=self._config.highlight, count=self._config.words)
        if not words:
            return Failure(
                unit=job.unit,
                stage="explain",
                kind="nothing_highlighted",
                detail="no excerpt of the explain split has a token that is not white space",
                part=self.name,
            )
        listed = ", ".join(f'"{word}"' for word in words)
        return Explanation(
            unit=job.unit,
            explainer=self.name,
            language=self.language,
            text=f"the word {listed}" if len(words) == 1 else f"the words {listed}",
            shown=tuple(excerpt.passage.id for excerpt in shown),
        )
