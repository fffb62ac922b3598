"""Programs said in English."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrutable.pipeline.program_english import say_program
from scrutable.pipeline.program_text import read_program
from scrutable.pipeline.programs import SHAPES


@pytest.mark.parametrize(
    ("program", "english"),
    [
        ('word("the")', 'the word "the"'),
        ('word("a", "an", "the")', 'the word "a", "an" or "the"'),
        ('starts("un")', 'a token that starts with "un"'),
        ('ends("ly") or contains("x")', 'a token that ends in "ly", or a token that contains "x"'),
        ('class("colour")', "a word of the class colour"),
        ('matches("1[0-9]+")', "a token that matches /1[0-9]+/"),
        ('after(word("of"))', 'a token right after the word "of"'),
        ("within(3, digit)", "a token at most 3 after a token of digits"),
        ("first(5)", "one of the first 5 tokens"),
        ("not digit and capitalized", "anything but a token of digits that is also a capitalised token"),
        ("after(digit or upper)", "a token right after (a token of digits, or a token in capitals)"),
        (
            '9: class("city"); 4: class("country")',
            "level 9 of 9 on a word of the class city; otherwise level 4 of 9 on a word of the class country",
        ),
        ("3: digit", "level 3 of 9 on a token of digits"),
    ],
)
def test_each_test_has_its_words(program: str, english: str) -> None:
    assert say_program(read_program(program)) == english


@given(st.lists(st.sampled_from(sorted(SHAPES)), min_size=1, max_size=4), st.sampled_from([" and ", " or "]))
def test_every_part_is_said(shapes: list[str], joint: str) -> None:
    whole = say_program(read_program(joint.join(shapes)))
    assert all(say_program(read_program(shape)) in whole for shape in shapes)
