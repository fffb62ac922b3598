"""v is the share of a text's gain that the program compiled from it keeps."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from scrutable.evaluators.assurance import assure
from scrutable.pipeline.records import Score

SCORE = Score("u", "llm", "judge", "simulation", "gain_bits", 0.5, 0, 1, 0, 0.5, 0, 1, 9, 9, 9, 19, math.nan)
COMPILED = {"compiled.best": "llm"}


def scores(text: list[float], program: list[float]) -> list[Score]:
    return [
        replace(SCORE, unit=f"u{i}", explainer=explainer, simulator=simulator, excess=gain)
        for explainer, simulator, gains in (("llm", "judge", text), ("compiled.best", "checker", program))
        for i, gain in enumerate(gains)
    ]


def test_it_is_a_ratio_of_sums_over_the_units_that_have_both() -> None:
    (found,) = assure(scores([0.2, 0.4, 0.6, math.nan], [0.1, 0.2, 0.3, 9.0]), COMPILED, seed=0)
    assert (found.explainer, found.simulator, found.compiled, found.checker) == (
        "llm",
        "judge",
        "compiled.best",
        "checker",
    )
    assert (found.n_units, found.n_uncompiled) == (3, 0)
    assert found.v == pytest.approx(0.5)
    assert (found.low, found.high) == pytest.approx((0.5, 0.5))
    assert (found.gain_text, found.gain_program) == pytest.approx((0.4, 0.2))


def test_a_text_that_could_not_be_compiled_keeps_nothing() -> None:
    """Or v would be the share of those texts alone that are easy to compile."""
    given = [
        s
        for s in scores([0.2, 0.4, 0.4], [0.2, 0.2, 9.0])
        if (s.unit, s.explainer) != ("u2", "compiled.best")
    ]
    (found,) = assure(given, COMPILED, seed=0)
    assert (found.n_units, found.n_uncompiled) == (3, 1)
    assert found.v == pytest.approx(0.4)


def test_a_program_may_be_worth_more_than_its_text_or_less_than_nothing() -> None:
    more, less = (
        assure(scores([0.2, 0.3], gains), COMPILED, seed=0)[0] for gains in ([0.4, 0.6], [-0.1, -0.2])
    )
    assert more.v == pytest.approx(2.0)
    assert less.v == pytest.approx(-0.6)


def test_noise_around_no_share_is_not_turned_into_a_share() -> None:
    """v = 0 with noise: clipped to [0, 1] unit by unit it would come out near 0.4 · SD / gain."""
    rng = np.random.default_rng(0)
    program = rng.normal(scale=0.1, size=400).tolist()
    (found,) = assure(scores([0.1] * 400, program), COMPILED, seed=0)
    assert found.low < 0 < found.high
    assert found.v == pytest.approx(0.0, abs=3 * 1.0 / math.sqrt(400))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ([0.3], "1 units with a gain"),
        ([math.nan, math.nan], "0 units with a gain"),
        ([0.3, -0.3, 0.2, -0.2], "no gain above its null"),
    ],
)
def test_a_share_of_nothing_is_undefined_and_says_why(text: list[float], reason: str) -> None:
    (found,) = assure(scores(text, [0.1] * len(text)), COMPILED, seed=0)
    assert math.isnan(found.v)
    assert math.isnan(found.low)
    assert reason in found.reason


def test_every_simulator_of_the_text_is_compared_and_other_metrics_are_left_out() -> None:
    second = [replace(s, simulator="other") for s in scores([0.2, 0.2], [0.1, 0.1]) if s.explainer == "llm"]
    first = scores([0.4, 0.4], [0.1, 0.1])
    noise = [replace(s, metric="correlation", excess=9.0) for s in first]
    found = assure([*first, *second, *noise], COMPILED, seed=0)
    assert {(a.simulator, round(a.v, 3)) for a in found} == {("judge", 0.25), ("other", 0.5)}
