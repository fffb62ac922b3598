"""Looks every pair of neighbouring tokens up in an n-gram table."""

from __future__ import annotations

from scrutable.evaluators.transparent import Predict, TransparentSimulator
from scrutable.pipeline.ngrams import read_ngrams
from scrutable.pipeline.records import Language


class NgramsSimulator(TransparentSimulator):
    """Predicts the table's mean for each token after the one before it, in the subject's raw units."""

    language: Language = "ngrams"

    def read(self, text: str) -> Predict:
        """The means of the table that a text writes."""
        return read_ngrams(text).predict
