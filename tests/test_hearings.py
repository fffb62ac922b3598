"""From verdicts to AUROC and accuracy, with null, excess, interval and rank."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrutable.evaluators.hearings import score_hearing
from scrutable.pipeline.protocols import Hearing
from scrutable.pipeline.records import Metric, Score, Verdict


def verdicts(values: list[tuple[bool, float]], explanation: str = "u/llm") -> tuple[Verdict, ...]:
    return tuple(
        Verdict("u", explanation, "detection", f"t{i}", f"d{i // 2}", truth, value, label_mass=0.5)
        for i, (truth, value) in enumerate(values)
    )


def score(
    own: list[tuple[bool, float]], *nulls: list[tuple[bool, float]], metric: Metric = "auroc", seed: int = 0
) -> Score:
    others = tuple(verdicts(null, f"v{i}/llm") for i, null in enumerate(nulls))
    hearing = Hearing("u", "llm", "detection", metric, verdicts(own), others, n_asked=9)
    return score_hearing(hearing, seed=seed, draws=200)


RIGHT = [(i % 2 == 0, 1.0 - i % 2) for i in range(8)]
WRONG = [(truth, 1.0 - value) for truth, value in RIGHT]
BLIND = [(truth, 0.3) for truth, _ in RIGHT]


@pytest.mark.parametrize(("own", "expected"), [(RIGHT, 1.0), (WRONG, 0.0), (BLIND, 0.5)])
def test_auroc_is_the_share_of_pairs_in_the_right_order(
    own: list[tuple[bool, float]], expected: float
) -> None:
    found = score(own)
    assert (found.value, found.low, found.high) == (expected, expected, expected)
    assert (found.n_asked, found.n_answered, found.n_documents) == (9, 8, 4)
    assert found.label_mass == 0.5


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.1, 0.4, 0.4, 0.9])), min_size=2, max_size=12))
def test_auroc_agrees_with_counting_pairs(own: list[tuple[bool, float]]) -> None:
    pairs = [(a, b) for t, a in own if t for s, b in own if not s]
    found = score(own)
    if pairs:
        assert found.value == pytest.approx(
            np.mean([1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs])
        )
    else:
        assert math.isnan(found.value)
        assert found.reason == "questions of one class only were answered"


def test_accuracy_is_the_share_above_zero_with_ties_half() -> None:
    found = score([(True, 0.2), (True, -0.1), (True, 0.0), (True, 0.9)], metric="accuracy")
    assert found.value == pytest.approx((1 + 0 + 0.5 + 1) / 4)
    assert found.low < found.value < found.high


def test_the_excess_is_over_the_mean_of_the_nulls_and_p_is_the_rank() -> None:
    found = score(RIGHT, BLIND, WRONG)
    assert (found.null, found.excess, found.n_nulls) == (0.25, 0.75, 2)
    assert found.p == pytest.approx(1 / 3)
    assert found.null_values == (0.5, 0.0)
    assert score(BLIND, RIGHT, BLIND).p == pytest.approx(1.0)


def test_an_explanation_that_answers_like_its_null_has_no_excess_in_any_draw() -> None:
    mixed = [(True, 0.9), (False, 0.1), (True, 0.2), (False, 0.8), (True, 0.7), (False, 0.3)]
    found = score(mixed, mixed)
    assert (found.excess, found.excess_low, found.excess_high) == (0.0, 0.0, 0.0)


def test_without_an_answer_the_score_is_undefined_and_says_why() -> None:
    found = score([], RIGHT)
    assert math.isnan(found.value)
    assert found.reason == "no question answered"
    assert found.null == 1.0
    assert math.isnan(found.excess)


def test_a_judge_that_reads_no_explanation_has_a_value_and_no_null() -> None:
    hearing = Hearing("u", "", "intruder", "accuracy", verdicts(RIGHT, ""), (), n_asked=8)
    found = score_hearing(hearing, seed=0, draws=50)
    assert found.value == 0.75  # four values of 1, and four of 0, which count half
    assert math.isnan(found.null)
    assert math.isnan(found.p)
