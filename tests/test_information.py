"""Gain in bits: what a simulation saves of the code of the unit's activations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scrutable.evaluators.evidence import Batch, Floats
from scrutable.evaluators.information import gains, read
from scrutable.evaluators.statistics import average_precision, precision_recall

N_DOCUMENTS = 10


def batch(true: Floats, *predicted: Floats, weights: Floats | None = None) -> Batch:
    w = np.ones(true.size) if weights is None else weights
    return Batch((), true, np.stack(predicted), w, np.array([true.size]))


def documents(n: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    return (np.arange(n) % N_DOCUMENTS).astype(np.intp)


def gained(true: Floats, predicted: Floats, on: tuple[Floats, Floats] | None = None) -> float:
    reading = read(batch(true, predicted), documents(true.size), N_DOCUMENTS)
    assert reading is not None
    test_true, test_predicted = on or (true, predicted)
    return float(gains(reading, test_true, test_predicted[None]).mean())


def entropy(rate: float) -> float:
    return -rate * math.log2(rate) - (1 - rate) * math.log2(1 - rate)


@pytest.mark.parametrize("rate", [0.5, 0.1, 0.02])
def test_who_knows_a_planted_unit_saves_its_entropy(rate: float) -> None:
    true = (np.arange(5000) % round(1 / rate) == 0).astype(float)
    assert gained(true, true) == pytest.approx(entropy(rate), rel=0.03)
    assert gained(true, 7 + 3 * true) == pytest.approx(gained(true, true))  # the scale is the simulator's own


@pytest.mark.parametrize("predicted", [np.zeros(5000), -(np.arange(5000) % 10 == 0).astype(float)])
def test_who_knows_nothing_or_the_opposite_saves_nothing(predicted: Floats) -> None:
    true = (np.arange(5000) % 10 == 0).astype(float)
    assert gained(true, predicted) == 0.0


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_noise_is_expected_to_gain_about_nothing_on_other_text(seed: int) -> None:
    rng = np.random.default_rng(seed)
    true, noise = (rng.random((2, 800)) < 0.1).astype(float), rng.random((2, 800))
    assert gained(true[0], noise[0], (true[1], noise[1])) > -0.02  # of 0.47 bits for who knows it


def test_half_the_knowledge_saves_less_than_all_and_more_than_none() -> None:
    rng = np.random.default_rng(0)
    true = (rng.random(5000) < 0.1).astype(float)
    half = true * (rng.random(5000) < 0.5)
    assert 0.1 < gained(true, half) / gained(true, true) < 0.6


def test_a_unit_that_is_silent_on_calibrate_has_no_code() -> None:
    silent = np.zeros(100)
    assert read(batch(silent, silent), documents(100), N_DOCUMENTS) is None


def test_a_level_that_calibrate_never_showed_costs_bits_but_not_infinitely_many() -> None:
    true = (np.arange(1000) % 10 == 0).astype(float)
    reading = read(batch(true, true), documents(1000), N_DOCUMENTS)
    assert reading is not None
    (cost,) = gains(reading, np.array([0.5]), np.array([[1.0]]))[0]
    assert -20 < cost < 0


def exact_average_precision(is_positive: np.ndarray[tuple[int], np.dtype[np.bool_]], scores: Floats) -> float:
    order = np.argsort(-scores, kind="stable")
    hits = is_positive[order]
    precision = hits.cumsum() / np.arange(1, hits.size + 1)
    return float(precision[hits].mean())


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.sampled_from([0.5, 0.1, 0.02]), st.sampled_from([0.3, 1.0, 3.0]))
def test_average_precision_agrees_with_the_area_by_definition(seed: int, rate: float, noise: float) -> None:
    rng = np.random.default_rng(seed)
    positive = rng.random(1000) < rate
    positive[0] = True
    scores = positive + noise * rng.normal(size=1000)
    curve = precision_recall(positive, scores, np.ones(1000), np.zeros(1000, dtype=np.intp), n_documents=1)
    found = float(average_precision(curve, np.ones((1, 1)))[0])
    exact = exact_average_precision(positive, scores)
    assert found == pytest.approx(exact, abs=1e-6 if positive.sum() <= 31 else 0.02)


def test_average_precision_of_a_prediction_that_says_nothing_is_the_share_of_positives() -> None:
    positive = np.arange(100) % 4 == 0
    curve = precision_recall(
        positive, np.zeros(100), np.ones(100), np.zeros(100, dtype=np.intp), n_documents=1
    )
    assert float(average_precision(curve, np.ones((1, 1)))[0]) == pytest.approx(0.25)
