"""Readable cues of an input that may decide a behaviour, and where each of them holds: pure.

Candidates come from the pairs that an explainer sees: words that go with an outcome, named classes of words,
shapes, how the text begins and ends, and its length. Shape key: A cues, N inputs.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scrutable.pipeline.behaviours.pairs import outcome_numbers
from scrutable.pipeline.behaviours.policies import (
    MOST,
    Before,
    Begins,
    Condition,
    Finishes,
    Longer,
    Mentions,
    condition_holds,
)
from scrutable.pipeline.behaviours.policy_text import write_condition
from scrutable.pipeline.behaviours.protocols import Pair
from scrutable.pipeline.behaviours.word_table import words_of
from scrutable.pipeline.programs import Class, Shape, Test, Text
from scrutable.pipeline.word_classes import word_classes
from scrutable.pipeline.words import split_words

_WORDS, _PLACED, _ORDERED = 60, 15, 5  # words that are mentioned; at the beginning or end; before each other
_FEWEST = 2  # inputs of which a cue holds, and of which it does not; one is an anecdote
_LENGTHS = (0.25, 0.5, 0.75)  # quantiles


class Cues(NamedTuple):
    """The inputs of some pairs as rows of truth values."""

    conditions: tuple[Condition, ...]  # (A,) no two hold of the same inputs
    holds: NDArray[np.bool_]  # (A, N)
    outcomes: NDArray[np.intp]  # (N,) in the order of the definition


def readable_cues(
    pairs: Sequence[Pair], outcomes: Sequence[str], *, among: NDArray[np.bool_] | None = None
) -> Cues:
    """The cues that tell inputs apart. Of cues that hold of the same inputs the shortest stays.

    Args:
        pairs: (N,) whose rows of truth values are wanted.
        outcomes: of the definition.
        among: (N,) the pairs that cues are chosen by, all if None. Whoever holds out pairs to be predicted
            must not choose by them.
    """
    texts = [pair.input.text for pair in pairs]
    done = outcome_numbers(pairs, outcomes)
    mask = np.ones(len(pairs), dtype=bool) if among is None else among
    seen = [text for text, is_seen in zip(texts, mask, strict=True) if is_seen]
    ordered = sorted(
        set(_candidates(seen, done[mask])), key=lambda cue: (len(write_condition(cue)), write_condition(cue))
    )
    kept: dict[bytes, tuple[Condition, NDArray[np.bool_]]] = {}
    for cue in ordered:
        row = truth_of(cue, texts)
        if _FEWEST <= row[mask].sum() <= mask.sum() - _FEWEST:
            kept.setdefault(row[mask].tobytes(), (cue, row))
    rows = [row for _, row in kept.values()]
    holds = np.array(rows, dtype=bool).reshape(len(rows), len(texts))
    return Cues(tuple(cue for cue, _ in kept.values()), holds, done)


def truth_of(condition: Condition, texts: Sequence[str]) -> NDArray[np.bool_]:
    """(N,) where a condition holds."""
    return np.array(_truth(condition, tuple(texts)), dtype=bool)


@functools.lru_cache(maxsize=4096)  # whoever holds out pairs asks again for each fold
def _truth(condition: Condition, texts: tuple[str, ...]) -> tuple[bool, ...]:
    return tuple(condition_holds(condition, text) for text in texts)


def _candidates(texts: Sequence[str], outcomes: NDArray[np.intp]) -> list[Condition]:
    tokens = [[t.strip() for t in split_words(text) if t.strip()] for text in texts]
    words = telling_words(texts, outcomes, count=_WORDS)
    of_words: list[Test] = [Text("word", (word,)) for word in words]
    marks = sorted({t for row in tokens for t in row if not any(c.isalnum() for c in t)})
    digit: Test = Shape("digit")
    others: list[Test] = [
        digit,
        Shape("upper"),
        *(Text("word", (mark,)) for mark in marks[:10]),
        *(Class(name) for name in word_classes()),
    ]
    firsts, lasts = (
        Counter(row[place].casefold() for row in tokens if row).most_common(_PLACED) for place in (0, -1)
    )
    lengths = [sum(any(c.isalnum() for c in t) for t in row) for row in tokens]
    return [
        *(Mentions(test) for test in (*of_words, *others)),
        *(Mentions(test, 2) for test in (digit, *of_words[:_PLACED])),
        *map(Begins, [digit, *(Text("word", (word,)) for word, _ in firsts)]),
        *map(Finishes, [digit, *(Text("word", (word,)) for word, _ in lasts)]),
        *(Longer(min(int(np.quantile(lengths, q)), MOST)) for q in _LENGTHS if lengths),
        *(Before(a, b) for a in of_words[:_ORDERED] for b in of_words[:_ORDERED] if a != b),
    ]


def telling_words(texts: Sequence[str], outcomes: NDArray[np.intp], *, count: int) -> list[str]:
    """Words whose presence goes with an outcome, by mutual information, the most telling first."""
    present: dict[str, list[int]] = {}
    for i, text in enumerate(texts):
        for word in words_of(text):
            present.setdefault(word, []).append(i)
    k = int(outcomes.max(initial=1)) + 1
    gains = {
        word: _information(np.bincount(outcomes[places], minlength=k), np.bincount(outcomes, minlength=k))
        for word, places in present.items()
        if len(places) >= _FEWEST
    }
    return sorted(gains, key=lambda word: (-gains[word], word))[:count]


def _information(inside: NDArray[np.intp], everything: NDArray[np.intp]) -> float:
    """Nats that a split of counts (K,) into inside and outside tells of the outcome."""
    outside = everything - inside
    n = everything.sum()
    return float(
        _entropy(everything) - inside.sum() / n * _entropy(inside) - outside.sum() / n * _entropy(outside)
    )


def _entropy(counts: NDArray[np.intp]) -> float:
    p = counts[counts > 0] / max(counts.sum(), 1)
    return float(-(p * np.log(p)).sum())
