"""A concept bottleneck: readable concepts, labels of texts with them, and a linear head. Pure.

Shape key: N inputs, A concepts, K outcomes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from scrutable.pipeline.behaviours.config import ConceptLabels
from scrutable.pipeline.behaviours.heads import Head
from scrutable.pipeline.behaviours.number_rows import read_row, write_row
from scrutable.pipeline.behaviours.word_table import words_of
from scrutable.pipeline.errors import ParseError

_LONGEST = 12  # words of a concept; more is a sentence that repeats the examples


@dataclass(frozen=True, slots=True)
class Concept:
    """A property that a text has or has not."""

    phrase: str
    words: tuple[str, ...]  # that show it


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """Log-odds of each outcome as a sum over concepts."""

    outcomes: tuple[str, ...]  # (K,)
    labels: ConceptLabels
    concepts: tuple[Concept, ...]  # (A,)
    bias: tuple[float, ...]  # (K,) nats
    weights: tuple[tuple[float, ...], ...]  # (A, K) nats

    def __post_init__(self) -> None:
        k = len(self.outcomes)
        if k < 2 or len(self.weights) != len(self.concepts) or not self.concepts:
            raise ValueError("expected two outcomes, and a row of weights for each of at least one concept")
        if any(len(row) != k for row in (self.bias, *self.weights)):
            raise ValueError("expected a number for each outcome in every row")
        if self.labels not in get_args(ConceptLabels):
            raise ValueError(f"no source of labels {self.labels!r}")

    @property
    def head(self) -> Head:
        """Its numbers as arrays."""
        weights = np.array(self.weights, dtype=np.float64).reshape(len(self.concepts), len(self.outcomes))
        return Head(np.array(self.bias, dtype=np.float64), weights)


def write_bottleneck(bottleneck: Bottleneck) -> str:
    """JSON, numbers to three digits."""
    data = {
        "labels": bottleneck.labels,
        "outcomes": list(bottleneck.outcomes),
        "bias": write_row(bottleneck.bias),
        "concepts": [
            {
                "concept": concept.phrase,
                "words": list(concept.words),
                "weights": write_row(row),
            }
            for concept, row in zip(bottleneck.concepts, bottleneck.weights, strict=True)
        ],
    }
    return json.dumps(data, ensure_ascii=False)


def read_bottleneck(text: str) -> Bottleneck:
    """The bottleneck that a text writes. Raises ParseError for any text that writes none."""
    try:
        data: Any = json.loads(text)
        rows = data["concepts"]
        return Bottleneck(
            outcomes=tuple(str(name) for name in data["outcomes"]),
            labels=data["labels"],
            concepts=tuple(Concept(str(r["concept"]), tuple(str(w) for w in r["words"])) for r in rows),
            bias=read_row(data["bias"]),
            weights=tuple(read_row(row["weights"]) for row in rows),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ParseError(f"no concept bottleneck: {type(error).__name__}: {error}") from error


def parse_concepts(reply: str, *, count: int) -> tuple[Concept, ...]:
    """The first different concepts of a reply, a line each: `mentions food: bread, soup, dinner`.

    Raises ParseError for a reply without one.
    """
    found: dict[str, Concept] = {}
    for line in reply.splitlines():
        phrase, colon, listed = line.strip(" -*\t").partition(":")
        phrase = phrase.strip().strip("\"'")
        words = dict.fromkeys(word for part in listed.split(",") for word in words_of(part))
        if colon and words and any(c.isalpha() for c in phrase) and len(phrase.split()) <= _LONGEST:
            found.setdefault(phrase.casefold(), Concept(phrase, tuple(words)))
    if not found:
        raise ParseError(f"no concept in the reply {reply[:80]!r}")
    return tuple(found.values())[:count]


def keyword_labels(concepts: Sequence[Concept], texts: Sequence[str]) -> NDArray[np.float64]:
    """(N, A) 1 where one of a concept's words is in the text."""
    present = [set(words_of(text)) for text in texts]
    rows = [[float(bool(words.intersection(concept.words))) for concept in concepts] for words in present]
    return np.array(rows, dtype=np.float64).reshape(len(texts), len(concepts))
