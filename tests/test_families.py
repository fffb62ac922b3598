"""Families of planted rules: what is said is what the program does."""

from __future__ import annotations

import dataclasses
from random import Random

import pytest
from toy_curriculum import toy_curriculum

from scrutable.evaluators.trained.families import (
    FAMILIES,
    HELD_OUT,
    TAUGHT,
    Planted,
    draw,
    phrasings,
    plain,
)
from scrutable.evaluators.trained.lexicon import Lexicon
from scrutable.evaluators.trained.lists import read_yaml
from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.program_text import read_program
from scrutable.pipeline.programs import fires, levels


@pytest.fixture(scope="module")
def lexicon(tmp_path_factory: pytest.TempPathFactory) -> Lexicon:
    """Sets whose hash would hold them out are in both halves, so that every family has something to say."""
    made = toy_curriculum(tmp_path_factory.mktemp("curriculum")).lexicon
    twins = [s._replace(is_held_out=not s.is_held_out) for s in made.sets]
    return dataclasses.replace(made, sets=(*made.sets, *twins))


def drawn(lexicon: Lexicon, family: str, n: int = 40) -> list[Planted]:
    rng = Random(0)
    return [draw(rng, lexicon, families=[family], excluded=frozenset()) for _ in range(n)]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_says_something_whole_and_can_be_run(lexicon: Lexicon, family: str) -> None:
    for planted in drawn(lexicon, family):
        assert planted.description.strip()
        assert not {"{", "}"} & set(planted.description)
        found = levels(planted.program, lexicon.texts[0].tokens)
        assert all(0 <= level <= 9 for level in found)


def test_no_family_is_both_taught_and_held_out() -> None:
    assert not set(TAUGHT) & set(HELD_OUT)
    assert set(TAUGHT) | set(HELD_OUT) == set(FAMILIES)


@pytest.mark.parametrize(
    ("family", "is_true"),
    [
        ("word", lambda said, token: token.casefold() in said.casefold()),
        ("words", lambda said, token: token.casefold() in said.casefold()),
        ("ends", lambda said, token: any(token.casefold().endswith(p) for p in letters(said))),
        ("starts", lambda said, token: any(token.casefold().startswith(p) for p in letters(said))),
        ("contains", lambda said, token: any(p in token.casefold() for p in letters(said))),
        ("length", lambda said, token: any(c.isdigit() for c in said) and token.isalpha()),
    ],
)
def test_a_token_on_which_a_rule_fires_is_what_its_description_names(
    lexicon: Lexicon, family: str, is_true: object
) -> None:
    n_fires = 0
    for planted in drawn(lexicon, family):
        for text in lexicon.texts[:20]:
            for token, level in zip(text.tokens, levels(planted.program, text.tokens), strict=True):
                if level:
                    n_fires += 1
                    assert is_true(planted.description, token.strip()), (planted.description, token)  # type: ignore[operator]
    assert n_fires


def letters(said: str) -> list[str]:
    """What stands in quotation marks or after a hyphen."""
    words = said.replace('"', " ").replace("-", " ").replace(".", " ").replace(",", " ").split()
    return [word.casefold() for word in words]


def test_after_a_word_means_the_token_behind_it(lexicon: Lexicon) -> None:
    [planted, *_] = drawn(lexicon, "after")
    [word] = planted.anchors
    assert fires(planted.test, (f" {word}", " then", " that")) == [False, True, False]


def test_except_a_word_leaves_that_word_out(lexicon: Lexicon) -> None:
    for planted in drawn(lexicon, "except"):
        held = [fires(planted.test, (word,)) == [True] for word in planted.anchors]
        assert held.count(False) == 1


def test_graded_rules_have_two_levels_and_the_stronger_is_named_first(lexicon: Lexicon) -> None:
    for planted in drawn(lexicon, "graded"):
        strong, weak = planted.program.rules
        assert strong.level == 9
        assert 2 <= weak.level <= 5


def test_an_excluded_description_is_never_said_in_whatever_register(lexicon: Lexicon) -> None:
    said = {plain(p.description) for p in drawn(lexicon, "position", n=200)}
    excluded = frozenset(sorted(said)[::2])
    rng = Random(0)
    for _ in range(200):
        planted = draw(rng, lexicon, families=["position"], excluded=excluded)
        assert plain(planted.description) not in excluded


def test_a_family_without_words_is_passed_over_and_none_at_all_is_refused(lexicon: Lexicon) -> None:
    bare = dataclasses.replace(lexicon, sets=(), themes={})
    rng = Random(0)
    found = {draw(rng, bare, families=["noun", "word"], excluded=frozenset()).family for _ in range(20)}
    assert found == {"word"}
    with pytest.raises(ConfigError, match="give a larger corpus"):
        draw(rng, bare, families=["noun", "topic"], excluded=frozenset())


def test_parts_of_text_are_programs_that_differ_and_phrasings_are_format_strings() -> None:
    parts = read_yaml("parts_of_text.yaml")
    programs = [read_program(str(part["program"])) for part in parts]
    assert len(set(programs)) == len(programs)
    assert all(part["says"] for part in parts)
    assert all(len(set(said)) == len(said) for said in phrasings().values())
