"""The named classes of words that programs may use."""

from __future__ import annotations

import pytest

from scrutable.pipeline.word_classes import members, word_classes


@pytest.mark.parametrize("name", word_classes())
def test_members_are_different_single_lower_case_words(name: str) -> None:
    words = members(name)
    assert len(words) >= 5
    assert all(word == word.casefold().strip() and " " not in word for word in words)


def test_classes_hold_what_their_names_say() -> None:
    assert {"red", "blue"} <= set(members("colour"))
    assert {"monday"} <= set(members("weekday"))
    assert "house" not in members("animal")
