"""Looks every token up in a token table."""

from __future__ import annotations

from scrutable.evaluators.transparent import Predict, TransparentSimulator
from scrutable.pipeline.records import Language
from scrutable.pipeline.tables import read_table


class TableSimulator(TransparentSimulator):
    """Predicts the table's mean for each token, in the subject's raw units."""

    language: Language = "table"

    def read(self, text: str) -> Predict:
        """The means of the table that a text writes."""
        table = read_table(text)
        return lambda tokens: [table.means.get(token, table.other) for token in tokens]
