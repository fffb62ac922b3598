"""Two explanations of the same units are compared on the same documents, and draw by draw."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from scrutable.evaluators.comparison import compare, differences
from scrutable.evaluators.scorers.simulation import simulation
from scrutable.pipeline.protocols import Evidence, Simulated
from scrutable.pipeline.records import Difference, Excerpt, Passage

LENGTH, N = 12, 20
RNG = np.random.default_rng(0)
TRUTH = (RNG.random((N, LENGTH)) < 0.2) * 1.0
EXCERPTS = tuple(
    Excerpt(Passage(f"e{i:02d}", ("x",) * LENGTH, 0), f"d{i % 10}", "test", tuple(row), 1.0 + i % 3, False)
    for i, row in enumerate(TRUTH.tolist())
)


def evidence(explainer: str, values: np.ndarray, *, answered: int = N) -> Evidence:
    own = Simulated(
        explanation=f"u/{explainer}",
        excerpts=tuple(e.passage.id for e in EXCERPTS[:answered]),
        lengths=np.full(answered, LENGTH),
        expected=values[:answered].ravel(),
        probabilities=np.zeros((answered * LENGTH, 0), dtype=np.float32),
        levels=(),
        label_mass=np.full(answered, np.nan),
    )
    return Evidence("u", explainer, "s", (), EXCERPTS, own, ())


NOISE = RNG.normal(size=TRUTH.shape)
GOOD, BETTER, BLIND = (
    evidence(name, TRUTH + share * NOISE) for name, share in (("good", 1.0), ("better", 0.9), ("blind", 1e6))
)


def difference(one: Evidence, other: Evidence) -> Difference:
    [found] = differences([one, other], seed=0, draws=500)
    return found


def test_the_difference_is_that_of_the_scores_and_its_interval_is_paired() -> None:
    of = {e.explainer: simulation(e, seed=0, draws=500)[0] for e in (GOOD, BETTER)}
    found = difference(BETTER, GOOD)
    assert found.value == pytest.approx(of["better"].value - of["good"].value)
    # The two share their noise: scores overlap widely, and yet one is better in every draw.
    assert of["better"].low < of["good"].high
    assert 0 < found.low <= found.value <= found.high
    assert found.high - found.low < 0.3 * (of["good"].high - of["good"].low)
    assert found.n_documents == 10


def test_turned_around_it_changes_its_sign_and_nothing_against_itself_is_exactly_nothing() -> None:
    one, other = difference(GOOD, BLIND), difference(BLIND, GOOD)
    assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))
    same = difference(GOOD, GOOD._replace(explainer="twin"))
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)


def test_only_excerpts_that_both_answered_are_compared() -> None:
    half = evidence("half", np.vstack([TRUTH[:10], np.zeros_like(TRUTH[10:])]), answered=10)
    found = difference(half, evidence("truth", TRUTH))
    assert found.value == pytest.approx(0.0)
    every = differences([half, GOOD, BETTER], seed=0, draws=50)
    assert [(d.explainer, d.other) for d in every] == [
        ("half", "good"), ("half", "better"), ("good", "better"),
    ]  # fmt: skip
    assert every[2].value == pytest.approx(difference(GOOD, BETTER).value)


def test_what_is_undefined_stays_undefined_and_is_counted() -> None:
    constant = evidence("constant", np.ones_like(TRUTH))
    found = difference(constant, GOOD)
    assert math.isnan(found.value)
    assert math.isnan(found.low)
    [row] = compare([found, replace(found, unit="v", value=0.5, low=0.1, high=0.9)], seed=0)
    assert (row.n_units, row.n_undefined, row.difference) == (1, 1, 0.5)
    assert differences([GOOD._replace(own=None), GOOD], seed=0) == ()
    assert differences([], seed=0) == ()


def test_over_units_the_mean_has_an_interval_and_units_are_counted_on_both_sides() -> None:
    base = difference(BETTER, GOOD)
    rng = np.random.default_rng(1)
    rows = [
        replace(base, unit=f"u{i}", value=x, low=x - 0.1, high=x + 0.1)
        for i, x in enumerate(rng.normal(0.1, 0.2, size=200).tolist())
    ]
    [found] = compare(rows, seed=0)
    assert found.difference == pytest.approx(np.mean([row.value for row in rows]))
    half_width = 1.96 * 0.2 / 200**0.5
    assert (found.high - found.low) / 2 == pytest.approx(half_width, rel=0.15)
    assert found.n_above == sum(row.value > 0.1 for row in rows)
    assert found.n_below == sum(row.value < -0.1 for row in rows)
    assert compare(rows[::-1], seed=0) == (found,)
