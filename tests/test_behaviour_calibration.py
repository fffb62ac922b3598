"""Predictions become probabilities that can be scored, and what says nothing gains nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scrutable.evaluators.behaviours.calibration import Floats, centred, fit_calibrator, log_rates


def loss(logs: Floats, outcomes: Floats) -> float:
    """Mean bits."""
    return float(-logs[np.arange(len(outcomes)), outcomes].mean() / np.log(2))


def drawn(n: int, k: int, *, knows: float, seed: int) -> tuple[Floats, Floats]:
    """(N, K) probabilities of a simulator that knows a share of the outcomes, and the outcomes (N,)."""
    rng = np.random.default_rng(seed)
    outcomes = rng.integers(k, size=n)
    said = np.where(rng.random(n) < knows, outcomes, rng.integers(k, size=n))
    return np.eye(k)[said] * 0.7 + 0.3 / k, outcomes


def test_rates_have_half_a_count_more_of_each_outcome() -> None:
    assert np.exp(log_rates(np.array([0, 0, 1]), n_outcomes=3)) == pytest.approx(
        [2.5 / 4.5, 1.5 / 4.5, 0.5 / 4.5]
    )


def test_a_simulator_that_always_says_the_same_is_taken_at_the_rates() -> None:
    outcomes = np.array([0, 1, 1, 1] * 10)
    prior = log_rates(outcomes, n_outcomes=2)
    raw = np.tile([0.9, 0.1], (40, 1))
    found = fit_calibrator(raw, outcomes, prior)
    assert found.slope == 0.0
    assert np.exp(found.logs(raw)[0]) == pytest.approx([0.25, 0.75], abs=0.01)


def test_a_lean_to_one_outcome_is_taken_out_and_what_is_known_stays() -> None:
    outcomes = np.array([0, 1] * 20)
    leaning = np.where(outcomes[:, None] == 0, [0.99, 0.01], [0.95, 0.05])
    prior = log_rates(outcomes, n_outcomes=2)
    logs = fit_calibrator(leaning, outcomes, prior).logs(leaning)
    assert (np.argmax(logs, axis=1) == outcomes).all()
    assert loss(logs, outcomes) < 0.3


def test_an_opposite_is_not_turned_into_knowledge() -> None:
    raw, outcomes = drawn(80, 2, knows=1.0, seed=0)
    prior = log_rates(outcomes, n_outcomes=2)
    opposite = fit_calibrator(raw[:, ::-1], outcomes, prior)
    assert opposite.slope == 0.0
    assert loss(opposite.logs(raw[:, ::-1]), outcomes) == pytest.approx(
        loss(prior + 0 * raw, outcomes), abs=0.02
    )


def test_without_calibration_inputs_there_are_only_the_rates() -> None:
    prior = np.log([0.2, 0.8])
    found = fit_calibrator(np.zeros((0, 2)), np.zeros(0, dtype=np.intp), prior)
    assert np.exp(found.logs(np.array([[0.9, 0.1]]))[0]) == pytest.approx([0.2, 0.8])


@settings(deadline=None, max_examples=10)
@given(st.integers(2, 4), st.integers(0, 10_000))
def test_knowledge_is_kept_on_new_inputs_and_noise_costs_little(k: int, seed: int) -> None:
    prior = np.log(np.full(k, 1 / k))
    for knows, low, high in ((1.0, 0.85, 1.0), (0.0, -0.05, 0.0)):
        gains = []
        for draw in range(20):
            raw, outcomes = drawn(260, k, knows=knows, seed=seed + draw)
            found = fit_calibrator(raw[:60], outcomes[:60], prior)
            gains.append(1 - loss(found.logs(raw[60:]), outcomes[60:]) / np.log2(k))
        assert low <= np.mean(gains) <= high


@given(st.lists(st.floats(0.01, 1.0), min_size=2, max_size=5), st.floats(0.1, 10))
def test_a_common_factor_does_not_matter(weights: list[float], factor: float) -> None:
    raw = np.array([weights])
    assert centred(raw * factor) == pytest.approx(centred(raw), abs=1e-9)
