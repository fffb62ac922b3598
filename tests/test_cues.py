"""Readable cues of inputs: which are found, and where each of them holds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scrutable.pipeline.behaviours.cues import readable_cues, telling_words, truth_of
from scrutable.pipeline.behaviours.policies import Condition, condition_holds
from scrutable.pipeline.behaviours.policy_text import read_policy, write_condition
from scrutable.pipeline.behaviours.protocols import Pair
from scrutable.pipeline.behaviours.records import Input
from tests.toy_behaviours import OUTCOMES, observed

WORDS = ("lamp", "red", "please", "NOW", "3", "?", "mother", "tea")
Case = tuple[list[str], list[bool]]
"""Texts, and whether each is granted."""


def pairs(texts: list[str], granted: list[bool]) -> tuple[Pair, ...]:
    """Texts of sources of their own, and what the subject did with them."""
    asked = [Input(f"desk.{n}", "desk", f"source {n}", "explain", text) for n, text in enumerate(texts)]
    yes = {one.id for one, is_granted in zip(asked, granted, strict=True) if is_granted}
    seen = observed(asked, lambda one: OUTCOMES[0] if one.id in yes else OUTCOMES[1])
    return tuple(Pair(one, seen[one.id]) for one in asked)


def condition(text: str) -> Condition:
    found = read_policy(f"grant if {text}; deny otherwise").branches[0].condition
    assert found is not None
    return found


CASES = st.lists(
    st.tuples(st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join), st.booleans()),
    min_size=1,
    max_size=12,
).map(lambda rows: ([text for text, _ in rows], [yes for _, yes in rows]))


@settings(max_examples=50)
@given(CASES)
def test_rows_are_where_cues_hold_and_no_two_are_alike(case: Case) -> None:
    texts, granted = case
    cues = readable_cues(pairs(texts, granted), OUTCOMES)
    assert cues.holds.shape == (len(cues.conditions), len(texts))
    assert cues.outcomes.tolist() == [0 if yes else 1 for yes in granted]
    for cue, row in zip(cues.conditions, cues.holds, strict=True):
        assert row.tolist() == [condition_holds(cue, text) for text in texts]
        assert 2 <= row.sum() <= len(texts) - 2
    assert len({row.tobytes() for row in cues.holds}) == len(cues.conditions)


@settings(max_examples=50)
@given(CASES)
def test_every_cue_can_stand_in_a_policy(case: Case) -> None:
    for cue in readable_cues(pairs(*case), OUTCOMES).conditions:
        assert condition(write_condition(cue)) == cue


@settings(max_examples=50)
@given(CASES, st.lists(st.booleans(), min_size=12, max_size=12))
def test_cues_are_not_chosen_by_what_is_held_out(case: Case, kept: list[bool]) -> None:
    texts, granted = case
    among = np.array(kept[: len(texts)])
    chosen = readable_cues(pairs(texts, granted), OUTCOMES, among=among)
    other = readable_cues(
        pairs(
            [text if seen else "tea 3 3 zebra" for text, seen in zip(texts, among, strict=True)],
            [yes == seen for yes, seen in zip(granted, among, strict=True)],
        ),
        OUTCOMES,
        among=among,
    )
    alone = readable_cues(
        [pair for pair, seen in zip(pairs(texts, granted), among, strict=True) if seen], OUTCOMES
    )
    assert chosen.conditions == other.conditions == alone.conditions
    assert np.array_equal(chosen.holds[:, among], alone.holds)
    for cue, row in zip(chosen.conditions, chosen.holds, strict=True):  # but they are told of all pairs
        assert row.tolist() == truth_of(cue, texts).tolist()


@pytest.mark.parametrize(
    ("yes", "no", "cue"),
    [
        ("a zebra runs", "a lion runs", 'mentions(word("zebra"))'),
        ("room 12 is free", "room ten is free", "mentions(digit)"),
        ("see NASA go", "see nasa go", "mentions(upper)"),
        ("is it?", "is it!", 'mentions(word("?"))'),
        ("so 1 and 2", "so 1 and two", "times(2, digit)"),
        ("3 so it is", "so it is 3", "begins(digit)"),
        ("so it is 3", "3 so it is", "finishes(digit)"),
        ("now go on", "go on now", 'begins(word("now"))'),
        ("go on now", "now go on", 'finishes(word("now"))'),
        ("x tea key y", "x key tea y", 'before(word("tea"), word("key"))'),
        ("go go go on", "go on", 'times(2, word("go"))'),
        ("it is it it is", "it is", "longer(2)"),
    ],
)
def test_a_cue_of_each_kind_is_found(yes: str, no: str, cue: str) -> None:
    texts = [yes, no] * 3
    rows = readable_cues(pairs(texts, [True, False] * 3), OUTCOMES).holds
    assert truth_of(condition(cue), texts).tobytes() in {row.tobytes() for row in rows}


def test_a_class_is_a_cue_where_each_of_its_words_is_rare() -> None:
    colours, others = ("red", "blue", "green", "brown"), ("fast", "late", "small", "wide")
    texts = [f"a {word} door" for word in (*colours, *others)]
    cues = readable_cues(pairs(texts, [True] * 4 + [False] * 4), OUTCOMES)
    assert [write_condition(cue) for cue in cues.conditions] == ['mentions(class("colour"))']


def test_of_cues_that_hold_of_the_same_inputs_the_shortest_stays() -> None:
    texts = ["3 lamps", "3 lamps", "two keys", "two keys"]
    cues = readable_cues(pairs(texts, [True, True, False, False]), OUTCOMES)
    assert [write_condition(cue) for cue in cues.conditions] == ["begins(digit)", 'begins(word("two"))']


def test_the_most_telling_words_come_first_and_an_anecdote_never() -> None:
    texts = ["please a", "please b", "please a", "now b", "now a", "once b now"]
    outcomes = np.array([0, 0, 0, 1, 1, 1])
    words = telling_words(texts, outcomes, count=9)
    assert words[:2] == ["now", "please"]
    assert "once" not in words
    assert telling_words(texts, outcomes, count=1) == ["now"]


def test_texts_longer_than_a_number_of_the_language_have_cues() -> None:
    texts = ["so " * n for n in (1200, 1300, 10, 20)]
    cues = readable_cues(pairs(texts, [True, True, False, False]), OUTCOMES)
    assert truth_of(condition("longer(999)"), texts).tolist() in cues.holds.tolist()
