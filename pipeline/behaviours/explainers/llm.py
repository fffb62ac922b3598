"""A language model writes what decides the outcome, from pairs of input and outcome."""

from __future__ import annotations

from collections.abc import Sequence

from scrutable.pipeline.behaviours.config import LlmAccount as LlmConfig
from scrutable.pipeline.behaviours.pairs import balanced
from scrutable.pipeline.behaviours.protocols import BehaviourServices, Pair, Shown
from scrutable.pipeline.parsing import read_explanation
from scrutable.pipeline.prompting import template
from scrutable.pipeline.records import CallFailure, Completion, Explanation, Failure, Language, Prompt


class LlmAccount:
    """Asks for one explanation of each behaviour."""

    language: Language = "english"

    def __init__(self, name: str, config: LlmConfig, services: BehaviourServices) -> None:
        self.name = name
        self._config = config
        self._ask = services.ask(config)
        self._seed = services.seed
        self._template = template(config.prompt)

    def explain(self, jobs: Sequence[Shown]) -> list[Explanation | Failure]:
        """One explanation for each job; an unusable reply is a Failure."""
        chosen = [balanced(job, count=self._config.pairs, seed=self._seed) for job in jobs]
        prompts = [self._prompt(job, pairs) for job, pairs in zip(jobs, chosen, strict=True)]
        answered = zip(jobs, chosen, prompts, self._ask(prompts), strict=True)
        return [self._read(*answer) for answer in answered]

    def _prompt(self, job: Shown, pairs: Sequence[Pair]) -> Prompt:
        return self._template.generate(
            max_tokens=self._config.max_tokens,
            temperature=self._config.temperature,
            seed=self._seed,
            about=job.definition.about,
            outcomes=job.definition.outcomes,
            pairs=pairs,
        )

    def _read(
        self, job: Shown, pairs: Sequence[Pair], prompt: Prompt, answer: Completion | CallFailure
    ) -> Explanation | Failure:
        return read_explanation(
            answer,
            unit=job.definition.name,
            explainer=self.name,
            model=self._config.model,
            prompt=prompt,
            prompt_digest=self._template.digest,
            shown=tuple(pair.input.id for pair in pairs),
        )
