"""Lengths in bits: what they count, and what must not be free."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrutable.pipeline.description import description_bits, program_bits, text_bits
from scrutable.pipeline.program_text import read_program
from scrutable.pipeline.records import Explanation

RULES = st.sampled_from(["digit", 'word("a")', 'class("colour")', 'after(word("of"))', "within(2, digit)"])


def bits(program: str) -> float:
    return program_bits(read_program(program))


@given(st.text(max_size=300))
def test_a_text_is_never_longer_than_its_bytes(text: str) -> None:
    assert 0 <= text_bits(text) <= 8 * len(text.encode("utf-8", errors="surrogatepass"))


def test_a_text_that_repeats_itself_is_short() -> None:
    assert text_bits("colors " * 50) < 0.1 * 8 * 350


@given(st.lists(RULES, min_size=1, max_size=4), RULES)
def test_a_rule_more_always_costs(rules: list[str], more: str) -> None:
    assert bits("; ".join([*rules, more])) > bits("; ".join(rules)) + math.log2(10)


@given(RULES)
def test_not_and_after_always_cost(rule: str) -> None:
    assert bits(f"not {rule}") == bits(f"after({rule})") > bits(rule)


@pytest.mark.parametrize(
    ("shorter", "longer"),
    [
        ("digit", 'word("digit")'),
        ('word("a")', 'word("ab")'),
        ('word("a")', 'word("a", "b")'),
        ('word("cat")', 'word("Ünï")'),
        ('class("colour")', 'word("red", "green", "blue", "black", "white")'),
        ("digit or upper", "digit or upper or lower"),
    ],
)
def test_what_says_more_is_longer(shorter: str, longer: str) -> None:
    assert bits(shorter) < bits(longer)


def test_a_program_costs_no_less_than_its_choices() -> None:
    """2^bits bounds how many programs are as short: 10 levels, at least 9 kinds of test, and an end."""
    assert bits("digit") >= math.log2(10 * 9 * 9)


@pytest.mark.parametrize("text", ["digit or", "numbers"])
def test_what_is_no_program_counts_as_text(text: str) -> None:
    assert description_bits(Explanation("u", "llm", "program", text)) == text_bits(text)


def test_a_program_counts_as_program_and_english_as_text() -> None:
    assert description_bits(Explanation("u", "p", "program", "digit")) == bits("digit")
    assert description_bits(Explanation("u", "p", "english", "digit")) == text_bits("digit")
