"""A weight for each word: what logistic regression and attributions write of a behaviour.

Shape key: K outcomes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scrutable.pipeline.behaviours.number_rows import read_row, write_row
from scrutable.pipeline.errors import ParseError
from scrutable.pipeline.words import split_words


@dataclass(frozen=True, slots=True)
class WordTable:
    """Log-odds of each outcome as a sum over the different words of a text."""

    outcomes: tuple[str, ...]  # (K,)
    bias: tuple[float, ...]  # (K,) nats
    weights: Mapping[str, tuple[float, ...]]  # word, case-folded → (K,) nats

    def __post_init__(self) -> None:
        if len(self.outcomes) < 2 or any(
            len(row) != len(self.outcomes) for row in (self.bias, *self.weights.values())
        ):
            raise ValueError("expected at least two outcomes, and a number for each in every row")
        if len(set(self.outcomes)) < len(self.outcomes):
            raise ValueError(f"an outcome twice among {self.outcomes}")


def words_of(text: str) -> list[str]:
    """The different words of a text, case-folded, in order; punctuation is none."""
    words = (token.strip().casefold() for token in split_words(text))
    return list(dict.fromkeys(word for word in words if any(c.isalnum() for c in word)))


def scores(table: WordTable, text: str) -> NDArray[np.float64]:
    """(K,) the bias and the weights of the words that the text has, in nats."""
    rows = [table.weights[word] for word in words_of(text) if word in table.weights]
    total: NDArray[np.float64] = np.sum([table.bias, *rows], axis=0, dtype=np.float64)
    return total


def write_word_table(table: WordTable) -> str:
    """JSON, numbers to three digits; words whose weights are all 0 then are left out."""
    weights = {word: write_row(row) for word, row in table.weights.items()}
    data = {
        "outcomes": list(table.outcomes),
        "bias": write_row(table.bias),
        "weights": {word: row for word, row in weights.items() if any(row)},
    }
    return json.dumps(data, ensure_ascii=False)


def read_word_table(text: str) -> WordTable:
    """The table that a text writes. Raises ParseError for any text that writes none."""
    try:
        data: Any = json.loads(text)
        weights = {str(word): read_row(row) for word, row in data["weights"].items()}
        outcomes = tuple(str(name) for name in data["outcomes"])
        return WordTable(outcomes, read_row(data["bias"]), weights)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ParseError(f"no word table: {type(error).__name__}: {error}") from error


def strongest(table: WordTable, outcome: str, *, count: int) -> list[tuple[str, float]]:
    """The words that speak most for an outcome, with their weights above the mean of the other outcomes."""
    k = table.outcomes.index(outcome)
    n = len(table.outcomes)
    speaks = {word: row[k] - (sum(row) - row[k]) / (n - 1) for word, row in table.weights.items()}
    positive = [(word, value) for word, value in speaks.items() if value > 0]
    return sorted(positive, key=lambda one: (-one[1], one[0]))[:count]
