"""Readable tests of a token that may say when a unit fires, and where each of them holds.

The candidates come from the unit's own excerpts: shapes, named classes, and the words and affixes that go
with its activation, at the token or before it. Shape key: A tests, N scored tokens, M tokens, V texts.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scrutable.pipeline.description import program_bits
from scrutable.pipeline.program_text import write_test
from scrutable.pipeline.programs import (
    SHAPES,
    TOP_LEVEL,
    After,
    Class,
    Not,
    Program,
    Rule,
    Shape,
    Test,
    Text,
    Within,
    fires,
)
from scrutable.pipeline.records import Excerpt
from scrutable.pipeline.tables import scored_tokens, tally
from scrutable.pipeline.word_classes import word_classes

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

_WORDS, _WORDS_BEFORE, _WORDS_NEAR, _AFFIXES = 60, 20, 8, 20  # candidates of each kind
_NEAR = 5  # tokens
_AFFIX_LENGTHS = (2, 3, 4)
_FEWEST = 2  # tokens on which a test holds; one is an anecdote


class Features(NamedTuple):
    """A unit's scored tokens as rows of truth values."""

    tests: tuple[Test, ...]  # (A,) no two hold of the same tokens
    holds: Bools  # (A, N)
    bits: Floats  # (A,) length of a rule with this test
    truth: Floats  # (N,) activation, subject's raw units
    weight: Floats  # (N,) weight of the token's excerpt


def readable_features(excerpts: Sequence[Excerpt]) -> Features:
    """The candidate tests of a unit that tell its tokens apart, and where they hold.

    Of tests that hold of the same tokens the shortest stays. A test that holds of fewer than two
    tokens, or of all but fewer than two, is left out.
    """
    tests = sorted(set(candidates(excerpts)), key=lambda test: (_bits(test), write_test(test)))
    holds = truth_values(tests, excerpts)
    kept: dict[bytes, int] = {}
    for place, row in enumerate(holds):
        if _FEWEST <= row.sum() <= row.size - _FEWEST:
            kept.setdefault(row.tobytes(), place)
    places = list(kept.values())
    return Features(
        tests=tuple(tests[place] for place in places),
        holds=holds[places],
        bits=np.array([_bits(tests[place]) for place in places]),
        truth=np.array([a for e in excerpts for a in e.activations[e.passage.n_context :]], dtype=np.float64),
        weight=np.array([e.weight for e in excerpts for _ in e.passage.tokens[e.passage.n_context :]]),
    )


def candidates(excerpts: Sequence[Excerpt]) -> list[Test]:
    """All tests that may be tried, most of them about words and affixes that go with activation."""
    shapes: list[Test] = [Shape(name) for name in SHAPES]
    classes: list[Test] = [Class(name) for name in word_classes()]
    words = _telling(excerpts, _itself, _WORDS)
    words_before = [Text("word", (word,)) for word in _telling(excerpts, _before, _WORDS_BEFORE)]
    return [
        *shapes,
        *classes,
        *(Text("word", (word,)) for word in words),
        *(Text("ends", (end,)) for end in _telling(excerpts, _endings, _AFFIXES)),
        *(Text("starts", (start,)) for start in _telling(excerpts, _beginnings, _AFFIXES)),
        *(After(test) for test in (*shapes, *classes, *words_before)),
        *(Within(_NEAR, test) for test in (*shapes, *classes, *words_before[:_WORDS_NEAR])),
    ]


def truth_values(tests: Sequence[Test], excerpts: Sequence[Excerpt]) -> Bools:
    """(A, N) where each test holds of the scored tokens: what `programs.fires` gives, many times faster.

    A test of the token alone is run once for each text there is, not for each token. First(k) is not
    such a test, and cannot be asked for here.
    """
    text = _Texts(excerpts)
    found = np.zeros((len(tests), int(text.is_scored.sum())), dtype=bool)
    for row, test in enumerate(tests):
        found[row] = text.holds(test)[text.is_scored]
    return found


class _Texts:
    """All tokens of some excerpts, context included, as numbers of the texts there are."""

    def __init__(self, excerpts: Sequence[Excerpt]) -> None:
        tokens = [token for excerpt in excerpts for token in excerpt.passage.tokens]
        number = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
        self._texts = list(number)  # (V,)
        self._text = np.array([number[token] for token in tokens], dtype=np.intp)  # (M,)
        self._place = np.array([t for e in excerpts for t in range(len(e.passage.tokens))], dtype=np.intp)
        context = [e.passage.n_context for e in excerpts for _ in e.passage.tokens]
        self.is_scored: Bools = self._place >= np.array(context, dtype=np.intp)  # (M,)
        self._known: dict[Test, Bools] = {}

    def holds(self, test: Test) -> Bools:
        """(M,) where a test holds."""
        if test not in self._known:
            self._known[test] = self._holds(test)
        return self._known[test]

    def _holds(self, test: Test) -> Bools:
        match test:
            case After(inner):
                return self._earlier(self.holds(inner), 1)
            case Within(k, inner):
                row = self.holds(inner)
                return functools.reduce(np.logical_or, (self._earlier(row, back) for back in range(1, k + 1)))
            case _:
                return np.array(fires(test, self._texts), dtype=bool)[self._text]

    def _earlier(self, row: Bools, back: int) -> Bools:
        """(M,) the value `back` tokens before in the same passage; False where there is none."""
        moved = np.zeros_like(row)
        moved[back:] = row[: max(row.size - back, 0)]
        return moved & (self._place >= back)


def _bits(test: Test) -> float:
    return program_bits(Program((Rule(TOP_LEVEL, test),)))


DENIAL_BITS = _bits(Not(Shape("space"))) - _bits(Shape("space"))
"""What "not" adds to the length of a test."""

Strings = Callable[[str, str], Iterable[str]]
"""(word before, word) to the strings that are counted there."""


def _itself(before: str, word: str) -> tuple[str, ...]:
    del before
    return (word,)


def _before(before: str, word: str) -> tuple[str, ...]:
    del word
    return (before,)


def _endings(before: str, word: str) -> Iterator[str]:
    del before
    return (word[-n:] for n in _AFFIX_LENGTHS if word.isalpha() and len(word) > n + 1)


def _beginnings(before: str, word: str) -> Iterator[str]:
    del before
    return (word[:n] for n in _AFFIX_LENGTHS if word.isalpha() and len(word) > n + 1)


def _telling(excerpts: Sequence[Excerpt], strings: Strings, count: int) -> list[str]:
    """The strings where activation is above the mean, those that explain most of its variance first."""
    tokens = [(b.strip().casefold(), t.strip().casefold(), a, w) for b, t, a, w in scored_tokens(excerpts)]
    everything = tally((None, a, w) for _, _, a, w in tokens)
    seen = tally((s, a, w) for b, t, a, w in tokens for s in strings(b, t) if s)
    above = {s: seen.mean_of([s]) - everything.mean_of([None]) for s in seen.weight}
    gains = {s: seen.weight[s] * above[s] ** 2 for s in above if above[s] > 0 and seen.count[s] >= _FEWEST}
    return sorted(gains, key=lambda s: (-gains[s], s))[:count]
