"""Money and time in words."""

from __future__ import annotations

import math

import pytest

from scrutable.pipeline.amounts import in_dollars, in_time


@pytest.mark.parametrize(
    ("amount", "words"),
    [(0, "free"), (math.nan, "unknown"), (0.00004, "under $0.0001"), (1234.5, "$1,234.5000")],
)
def test_a_price_that_is_nothing_and_one_that_nobody_knows_are_not_the_same(
    amount: float, words: str
) -> None:
    assert in_dollars(amount) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0.0 s"), (99.9, "99.9 s"), (100, "1.7 min"), (math.nan, "unknown")]
)
def test_long_times_are_minutes(seconds: float, words: str) -> None:
    assert in_time(seconds) == words
