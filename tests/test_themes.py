"""Themes: planted nearness comes out in degrees, neighbours are near, and lessons plant them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
import pytest
from toy_curriculum import WORDS, toy_encode, toy_texts, toy_wordnet

from scrutable.evaluators.trained.families import draw, theme_of
from scrutable.evaluators.trained.lessons import Curriculum, lessons
from scrutable.evaluators.trained.lexicon import Lexicon, build_lexicon
from scrutable.evaluators.trained.themes import NEAR, NEAREST, RELATED, Vectors, find_themes
from scrutable.pipeline.assets import resolve_encoder
from scrutable.pipeline.programs import levels

ANIMALS, WATER = (
    ("dog", "dogs", "cat", "horse", "puppy", "animal"),
    ("ship", "ships", "boat", "ferry", "river"),
)


def at(cosine: float) -> tuple[float, float]:
    return cosine, float(np.sqrt(1 - cosine**2))


def circle(places: dict[str, float]) -> object:
    """An encoder on the circle: the cosine of each text to the first axis is given, else 0."""

    def encode(texts: Sequence[str]) -> Vectors:
        return np.array([at(places.get(text, 0.0)) for text in texts], dtype=np.float32)

    return encode


def test_words_are_of_a_theme_by_degree_and_the_farther_ones_are_not() -> None:
    places = {"war": 1.0, "battle": NEAREST + 0.01, "army": NEAREST + 0.1, "flag": NEAR + 0.01, "fort": NEAR}
    places |= {"king": RELATED + 0.01, "bread": RELATED - 0.01}
    spelt = {word: word for word in places}
    [theme] = find_themes(["war"], spelt, circle(places))  # type: ignore[arg-type]
    assert theme.nearest == ("army", "battle", "war")
    assert set(theme.near) == {"flag", "fort"}
    assert theme.related == ("king",)


def test_two_names_for_one_thing_are_one_theme_and_few_words_are_none() -> None:
    places = dict.fromkeys(("war", "warfare", "battle", "army"), 0.99) | {"bread": 0.0}
    spelt = {word: word for word in places}
    found = find_themes(["war", "warfare", "bread"], spelt, circle(places))  # type: ignore[arg-type]
    assert [theme.name for theme in found] == ["war"]
    assert find_themes([], spelt, circle(places)) == ()  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def lexicon(tmp_path_factory: pytest.TempPathFactory) -> Lexicon:
    return build_lexicon(toy_texts(), toy_wordnet(tmp_path_factory.mktemp("wordnet")), toy_encode)


def test_the_themes_of_the_texts_are_found_and_know_their_neighbours(lexicon: Lexicon) -> None:
    assert len(lexicon.themes) >= 2
    names = set(lexicon.themes)
    for theme in lexicon.themes.values():
        assert set(theme.words) <= {word.casefold() for word in WORDS.split()}
        assert set(theme.neighbours) <= names - {theme.name}
    animals = next(t for t in lexicon.themes.values() if "dog" in t.words)
    assert {"cat", "horse"} <= set(animals.words)
    assert not set(animals.words) & {"ship", "boat"}


def test_without_an_encoder_there_are_none(tmp_path: Path) -> None:
    assert build_lexicon(toy_texts(), toy_wordnet(tmp_path)).themes == {}


def test_a_planted_theme_fires_by_degree_where_its_words_stand(lexicon: Lexicon) -> None:
    name = next(iter(lexicon.taught_themes[0]))
    theme = lexicon.themes[name]
    planted = theme_of(Random(0), lexicon, name)
    tokens = [f" {word}" for word in (*theme.nearest[:1], *theme.near[:1], *theme.related[:1], "and")]
    found = levels(planted.program, tokens)
    assert found[-1] == 0
    assert found[:-1] == sorted(found[:-1], reverse=True)
    assert all(level > 0 for level in found[:-1])


def test_lessons_plant_themes_and_their_near_misses_are_neighbours(lexicon: Lexicon) -> None:
    curriculum = Curriculum(lexicon, ("theme",), frozenset())
    some = list(itertools.islice(lessons(curriculum, seed=0), 60))
    assert {lesson.role for lesson in some} == {"fires", "blind", "near miss"}
    assert {lesson.family for lesson in some if lesson.role == "fires"} == {"theme"}
    taught = draw(Random(1), lexicon, families=("theme",), excluded=frozenset())
    assert taught.group in lexicon.taught_themes[0]


@pytest.mark.real
def test_the_real_encoder_knows_what_belongs_together() -> None:
    from scrutable.evaluators.trained.encoder import SentenceEncoder

    encode = SentenceEncoder(resolve_encoder("minilm-l6"))
    death, funeral, banana = encode(["death", "funeral", "banana"])
    assert np.linalg.norm(death) == pytest.approx(1, abs=1e-5)
    assert death @ funeral > NEAREST > RELATED > death @ banana
