"""The real text that a curriculum plants its rules in: windows of a corpus, and WordNet's example sentences.

Encyclopedias say little of kitchens and feelings; the examples of a dictionary say a little of everything.
A text belongs to the split of its document for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from scrutable.evaluators.trained.wordnet import WordNet
from scrutable.pipeline.config import CorpusConfig, CurriculumConfig
from scrutable.pipeline.corpus import load_corpus, split_of
from scrutable.pipeline.records import Split
from scrutable.pipeline.words import split_words

SHARES: dict[Split, float] = CorpusConfig.model_fields["splits"].default
"""Those of a run by default, so that documents which judge elsewhere were never trained on."""
_EXAMPLES = 5  # of WordNet, in one text: about as long as a window
_FEWEST_WORDS = 8


class Text(NamedTuple):
    """A stretch of a document as words; they join to the text."""

    document: str
    tokens: tuple[str, ...]


def corpus_texts(path: Path, config: CurriculumConfig, *, splits: tuple[Split, ...], seed: int) -> list[Text]:
    """The documents of these splits, cut into windows without overlap."""
    texts: list[Text] = []
    for document in load_corpus(path, shares=SHARES, seed=seed):
        if document.split in splits:
            texts += _windows(document.id, document.text, config.window)
    return texts


def example_texts(
    wordnet: WordNet, config: CurriculumConfig, *, splits: tuple[Split, ...], seed: int
) -> list[Text]:
    """WordNet's example sentences, five in a text; sentences of one field of meaning stand together."""
    by_field: dict[tuple[str, int], list[str]] = {}
    for id in sorted(wordnet.synsets):
        synset = wordnet.synsets[id]
        by_field.setdefault((synset.pos, synset.field), []).extend(synset.examples)
    texts = []
    for (pos, field), examples in by_field.items():
        for number in range(0, len(examples), _EXAMPLES):
            document = f"wordnet:{pos}-{field}-{number}"
            if split_of(document, shares=SHARES, seed=seed) in splits:
                whole = " ".join(map(_sentence, examples[number : number + _EXAMPLES]))
                texts += list(_windows(document, whole, config.window))[:1]
    return texts


def _sentence(example: str) -> str:
    return example if example[-1] in ".!?" else f"{example}."


def _windows(document: str, text: str, length: int) -> Iterator[Text]:
    words = split_words(" ".join(text.split()))
    for start in range(0, len(words), length):
        tokens = words[start : start + length]
        if len(tokens) >= _FEWEST_WORDS:
            yield Text(document, tokens)
