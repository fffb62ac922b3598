"""Adds up the weights of words: logistic regression as a simulator."""

from __future__ import annotations

import numpy as np

from scrutable.evaluators.behaviours.explanation_reader import ExplanationReader
from scrutable.pipeline.behaviours.heads import log_softmax
from scrutable.pipeline.behaviours.outcomes import matched
from scrutable.pipeline.behaviours.protocols import PredictionJob
from scrutable.pipeline.behaviours.records import Prediction
from scrutable.pipeline.behaviours.word_table import read_word_table, scores
from scrutable.pipeline.errors import ParseError
from scrutable.pipeline.records import Explanation, Failure, Language


class WordsPredictor(ExplanationReader):
    """Softmax of the sums."""

    language: Language = "words"

    def predict_from(self, explanation: Explanation, job: PredictionJob) -> list[Prediction | Failure]:
        """What the words of each input add up to."""
        ours = job.definition.outcomes
        try:
            table = read_word_table(explanation.text)
        except ParseError as error:
            return self.failed(job, "parse", str(error))
        if unknown := self.unknown_outcome(job, table.outcomes):
            return unknown
        places = matched(table.outcomes, ours)
        if places is None:
            return self.failed(
                job, "other_outcomes", f"speaks of {len(table.outcomes)} outcomes, not of {len(ours)}"
            )
        return [
            self.predicted(job, one, np.exp(log_softmax(scores(table, one.text)[list(places)])).tolist())
            for one in job.inputs
        ]
