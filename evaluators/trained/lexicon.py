"""What rules are made of: the words of the texts, and sets of them that have a name.

A word counts under the first meaning that WordNet gives it in the part of speech as which it is mostly
used; its inflected forms count with it.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from random import Random
from typing import Literal, NamedTuple

from scrutable.evaluators.trained.lists import word_list
from scrutable.evaluators.trained.texts import Text
from scrutable.evaluators.trained.themes import Encode, Theme, find_themes
from scrutable.evaluators.trained.wordnet import Pos, WordNet
from scrutable.pipeline.errors import ConfigError

Kind = Literal["noun", "verb", "adj", "topic", "article"]

SMALLEST, LARGEST = 3, 250  # words of a set that occur in the texts
_FEWEST = 6  # occurrences of all words of a set together, and of a word that is named alone
_FEWEST_FREQUENT = 20
_FEWEST_OF_THEME = 2  # occurrences of a word of a theme
_MOST_SHARE = 0.03  # of the texts' tokens: what is more frequent is no class but a part of speech
_HELD_OUT_FIELDS = {("noun", 13), ("verb", 34)}  # food; eating and drinking
_HELD_OUT_SHARE = 0.08  # of all other sets, by a hash of the name
_KEYWORDS = 25  # of an article
_LETTERS = re.compile(r"[a-z]+")


class WordSet(NamedTuple):
    """Words that something can be said of."""

    name: str
    definition: str  # as WordNet has it; empty for a topic
    words: tuple[str, ...]  # lower case, those that occur in the texts, sorted
    kind: Kind
    group: str  # sets of one group are easily taken for each other
    is_held_out: bool  # never in a lesson, only for measuring


class NothingToDraw(LookupError):
    """The texts hold no words of which a family of rules could be made."""


class Sampled(NamedTuple):
    """Sets, drawn in proportion to the square root of how often their words occur."""

    sets: tuple[WordSet, ...]
    weights: tuple[float, ...]  # cumulative

    def draw(self, rng: Random) -> WordSet:
        """One of them. Raises NothingToDraw if there are none."""
        if not self.sets:
            raise NothingToDraw
        return rng.choices(self.sets, cum_weights=self.weights)[0]


@dataclass(frozen=True)
class Lexicon:
    """Words and where they stand, and the named sets of them."""

    texts: Sequence[Text]
    places: Mapping[str, tuple[int, ...]]  # lower-case word → numbers of the texts in which it occurs
    counts: Mapping[str, int]  # lower-case word → occurrences
    sets: tuple[WordSet, ...]
    spelt: Mapping[str, str]  # lower-case word → as it is mostly written
    frequent: tuple[str, ...]  # words worth naming alone, lower case, most frequent first
    themes: Mapping[str, Theme]  # by name; empty without an encoder

    def of_kind(self, *kinds: Kind, is_held_out: bool = False) -> Sampled:
        """The sets of these kinds, to be drawn from."""
        key = (kinds, is_held_out)
        if key not in self._by_kind:
            some = tuple(s for s in self.sets if s.kind in kinds and s.is_held_out == is_held_out)
            weights = accumulate(math.sqrt(_total(s, self.counts)) for s in some)
            self._by_kind[key] = Sampled(some, tuple(weights))
        return self._by_kind[key]

    @cached_property
    def taught_themes(self) -> tuple[tuple[str, ...], tuple[float, ...]]:
        """Names of the themes that may be taught, and cumulative weights: they are drawn as sets are."""
        names = tuple(name for name in self.themes if not _is_held_out(name))
        totals = [sum(self.counts[word] for word in self.themes[name].words) for name in names]
        return names, tuple(accumulate(math.sqrt(total) for total in totals))

    def neighbours_of(self, name: str) -> tuple[str, ...]:
        """Themes that may be taught, and are easily taken for this one."""
        return tuple(other for other in self.themes[name].neighbours if not _is_held_out(other))

    @cached_property
    def taught_of(self) -> Mapping[str, tuple[WordSet, ...]]:
        """Lower-case word → the sets with it that may be taught."""
        found: dict[str, list[WordSet]] = {}
        for word_set in self.sets:
            for word in () if word_set.is_held_out else word_set.words:
                found.setdefault(word, []).append(word_set)
        return {word: tuple(sets) for word, sets in found.items()}

    @cached_property
    def _by_kind(self) -> dict[tuple[tuple[Kind, ...], bool], Sampled]:
        return {}


def build_lexicon(texts: Sequence[Text], wordnet: WordNet, encode: Encode | None = None) -> Lexicon:
    """The lexicon of the texts; the same texts give the same one.

    Raises ConfigError for texts with too few words.

    Args:
        texts: in which words must occur.
        wordnet: names sets of them.
        encode: finds themes; None: there are none.
    """
    places: dict[str, list[int]] = {}
    spellings: Counter[str] = Counter(token.strip() for text in texts for token in text.tokens)
    counts: Counter[str] = Counter()
    for number, text in enumerate(texts):
        words = [token.strip().casefold() for token in text.tokens]
        counts.update(words)
        for word in dict.fromkeys(words):
            places.setdefault(word, []).append(number)
    spelt = {spelling.casefold(): spelling for spelling, _ in reversed(spellings.most_common())}
    forms = _forms(counts, wordnet)
    limit = _MOST_SHARE * sum(counts.values())
    sets = [*_classes(wordnet, forms), *_topics(wordnet, forms), *_articles(texts, counts)]
    kept = [s for s in sets if SMALLEST <= len(s.words) <= LARGEST and _FEWEST <= _total(s, counts) <= limit]
    unique = {(s.kind, s.name, s.words): s for s in kept}
    frequent = tuple(w for w, n in counts.most_common() if n >= _FEWEST and w.isalpha())
    if len(frequent) < _FEWEST_FREQUENT:
        raise ConfigError(
            f"curriculum: only {len(frequent)} words occur {_FEWEST} times in {len(texts)} texts, and rules "
            f"need {_FEWEST_FREQUENT}; give a larger corpus"
        )
    where = {word: tuple(numbers) for word, numbers in places.items()}
    themes = _themes(wordnet, forms, counts, spelt, encode) if encode else {}
    return Lexicon(texts, where, counts, tuple(unique.values()), spelt, frequent, themes)


def _themes(
    wordnet: WordNet,
    forms: Mapping[tuple[Pos, str], tuple[str, ...]],
    counts: Mapping[str, int],
    spelt: Mapping[str, str],
    encode: Encode,
) -> dict[str, Theme]:
    """Themes of the nouns that occur, the more frequent first; food is held out, as it is among the sets."""
    total = {
        word: sum(counts[form] for form in found) for (pos, word), found in forms.items() if pos == "noun"
    }
    names = [
        word
        for word in sorted(total, key=lambda word: (-total[word], word))
        if total[word] >= _FEWEST
        and ("noun", wordnet.synsets[wordnet.first["noun", word]].field) not in _HELD_OUT_FIELDS
    ]
    known = {word: spelt[word] for word, n in counts.items() if n >= _FEWEST_OF_THEME and _is_word(word)}
    return {theme.name: theme for theme in find_themes(names, known, encode)}


def _is_word(word: str) -> bool:
    return word.isalpha() and len(word) > 2


def _total(word_set: WordSet, counts: Mapping[str, int]) -> int:
    return sum(counts[word] for word in word_set.words)


def _forms(counts: Mapping[str, int], wordnet: WordNet) -> dict[tuple[Pos, str], tuple[str, ...]]:
    """(part of speech, base form) → its forms that occur in the texts."""
    forms: dict[tuple[Pos, str], tuple[str, ...]] = {}
    for pos, word in wordnet.first:
        if len(word) > 2 and word.isalpha() and wordnet.usual[word] == pos:
            found = tuple(form for form in _inflected(word, pos) if form in counts)
            if found:
                forms[pos, word] = found
    return forms


def _inflected(word: str, pos: Pos) -> Iterator[str]:
    yield word
    if pos == "adj":
        return
    stem = word[:-1] if word.endswith("e") else word
    yield f"{word[:-1]}ies" if re.search("[^aeiou]y$", word) else f"{word}s"
    if re.search("(s|x|z|ch|sh)$", word):
        yield f"{word}es"
    if pos == "verb":
        yield f"{stem}ing"
        yield f"{word[:-1]}ied" if re.search("[^aeiou]y$", word) else f"{stem}ed"


def _classes(wordnet: WordNet, forms: Mapping[tuple[Pos, str], tuple[str, ...]]) -> Iterator[WordSet]:
    """For each meaning with narrower ones, the words whose first meaning lies within it."""
    for synset in wordnet.synsets.values():
        if len(synset.narrower) < 3 or " " in synset.words[0].strip():
            continue
        words: set[str] = set()
        for narrower in wordnet.within(synset.id):
            for word in narrower.words:
                lower = word.casefold()
                if wordnet.first.get((synset.pos, lower)) == narrower.id:
                    words.update(forms.get((synset.pos, lower), ()))
        if words:
            name = synset.words[0]
            held_out = (synset.pos, synset.field) in _HELD_OUT_FIELDS or _is_held_out(name)
            group = f"{synset.pos}-{synset.field}"
            yield WordSet(name, synset.definition, tuple(sorted(words)), synset.pos, group, held_out)


def _topics(wordnet: WordNet, forms: Mapping[tuple[Pos, str], tuple[str, ...]]) -> Iterator[WordSet]:
    """For each noun, the words whose first meaning is defined with it, and the noun itself."""
    related: dict[str, set[str]] = {}
    ignored = set(word_list("definers"))
    for (pos, word), id in wordnet.first.items():
        found = forms.get((pos, word))
        if found:
            for used in sorted({*_LETTERS.findall(wordnet.synsets[id].definition)} - ignored):
                related.setdefault(used, set()).update(found)
    for name, words in related.items():
        if wordnet.usual.get(name) == "noun" and len(name) > 2:
            words |= set(forms.get(("noun", name), ()))
            field_of = wordnet.synsets[wordnet.first["noun", name]].field
            held_out = ("noun", field_of) in _HELD_OUT_FIELDS or _is_held_out(name)
            yield WordSet(name, "", tuple(sorted(words)), "topic", f"topic-{field_of}", held_out)


def _articles(texts: Sequence[Text], counts: Mapping[str, int]) -> Iterator[WordSet]:
    """For each article, the words that it uses far more than others do, by tf-idf."""
    by_document: dict[str, Counter[str]] = {}
    for text in texts:
        if text.document.startswith("wiki:"):
            tokens = (token.strip().casefold() for token in text.tokens)
            by_document.setdefault(text.document, Counter()).update(w for w in tokens if len(w) > 3)
    spread = Counter(word for found in by_document.values() for word in found)
    for document, found in by_document.items():
        weight = {
            word: n * math.log(len(by_document) / spread[word]) for word, n in found.items() if word.isalpha()
        }
        words = sorted(weight, key=lambda word: (-weight[word], word))[:_KEYWORDS]
        name = document.removeprefix("wiki:")
        kept = tuple(sorted(word for word in words if counts[word] > 1))
        yield WordSet(name, "", kept, "article", "article", _is_held_out(name))


def _is_held_out(name: str) -> bool:
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest[:4], "big") < _HELD_OUT_SHARE * 2**32


def texts_with(lexicon: Lexicon, words: Iterable[str]) -> list[int]:
    """The numbers of the texts in which one of the words occurs, ascending."""
    return sorted({number for word in words for number in lexicon.places.get(word, ())})
