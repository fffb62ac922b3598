"""Adds up the weights of words: logistic regression as a simulator."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scrutable.pipeline.behaviours.config import WordsPredictor as WordsConfig
from scrutable.pipeline.behaviours.outcomes import matched
from scrutable.pipeline.behaviours.protocols import BehaviourServices, PredictionJob
from scrutable.pipeline.behaviours.records import Prediction
from scrutable.pipeline.behaviours.word_table import read_word_table, scores
from scrutable.pipeline.errors import ParseError
from scrutable.pipeline.records import Failure, Language


class WordsPredictor:
    """Softmax of the sums."""

    language: Language = "words"
    reads_examples = False

    def __init__(self, name: str, config: WordsConfig, services: BehaviourServices) -> None:
        del config, services
        self.name = name

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Words of each text: a table has no tokens of its own."""
        return [len(text.split()) for text in texts]

    def predict(self, jobs: Sequence[PredictionJob]) -> list[Prediction | Failure]:
        """One prediction for each input of each job; a table that cannot be read is a Failure for each."""
        return [answer for job in jobs for answer in self._of(job)]

    def _of(self, job: PredictionJob) -> list[Prediction | Failure]:
        assert job.explanation is not None
        behaviour, id = job.definition.name, job.explanation.id
        try:
            table = read_word_table(job.explanation.text)
        except ParseError as error:
            return [Failure(behaviour, "predict", "parse", f"{id}: {error}", self.name) for _ in job.inputs]
        strange = [name for name in table.outcomes if name not in job.definition.outcomes]
        if strange and job.explanation.unit == behaviour:  # by position only another behaviour's are read
            detail = f"{id}: the behaviour has no outcome {strange[0]!r}"
            return [Failure(behaviour, "predict", "unknown_outcome", detail, self.name) for _ in job.inputs]
        places = matched(table.outcomes, job.definition.outcomes)
        if places is None:
            detail = f"{id}: speaks of {len(table.outcomes)} outcomes, not of {len(job.definition.outcomes)}"
            return [Failure(behaviour, "predict", "other_outcomes", detail, self.name) for _ in job.inputs]
        found: list[Prediction | Failure] = []
        for one in job.inputs:
            sums = scores(table, one.text)[list(places)]
            p = np.exp(sums - np.logaddexp.reduce(sums))
            found.append(
                Prediction(
                    behaviour=behaviour,
                    input=one.id,
                    simulator=self.name,
                    condition=job.condition,
                    explanation=id,
                    probabilities=tuple(p.tolist()),
                )
            )
        return found
