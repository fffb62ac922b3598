"""Lessons: the levels are what the rule says, the near miss is another rule, and a seed decides all."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from toy_curriculum import toy_curriculum

from scrutable.evaluators.trained.families import FAMILIES, plain
from scrutable.evaluators.trained.lessons import Curriculum, Lesson, lessons


@pytest.fixture(scope="module")
def curriculum(tmp_path_factory: pytest.TempPathFactory) -> Curriculum:
    return toy_curriculum(tmp_path_factory.mktemp("curriculum"))


def some(curriculum: Curriculum, *, seed: int = 0, n: int = 150) -> list[Lesson]:
    return list(itertools.islice(lessons(curriculum, seed=seed), n))


def test_three_lessons_of_each_rule_two_of_them_with_its_description(curriculum: Curriculum) -> None:
    found = some(curriculum)
    for first, second, near in zip(found[::3], found[1::3], found[2::3], strict=True):
        assert first.role == "fires"
        assert any(first.levels)
        assert second.role in ("fires", "blind")
        assert second.description == first.description
        assert near.role == "near miss"
        assert near.text is first.text


def test_a_near_miss_says_something_else_of_the_same_text_and_half_of_them_fire_in_it(
    curriculum: Curriculum,
) -> None:
    found = some(curriculum, n=300)
    misses = [(first, near) for first, near in zip(found[::3], found[2::3], strict=True)]
    differ = [first.levels != near.levels for first, near in misses]
    assert sum(differ) > 0.8 * len(differ)
    firing = sum(any(near.levels) for _, near in misses)
    assert 0.2 * len(misses) < firing < 0.9 * len(misses)


def test_every_token_of_a_text_has_a_level(curriculum: Curriculum) -> None:
    for lesson in some(curriculum):
        assert len(lesson.levels) == len(lesson.text.tokens)
        assert all(0 <= level <= 9 for level in lesson.levels)


def test_the_seed_decides(curriculum: Curriculum) -> None:
    assert some(curriculum) == some(curriculum)
    assert some(curriculum) != some(curriculum, seed=1)


def test_an_excluded_description_is_in_no_lesson(tmp_path: Path) -> None:
    before = toy_curriculum(tmp_path)
    said = {plain(lesson.description) for lesson in some(before, n=90)}
    after = before._replace(excluded=frozenset(said))
    assert not said & {plain(lesson.description) for lesson in some(after, n=150)}


def test_a_family_that_is_not_asked_for_is_not_taught(curriculum: Curriculum) -> None:
    only = curriculum._replace(families=("after", "ends"))
    families = {lesson.family for lesson in some(only) if lesson.role != "near miss"}
    assert families == {"after", "ends"}
    assert families < set(FAMILIES)
