"""A language model writes the explanation from marked excerpts."""

from __future__ import annotations

from collections.abc import Sequence

from scrutable.pipeline.config import LlmExplainer as LlmConfig
from scrutable.pipeline.errors import ParseError
from scrutable.pipeline.markup import highlighted, strongest_tokens
from scrutable.pipeline.prompting import template
from scrutable.pipeline.protocols import Explanatory, Services
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

    def __init__(self, name: str, config: LlmConfig, services: Services) -> None:
        self.name = name
        self._config = config
        self._ask = services.ask(config)
        self._seed = services.seed
        self._template = template(config.prompt)

    def prompts(self, jobs: Sequence[Explanatory]) -> list[Prompt]:
        """One prompt for each job."""
        return [self._prompt(job) for job in jobs]

    def explain(self, jobs: Sequence[Explanatory]) -> list[Explanation | Failure]:
        """One explanation for each job; an unusable reply is a Failure."""
        prompts = self.prompts(jobs)
        answers = self._ask(prompts)
        return [
            self._read(job, prompt, answer)
            for job, prompt, answer in zip(jobs, prompts, answers, strict=True)
        ]

    def _shown(self, job: Explanatory) -> tuple[Excerpt, ...]:
        return tuple(excerpt for excerpt in job.shown if excerpt.is_top)[: self._config.excerpts]

    def _prompt(self, job: Explanatory) -> Prompt:
        shown, share = self._shown(job), self._config.highlight
        return self._template.generate(
            max_tokens=self._config.max_tokens,
            temperature=self._config.temperature,
            seed=self._seed,
            excerpts=[highlighted(excerpt, share=share) for excerpt in shown],
            tops=strongest_tokens(shown, share=share, count=_TOPS),
        )

    def _read(
        self, job: Explanatory, prompt: Prompt, answer: Completion | CallFailure
    ) -> Explanation | Failure:
        if isinstance(answer, CallFailure):
            return Failure(job.unit, "explain", answer.kind, answer.detail, self.name)
        try:
            text = parse_explanation(answer.text)
        except ParseError as error:
            return Failure(job.unit, "explain", "parse", str(error), self.name)
        return Explanation(
            unit=job.unit,
            explainer=self.name,
            language=self.language,
            text=text,
            model=self._config.model,
            prompt=prompt.whole,
            prompt_digest=self._template.digest,
            reply=answer.text,
            shown=tuple(excerpt.passage.id for excerpt in self._shown(job)),
            cost=answer.cost,
        )


def parse_explanation(reply: str) -> str:
    """The explanation in a reply: its first line with a letter or digit in it, without quotes around it.

    Raises ParseError for a reply without such a line.
    """
    for line in reply.splitlines():
        text = line.strip().removeprefix("Explanation:").strip()
        if text[:1] == text[-1:] and text[:1] in "\"'" and text.count(text[:1]) == 2:
            text = text[1:-1].strip()
        if any(character.isalnum() for character in text):
            return text
    raise ParseError(f"no explanation in the reply {reply[:80]!r}")
