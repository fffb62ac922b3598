"""Summaries over units: what is averaged, and what is only counted."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrutable.evaluators.summary import summarise
from scrutable.pipeline.records import Failure, Score, Summary


def score(unit: str, value: float, null: float = 0.0, **changes: Any) -> Score:
    excess = value - null
    fields: dict[str, Any] = {
        "explainer": "llm",
        "simulator": "trained",
        "scorer": "simulation",
        "metric": "correlation",
        "low": value - 0.1,
        "high": value + 0.1,
        "excess_low": excess - 0.1,
        "excess_high": excess + 0.1,
        "n_asked": 10,
        "n_answered": 10,
        "n_documents": 10,
        "n_nulls": 2,
        "label_mass": 0.9,
        "reason": "constant simulation" if math.isnan(value) else "",
    }
    return Score(unit=unit, value=value, null=null, excess=excess, **(fields | changes))


def only(*scores: Score, failures: tuple[Failure, ...] = ()) -> Summary:
    (summary,) = summarise(scores, failures, draws=200, seed=0)
    return summary


def test_undefined_scores_are_counted_and_never_averaged_in() -> None:
    summary = only(score("a", 0.2), score("b", math.nan), score("c", 0.6, 0.5), score("d", 0.7, math.nan))
    assert (summary.n_units, summary.n_defined, summary.n_undefined, summary.n_failed) == (4, 3, 1, 0)
    assert summary.value == pytest.approx(0.5)
    assert summary.median == pytest.approx(0.6)
    assert summary.null == pytest.approx((0.0 + 0.0 + 0.5) / 3)
    assert summary.n_excess == 2
    assert summary.excess == pytest.approx((0.2 + 0.1) / 2)
    assert summary.low < summary.value < summary.high


def test_the_share_above_null_counts_units_whose_interval_lies_above_zero() -> None:
    summary = only(
        score("a", 0.5), score("b", 0.05), score("c", 0.6, excess_low=math.nan), score("d", math.nan)
    )
    assert summary.share_above_null == pytest.approx(1 / 3)


def test_a_failed_unit_is_counted_once_and_where_it_belongs() -> None:
    failures = (
        Failure("a", "simulate", "timeout", "one excerpt", part="trained"),  # was scored all the same
        Failure("b", "explain", "refused", "", part="llm"),
        Failure("b", "explain", "refused", "again", part="llm"),
        Failure("c", "explain", "refused", "", part="template"),  # of another explainer
        Failure("d", "capture", "dead", ""),  # of every explainer
        Failure("e", "simulate", "too_long", "", part="llm"),  # a simulator that shares the name
    )
    summary = only(score("a", 0.5), failures=failures)
    assert (summary.n_units, summary.n_defined, summary.n_failed) == (3, 1, 2)


def test_nothing_defined_is_nan_throughout() -> None:
    summary = only(score("a", math.nan), score("b", math.nan))
    assert (summary.n_units, summary.n_defined, summary.n_undefined, summary.n_excess) == (2, 0, 2, 0)
    figures = (
        summary.value,
        summary.low,
        summary.high,
        summary.median,
        summary.excess,
        summary.share_above_null,
    )
    assert all(math.isnan(figure) for figure in figures)


def test_one_unit_has_a_mean_without_an_interval() -> None:
    summary = only(score("a", 0.5))
    assert summary.value == 0.5
    assert math.isnan(summary.low)


def test_there_is_one_summary_for_each_kind_in_order() -> None:
    rows = [
        score("a", 0.1, explainer=explainer, simulator=simulator, metric=metric)
        for explainer in ("template", "llm")
        for simulator in ("trained", "prompted")
        for metric in ("explained_variance", "correlation")
    ]
    kinds = [(s.explainer, s.simulator, s.scorer, s.metric) for s in summarise(rows, draws=10, seed=0)]
    assert len(kinds) == 8
    assert kinds == sorted(kinds)
    assert summarise([], draws=10, seed=0) == ()


def test_two_scores_of_one_unit_are_refused() -> None:
    with pytest.raises(ValueError, match="two scores correlation of llm/trained"):
        summarise([score("a", 0.1), score("a", 0.2)], draws=10, seed=0)


@given(st.randoms(use_true_random=False))
def test_the_order_of_scores_is_irrelevant_to_the_last_bit(random: Random) -> None:
    rows = [score(f"u{i}", 1 / (i + 3), 0.1 * (i % 3)) for i in range(9)]
    before = only(*rows)
    random.shuffle(rows)
    assert only(*rows) == before
