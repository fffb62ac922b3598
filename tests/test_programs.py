"""The language of programs: what is written is read back, and each test means what it says."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrutable.pipeline.errors import ParseError
from scrutable.pipeline.program_text import read_program, read_test, write_program, write_test
from scrutable.pipeline.programs import (
    SHAPES,
    After,
    Class,
    Combined,
    First,
    Matches,
    Not,
    Program,
    Rule,
    Shape,
    Test,
    Text,
    Within,
    fires,
    levels,
)
from scrutable.pipeline.word_classes import word_classes

STRINGS = st.lists(st.text(max_size=6), min_size=1, max_size=3).map(tuple)
ATOMS = st.one_of(
    st.builds(Shape, st.sampled_from(sorted(SHAPES))),
    st.builds(Text, st.sampled_from(["word", "starts", "ends", "contains"]), STRINGS),
    st.builds(Class, st.sampled_from(sorted(word_classes()))),
    st.builds(Matches, st.sampled_from(["[0-9]{4}", "a|b", "\\d+(st|nd)", "."])),
    st.builds(First, st.integers(1, 999)),
)


def larger(parts: st.SearchStrategy[Test]) -> st.SearchStrategy[Test]:
    several = st.lists(parts, min_size=2, max_size=3).map(tuple)
    combined = st.builds(Combined, st.sampled_from(["and", "or"]), several)
    within = st.builds(Within, st.integers(1, 20), parts)
    return st.builds(Not, parts) | st.builds(After, parts) | within | combined


TESTS: st.SearchStrategy[Test] = st.recursive(ATOMS, larger, max_leaves=12)
RULES = st.builds(Rule, st.integers(0, 9), TESTS)
PROGRAMS = st.lists(RULES, min_size=1, max_size=4).map(lambda rules: Program(tuple(rules)))
TOKENS = st.lists(st.text(max_size=4) | st.sampled_from([" 12", " The", "\n", "ß", "İ"]), max_size=8)


def on(test: str, *tokens: str) -> list[bool]:
    return fires(read_test(test), tokens)


@given(PROGRAMS)
def test_reading_a_written_program_gives_it_back(program: Program) -> None:
    assert read_program(write_program(program)) == program


@given(TESTS)
def test_a_test_alone_is_a_program_of_the_highest_level(test: Test) -> None:
    assert read_test(write_test(test)) == test
    assert read_program(write_test(test)) == Program((Rule(9, test),))


@given(PROGRAMS, TOKENS)
def test_the_first_rule_that_holds_decides(program: Program, tokens: list[str]) -> None:
    held = [fires(rule.test, tokens) for rule in program.rules]
    expected = [
        next((rule.level for rule, row in zip(program.rules, held, strict=True) if row[t]), 0)
        for t in range(len(tokens))
    ]
    assert levels(program, tokens) == expected


def test_a_nested_combination_of_the_same_operator_keeps_its_shape() -> None:
    digit, lower, upper = Shape("digit"), Shape("lower"), Shape("upper")
    nested = Combined("or", (digit, Combined("or", (lower, upper))))
    assert write_test(nested) == "digit or (lower or upper)"
    assert read_test("digit or (lower or upper)") == nested
    assert read_test("digit or lower or upper") == Combined("or", (digit, lower, upper))


@given(TESTS, TOKENS, st.integers(1, 20))
def test_every_test_says_yes_or_no_of_every_token(test: Test, tokens: list[str], k: int) -> None:
    held = fires(test, tokens)
    assert fires(Not(test), tokens) == [not value for value in held]
    assert fires(After(test), tokens) == [False, *held][: len(tokens)]
    assert fires(Within(k, test), tokens) == [any(held[max(0, t - k) : t]) for t in range(len(tokens))]
    assert fires(First(k), tokens) == [t < k for t in range(len(tokens))]


@given(TESTS, TESTS, TOKENS)
def test_and_is_both_and_or_is_either(one: Test, other: Test, tokens: list[str]) -> None:
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
        ('contains("Ing")', ["kingdom", " sing"], ["in", ""]),
        ('class("colour")', ["red", " Blue"], ["reddish", ""]),
        ('matches("1[0-9]{3}s?")', ["1902", " 1990s"], ["21902", "190"]),
        ('matches("[a-z]+")', ["cat"], ["Cat", "cat1"]),
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
    assert read_test("digit or lower and upper") == read_test("digit or (lower and upper)")
    assert read_test("not digit and lower") == read_test("(not digit) and lower")


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
        ("|", 0, "cannot read '|'"),
        ("1", 1, "expected :, but it ends here"),
        ("10: digit", 0, "level 10: expected 0 to 9"),
        ("digit;", 6, "expected a test, but it ends here"),
        ("within(0, digit)", 7, "expected 1 to 20 tokens"),
        ("within(digit)", 7, "expected a number of at most 3 digits, got 'digit'"),
        ("first(1000)", 6, "expected a number of at most 3 digits, got '1000'"),
        ('class("unicorn")', 5, "no word class 'unicorn'"),
        ('matches("(")', 7, "missing )"),
        ('matches("(?=a)")', 7, "invalid perl operator"),
        ("not " * 2000 + "digit", 400, "nested more than 100 deep"),
        ("(" * 5000, 100, "nested more than 100 deep"),
    ],
)
def test_a_bad_program_is_a_parse_error_that_says_what_and_where(text: str, where: int, problem: str) -> None:
    with pytest.raises(ParseError, match=re.escape(f"character {where}: ") + ".*" + re.escape(problem)):
        read_program(text)


def test_a_program_that_nobody_could_read_is_refused_by_its_length() -> None:
    with pytest.raises(ParseError, match="at most 20,000 are read"):
        read_program('word("a") or ' * 2000 + "digit")


def test_a_regular_expression_takes_time_in_proportion_to_the_token() -> None:
    """The classic that costs 2**30 steps where matching goes back: here it just does not match."""
    assert on('matches("(a+)+b")', "a" * 30) == [False]


@given(
    st.text()
    | st.lists(
        st.sampled_from(
            ["digit", "or", "not", "(", ")", '"a"', "word", ",", "3", ":", ";", "within", "class"]
        )
    ).map(" ".join)
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
    with pytest.raises(ValueError, match="expected word, starts, ends, contains"):
        Text("like", ("a",))
    with pytest.raises(ValueError, match="level 10"):
        Rule(10, digit)
    with pytest.raises(ValueError, match="needs a rule"):
        Program(())


def test_strings_are_written_as_in_json_with_letters_as_they_are() -> None:
    test = Text("word", ("é", '"', "a\nb", "\\"))
    assert write_test(test) == r'word("é", "\"", "a\nb", "\\")'
    assert json.loads(write_test(Text("ends", ("\u2028",)))[5:-1]) == "\u2028"
