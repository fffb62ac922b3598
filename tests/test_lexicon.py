"""Sets of words with a name: from WordNet's meanings, definitions and articles."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from toy_curriculum import toy_texts, toy_wordnet

from scrutable.evaluators.trained.lexicon import LARGEST, SMALLEST, Lexicon, build_lexicon, texts_with
from scrutable.evaluators.trained.texts import Text
from scrutable.pipeline.errors import ConfigError


@pytest.fixture(scope="module")
def lexicon(tmp_path_factory: pytest.TempPathFactory) -> Lexicon:
    return build_lexicon(toy_texts(), toy_wordnet(tmp_path_factory.mktemp("wordnet")))


def words_of(lexicon: Lexicon, kind: str, name: str) -> set[str]:
    [found] = [s for s in lexicon.sets if (s.kind, s.name) == (kind, name)]
    return set(found.words)


def test_a_class_holds_everything_of_its_kind_that_occurs_inflected_forms_too(lexicon: Lexicon) -> None:
    assert words_of(lexicon, "noun", "animal") == {"animal", "dog", "dogs", "cat", "horse", "puppy"}
    assert words_of(lexicon, "verb", "move") == {"walked", "walking", "sailing", "swim"}
    assert words_of(lexicon, "adj", "big") == {"huge", "vast", "tall"}


def test_a_topic_holds_what_is_defined_with_it(lexicon: Lexicon) -> None:
    assert words_of(lexicon, "topic", "vessel") >= {"vessel", "ship", "ships", "boat", "ferry", "sailing"}


def test_every_set_occurs_and_is_neither_tiny_nor_huge(lexicon: Lexicon) -> None:
    for word_set in lexicon.sets:
        assert SMALLEST <= len(word_set.words) <= LARGEST
        assert all(lexicon.counts[word] for word in word_set.words)


def test_texts_with_a_word_are_exactly_those_in_which_it_stands(lexicon: Lexicon) -> None:
    expected = [i for i, text in enumerate(lexicon.texts) if {" dog", " cat"} & set(text.tokens)]
    assert texts_with(lexicon, ["dog", "cat"]) == expected


def test_a_word_is_named_as_it_is_mostly_written(tmp_path: Path) -> None:
    texts = [*toy_texts(), Text("d", (*(" Paris",) * 99, *(" paris",) * 9, " the", " The", " the"))]
    spelt = build_lexicon(texts, toy_wordnet(tmp_path)).spelt
    assert (spelt["paris"], spelt["the"]) == ("Paris", "the")


def test_a_corpus_with_too_few_words_is_refused_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="give a larger corpus"):
        build_lexicon(toy_texts(n=2), toy_wordnet(tmp_path))


def test_a_held_out_set_is_never_among_those_that_are_taught(lexicon: Lexicon) -> None:
    taught = {s.name for sets in lexicon.taught_of.values() for s in sets}
    held_out = {s.name for s in lexicon.sets if s.is_held_out}
    assert not taught & held_out
    assert taught


def test_the_lexicon_is_the_same_in_every_process(tmp_path: Path) -> None:
    code = (
        "from toy_curriculum import *; from pathlib import Path; from random import Random\n"
        f"lexicon = build_lexicon(toy_texts(), toy_wordnet(Path({str(tmp_path)!r})))\n"
        "print([s for s in lexicon.sets], lexicon.of_kind('topic', 'noun').draw(Random(0)))"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parent)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
