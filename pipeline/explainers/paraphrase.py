"""Another explainer's explanation, said again in other words.

What two models have agreed on beside the meaning of the words does not survive it: a check against private
codes (SCIENCE.md 2.4, tier B).
"""

from __future__ import annotations

from collections.abc import Sequence

from scrutable.pipeline.config import ParaphraseExplainer as ParaphraseConfig
from scrutable.pipeline.parsing import read_explanation
from scrutable.pipeline.prompting import template
from scrutable.pipeline.protocols import Explanatory, Services
from scrutable.pipeline.records import CallFailure, Completion, Explanation, Failure, Language, Prompt


class ParaphraseExplainer:
    """Asks a language model to say a text in other words; what it leaves as it is can be counted."""

    language: Language = "english"

    def __init__(self, name: str, config: ParaphraseConfig, services: Services) -> None:
        self.name = name
        self._config = config
        self._ask = services.ask(config)
        self._seed = services.seed
        self._template = template(config.prompt)

    def prompts(self, jobs: Sequence[Explanatory]) -> list[Prompt]:
        """One prompt for each job that has an English text."""
        return [self._prompt(source) for job in jobs if (source := _english(job))]

    def explain(self, jobs: Sequence[Explanatory]) -> list[Explanation | Failure]:
        """One paraphrase for each job; no English text to say again, or an unusable reply, is a Failure."""
        prompts = self.prompts(jobs)
        answered = zip(prompts, self._ask(prompts), strict=True)
        return [
            self._read(source, *next(answered)) if (source := _english(job)) else self._nothing(job)
            for job in jobs
        ]

    def _nothing(self, job: Explanatory) -> Failure:
        detail = f"no explanation of the unit by {self._config.of} in English"
        return Failure(job.unit, "explain", "no_source", detail, self.name)

    def _read(
        self, source: Explanation, prompt: Prompt, answer: Completion | CallFailure
    ) -> Explanation | Failure:
        return read_explanation(
            answer,
            unit=source.unit,
            explainer=self.name,
            model=self._config.model,
            prompt=prompt,
            prompt_digest=self._template.digest,
            shown=source.shown,
        )

    def _prompt(self, source: Explanation) -> Prompt:
        return self._template.generate(
            max_tokens=self._config.max_tokens,
            temperature=self._config.temperature,
            seed=self._seed,
            explanation=source.text,
        )


def _english(job: Explanatory) -> Explanation | None:
    return job.source if job.source and job.source.language == "english" else None
