"""A weight for each word by logistic regression: the token table of behaviours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scrutable.pipeline.behaviours.config import WordsAccount as WordsConfig
from scrutable.pipeline.behaviours.heads import fit_head
from scrutable.pipeline.behaviours.pairs import outcome_numbers
from scrutable.pipeline.behaviours.protocols import BehaviourServices, Shown
from scrutable.pipeline.behaviours.word_table import WordTable, words_of, write_word_table
from scrutable.pipeline.records import Explanation, Failure, Language

_FEWEST = 2  # inputs that have a word


class WordsAccount:
    """Fits on the presence of words; how strongly they are held back is chosen on held-out sources."""

    language: Language = "words"

    def __init__(self, name: str, config: WordsConfig, services: BehaviourServices) -> None:
        del config, services
        self.name = name

    def explain(self, jobs: Sequence[Shown]) -> list[Explanation | Failure]:
        """One table for each job."""
        return [self._explain(job) for job in jobs]

    def _explain(self, job: Shown) -> Explanation | Failure:
        outcomes = job.definition.outcomes
        texts = [set(words_of(pair.input.text)) for pair in job.pairs]
        count = {word: sum(word in text for text in texts) for word in set().union(*texts)}
        words = sorted(word for word, n in count.items() if n >= _FEWEST)
        present = np.array([[word in text for word in words] for text in texts], dtype=np.float64)
        done = outcome_numbers(job.pairs, outcomes)
        head = fit_head(present.reshape(len(texts), len(words)), done, job.pairs, n_outcomes=len(outcomes))
        weights = {word: tuple(row) for word, row in zip(words, head.weights.tolist(), strict=True)}
        table = WordTable(outcomes, tuple(head.bias.tolist()), weights)
        return Explanation(
            unit=job.definition.name,
            explainer=self.name,
            language=self.language,
            text=write_word_table(table),
            shown=tuple(pair.input.id for pair in job.pairs),
        )
