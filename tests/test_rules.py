"""The rule table: each outcome from figures that decide it, and nothing from too few."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from toy_claims import claim, parties

from scrutable.pipeline.recursion.config import RulesConfig
from scrutable.pipeline.recursion.ledger import keep_ledger
from scrutable.pipeline.recursion.records import Effect, LedgerRow, Replica, Ruling
from scrutable.pipeline.recursion.rules import rule, rule_scale

BLANK = keep_ledger([claim("u", v=0.5, kept=0.5)], parties(1), draws=5, seed=0)[0]


def row(level: int = 1, **values: Any) -> LedgerRow:
    """A row of 30 roots with intervals of a tenth each way around v and U."""
    v, unresolved = values.get("v", 0.3), values.get("unresolved", 0.7)
    around = {
        "v_low": v - 0.05,
        "v_high": v + 0.05,
        "unresolved_low": unresolved - 0.05,
        "unresolved_high": unresolved + 0.05,
    }
    return replace(BLANK, ladder="authors", level=level, **({"n_roots": 30} | around | values))


def ruled(*rows: LedgerRow, **given: Any) -> dict[str, Ruling]:
    settings: dict[str, Any] = {"worth": {}, "readable": (), "replicas": ()} | given
    return {r.hypothesis: r for r in rule(rows, ladder="authors", rules=RulesConfig(), **settings)}


@pytest.mark.parametrize(
    ("rows", "outcome"),
    [
        ((row(v=0.6),), "against"),
        ((row(v=0.02), row(2, v=0.03)), "supports"),
        ((row(v=0.02), row(2, v=0.3)), "no information"),
        ((row(v=0.02),), "no information"),
        ((row(v=0.6, n_roots=19),), "no information"),
        ((row(v=0.6, v_low=0.2, v_high=0.9),), "no information"),
        ((), "no information"),
    ],
)
def test_the_regress_is_decided_by_what_needs_no_model(rows: tuple[LedgerRow, ...], outcome: str) -> None:
    assert ruled(*rows)["H1"].outcome == outcome


@pytest.mark.parametrize(
    ("second", "first", "outcome"),
    [
        ({"unresolved": 0.98}, {"passed_up": 0.8, "stranded": 0.1}, "supports"),
        ({"unresolved": 0.98}, {"passed_up": 0.1, "stranded": 0.8}, "stuck"),
        ({"unresolved": 0.5}, {"passed_up": 0.8, "stranded": 0.1}, "against"),
        ({"unresolved": 0.8}, {"passed_up": 0.8, "stranded": 0.1}, "no information"),
    ],
)
def test_conservation_can_come_out_in_every_way(
    second: dict[str, float], first: dict[str, float], outcome: str
) -> None:
    verdict = ruled(row(**first), row(2, **second))["H2"]
    assert verdict.outcome == outcome
    assert ("stranded in the author" in verdict.why) == (outcome == "stuck")


def test_the_slope_over_levels_needs_a_matrix() -> None:
    assert ruled(row())["H3"].outcome == "no information"
    slopes = {
        "supports": (-0.3, -0.4, -0.2),
        "against": (0.0, -0.04, 0.1),
        "no information": (-0.1, -0.3, 0.1),
    }
    for outcome, slope in slopes.items():
        verdict = rule_scale([Effect("level", *slope, 80)], matrix="m", rules=RulesConfig())
        assert (verdict.hypothesis, verdict.outcome) == ("H3", outcome)


@pytest.mark.parametrize(
    ("effects", "why"),
    [
        ([], "no matrix was run"),
        ([Effect("level", math.nan, math.nan, math.nan, 80, "all of one level")], "all of one level"),
        ([Effect("level", 0.1, math.nan, math.nan, 80)], "has no interval"),
    ],
)
def test_without_a_slope_over_levels_it_is_said_what_is_missing(effects: list[Effect], why: str) -> None:
    verdict = rule_scale(effects, matrix="m", rules=RulesConfig())
    assert verdict.outcome == "no information"
    assert why in verdict.why


@pytest.mark.parametrize(
    ("worth", "outcome"),
    [
        ({"author": 0.5, "tree": 0.48}, "against"),
        ({"author": 0.5, "tree": 0.2}, "supports"),
        ({"author": -0.1, "tree": -0.2}, "no information"),
        ({"author": 0.5, "tree": math.nan}, "no information"),
    ],
)
def test_the_dilemma_is_a_question_of_readable_explainers(worth: dict[str, float], outcome: str) -> None:
    assert ruled(row(), worth=worth, readable=["tree"])["H4"].outcome == outcome


@pytest.mark.parametrize(
    ("s", "outcome"),
    [(0.9, "against"), (0.1, "supports"), (0.5, "no information"), (math.nan, "no information")],
)
def test_an_explainer_that_can_be_replaced_need_not_be_opaque(s: float, outcome: str) -> None:
    stand_in = Replica(1, "template", "", 30, 0.1, 0.1 * s, s, s - 0.05, s + 0.05, "no gain")
    assert ruled(row(), replicas=[stand_in])["H5"].outcome == outcome


def test_every_verdict_carries_the_figures_that_decided_it() -> None:
    found = ruled(row(v=0.6))
    assert found["H1"].why == "v = 0.60 [0.55, 0.65] at level 1: that much of the worth needs no model at all"
    assert all(verdict.why and verdict.question for verdict in found.values())
