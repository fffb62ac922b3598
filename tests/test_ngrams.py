"""N-gram tables: what is written is read back, pairs back off to tokens, and a budget is kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_excerpts import excerpt

from scrutable.pipeline.description import text_bits
from scrutable.pipeline.errors import ParseError
from scrutable.pipeline.ngrams import NgramTable, fit_ngrams, read_ngrams, short_ngrams
from scrutable.pipeline.records import Excerpt
from scrutable.pipeline.tables import TokenTable, fit_table, short_table

MEANS = st.floats(min_value=0, max_value=1e6).map(lambda mean: float(f"{mean:.6g}"))
WORDS = st.text(min_size=1, max_size=3)
TABLES = st.builds(
    NgramTable,
    st.dictionaries(st.tuples(WORDS, WORDS), MEANS, max_size=8),
    st.builds(TokenTable, st.dictionaries(WORDS, MEANS, max_size=8), MEANS),
)
ROWS = st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 9)), min_size=1, max_size=30)


def of_rows(rows: list[tuple[str, int]], *, n_context: int = 0) -> Excerpt:
    tokens, activations = zip(*rows, strict=True)
    return excerpt(tokens, activations, n_context=n_context)


@given(TABLES)
def test_reading_a_written_table_gives_it_back(table: NgramTable) -> None:
    assert read_ngrams(table.write()) == table


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        '{"": 0}',
        '{"pairs": {}}',
        '{"pairs": {}, "tokens": {}}',
        '{"pairs": [], "tokens": {"": 0}}',
        '{"pairs": {}, "tokens": {"": 0}, "more": 1}',
        '{"pairs": {"a": 1}, "tokens": {"": 0}}',
        '{"pairs": {"": {"a": 1}}, "tokens": {"": 0}}',
        '{"pairs": {"a": {"": 1}}, "tokens": {"": 0}}',
        '{"pairs": {"a": {"b": "1"}}, "tokens": {"": 0}}',
        '{"pairs": {"a": {"b": NaN}}, "tokens": {"": 0}}',
        '{"pairs": {"a": {"b": true}}, "tokens": {"": 0}}',
        "[" * 100_000,
    ],
)
def test_what_is_no_ngram_table_is_a_parse_error(text: str) -> None:
    with pytest.raises(ParseError, match="not a"):
        read_ngrams(text)


def test_a_pair_backs_off_to_its_token_and_a_token_to_the_rest() -> None:
    table = NgramTable({("a", "b"): 9.0}, TokenTable({"b": 2.0}, 0.5))
    assert table.predict(["b", "a", "b", "b", "c"]) == [2.0, 0.5, 9.0, 2.0, 0.5]


def test_the_mean_of_a_pair_is_shrunk_to_that_of_its_token_by_how_often_it_was_seen() -> None:
    table = fit_ngrams([excerpt(list("abcb"), [0, 8, 0, 2])])
    token = (8 + 2) / 2
    assert table.pairs[("a", "b")] == pytest.approx((8 + 2 * token) / 3)
    often = fit_ngrams([excerpt(list("abab" * 50 + "cb"), [0, 8, 0, 8] * 50 + [0, 2])])
    assert often.pairs[("a", "b")] == pytest.approx(8, abs=0.01)


def test_the_token_before_the_first_scored_one_is_its_context_token() -> None:
    table = fit_ngrams([excerpt(["x", "a", "b"], [5, 1, 2], n_context=1)])
    assert set(table.pairs) == {("x", "a"), ("a", "b")}
    assert set(table.single.means) == {"a", "b"}


def test_a_unit_that_reads_the_token_before_is_told_by_pairs_and_not_by_tokens() -> None:
    shown = [excerpt(list("xaya" * 20), [0, 6, 0, 0] * 20)]
    table = fit_ngrams(shown)
    assert table.predict(list("xaya")) == pytest.approx([0, 6, 0, 0], abs=0.3)
    assert fit_table(shown).means["a"] == 3.0


@given(ROWS, st.integers(0, 2))
def test_the_tokens_of_an_ngram_table_are_those_of_the_token_table(
    rows: list[tuple[str, int]], n_context: int
) -> None:
    shown = [of_rows(rows, n_context=min(n_context, len(rows)))]
    table = fit_ngrams(shown)
    assert table.single == fit_table(shown)
    lowest, highest = min(a for _, a in rows), max(a for _, a in rows)
    assert all(lowest - 1e-9 <= mean <= highest + 1e-9 for mean in table.pairs.values())


@given(ROWS, st.integers(0, 2000))
def test_a_budgeted_table_keeps_to_its_budget(rows: list[tuple[str, int]], bits: int) -> None:
    for made in (short_ngrams([of_rows(rows)], bits=bits), short_table([of_rows(rows)], bits=bits)):
        assert made is None or text_bits(made.write()) <= bits


@given(ROWS)
def test_with_room_enough_a_budgeted_table_has_every_entry(rows: list[tuple[str, int]]) -> None:
    shown = [of_rows(rows)]
    assert short_ngrams(shown, bits=1e6).pairs.keys() == fit_ngrams(shown).pairs.keys()  # type: ignore[union-attr]
    assert short_table(shown, bits=1e6).means.keys() == fit_table(shown).means.keys()  # type: ignore[union-attr]


def test_a_short_table_keeps_what_explains_most_and_the_rest_has_the_mean_of_what_was_left_out() -> None:
    shown = [excerpt([*"aaaaaaaa", "hot", "mild"], [1, 1, 1, 1, 3, 3, 3, 3, 99, 4], n_context=0)]
    table = short_table(shown, bits=200)
    assert table is not None
    assert next(iter(table.means)) == "hot"
    one = short_table(shown, bits=text_bits('{"hot": 99.0, "": 2.2}'))
    assert one == TokenTable({"hot": 99.0}, 2.2)  # (16 + 4) / 9, two digits


def test_no_table_is_as_short_as_nothing() -> None:
    assert short_table([excerpt(["a"], [1])], bits=16) is None
    assert short_ngrams([excerpt(["a"], [1])], bits=16) is None
