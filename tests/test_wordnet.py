"""Reading WordNet: meanings, what is narrower, and as what a word is mostly used."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy_curriculum import toy_wordnet, write_wordnet

from scrutable.evaluators.trained.wordnet import read_wordnet
from scrutable.pipeline.errors import ConfigError


def test_a_meaning_has_words_a_definition_examples_and_a_field(tmp_path: Path) -> None:
    synset = toy_wordnet(tmp_path).synsets["noun:00000002"]
    assert synset.words == ("dog",)
    assert synset.definition == "a domestic animal"
    assert synset.examples == ("the dog barked at the red ship",)
    assert (synset.pos, synset.field) == ("noun", 5)


def test_everything_narrower_is_found_once_at_any_depth(tmp_path: Path) -> None:
    wordnet = toy_wordnet(tmp_path)
    found = [synset.words[0] for synset in wordnet.within("noun:00000001")]
    assert sorted(found) == ["animal", "cat", "dog", "horse", "puppy"]


def test_the_satellites_of_an_adjective_are_narrower(tmp_path: Path) -> None:
    wordnet = toy_wordnet(tmp_path)
    assert {s.words[0] for s in wordnet.within("adj:00000001")} == {"big", "huge", "vast", "tall"}


def test_a_word_is_mostly_what_it_was_tagged_as_and_a_noun_where_nothing_tells(tmp_path: Path) -> None:
    write_wordnet(tmp_path)
    with (tmp_path / "index.verb").open("a") as file:
        file.write("dog v 1 0 1 1 00000002  \nship v 1 0 1 1 00000004  \nboat v 1 0 1 1 00000004  \n")
    with (tmp_path / "cntlist.rev").open("a") as file:
        file.write("ship%2:38:00:: 1 99\n")
    usual = read_wordnet(tmp_path).usual
    assert usual["dog"] == "noun"  # tagged as one 42 times
    assert usual["ship"] == "verb"
    assert usual["boat"] == "noun"


@pytest.mark.parametrize("damage", ["missing", "cut", "empty"])
def test_what_is_no_wordnet_is_refused_in_one_line_with_a_way_out(tmp_path: Path, damage: str) -> None:
    write_wordnet(tmp_path)
    path = tmp_path / "data.verb"
    if damage == "missing":
        path.unlink()
    else:
        path.write_text("00000001 38 v 01\n" if damage == "cut" else "x\n")
    with pytest.raises(ConfigError, match="wordnet-base") as caught:
        read_wordnet(tmp_path)
    assert len(str(caught.value).splitlines()) == 1
