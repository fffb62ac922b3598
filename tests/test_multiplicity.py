"""Benjamini-Hochberg over the units of one explainer and metric."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
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
def test_what_is_found_at_a_rate_is_what_the_step_up_rule_rejects(p: list[float], rate: float) -> None:
    ranked = np.sort(p)
    below = np.flatnonzero(ranked <= rate * np.arange(1, len(p) + 1) / len(p))
    n_rejected = int(below[-1]) + 1 if below.size else 0
    found = benjamini_hochberg(p) <= rate * (1 + 1e-12)
    # Ties of the last rejected p are rejected with it.
    assert found.sum() == (np.array(p) <= (ranked[n_rejected - 1] if n_rejected else -1)).sum()


def test_an_undefined_p_stays_so_and_counts_as_a_test() -> None:
    q = benjamini_hochberg([0.01, math.nan])
    assert q[0] == pytest.approx(0.02)
    assert math.isnan(q[1])


def test_each_explainer_and_metric_is_a_family_of_its_own() -> None:
    of_llm = [replace(SCORE, unit=f"u{i}", p=p) for i, p in enumerate((0.01, 0.5))]
    of_table = [replace(SCORE, unit="u0", explainer="table", p=0.01)]
    adjusted = adjust([of_llm[0], *of_table, of_llm[1]])
    assert [score.unit for score in adjusted] == ["u0", "u0", "u1"]
    assert [score.q for score in adjusted] == pytest.approx([0.02, 0.01, 0.5])
