"""WordNet as it lies in its dict folder (data.noun, index.noun, ...): meanings, and what is a kind of what.

Miller 1995. Formats: wndb(5WN). Read with its own few lines, since no package carries the files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scrutable.pipeline.errors import ConfigError

Pos = Literal["noun", "verb", "adj"]
PARTS_OF_SPEECH: tuple[Pos, ...] = ("noun", "verb", "adj")

_NARROWER = ("~", "~i", "&")  # hyponyms, instances, and the satellites of an adjective
_SENSE_KEYS: dict[str, Pos] = {"1": "noun", "2": "verb", "3": "adj", "5": "adj"}  # senseidx(5WN)


@dataclass(frozen=True, slots=True)
class Synset:
    """A meaning, the words that have it, and what is narrower."""

    id: str  # "noun:02084071"
    pos: Pos
    field: int  # number of the lexicographer file, lexnames(5WN): 13 is food, 20 plants
    words: tuple[str, ...]  # spaces for underscores
    definition: str
    examples: tuple[str, ...]
    narrower: tuple[str, ...]  # ids


@dataclass(frozen=True, slots=True)
class WordNet:
    """All meanings, and the first one of each word."""

    synsets: Mapping[str, Synset]
    first: Mapping[tuple[Pos, str], str]  # (part of speech, lower-case word) → its most frequent meaning
    usual: Mapping[str, Pos]  # lower-case word → the part of speech as which it is used most

    def within(self, id: str) -> Iterator[Synset]:
        """The synset and everything narrower, each once."""
        seen, left = {id}, [id]
        while left:
            synset = self.synsets[left.pop()]
            yield synset
            found = [n for n in synset.narrower if n not in seen and n in self.synsets]
            seen.update(found)
            left += found


def read_wordnet(folder: Path) -> WordNet:
    """Reads nouns, verbs and adjectives. Raises ConfigError for a folder that holds no WordNet."""
    synsets: dict[str, Synset] = {}
    first: dict[tuple[Pos, str], str] = {}
    usual: dict[str, Pos] = {}
    try:
        for pos in PARTS_OF_SPEECH:
            for line in _lines(folder / f"data.{pos}"):
                synset = _synset(pos, line)
                synsets[synset.id] = synset
            for line in _lines(folder / f"index.{pos}"):
                fields = line.split()
                n_senses = int(fields[2])
                first[pos, fields[0].replace("_", " ")] = f"{pos}:{fields[-n_senses]}"
        usual = _usual(folder / "cntlist.rev", first)
    except (OSError, ValueError, IndexError) as error:
        raise ConfigError(
            f"wordnet: {folder} holds no WordNet ({' '.join(str(error).split())}); install Debian's "
            "wordnet-base, or give the dict folder of a WordNet 3.x"
        ) from error
    return WordNet(synsets, first, usual)


def _usual(path: Path, words: Iterable[tuple[Pos, str]]) -> dict[str, Pos]:
    """By the counts of WordNet's tagged texts; of equal parts of speech the noun before the verb."""
    counts: dict[tuple[Pos, str], int] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        key, _, count = line.split()
        word, _, rest = key.partition("%")
        if pos := _SENSE_KEYS.get(rest[0]):
            name = word.replace("_", " ")
            counts[pos, name] = counts.get((pos, name), 0) + int(count)
    usual: dict[str, Pos] = {}
    for pos, word in words:  # nouns come first, and only a larger count takes a word from them
        known = usual.setdefault(word, pos)
        if counts.get((pos, word), 0) > counts.get((known, word), 0):
            usual[word] = pos
    return usual


def _lines(path: Path) -> Iterator[str]:
    """The lines of a data or index file behind its licence, whose lines begin with two spaces."""
    with path.open(encoding="utf-8") as file:
        yield from (line for line in file if not line.startswith("  "))


def _synset(pos: Pos, line: str) -> Synset:
    head, _, gloss = line.partition("|")
    fields = head.split()
    n_words = int(fields[3], 16)
    words = tuple(fields[4 + 2 * i].partition("(")[0].replace("_", " ") for i in range(n_words))
    start = 4 + 2 * n_words
    pointers = [fields[start + 1 + 4 * i : start + 5 + 4 * i] for i in range(int(fields[start]))]
    narrower = tuple(f"{pos}:{target}" for symbol, target, _, _ in pointers if symbol in _NARROWER)
    parts = gloss.strip().split('"')
    return Synset(
        id=f"{pos}:{fields[0]}",
        pos=pos,
        field=int(fields[1]),
        words=words,
        definition=parts[0].strip(" ;"),
        examples=tuple(part.strip() for part in parts[1::2] if part.strip()),
        narrower=narrower,
    )
