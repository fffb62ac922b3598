"""The report's sections on known answers, attacks, rate-distortion and worth without trust."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest

from scrutable.evaluators.report import worth
from scrutable.pipeline.records import (
    Assurance,
    AttackResult,
    Explanation,
    GateCase,
    GateResult,
    RatePoint,
    Score,
)

PASSED = GateResult(
    simulator="prompted",
    explainer="",
    n_planted=50,
    power=0.9,
    power_low=0.8,
    power_high=0.96,
    n_placebos=40,
    size=0.05,
    size_low=0.01,
    size_high=0.17,
    n_pairs=63,
    auc=0.8,
    auc_low=0.7,
    auc_high=0.9,
    n_puzzles=19,
    n_first=12,
    ceiling=0.7,
    ceiling_low=0.6,
    ceiling_high=0.8,
    is_passed=True,
)
NAN = math.nan


def test_a_gate_row_says_each_rate_with_its_interval_and_its_number() -> None:
    [row] = worth.gate_rows([PASSED])
    assert row.power == "90 % [80, 96] of 50"
    assert row.size == "5 % [1, 17] of 40"
    assert row.auc.endswith("of 63")
    assert row.first == "12 of 19"
    assert (row.explainer, row.recovery) == ("–", "–")
    assert row.is_passed


def test_a_simulator_that_reads_no_english_has_no_puzzles_and_an_explainer_has_its_recovery() -> None:
    result = replace(
        PASSED,
        explainer="program",
        n_pairs=0,
        n_puzzles=0,
        auc=NAN,
        recovery=0.6,
        recovery_low=0.5,
        recovery_high=0.7,
        is_passed=False,
        reason="power 0.50 is below 0.8",
    )
    [row] = worth.gate_rows([result])
    assert row.auc == "reads no English"
    assert row.recovery == "60 % [50, 70] of 50"
    assert row.reason == "power 0.50 is below 0.8"


def test_an_undefined_case_gives_its_reason_and_no_number() -> None:
    case = GateCase("s", "truth", "planted", "u", "x" * 500, NAN, NAN, NAN, NAN, False, reason="constant")
    [row] = worth.case_rows([case])
    assert row.value == "undefined: constant"
    assert (row.null, row.p, row.called) == ("–", "–", "no")
    assert len(row.text) <= worth.SHORTEST_TEXT + 1


def test_an_attack_row_holds_both_rates() -> None:
    result = AttackResult("s", "", "over-broad", 20, 3, 0.5, 0.3, 0.7, 0.1, 0.02, 0.3, 0.0)
    [row] = worth.attack_rows([result])
    assert (row.attack, row.explainer, row.n_true) == ("over-broad", "–", "3")
    assert row.before.startswith("50 %")
    assert row.after.startswith("10 %")


def test_an_undefined_share_says_why() -> None:
    reason = "the text gains nothing"
    undefined = Assurance("llm", "p", "compiled", "c", 5, 2, 0.0, 0.01, NAN, NAN, NAN, reason)
    [row] = worth.assurance_rows([undefined])
    assert not row.v.is_defined
    assert row.v.reason == reason
    assert row.n == "5 units, 2 not compiled"


def point(unit: str, family: str, budget: float, value: float) -> RatePoint:
    return RatePoint(unit, family, budget, budget, value, value)


def score(unit: str, explainer: str, value: float) -> Score:
    return Score(
        unit, explainer, "s", "simulation", "explained_variance", value, *[NAN] * 6, 4, 4, 3, 2, NAN, ""
    )


def test_curves_are_medians_over_units_and_texts_are_single_points() -> None:
    points = [point(u, "table", b, v) for u, v in (("a", 0.1), ("b", 0.2), ("c", -50.0)) for b in (64, 128)]
    texts = [Explanation(u, "llm", "english", "words for colors") for u in "abc"]
    curves = worth.rate_curves(points, texts, [score(u, "llm", 0.3) for u in "abc"])
    assert curves is not None
    assert [line.name for line in curves.lines] == ["table", "llm / s"]
    table, llm = curves.lines
    assert len(table.points) == 2
    assert table.points[0][1] == table.points[1][1]  # the median, 0.1, at both lengths
    assert len(llm.points) == 1
    assert llm.points[0][1] < table.points[0][1]  # higher on the page
    assert re.match(r"M[\d.]+ [\d.]+ L", table.path)


def test_a_budget_at_which_most_units_have_no_surrogate_is_not_drawn() -> None:
    points = [point("a", "tree", 32, 0.9), point("b", "tree", 32, NAN), point("c", "tree", 32, NAN)]
    points += [point(u, "tree", 64, 0.5) for u in "abc"]
    curves = worth.rate_curves(points, [], [])
    assert curves is not None
    [line] = curves.lines
    assert len(line.points) == 1


def test_a_run_without_rates_has_no_chart() -> None:
    assert worth.rate_curves([], [], []) is None


@pytest.mark.parametrize("language", ["table", "probe"])
def test_a_table_is_no_single_point(language: str) -> None:
    text = Explanation("a", "lookup", language, "{}")  # type: ignore[arg-type]
    curves = worth.rate_curves([point("a", "tree", 64, 0.5)], [text], [score("a", "lookup", 0.3)])
    assert curves is not None
    assert [line.name for line in curves.lines] == ["tree"]
