"""Themes: what words have to do with, by the nearness of sentence embeddings, in degrees.

WordNet says what is a kind of what, and little of what belongs together: "funeral" is no kind of "death". An
encoder of sentences knows. A theme is a name and the words of the texts that lie near it, in three degrees;
themes whose names lie near each other are each other's near misses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

NEAREST, NEAR, RELATED = 0.64, 0.56, 0.5
"""Cosines of all-MiniLM-L6-v2 from which a word has a theme's strongest, middle and weakest degree; below the
last, words are near by their spelling as often as by what they mean."""
_FEWEST = 4  # words of the two stronger degrees
_NEIGHBOURS = 12
_TOO_LIKE = 0.85  # cosine of two names above which they name one theme


class Encode(Protocol):
    """Turns texts into vectors of length 1, (N, D)."""

    def __call__(self, texts: Sequence[str]) -> Vectors: ...


class Theme(NamedTuple):
    """A name, and words that have to do with it, by degree."""

    name: str
    nearest: tuple[str, ...]  # lower case, sorted; the name itself is among them if it occurs
    near: tuple[str, ...]
    related: tuple[str, ...]
    neighbours: tuple[str, ...]  # names of themes that are easily taken for this one

    @property
    def words(self) -> tuple[str, ...]:
        """Of all degrees."""
        return (*self.nearest, *self.near, *self.related)


def find_themes(names: Sequence[str], spelt: dict[str, str], encode: Encode) -> tuple[Theme, ...]:
    """A theme for each name with enough words near it; none of two names that mean the same.

    Args:
        names: what may be a theme, the more important first.
        spelt: lower-case word of the texts → as it is written there.
        encode: the encoder.
    """
    names = list(dict.fromkeys(names))
    words = sorted(spelt)
    if not names or not words:
        return ()
    of_names, of_words = encode(names), encode([spelt[word] for word in words])
    alike = of_names @ of_names.T
    kept: list[int] = []
    degrees: dict[int, _Degrees] = {}
    for number in range(len(names)):
        if kept and alike[number, kept].max() > _TOO_LIKE:
            continue
        found = _degrees(of_words @ of_names[number], words)
        if len(found[0]) + len(found[1]) >= _FEWEST:
            kept.append(number)
            degrees[number] = found
    return tuple(Theme(names[n], *degrees[n], _neighbours(n, kept, alike, names)) for n in kept)


_Degrees = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]


def _degrees(cosines: Vectors, words: Sequence[str]) -> _Degrees:
    def between(low: float, high: float) -> tuple[str, ...]:
        return tuple(words[place] for place in np.flatnonzero((cosines >= low) & (cosines < high)).tolist())

    return between(NEAREST, np.inf), between(NEAR, NEAREST), between(RELATED, NEAR)


def _neighbours(number: int, kept: Sequence[int], alike: Vectors, names: Sequence[str]) -> tuple[str, ...]:
    others = [other for other in kept if other != number]
    nearest = sorted(others, key=lambda other: -float(alike[number, other]))[:_NEIGHBOURS]
    return tuple(names[other] for other in nearest)
