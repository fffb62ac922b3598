"""The rate-distortion curve: a planted rule is worth everything at a few bits, and budgets hold."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from toy_excerpts import excerpt

from scrutable.evaluators.rates import rate_points
from scrutable.pipeline.program_text import read_program
from scrutable.pipeline.programs import levels
from scrutable.pipeline.records import Excerpt, RatePoint

TEXT = "the cat dog ran NASA IBM , . ; of red house 12 1987 Paris old"
FAMILIES = ("table", "ngrams", "tree", "rules")


def excerpts(rule: str, *, seed: int, count: int = 20, scale: float = 0.5) -> list[Excerpt]:
    source, program = random.Random(seed), read_program(rule)
    rows = [[" " + source.choice(TEXT.split()) for _ in range(25)] for _ in range(count)]
    return [
        excerpt(row, [scale * x for x in levels(program, row)], id=f"{seed}.{i}", n_context=2)
        for i, row in enumerate(rows)
    ]


def curve(rule: str, **changed: Sequence[Excerpt]) -> tuple[RatePoint, ...]:
    splits = {name: excerpts(rule, seed=i) for i, name in enumerate(("explain", "calibrate", "held_out"))}
    splits |= {name: list(given) for name, given in changed.items()}
    texts = splits["explain"], splits["calibrate"], splits["held_out"]
    return rate_points("L0.N0.pos", *texts, budgets=(32, 64, 128, 256, 512, 1024, 2048))


CONTEXTUAL = curve("upper and not after(punctuation)")


def test_there_is_a_point_for_each_family_and_budget_and_none_is_longer_than_it_may_be() -> None:
    expected = [(family, budget) for family in FAMILIES for budget in (32, 64, 128, 256, 512, 1024, 2048)]
    assert [(point.family, point.budget) for point in CONTEXTUAL] == expected
    assert all(point.bits <= point.budget for point in CONTEXTUAL if not math.isnan(point.bits))


def test_what_is_undefined_has_a_reason_and_what_is_defined_has_none() -> None:
    for point in CONTEXTUAL:
        has_gap = math.isnan(point.explained_variance) or math.isnan(point.correlation)
        assert bool(point.reason) == has_gap, point
    shortest = CONTEXTUAL[0]
    assert math.isnan(shortest.bits)
    assert shortest.reason == "no table that says anything fits within 32 bits"


@pytest.mark.parametrize("family", ["tree", "rules"])
def test_a_rule_about_context_is_whole_in_a_short_program(family: str) -> None:
    (point,) = [p for p in CONTEXTUAL if (p.family, p.budget) == (family, 128)]
    assert point.explained_variance > 0.99
    assert point.correlation > 0.99


def test_a_table_knows_no_context_and_pairs_know_some() -> None:
    longest = {p.family: p.explained_variance for p in CONTEXTUAL if p.budget == 2048}
    assert longest["table"] < longest["ngrams"] < longest["tree"]


def test_a_rule_about_words_is_whole_in_a_table() -> None:
    (point,) = [p for p in curve('word("cat")') if (p.family, p.budget) == ("table", 256)]
    assert point.explained_variance > 0.99


def test_the_map_to_raw_units_comes_from_calibrate_excerpts_alone() -> None:
    shrunk = curve("upper", calibrate=excerpts("upper", seed=1, scale=0.25))
    (point,) = [p for p in shrunk if (p.family, p.budget) == ("tree", 128)]
    assert point.correlation == pytest.approx(1.0)
    share = sum(a > 0 for e in excerpts("upper", seed=2) for a in e.activations[2:]) / (20 * 23)
    # half of each activation is missed: share * (9/4)^2, of a variance of (9/2)^2 * share * (1 - share)
    assert point.explained_variance == pytest.approx(1 - 0.25 / (1 - share))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"held_out": []}, "no scored token in the test excerpts"),
        ({"calibrate": []}, "no scored token in the calibrate excerpts"),
        ({"held_out": excerpts("upper", seed=2, scale=0.0)}, "the unit is constant on the test excerpts"),
        ({"held_out": [excerpt([" old"] * 9 + [" x"], [0.0] * 9 + [1.0])]}, "the prediction is constant"),
    ],
)
def test_what_cannot_be_scored_says_why(changed: dict[str, list[Excerpt]], reason: str) -> None:
    (point,) = [p for p in curve("upper", **changed) if (p.family, p.budget) == ("tree", 128)]
    assert math.isnan(point.correlation)
    assert point.reason.startswith(reason)


def test_without_explain_excerpts_no_program_is_written() -> None:
    points = curve("upper", explain=[])
    assert {
        p.family for p in points if p.reason.startswith("no tree") or p.reason.startswith("no rules")
    } == {
        "tree",
        "rules",
    }


def test_the_same_excerpts_give_the_same_points_in_any_company() -> None:
    split = excerpts("upper", seed=0), excerpts("upper", seed=1), excerpts("upper", seed=2)
    alone = rate_points("u", *split, budgets=(128,))
    together = rate_points("u", *split, budgets=(32, 128, 2048))
    assert list(map(repr, alone)) == [repr(point) for point in together if point.budget == 128]  # NaN != NaN
