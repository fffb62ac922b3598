"""Weights of words: written, read back, added up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrutable.pipeline.behaviours.outcomes import matched
from scrutable.pipeline.behaviours.word_table import (
    WordTable,
    read_word_table,
    scores,
    strongest,
    words_of,
    write_word_table,
)
from scrutable.pipeline.errors import ParseError

NUMBERS = st.integers(-5000, 5000).map(lambda n: n / 1000)
ROWS = st.tuples(NUMBERS, NUMBERS).filter(any)
TABLES = st.builds(
    WordTable,
    st.just(("yes", "no")),
    st.tuples(NUMBERS, NUMBERS),
    st.dictionaries(st.text(), ROWS, max_size=5),
)


@given(TABLES)
def test_a_table_that_was_written_is_read_back(table: WordTable) -> None:
    assert read_word_table(write_word_table(table)) == table


@given(st.text(max_size=40))
def test_what_is_no_table_is_a_parse_error(text: str) -> None:
    with pytest.raises(ParseError):
        read_word_table(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"outcomes": ["a"], "bias": [0], "weights": {}}',
        '{"outcomes": ["a", "b"], "bias": [0], "weights": {}}',
        '{"outcomes": ["a", "b"], "bias": [0, NaN], "weights": {}}',
        '{"outcomes": ["a", "b"], "bias": [0, 1], "weights": {"x": [1]}}',
        '{"outcomes": ["a", "b"], "bias": [0, 1e308], "weights": {}}',
        '{"outcomes": ["a", "b", "b"], "bias": [0, 1, 2], "weights": {}}',
    ],
)
def test_a_table_with_the_wrong_numbers_is_none(text: str) -> None:
    with pytest.raises(ParseError):
        read_word_table(text)


def test_each_different_word_counts_once_whatever_its_case() -> None:
    table = WordTable(("yes", "no"), (0.5, 0.0), {"tea": (1.0, -1.0), "now": (0.0, 2.0)})
    assert np.allclose(scores(table, "Tea, tea and TEA!"), [1.5, -1.0])
    assert words_of("Tea, tea and 3 TEA!") == ["tea", "and", "3"]
    assert strongest(table, "no", count=5) == [("now", 2.0)]


def test_outcomes_of_another_behaviour_stand_for_ours_by_name_or_by_position() -> None:
    assert matched(("no", "yes"), ("yes", "no")) == (1, 0)
    assert matched(("grant", "deny"), ("yes", "no")) == (0, 1)
    assert matched(("a", "b", "c"), ("yes", "no")) is None
