"""The language of programs: what is written is read back, and each test means what it says."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrutable.pipeline.errors import ParseError
from scrutable.pipeline.programs import (
    SHAPES,
    After,
    Combined,
    Not,
    Program,
    Shape,
    Text,
    fires,
    read_program,
    write_program,
)

STRINGS = st.lists(st.text(max_size=6), min_size=1, max_size=3).map(tuple)
ATOMS = st.builds(Shape, st.sampled_from(sorted(SHAPES))) | st.builds(
    Text, st.sampled_from(["word", "starts", "ends"]), STRINGS
)


def larger(parts: st.SearchStrategy[Program]) -> st.SearchStrategy[Program]:
    several = st.lists(parts, min_size=2, max_size=3).map(tuple)
    combined = st.builds(Combined, st.sampled_from(["and", "or"]), several)
    return st.builds(Not, parts) | st.builds(After, parts) | combined


PROGRAMS: st.SearchStrategy[Program] = st.recursive(ATOMS, larger, max_leaves=12)
TOKENS = st.lists(st.text(max_size=4) | st.sampled_from([" 12", " The", "\n", "ß", "İ"]), max_size=8)


def on(program: str, *tokens: str) -> list[bool]:
    return fires(read_program(program), tokens)


@given(PROGRAMS)
def test_reading_a_written_program_gives_it_back(program: Program) -> None:
    assert read_program(write_program(program)) == program


def test_a_nested_combination_of_the_same_operator_keeps_its_shape() -> None:
    digit, lower, upper = Shape("digit"), Shape("lower"), Shape("upper")
    nested = Combined("or", (digit, Combined("or", (lower, upper))))
    assert write_program(nested) == "digit or (lower or upper)"
    assert read_program("digit or (lower or upper)") == nested
    assert read_program("digit or lower or upper") == Combined("or", (digit, lower, upper))


@given(PROGRAMS, TOKENS)
def test_every_program_says_yes_or_no_of_every_token(program: Program, tokens: list[str]) -> None:
    held = fires(program, tokens)
    assert fires(Not(program), tokens) == [not value for value in held]
    assert fires(After(program), tokens) == [False, *held][: len(tokens)]


@given(PROGRAMS, PROGRAMS, TOKENS)
def test_and_is_both_and_or_is_either(one: Program, other: Program, tokens: list[str]) -> None:
    pairs = list(zip(fires(one, tokens), fires(other, tokens), strict=True))
    assert fires(Combined("and", (one, other)), tokens) == [a and b for a, b in pairs]
    assert fires(Combined("or", (one, other)), tokens) == [a or b for a, b in pairs]


@pytest.mark.parametrize(
    ("test", "holds", "fails"),
    [
        ("digit", ["7", " 1902", "٣"], ["", "a1", "1.5", "-3"]),
        ("capitalized", ["The", " A", "É", "ABC"], ["the", "1A", "", "中"]),
        ("upper", ["NATO", " ÜB"], ["I", "Nato", "A1", ""]),
        ("lower", ["cat", " ß"], ["Cat", "cat1", "", "中"]),
        ("punctuation", [",", " ...", "$", "“"], ["", "a,", "1"]),
        ("space", ["", " ", "\n\n", "\t"], ["a", " ."]),
        ('word("cat")', ["cat", " Cat", "CAT\n"], ["cats", "", "c at"]),
        ('word("Straße", "in")', ["STRASSE", "straße", "In"], ["inn"]),
        ('starts("Un")', ["un", " unhappy", "UNTIL"], ["fun", "u", ""]),
        ('ends("ly")', ["slowly", " LY"], ["lye", "l"]),
        ('ends("ly", "ed")', ["slowly", "fed"], ["edit"]),
    ],
)
def test_each_test_holds_of_what_it_names_and_of_nothing_else(
    test: str, holds: list[str], fails: list[str]
) -> None:
    assert on(test, *holds) == [True] * len(holds)
    assert on(test, *fails) == [False] * len(fails)


def test_after_looks_one_token_back_and_holds_of_no_first_token() -> None:
    assert on("after(digit)", "1", "2", "a", "b") == [False, True, True, False]
    assert on("after(after(digit))", "1", "a", "b") == [False, False, True]
    assert on("not after(digit)", "1", "a") == [True, False]


def test_and_binds_more_tightly_than_or_and_not_more_tightly_than_both() -> None:
    assert read_program("digit or lower and upper") == read_program("digit or (lower and upper)")
    assert read_program("not digit and lower") == read_program("(not digit) and lower")


def test_white_space_between_the_parts_of_a_program_does_not_count() -> None:
    assert read_program('  digit\nor\tword ( "a" ,"b" ) ') == read_program('digit or word("a", "b")')


@pytest.mark.parametrize(
    ("text", "where", "problem"),
    [
        ("", 0, "expected a test, but it ends here"),
        ("cats", 0, "expected a test, got 'cats'"),
        ("digit or", 8, "expected a test, but it ends here"),
        ("digit or or digit", 9, "expected a test, got 'or'"),
        ("digit digit", 6, "unexpected 'digit' after a complete program"),
        ("digit )", 6, "unexpected ')' after a complete program"),
        ("(digit", 6, "expected ), but it ends here"),
        ("after digit", 6, "expected (, got 'digit'"),
        ("after(digit, lower)", 11, "expected ), got ','"),
        ("word", 4, "expected (, but it ends here"),
        ("word()", 5, "expected a string in quotes, got ')'"),
        ("word(cat)", 5, "expected a string in quotes, got 'cat'"),
        ('word("a" "b")', 9, "expected , or ), got '\"b\"'"),
        ('word("a",)', 9, "expected a string in quotes, got ')'"),
        ('word("a', 5, "cannot read '\"a'"),
        (r'word("\q")', 5, "is no JSON string"),
        ('word("a\nb")', 5, "is no JSON string"),
        ("digit | lower", 5, "cannot read ' | lower'"),
        ("1", 0, "cannot read '1'"),
        ("not " * 5000 + "digit", 400, "nested more than 100 deep"),
        ("(" * 5000, 100, "nested more than 100 deep"),
    ],
)
def test_a_bad_program_is_a_parse_error_that_says_what_and_where(text: str, where: int, problem: str) -> None:
    with pytest.raises(ParseError, match=re.escape(f"character {where}: ") + ".*" + re.escape(problem)):
        read_program(text)


@given(
    st.text() | st.lists(st.sampled_from(["digit", "or", "not", "(", ")", '"a"', "word", ","])).map(" ".join)
)
def test_any_text_is_a_program_or_a_parse_error_on_one_line(text: str) -> None:
    try:
        program = read_program(text)
    except ParseError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017 - either outcome is allowed
    else:
        assert read_program(write_program(program)) == program


def test_what_could_not_be_read_back_cannot_be_built() -> None:
    digit = Shape("digit")
    with pytest.raises(ValueError, match="at least two parts"):
        Combined("or", (digit,))
    with pytest.raises(ValueError, match="at least two parts"):
        Combined("xor", (digit, digit))
    with pytest.raises(ValueError, match="no shape 'number'"):
        Shape("number")
    with pytest.raises(ValueError, match="with strings"):
        Text("word", ())
    with pytest.raises(ValueError, match="expected word, starts, ends"):
        Text("contains", ("a",))


def test_strings_are_written_as_in_json_with_letters_as_they_are() -> None:
    program = Text("word", ("é", '"', "a\nb", "\\"))
    assert write_program(program) == r'word("é", "\"", "a\nb", "\\")'
    assert json.loads(write_program(Text("ends", ("\u2028",)))[5:-1]) == "\u2028"
