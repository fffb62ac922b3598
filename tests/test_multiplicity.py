"""Benjamini-Hochberg over the units of one explainer and metric."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scrutable.evaluators.multiplicity import adjust, benjamini_hochberg
from scrutable.pipeline.records import Score

PS = st.lists(st.floats(0.001, 1.0), min_size=1, max_size=30)
SCORE = Score("u0", "llm", "s", "simulation", "correlation", 0.5, 0, 1, 0, 0.5, 0, 1, 9, 9, 9, 19, math.nan)


def test_a_worked_example() -> None:
    """Five tests: 5p/rank is .05, .1, .1, .0625, .6 and no q exceeds that of a larger p."""
    assert benjamini_hochberg([0.01, 0.04, 0.06, 0.05, 0.6]) == pytest.approx(
        [0.05, 0.075, 0.075, 0.075, 0.6]
    )


@given(PS)
def test_q_is_never_below_p_and_keeps_its_order(p: list[float]) -> None:
    q = benjamini_hochberg(p)
    assert (q >= np.array(p) - 1e-12).all()
    assert (q <= 1.0).all()
    order = np.argsort(p, kind="stable")
    assert (np.diff(q[order]) >= 0).all()


@given(PS, st.floats(0.01, 0.5))
@example([0.125, 0.125, 0.125, 0.125, 0.23331545502640158], 0.23331545502640158)
def test_what_is_found_at_a_rate_is_what_the_step_up_rule_rejects(p: list[float], rate: float) -> None:
    ranked, rounded_up = np.sort(p), rate * (1 + 1e-12)  # a p that equals its threshold is below it
    below = np.flatnonzero(ranked <= rounded_up * np.arange(1, len(p) + 1) / len(p))
    n_rejected = int(below[-1]) + 1 if below.size else 0
    found = benjamini_hochberg(p) <= rounded_up
    # Ties of the last rejected p are rejected with it.
    assert found.sum() == (np.array(p) <= (ranked[n_rejected - 1] if n_rejected else -1)).sum()


def test_an_undefined_p_stays_so_and_counts_as_a_test() -> None:
    q = benjamini_hochberg([0.01, math.nan])
    assert q[0] == pytest.approx(0.02)
    assert math.isnan(q[1])


def family(own: np.ndarray, nulls: np.ndarray, **changes: str) -> list[Score]:
    """Scores of units with these values (U,) and null values (U, n)."""
    return [
        replace(SCORE, unit=f"u{i}", value=float(value), null_values=tuple(row.tolist()), **changes)
        for i, (value, row) in enumerate(zip(own, nulls, strict=True))
    ]


def test_each_explainer_and_metric_is_a_family_of_its_own() -> None:
    nulls = np.array([[0.0, 0.1, 0.2], [0.0, 0.1, 0.2]])
    of_llm = family(np.array([0.9, 0.1]), nulls)
    of_table = family(np.array([0.9]), nulls[:1], explainer="table")
    adjusted = adjust([of_llm[0], *of_table, of_llm[1]])
    assert [score.unit for score in adjusted] == ["u0", "u0", "u1"]
    # Heights .75 among six, .75 among three; 0 is below or level with two of each three nulls.
    assert [score.q for score in adjusted] == pytest.approx([2 / 7, 1 / 4, 4 / 7])


def test_half_of_the_units_are_found_with_19_nulls_and_few_false_ones_among_them() -> None:
    """With ranks within units, the smallest of which is 0.05, not one would be."""
    rng = np.random.default_rng(0)
    shares, powers = [], []
    for _ in range(100):
        spread = rng.uniform(0.02, 0.2, size=(40, 1))  # units are of different difficulty
        level = rng.uniform(-0.2, 0.8, size=(40, 1))
        values = level + spread * rng.standard_normal((40, 20))
        is_true = np.arange(40) < 20
        own = values[:, 0] + np.where(is_true, 0.9, 0.0)
        found = np.array([score.q <= 0.05 for score in adjust(family(own, values[:, 1:]))])
        shares.append((found & ~is_true).sum() / max(1, found.sum()))
        powers.append(found[is_true].mean())
    assert np.mean(powers) > 0.9
    assert np.mean(shares) < 0.05


def test_of_units_whose_explanations_say_nothing_hardly_any_run_finds_one() -> None:
    rng = np.random.default_rng(1)
    runs = [rng.standard_normal((30, 20)) * rng.uniform(0.02, 0.2, size=(30, 1)) for _ in range(200)]
    finds = [any(score.q <= 0.05 for score in adjust(family(v[:, 0], v[:, 1:]))) for v in runs]
    assert np.mean(finds) < 0.05 + 3 * (0.05 * 0.95 / 200) ** 0.5


def test_a_unit_without_nulls_or_value_has_no_q_and_counts_as_a_test() -> None:
    rng = np.random.default_rng(2)
    scores = family(np.array([0.9, np.nan]), rng.normal(scale=0.1, size=(2, 39)))
    assert adjust(scores)[0].q == pytest.approx(2 / 40)
    assert math.isnan(adjust(scores)[1].q)
    [bare] = adjust([replace(SCORE, null_values=())])
    assert math.isnan(bare.q)
