"""The planted explainer: a known program names a concept, as a control for studies of recursion."""

from __future__ import annotations

from collections.abc import Sequence

from scrutable.pipeline.config import PlantedExplainer as PlantedConfig
from scrutable.pipeline.protocols import Explanatory, Services, Written
from scrutable.pipeline.records import Explanation, Failure, Language, Prompt
from scrutable.pipeline.recursion.planted import PlantedAuthor


class PlantedExplainer:
    """Writes the program of the concept that fits most of a unit's strongest words."""

    language: Language = "program"

    def __init__(self, name: str, config: PlantedConfig, services: Services) -> None:
        del services
        self.name = name
        self._author = PlantedAuthor(config)

    def prompts(self, jobs: Sequence[Explanatory]) -> list[Prompt]:
        """None: no model is asked."""
        del jobs
        return []

    def written(self, job: Explanatory) -> Written | None:
        """The list of words that a job's text is written from."""
        return self._author.written(job)

    def explain(self, jobs: Sequence[Explanatory]) -> list[Explanation | Failure]:
        """A concept for each job; a failure where no excerpt has a highlighted word."""
        return [self._explain(job) for job in jobs]

    def _explain(self, job: Explanatory) -> Explanation | Failure:
        written = self.written(job)
        if written is None:
            detail = "no excerpt of the explain split has a token that is not white space"
            return Failure(job.unit, "explain", "nothing_highlighted", detail, self.name)
        text = self._author.concepts[self._author.name(written.prompt.text)]
        return Explanation(
            unit=job.unit,
            explainer=self.name,
            language=self.language,
            text=text,
            model="planted",
            prompt=written.prompt.whole,
            reply=text,
            shown=tuple(excerpt.passage.id for excerpt in job.shown if excerpt.is_top),
        )
