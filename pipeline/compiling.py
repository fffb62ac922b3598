"""English descriptions written again as programs by a language model: prompts out, programs in.

The model is not trusted: nothing of what it writes is checked but the syntax.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from scrutable.pipeline.config import CompilingConfig
from scrutable.pipeline.errors import ParseError
from scrutable.pipeline.program_text import read_program
from scrutable.pipeline.programs import Program
from scrutable.pipeline.prompting import template
from scrutable.pipeline.protocols import Ask
from scrutable.pipeline.records import CallFailure, Completion, Cost, Prompt
from scrutable.pipeline.word_classes import word_classes


class Compiled(NamedTuple):
    """One attempt to write a text as a program."""

    prompt: Prompt
    reply: str
    is_cut: bool
    cost: Cost
    program: Program | None
    kind: str  # why there is no program: "parse", or the kind of a CallFailure; empty if there is one
    detail: str


class Compiler:
    """Asks a model for programs of texts, as often as it is wanted."""

    def __init__(self, config: CompilingConfig, ask: Ask, *, seed: int) -> None:
        self._config = config
        self._ask = ask
        self._seed = seed
        self._template = template(config.prompt)
        self.digest = self._template.digest

    def prompts(self, texts: Sequence[str], *, candidate: int) -> list[Prompt]:
        """A prompt for each text: greedy for candidate 0, sampled for the others."""
        return [
            self._template.generate(
                max_tokens=self._config.max_tokens,
                temperature=self._config.temperature if candidate else 0.0,
                seed=self._seed + candidate,
                explanation=text,
                classes=list(word_classes()),
            )
            for text in texts
        ]

    def attempts(self, texts: Sequence[str], *, candidate: int) -> list[Compiled]:
        """One attempt at each text, in order."""
        prompts = self.prompts(texts, candidate=candidate)
        return [_compiled(*pair) for pair in zip(prompts, self._ask(prompts), strict=True)]


def _compiled(prompt: Prompt, answer: Completion | CallFailure) -> Compiled:
    if isinstance(answer, CallFailure):
        return Compiled(prompt, "", False, Cost(), None, answer.kind, answer.detail)
    program, kind, detail = None, "", ""
    try:
        program = read_program(answer.text.strip())
    except ParseError as error:
        kind, detail = "parse", str(error)
    return Compiled(prompt, answer.text, answer.stopped == "length", answer.cost, program, kind, detail)
