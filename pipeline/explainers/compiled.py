"""Another explainer's explanation, written again as a program that anyone can run.

Several candidates are written; only what they predict on held-out text counts, and the best on calibrate is
chosen where they are scored.
"""

from __future__ import annotations

from collections.abc import Sequence

from scrutable.pipeline.compiling import Compiled, Compiler
from scrutable.pipeline.config import CompiledExplainer as CompiledConfig
from scrutable.pipeline.program_text import write_program
from scrutable.pipeline.protocols import Explanatory, Services
from scrutable.pipeline.records import Explanation, Failure, Language, Prompt


class CompiledExplainer:
    """Asks a language model for programs that say what a text says."""

    language: Language = "program"

    def __init__(self, name: str, config: CompiledConfig, services: Services) -> None:
        self.name = name
        self._config = config
        self._compiler = Compiler(config, services.ask(config), seed=services.seed)

    def prompts(self, jobs: Sequence[Explanatory]) -> list[Prompt]:
        """`candidates` prompts for each job that has a text to compile."""
        texts = [job.source.text for job in jobs if job.source]
        return [
            prompt
            for candidate in range(self._config.candidates)
            for prompt in self._compiler.prompts(texts, candidate=candidate)
        ]

    def explain(self, jobs: Sequence[Explanatory]) -> list[Explanation | Failure]:
        """The different programs written for each job, in order; a reply that is none is a Failure."""
        texts = [job.source.text for job in jobs if job.source]
        rounds = [self._compiler.attempts(texts, candidate=c) for c in range(self._config.candidates)]
        attempts = zip(*rounds, strict=True)
        found: list[Explanation | Failure] = []
        for job in jobs:
            if job.source is None:
                detail = f"no explanation of the unit by {self._config.of} to compile"
                found.append(Failure(job.unit, "explain", "no_source", detail, self.name))
            else:
                found += self._read(job.source, next(attempts))
        return found

    def _read(self, source: Explanation, attempts: Sequence[Compiled]) -> list[Explanation | Failure]:
        found: list[Explanation | Failure] = []
        programs: set[str] = set()
        for attempt in attempts:
            if attempt.program is None:
                found.append(Failure(source.unit, "explain", attempt.kind, attempt.detail, self.name))
                continue
            text = write_program(attempt.program)
            if text not in programs:
                programs.add(text)
                found.append(self._explanation(source, text, attempt, candidate=len(programs)))
        return found

    def _explanation(
        self, source: Explanation, text: str, attempt: Compiled, *, candidate: int
    ) -> Explanation:
        return Explanation(
            unit=source.unit,
            explainer=self.name,
            language=self.language,
            text=text,
            model=self._config.model,
            prompt=attempt.prompt.whole,
            prompt_digest=self._compiler.digest,
            reply=attempt.reply,
            is_cut=attempt.is_cut,
            shown=source.shown,
            cost=attempt.cost,
            candidate=candidate,
        )
