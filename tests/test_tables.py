"""Token tables: what is written is read back, and what is fitted is the population's mean."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_excerpts import excerpt

from scrutable.pipeline.errors import ParseError
from scrutable.pipeline.tables import TokenTable, fit_table, read_table

MEANS = st.floats(min_value=0, max_value=1e6)
TABLES = st.builds(TokenTable, st.dictionaries(st.text(min_size=1), MEANS, max_size=12), MEANS)


@given(TABLES)
def test_reading_a_written_table_gives_it_back_to_four_decimals(table: TokenTable) -> None:
    rounded = {token: float(f"{mean:.6g}") for token, mean in table.means.items()}
    assert read_table(table.write()) == TokenTable(rounded, float(f"{table.other:.6g}"))


@given(TABLES)
def test_writing_twice_changes_nothing_more(table: TokenTable) -> None:
    once = read_table(table.write())
    assert once.write() == table.write()


def test_a_table_is_written_strongest_token_first_in_readable_letters() -> None:
    table = TokenTable({"b": 1.0000004, " é": 2.5, "a": 1.0}, 0.25)
    assert table.write() == '{" é": 2.5, "a": 1.0, "b": 1.0, "": 0.25}'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cats and dogs",
        '["a"]',
        "3",
        '{"a": 1}',
        '{"a": "1", "": 0}',
        '{"a": null, "": 0}',
        '{"a": true, "": 0}',
        '{"a": [1], "": 0}',
        '{"a": NaN, "": 0}',
        '{"a": 1, "": Infinity}',
        '{"a": 1e999, "": 0}',
        '{"a": 1' + "0" * 400 + ', "": 0}',
        "[" * 100_000,
    ],
)
def test_what_is_no_table_of_finite_means_is_a_parse_error(text: str) -> None:
    with pytest.raises(ParseError, match="not a token table"):
        read_table(text)


def test_whole_numbers_are_means_too() -> None:
    assert read_table('{"a": 2, "": 0}') == TokenTable({"a": 2.0}, 0.0)


def test_means_are_weighted_by_how_many_excerpts_each_stands_for() -> None:
    rare, common = excerpt([" a"], [8.0]), excerpt([" a"], [2.0], id="e1", weight=5.0)
    assert fit_table([rare, common]).means == {" a": (8 + 5 * 2) / 6}


def test_context_tokens_are_not_counted() -> None:
    table = fit_table([excerpt([" a", " b"], [99.0, 1.0], n_context=1)])
    assert table.means == {" b": 1.0}


def test_an_unseen_token_is_expected_to_be_like_those_seen_once() -> None:
    shown = excerpt([" the", " the", " cat", " dog"], [0, 0, 4, 2])
    assert fit_table([shown]).other == 3.0


def test_where_no_token_was_seen_once_an_unseen_one_is_like_the_average() -> None:
    assert fit_table([excerpt([" a", " a", " b", " b"], [0, 2, 4, 6])]).other == 3.0


def test_without_excerpts_the_table_is_empty_and_expects_nothing() -> None:
    assert fit_table([]) == TokenTable({}, 0.0)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), min_size=1), st.integers(1, 5))
def test_a_weight_is_the_same_as_showing_the_excerpt_that_often(
    pairs: list[tuple[str, int]], weight: int
) -> None:
    tokens, activations = zip(*pairs, strict=True)
    once = excerpt([" z"], [1.0], id="other")
    weighted = fit_table([excerpt(tokens, activations, weight=weight), once])
    repeated = fit_table([excerpt(tokens, activations, id=f"e{i}") for i in range(weight)] + [once])
    assert weighted.means == pytest.approx(repeated.means)


def test_the_token_that_stands_for_all_others_is_last_and_unique() -> None:
    pairs = json.loads(TokenTable({"a": 0.0}, 7.0).write(), object_pairs_hook=list)
    assert [token for token, _ in pairs] == ["a", ""]
