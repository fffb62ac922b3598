"""Twenty readable lines of code list the words that go with each outcome: what an explainer has to beat."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scrutable.pipeline.behaviours.config import TemplateAccount as TemplateConfig
from scrutable.pipeline.behaviours.protocols import BehaviourServices, Pair, Shown
from scrutable.pipeline.behaviours.word_table import words_of
from scrutable.pipeline.records import Explanation, Failure, Language

_SMOOTHING = 0.5
_FEWEST = 2  # inputs that have a word


class TemplateAccount:
    """Lists words by their log-odds between the outcome and all others."""

    language: Language = "english"

    def __init__(self, name: str, config: TemplateConfig, services: BehaviourServices) -> None:
        del services
        self.name = name
        self._config = config

    def explain(self, jobs: Sequence[Shown]) -> list[Explanation | Failure]:
        """One sentence for each job; a Failure where no word goes with any outcome."""
        return [self._explain(job) for job in jobs]

    def _explain(self, job: Shown) -> Explanation | Failure:
        said = []
        for outcome in job.definition.outcomes:
            if words := _words(job.pairs, outcome, count=self._config.words):
                said.append(f'"{outcome}" when the text has words such as {", ".join(words)}')
        if not said:
            detail = "no word goes with any outcome"
            return Failure(job.definition.name, "explain", "nothing_to_list", detail, self.name)
        return Explanation(
            unit=job.definition.name,
            explainer=self.name,
            language=self.language,
            text=f"The answer is {', and '.join(said)}.",
            shown=tuple(pair.input.id for pair in job.pairs),
        )


def _words(pairs: Sequence[Pair], outcome: str, *, count: int) -> list[str]:
    inside = [set(words_of(p.input.text)) for p in pairs if p.observation.outcome == outcome]
    outside = [set(words_of(p.input.text)) for p in pairs if p.observation.outcome != outcome]
    odds = {}
    for word in set().union(*inside):
        a, b = (sum(word in words for words in side) for side in (inside, outside))
        if a + b >= _FEWEST:
            odds[word] = math.log((a + _SMOOTHING) / (len(inside) + 1)) - math.log(
                (b + _SMOOTHING) / (len(outside) + 1)
            )
    telling = [word for word in odds if odds[word] > 0]
    return sorted(telling, key=lambda word: (-odds[word], word))[:count]
