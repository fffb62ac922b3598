"""Lessons: a description, a real text, and the level of every token, drawn without end from a seed.

The lessons of one rule stand together: texts in which it fires or one drawn blindly, and the description of
another rule that is easily taken for it on the same text, with the levels that are true of that one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Literal, NamedTuple

from scrutable.evaluators.trained.families import Planted, draw, plain, theme_of, words_of
from scrutable.evaluators.trained.lexicon import Lexicon, texts_with
from scrutable.evaluators.trained.texts import Text
from scrutable.pipeline.programs import levels

Role = Literal["fires", "blind", "near miss"]

_TRIES = 40  # texts that are tried for one in which a rule fires
_REDRAWS = 12  # rules that are tried for a near miss
_BLIND_SHARE = 1 / 3
_ELSEWHERE_SHARE = 1 / 2
_WIDEST = 0.7  # share of a text's tokens above which a rule teaches nothing in it


class Lesson(NamedTuple):
    """One example: what a reader of the description should predict."""

    family: str
    role: Role
    description: str
    text: Text
    levels: tuple[int, ...]  # (T,) 0 to 9


class Curriculum(NamedTuple):
    """What lessons are drawn from."""

    lexicon: Lexicon
    families: tuple[str, ...]
    excluded: frozenset[str]  # descriptions, in their plain form, that must not be taught


def lessons(curriculum: Curriculum, *, seed: int) -> Iterator[Lesson]:
    """Lessons without end, three of each rule: a text in which it fires, another one, and a near miss.

    The other text is drawn blindly one time in three. Rules that fire in no text that is found are passed
    over. The same curriculum and seed give the same lessons.
    """
    rng = Random(seed)
    while True:
        planted = draw(rng, curriculum.lexicon, families=curriculum.families, excluded=curriculum.excluded)
        found = list(fitting_texts(rng, curriculum.lexicon, planted, wanted=2))
        if not found:
            continue
        yield lesson(planted, "fires", found[0])
        if len(found) < 2 or rng.random() < _BLIND_SHARE:
            yield lesson(planted, "blind", rng.choice(curriculum.lexicon.texts))
        else:
            yield lesson(planted, "fires", found[1])
        yield lesson(_near_miss(rng, curriculum, planted, found[0]), "near miss", found[0])


def fitting_texts(rng: Random, lexicon: Lexicon, planted: Planted, *, wanted: int) -> Iterator[Text]:
    """Up to `wanted` different texts in which the rule fires, on at most 70 % of the tokens."""
    places: Sequence[int] = texts_with(lexicon, planted.anchors) or range(len(lexicon.texts))
    tried = rng.sample(places, min(_TRIES, len(places)))
    n_found = 0
    for number in tried:
        text = lexicon.texts[number]
        n_fires = sum(level > 0 for level in levels(planted.program, text.tokens))
        if 0 < n_fires <= _WIDEST * len(text.tokens):
            yield text
            n_found += 1
        if n_found == wanted:
            return


def lesson(planted: Planted, role: Role, text: Text) -> Lesson:
    """What the rule says of the text."""
    return Lesson(
        planted.family, role, planted.description, text, tuple(levels(planted.program, text.tokens))
    )


def _near_miss(rng: Random, curriculum: Curriculum, planted: Planted, text: Text) -> Planted:
    """Another rule that is easily taken for this one in a text where this one fires.

    Half of the time one of the words that something else is true of in the same text; else a theme next to
    this one, or a rule of the same family, and of the same group if one is drawn in time.
    """
    if rng.random() < _ELSEWHERE_SHARE and (other := _elsewhere(rng, curriculum, planted, text)):
        return other
    if planted.family == "theme" and (near := curriculum.lexicon.neighbours_of(planted.group)):
        other = theme_of(rng, curriculum.lexicon, rng.choice(near))
        if plain(other.description) not in curriculum.excluded:
            return other
    other = planted
    for _ in range(_REDRAWS):
        other = draw(rng, curriculum.lexicon, families=(planted.family,), excluded=curriculum.excluded)
        if other.program != planted.program and other.group == planted.group:
            break
    return other


def _elsewhere(rng: Random, curriculum: Curriculum, planted: Planted, text: Text) -> Planted | None:
    """A set of words that fires in the text, but not at the same words; None if none is found."""
    fires = levels(planted.program, text.tokens)
    silent = [token.strip().casefold() for token, level in zip(text.tokens, fires, strict=True) if not level]
    known = curriculum.lexicon.taught_of
    for word in rng.sample(silent, len(silent)):
        if word in known:
            other = words_of(rng, curriculum.lexicon, rng.choice(known[word]))
            if plain(other.description) not in curriculum.excluded:
                return other
    return None
