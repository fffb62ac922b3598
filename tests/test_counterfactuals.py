"""Precision and coverage on edited inputs, on planted truths."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from scrutable.evaluators.behaviours.counterfactuals import predicted_edits, score_edits
from scrutable.pipeline.behaviours.records import CounterfactualScore, Edit, Prediction, Scope
from tests.toy_behaviours import OUTCOMES, coin, evidence, inputs, polite, predicted

EVIDENCE = evidence(
    predicted(inputs(), polite, explanation="desk/llm"), predicted(inputs(), coin(1), explanation="shop/llm")
)


def edits(scope: Scope, *, turned: bool) -> list[Edit]:
    """Every test input edited; `turned`: the subject then does the other thing."""
    found = []
    for one in inputs():
        if one.split == "test":
            before = polite(one)
            after = OUTCOMES[1 - OUTCOMES.index(before)] if turned else before
            found.append(Edit("desk", one.id, "desk/llm", scope, f"changed {one.id}", before, after))
    return found


def predictions(made: list[Edit], *, right: bool) -> dict[str, Prediction]:
    said = {e.edited_id: e.after if right else OUTCOMES[1 - OUTCOMES.index(e.after)] for e in made}
    return {
        id: Prediction(
            "desk", id, "reader", "explained", "desk/llm", (0.98, 0.02) if k == "grant" else (0.02, 0.98)
        )
        for id, k in said.items()
    }


def scored(made: list[Edit], *, right: bool, n_unedited: int = 0) -> CounterfactualScore:
    raw = {("reader", "desk/llm"): predictions(made, right=right)}
    filled = predicted_edits(EVIDENCE, made, raw, simulator="reader")
    return score_edits(
        EVIDENCE, filled, explainer="llm", simulator="reader", n_unedited=n_unedited, seed=0, draws=200
    )


def test_an_explanation_that_knows_what_an_edit_does_is_precise_and_covers_it() -> None:
    found = scored(edits("inside", turned=True), right=True)
    assert found.precision > 0.9
    assert found.coverage > 0.9
    assert found.precision_low > 0.8


def test_a_claim_that_does_not_come_true_is_imprecise_and_covers_nothing() -> None:
    found = scored(edits("inside", turned=False), right=False)
    assert found.precision < 0.1
    assert (found.n_changed, found.reason) == (0, "no edit changed what the subject does")
    assert math.isnan(found.coverage)


def test_a_change_outside_the_scope_counts_against_coverage_and_not_against_precision() -> None:
    inside, outside = edits("inside", turned=True), edits("outside", turned=True)
    raw = {("reader", "desk/llm"): predictions(inside, right=True) | predictions(outside, right=False)}
    filled = predicted_edits(EVIDENCE, [*inside, *outside], raw, simulator="reader")
    found = score_edits(
        EVIDENCE, filled, explainer="llm", simulator="reader", n_unedited=0, seed=0, draws=200
    )
    assert found.precision > 0.9
    assert found.coverage == pytest.approx(0.5, abs=0.03)


def test_the_null_is_what_an_explanation_of_another_behaviour_expects() -> None:
    made = edits("inside", turned=True)
    raw = {
        ("reader", "desk/llm"): predictions(made, right=True),
        ("reader", "shop/llm"): {
            id: replace(one, explanation="shop/llm") for id, one in predictions(made, right=True).items()
        },
    }
    filled = predicted_edits(EVIDENCE, made, raw, simulator="reader")
    found = score_edits(
        EVIDENCE, filled, explainer="llm", simulator="reader", n_unedited=3, seed=0, draws=200
    )
    assert found.precision_null == pytest.approx(0.5, abs=0.2)  # its calibration knows that it says nothing
    assert found.precision > found.precision_null
    assert found.n_unedited == 3


def test_an_edit_without_a_prediction_is_not_a_number() -> None:
    filled = predicted_edits(EVIDENCE, edits("inside", turned=True), {}, simulator="reader")
    assert {edit.probabilities for edit in filled} == {()}
    found = score_edits(EVIDENCE, filled, explainer="llm", simulator="reader", n_unedited=0, seed=0, draws=50)
    assert math.isnan(found.precision)
