"""A language model edits inputs inside and outside the scope that an explanation claims."""

from __future__ import annotations

from collections.abc import Sequence

from scrutable.pipeline.behaviours.config import EditorConfig
from scrutable.pipeline.behaviours.protocols import BehaviourServices, EditJob
from scrutable.pipeline.prompting import template, visible
from scrutable.pipeline.records import CallFailure, Completion


class PromptedEditor:
    """Asks for one edit of each input; a reply that repeats the input, or is none, is no edit."""

    name = "editor"

    def __init__(self, config: EditorConfig, services: BehaviourServices) -> None:
        self._config = config
        self._ask = services.ask(config)
        self._seed = services.seed
        self._template = template(config.prompt)

    def edit(self, jobs: Sequence[EditJob]) -> list[str | CallFailure]:
        """One text for each job."""
        prompts = [
            self._template.generate(
                max_tokens=self._config.max_tokens,
                temperature=self._config.temperature,
                seed=self._seed,
                about=job.definition.about,
                explanation=job.explanation.text,
                text=job.input.text,
                scope=job.scope,
                wanted=job.wanted,
            )
            for job in jobs
        ]
        return [_edited(job, answer) for job, answer in zip(jobs, self._ask(prompts), strict=True)]


def _edited(job: EditJob, answer: Completion | CallFailure) -> str | CallFailure:
    if isinstance(answer, CallFailure):
        return answer
    text = answer.text.strip()
    if not any(character.isalnum() for character in text):
        return CallFailure("malformed", f"no text in the reply {answer.text[:80]!r}")
    if answer.stopped == "length":
        return CallFailure("malformed", "the reply was cut at max_tokens")
    if text.casefold() == visible(job.input.text).strip().casefold():
        return CallFailure("malformed", "the reply repeats the input")
    return text
