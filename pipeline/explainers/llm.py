"""A language model writes the explanation from marked excerpts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scrutable.pipeline.config import FollowerExplainer as FollowerConfig
from scrutable.pipeline.config import LlmExplainer as LlmConfig
from scrutable.pipeline.markup import highlighted, strongest_tokens
from scrutable.pipeline.parsing import read_explanation
from scrutable.pipeline.prompting import template
from scrutable.pipeline.protocols import Explanatory, Services, Written
from scrutable.pipeline.records import (
    CallFailure,
    Completion,
    Excerpt,
    Explanation,
    Failure,
    Language,
    Prompt,
)

_TOPS = 8  # strongest tokens listed under the excerpts


class LlmExplainer:
    """Asks for one explanation of each unit from its strongest excerpts."""

    language: Language = "english"

    def __init__(self, name: str, config: LlmConfig | FollowerConfig, services: Services) -> None:
        self.name = name
        self._config = config
        self._ask = services.ask(config)
        self._seed = services.seed
        self._template = template(config.prompt)

    def prompts(self, jobs: Sequence[Explanatory]) -> list[Prompt]:
        """One prompt for each job that has a word to show."""
        return [self._prompt(job) for job in jobs if self._tops(job)]

    def explain(self, jobs: Sequence[Explanatory]) -> list[Explanation | Failure]:
        """One explanation for each job; an unusable reply, or no word to show, is a Failure."""
        prompts = self.prompts(jobs)
        answered = zip(prompts, self._ask(prompts), strict=True)
        return [self._read(job, *next(answered)) if self._tops(job) else self._silent(job) for job in jobs]

    def _shown(self, job: Explanatory) -> tuple[Excerpt, ...]:
        return tuple(excerpt for excerpt in job.shown if excerpt.is_top)[: self._config.excerpts]

    def _tops(self, job: Explanatory) -> tuple[str, ...]:
        return strongest_tokens(self._shown(job), share=self._config.highlight, count=_TOPS)

    def _silent(self, job: Explanatory) -> Failure:
        detail = "no excerpt of the explain split has a highlighted token that is not white space"
        return Failure(job.unit, "explain", "nothing_highlighted", detail, self.name)

    def written(self, job: Explanatory) -> Written | None:
        """The prompt of a job, and where the unit's excerpts and words stand in it."""
        if not self._tops(job):
            return None
        return Written(self._prompt(job), self._template.spans(**self._records(job)))

    def _prompt(self, job: Explanatory) -> Prompt:
        return self._template.generate(
            max_tokens=self._config.max_tokens,
            temperature=self._config.temperature,
            seed=self._seed,
            **self._records(job),
        )

    def _records(self, job: Explanatory) -> dict[str, Any]:
        shown = self._shown(job)
        return {
            "excerpts": [highlighted(excerpt, share=self._config.highlight) for excerpt in shown],
            "tops": self._tops(job),
        }

    def _read(
        self, job: Explanatory, prompt: Prompt, answer: Completion | CallFailure
    ) -> Explanation | Failure:
        return read_explanation(
            answer,
            unit=job.unit,
            explainer=self.name,
            model=self._config.model,
            prompt=prompt,
            prompt_digest=self._template.digest,
            shown=tuple(excerpt.passage.id for excerpt in self._shown(job)),
        )
