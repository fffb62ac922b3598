"""A WordNet of a dozen meanings, and a curriculum of toy documents that use its words."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scrutable.evaluators.trained.families import TAUGHT
from scrutable.evaluators.trained.lessons import Curriculum
from scrutable.evaluators.trained.lexicon import build_lexicon
from scrutable.evaluators.trained.texts import Text
from scrutable.evaluators.trained.themes import Vectors
from scrutable.evaluators.trained.wordnet import WordNet, read_wordnet

LICENCE = "  1 This software and database is being provided to you\n"
# offset: (words, narrower, definition with examples)
NOUNS = {
    "00000001": (["animal"], ["00000002", "00000003", "00000004"], 'a living thing; "the animal slept"'),
    "00000002": (["dog"], ["00000005"], 'a domestic animal; "the dog barked at the red ship"'),
    "00000003": (["cat"], [], 'a small domestic animal; "the cat saw a dog"'),
    "00000004": (["horse"], [], "a large animal that is ridden"),
    "00000005": (["puppy"], [], "a young dog"),
    "00000006": (["vessel"], ["00000007", "00000008", "00000009"], "a craft for the water"),
    "00000007": (["ship"], [], 'a large vessel; "the ship left the harbour"'),
    "00000008": (["boat"], [], "a small vessel"),
    "00000009": (["ferry"], [], "a vessel that carries people over a river"),
}
VERBS = {
    "00000001": (["move"], ["00000002", "00000003", "00000004"], 'change place; "he moved away"'),
    "00000002": (["walk"], [], 'move on foot; "they walk home"'),
    "00000003": (["swim"], [], "move through the water"),
    "00000004": (["sail"], [], "move on the water in a vessel"),
}
ADJECTIVES = {
    "00000001": (["big"], ["00000002", "00000003", "00000004"], "above average in size"),
    "00000002": (["huge"], [], "very big"),
    "00000003": (["vast"], [], "very big and wide"),
    "00000004": (["tall"], [], "big from the ground up"),
}
WORDS = (
    "the of and was in a his very old red from with river saw dog dogs cat horse puppy ship ships boat ferry "
    "walked walking sailing swim huge vast tall animal vessel Paris Malta King seven 1902 44 , . ( )"
)


def write_wordnet(folder: Path) -> Path:
    """data and index files in WordNet's own format."""
    folder.mkdir(parents=True, exist_ok=True)
    for pos, letter, field, synsets in (
        ("noun", "n", "05", NOUNS),
        ("verb", "v", "38", VERBS),
        ("adj", "a", "00", ADJECTIVES),
    ):
        data, index = [LICENCE], [LICENCE]
        for offset, (words, narrower, gloss) in synsets.items():
            symbol = "&" if pos == "adj" else "~"
            pointers = " ".join(f"{symbol} {target} {letter} 0000" for target in narrower)
            listed = " ".join(f"{word} 0" for word in words)
            head = f"{offset} {field} {letter} {len(words):02x} {listed} {len(narrower):03d} {pointers}"
            data.append(f"{head} | {gloss}  \n")
            index += [f"{word} {letter} 1 0 1 1 {offset}  \n" for word in words]
        (folder / f"data.{pos}").write_text("".join(data), encoding="utf-8")
        (folder / f"index.{pos}").write_text("".join(index), encoding="utf-8")
    (folder / "cntlist.rev").write_text("dog%1:05:00:: 1 42\nwalk%2:38:00:: 1 7\n", encoding="utf-8")
    return folder


FILLERS = tuple("".join(letters) for letters in itertools.product("bdklm", "aeiou", "nrst"))
_FILLER_SHARE = 0.8  # so that no class of words is as frequent as an article


def toy_texts(*, n: int = 400, seed: int = 0, prefix: str = "wiki:Doc") -> list[Text]:
    """Seeded words without meaning and with: twenty in one text, four texts of one document."""
    rng = random.Random(seed)

    def word() -> str:
        return rng.choice(FILLERS) if rng.random() < _FILLER_SHARE else rng.choice(WORDS.split())

    return [Text(f"{prefix}{number // 4}", tuple(f" {word()}" for _ in range(20))) for number in range(n)]


def toy_wordnet(folder: Path) -> WordNet:
    return read_wordnet(write_wordnet(folder))


ANIMALS = ("dog", "dogs", "cat", "horse", "puppy", "animal")
WATER = ("ship", "ships", "boat", "ferry", "river", "vessel")


def toy_encode(texts: Sequence[str]) -> Vectors:
    """Animals lie on one axis, water on another, everything else on a third; some lie between."""
    found = []
    for text in texts:
        word = text.casefold()
        vector = np.array([word in ANIMALS, word in WATER, 0.2], dtype=np.float32)
        vector[2] += 0.02 * (len(word) % 5) + (vector[:2].sum() == 0)
        found.append(vector / np.linalg.norm(vector))
    return np.array(found)


def toy_curriculum(folder: Path, *, families: Sequence[str] = TAUGHT, seed: int = 0) -> Curriculum:
    lexicon = build_lexicon(toy_texts(seed=seed), toy_wordnet(folder), toy_encode)
    return Curriculum(lexicon, tuple(families), frozenset())


def write_toy_corpus(path: Path, *, n: int = 40) -> Path:
    """The texts as documents of a JSONL corpus."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(n):
            text = "".join("".join(t.tokens) for t in toy_texts(n=6, seed=number))
            file.write(json.dumps({"id": f"wiki:Article {number}", "text": text.strip()}) + "\n")
    return path
