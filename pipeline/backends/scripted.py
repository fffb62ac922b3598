"""A model that says what a function says: for tests and for bannered demos, never for results."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from scrutable.pipeline.records import CallFailure, Completion, Cost, Prompt

Script = Callable[[Prompt], "str | CallFailure | Sequence[Sequence[float]]"]
"""What to answer: a text, a failure, or (P, L) log-probabilities of the labels."""


class ScriptedBackend:
    """An `Ask` that plays a script and remembers what it was asked; a token is a word."""

    def __init__(self, script: Script) -> None:
        self.asked: list[Prompt] = []
        self._script = script

    def __call__(self, prompts: Sequence[Prompt]) -> list[Completion | CallFailure]:
        """One answer for each prompt, in order."""
        self.asked += prompts
        return [self._answer(prompt) for prompt in prompts]

    def _answer(self, prompt: Prompt) -> Completion | CallFailure:
        said = self._script(prompt)
        if isinstance(said, CallFailure):
            return said
        n_prompt = len(prompt.whole.split())
        if isinstance(said, str):
            return Completion(text=said, cost=Cost(n_prompt, n_prompt, len(said.split())), stopped="stop")
        logprobs = tuple(tuple(row) for row in said)
        return Completion(label_logprobs=logprobs, cost=Cost(n_prompt, n_prompt))
