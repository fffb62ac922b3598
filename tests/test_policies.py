"""The language of policies: what each cue means, and that what is written is read back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrutable.pipeline.behaviours.policies import (
    Before,
    Begins,
    Branch,
    Condition,
    Finishes,
    Joined,
    Longer,
    Mentions,
    No,
    Policy,
    Sum,
    outcome_of,
)
from scrutable.pipeline.behaviours.policy_text import read_policy, say_policy, write_policy
from scrutable.pipeline.errors import ParseError
from scrutable.pipeline.programs import Class, Shape, Test, Text

TESTS: st.SearchStrategy[Test] = st.one_of(
    st.sampled_from(["digit", "upper", "punctuation"]).map(Shape),
    st.sampled_from(["colour", "family"]).map(Class),
    st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=3).map(lambda s: Text("word", tuple(s))),
)
LEAVES: st.SearchStrategy[Condition] = st.one_of(
    st.builds(Mentions, TESTS, st.integers(1, 5)),
    TESTS.map(Begins),
    TESTS.map(Finishes),
    st.integers(0, 50).map(Longer),
    st.builds(Before, TESTS, TESTS),
)


def joined(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    parts = st.lists(inner, min_size=2, max_size=3).map(tuple)
    terms = st.lists(st.tuples(st.integers(-9, 9), inner), min_size=1, max_size=3).map(tuple)
    return st.one_of(
        inner.map(No),
        st.builds(Joined, st.sampled_from(["and", "or"]), parts),
        st.builds(Sum, st.integers(-9, 9), terms),
    )


CONDITIONS = st.recursive(LEAVES, joined, max_leaves=6)
NAMES = st.sampled_from(["grant", "deny", "ask again", "if", 'a "b"'])
POLICIES = st.builds(
    lambda rules, last: Policy((*(Branch(name, condition) for name, condition in rules), Branch(last, None))),
    st.lists(st.tuples(NAMES, CONDITIONS), max_size=4),
    NAMES,
)


@given(POLICIES)
def test_a_policy_that_was_written_is_read_back(policy: Policy) -> None:
    assert read_policy(write_policy(policy)) == policy


@given(POLICIES, st.text(max_size=60))
def test_every_text_has_an_outcome_of_the_policy(policy: Policy, text: str) -> None:
    assert outcome_of(policy, text) in policy.outcomes


@given(st.text(max_size=40))
def test_what_is_no_policy_is_a_parse_error(text: str) -> None:
    with pytest.raises(ParseError):
        read_policy(text)


@pytest.mark.parametrize(
    ("condition", "holds", "fails"),
    [
        ("mentions(digit)", "room 12 is free", "room twelve is free"),
        ('mentions(class("colour"))', "a RED door", "a door"),
        ("times(2, digit)", "3 and 4", "3 and four"),
        ('begins(word("hello"))', " Hello, desk", "well, hello"),
        ('finishes(word("?"))', "is it? ", "is it? yes"),
        ("longer(3)", "one two, three: four", "one two, three!"),
        ('before(word("a"), word("b"))', "a then b then a", "b then a"),
        ('not mentions(word("no"))', "yes", "No."),
        ('mentions(word("x")) and begins(word("y"))', "y x", "x y"),
        ('mentions(word("x")) or mentions(word("y"))', "y", "z"),
        ('sum(1, 2: mentions(word("x")), -1: mentions(word("y")))', "x y", "y"),
    ],
)
def test_what_a_condition_means(condition: str, holds: str, fails: str) -> None:
    policy = read_policy(f"yes if {condition}; no otherwise")
    assert (outcome_of(policy, holds), outcome_of(policy, fails)) == ("yes", "no")


def test_the_first_rule_that_holds_decides() -> None:
    policy = read_policy('deny if mentions(digit); grant if mentions(word("please")); deny otherwise')
    assert outcome_of(policy, "3 lamps please") == "deny"
    assert outcome_of(policy, "lamps please") == "grant"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("grant if mentions(digit)", "otherwise"),
        ("grant otherwise; deny otherwise", "only the last rule"),
        ("grant if shines(digit); deny otherwise", "expected a condition, got 'shines'"),
        ("grant if times(0, digit); deny otherwise", "0: expected 1 to 999"),
        ('grant if mentions(class("moons")); deny otherwise', "no word class 'moons'"),
        ("if mentions(digit)", "expected if or otherwise"),
    ],
)
def test_what_is_wrong_with_a_policy_is_said_with_its_place(text: str, said: str) -> None:
    with pytest.raises(ParseError, match="character") as refused:
        read_policy(text)
    assert said in str(refused.value)


def test_a_policy_in_english_is_what_a_person_would_say() -> None:
    policy = read_policy(
        'deny if mentions(class("animal")) and not begins(word("please")); '
        "grant if sum(2, 1: mentions(digit), -2: longer(9)); deny otherwise"
    )
    assert say_policy(policy) == (
        'The answer is "deny" if the text contains an animal word and the text does not begin with the word '
        '"please"; otherwise it is "grant" if these points add up to 2 or more: +1 if the text contains a '
        'number in digits, -2 if the text has more than 9 words; otherwise it is "deny".'
    )
