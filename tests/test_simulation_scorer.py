"""The simulation scorer on tiny worlds with known answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scrutable.evaluators.evidence import evidence_of
from scrutable.evaluators.scorers import SCORERS
from scrutable.evaluators.scorers.simulation import METRICS
from scrutable.evaluators.scorers.simulation import calibration as calibration_of
from scrutable.evaluators.scorers.simulation import simulation as scores_of
from scrutable.pipeline.protocols import Evidence, Scorer
from scrutable.pipeline.records import Calibration, Excerpt, Passage, Score, Simulation, Split

UNIT, OWN, OTHER, THIRD = "L1.N1.pos", "L1.N1.pos/llm", "L1.N2.pos/llm", "L1.N3.pos/llm"
FOURTH = "L1.N4.pos/llm"
CONSTANT = "unit constant on every answered test excerpt"
SILENT = "unit silent on every test excerpt"
UNFITTED = "no calibrate simulation answered, or unit silent on every calibrate excerpt"
N_CONTEXT = 2

Predict = Callable[[Sequence[float]], Sequence[float]]
"""Scored activations of an excerpt → what a simulator says of them."""


def excerpt(i: int, split: Split, activations: Sequence[float], *, weight: float = 1.0) -> Excerpt:
    passage = Passage(
        id=f"{split}-{i:02d}", tokens=("x",) * (N_CONTEXT + len(activations)), n_context=N_CONTEXT
    )
    return Excerpt(
        passage=passage,
        document=f"{split}-document-{i // 2:02d}",  # two excerpts for each document
        split=split,
        activations=(99.0,) * N_CONTEXT + tuple(activations),  # context must not be scored
        weight=weight,
        is_top=weight == 1.0 and any(activations),
    )


def world(n: int = 20, *, length: int = 12) -> tuple[tuple[Excerpt, ...], tuple[Excerpt, ...]]:
    """Calibrate and held-out excerpts of a unit that fires on a quarter of the tokens."""
    rng = np.random.default_rng(0)

    def excerpts(split: Split) -> tuple[Excerpt, ...]:
        values = rng.exponential(size=(n, length)) * (rng.random((n, length)) < 0.25)
        return tuple(
            excerpt(i, split, row.tolist(), weight=1.0 + 4 * (i >= n // 2)) for i, row in enumerate(values)
        )

    return excerpts("calibrate"), excerpts("test")


CALIBRATE, HELD_OUT = world()


def simulate(explanation: str, excerpts: Sequence[Excerpt], predict: Predict) -> tuple[Simulation, ...]:
    return tuple(
        Simulation(
            unit=UNIT,
            explanation=explanation,
            simulator="scripted",
            excerpt=e.passage.id,
            expected=tuple(predict(e.activations[N_CONTEXT:])),
        )
        for e in excerpts
    )


def noisy(seed: int, noise: float) -> Predict:
    rng = np.random.default_rng(seed)
    return lambda true: (2 * np.array(true) + rng.normal(scale=noise, size=len(true))).tolist()


def perfect(true: Sequence[float]) -> Sequence[float]:
    return [2.0 * a + 1.0 for a in true]


def opposite(true: Sequence[float]) -> Sequence[float]:
    return [9.0 - a for a in true]


def constant(true: Sequence[float]) -> Sequence[float]:
    return [0.3] * len(true)


def unrelated(seed: int) -> Predict:
    rng = np.random.default_rng(seed)
    return lambda true: rng.normal(size=len(true)).tolist()


class World(NamedTuple):
    """Excerpts of the unit, and simulations of them from its own explanation and others."""

    calibrate: tuple[Excerpt, ...]
    held_out: tuple[Excerpt, ...]
    simulations: tuple[Simulation, ...]

    @property
    def told(self) -> Evidence:
        return evidence_of(
            unit=UNIT,
            author="llm",
            simulator="scripted",
            calibrate=self.calibrate,
            held_out=self.held_out,
            simulations=self.simulations,
        )


def simulation(of: World, *, seed: int, draws: int) -> tuple[Score, ...]:
    return scores_of(of.told, seed=seed, draws=draws)


def calibration(of: World) -> Calibration:
    return calibration_of(of.told)


def evidence(
    *,
    own: Predict | None,
    nulls: dict[str, Predict] | None = None,
    calibrate: tuple[Excerpt, ...] = CALIBRATE,
    held_out: tuple[Excerpt, ...] = HELD_OUT,
) -> World:
    predictors = ({OWN: own} if own else {}) | (nulls or {})
    simulations = [
        s for name, predict in predictors.items() for s in simulate(name, (*calibrate, *held_out), predict)
    ]
    return World(calibrate, held_out, tuple(simulations))


def scores(of: World, *, seed: int = 0, draws: int = 200) -> dict[str, Score]:
    return {score.metric: score for score in simulation(of, seed=seed, draws=draws)}


def without(of: World, explanation: str, excerpts: Sequence[Excerpt]) -> World:
    """The evidence when the calls for these excerpts have failed."""
    failed = {e.passage.id for e in excerpts}
    kept = tuple(s for s in of.simulations if s.explanation != explanation or s.excerpt not in failed)
    return of._replace(simulations=kept)


def test_it_is_registered_and_a_scorer() -> None:
    registered: Scorer = scores_of
    assert SCORERS["simulation"] is registered


def test_a_perfect_simulation_has_score_one_and_context_is_not_scored() -> None:
    result = scores(evidence(own=perfect, nulls={OTHER: unrelated(1)}))
    assert tuple(result) == METRICS
    assert 0.4 < result["gain_bits"].value < math.log2(5)  # bits per token, of five levels
    for score in result.values():
        if score.metric != "gain_bits":
            assert score.value == pytest.approx(1.0)
            assert (score.low, score.high) == pytest.approx((1.0, 1.0))
        assert score.reason == ""
        assert (score.unit, score.explainer, score.simulator, score.scorer) == (
            UNIT,
            "llm",
            "scripted",
            "simulation",
        )
        assert (score.n_asked, score.n_answered, score.n_documents, score.n_nulls) == (20, 20, 10, 1)


def fitted(of: World) -> tuple[float, float]:
    """Slope and intercept of the unit's own explanation."""
    own = calibration(of)
    return own.slope, own.intercept


def test_values_agree_with_a_direct_weighted_computation() -> None:
    of = evidence(own=noisy(1, 1.0))
    by_id = {s.excerpt: s.expected for s in of.simulations}
    true = np.concatenate([e.activations[N_CONTEXT:] for e in HELD_OUT])
    predicted = np.concatenate([by_id[e.passage.id] for e in HELD_OUT])
    w = np.repeat([e.weight for e in HELD_OUT], 12)
    covariance = np.cov(true, predicted, aweights=w, ddof=0)
    expected = covariance[0, 1] / math.sqrt(covariance[0, 0] * covariance[1, 1])
    slope, intercept = fitted(of)
    error = np.average((true - slope * predicted - intercept) ** 2, weights=w)
    result = scores(of)
    assert result["correlation"].value == pytest.approx(expected, abs=1e-12)
    assert result["explained_variance"].value == pytest.approx(1 - error / covariance[0, 0], abs=1e-12)
    for score in result.values():
        assert score.low < score.value < score.high


def test_a_sign_flipped_simulation_is_negative_and_explains_nothing() -> None:
    result = scores(evidence(own=opposite))
    assert result["correlation"].value == pytest.approx(-1.0)
    assert calibration(evidence(own=opposite)).slope == 0.0
    # Slope 0 leaves a constant, whose F is at most 0; rounding of sums of 240 tokens.
    assert result["explained_variance"].value <= 1e-12


def test_calibration_maps_the_simulators_scale_to_raw_units() -> None:
    of = evidence(own=perfect, nulls={OTHER: constant})
    assert fitted(of) == pytest.approx((0.5, -0.5))
    assert calibration(evidence(own=constant)).slope == 0.0


def test_a_calibration_that_nothing_was_answered_for_is_undefined() -> None:
    held_out = {e.passage.id for e in HELD_OUT}
    of = evidence(own=perfect)
    answered = tuple(s for s in of.simulations if s.excerpt in held_out)
    assert all(math.isnan(x) for x in fitted(of._replace(simulations=answered)))


def test_calibration_is_weighted_least_squares_on_the_calibrate_excerpts() -> None:
    of = evidence(own=noisy(1, 1.0))
    by_id = {s.excerpt: s.expected for s in of.simulations}
    true = np.concatenate([e.activations[N_CONTEXT:] for e in CALIBRATE])
    predicted = np.concatenate([by_id[e.passage.id] for e in CALIBRATE])
    roots = np.sqrt(np.repeat([e.weight for e in CALIBRATE], 12))  # polyfit squares its weights
    assert fitted(of) == pytest.approx(np.polyfit(predicted, true, 1, w=roots), abs=1e-12)


def test_the_excess_is_over_the_mean_of_the_nulls_and_paired() -> None:
    of = evidence(own=noisy(1, 1.0), nulls={OTHER: noisy(2, 8.0), THIRD: noisy(3, 8.0)})
    alone = [scores(evidence(own=predict))["correlation"].value for predict in (noisy(2, 8.0), noisy(3, 8.0))]
    score = scores(of)["correlation"]
    assert score.null == pytest.approx(sum(alone) / 2)
    assert score.excess == pytest.approx(score.value - score.null)
    assert score.excess_low < score.excess < score.excess_high
    assert score.n_nulls == 2


def test_an_explanation_that_equals_its_null_has_an_excess_of_exactly_zero() -> None:
    """Pairing: the same documents are drawn for both, so that nothing is left of the difference."""
    for score in scores(evidence(own=noisy(1, 1.0), nulls={OTHER: noisy(1, 1.0)})).values():
        assert (score.excess, score.excess_low, score.excess_high) == (0.0, 0.0, 0.0)
        assert score.low < score.high


def test_a_constant_null_is_left_out_of_the_mean_but_its_explained_variance_counts() -> None:
    result = scores(evidence(own=noisy(1, 1.0), nulls={OTHER: constant, THIRD: noisy(3, 8.0)}))
    only = scores(evidence(own=noisy(1, 1.0), nulls={THIRD: noisy(3, 8.0)}))
    assert result["correlation"].n_nulls == 1
    assert result["correlation"].null == only["correlation"].null
    assert result["explained_variance"].n_nulls == 2


def test_a_constant_null_says_nothing_and_ranks_as_a_correlation_of_nothing() -> None:
    """As the short programs of other units do, which fire nowhere in this unit's text."""
    good, turned = noisy(1, 1.0), lambda true: [-x for x in noisy(1, 1.0)(true)]
    nulls = {OTHER: constant, THIRD: noisy(3, 8.0)}
    found, opposite = (scores(evidence(own=own, nulls=nulls)) for own in (good, turned))
    score = found["correlation"]
    assert (score.n_nulls, score.n_flat_nulls, len(score.ranked_nulls)) == (1, 1, 2)
    assert score.p == pytest.approx(1 / 3)
    assert opposite["correlation"].value < 0
    assert opposite["correlation"].p == 1.0  # worse than saying nothing
    assert found["explained_variance"].n_flat_nulls == 0  # where it has a value of its own


def test_a_null_that_is_constant_in_a_draw_is_left_out_of_that_draw() -> None:
    """One null equals the own simulation; the other speaks on one token of one document of ten.

    That document is missing from 0.9^10 = 35 % of the draws. The excess is then over the first null
    alone, exactly 0; elsewhere it is half of a positive difference. So its lower end is 0.
    """
    spoken = HELD_OUT[-1].activations[N_CONTEXT:]

    def once(true: Sequence[float]) -> Sequence[float]:
        return [float(tuple(true) == spoken)] + [0.0] * (len(true) - 1)

    score = scores(evidence(own=noisy(1, 1.0), nulls={OTHER: noisy(1, 1.0), THIRD: once}))["correlation"]
    assert (score.n_nulls, score.excess_low) == (2, 0.0)
    assert score.excess > 0.0


def test_without_a_null_the_excess_is_undefined_and_the_value_is_not() -> None:
    for score in scores(evidence(own=noisy(1, 1.0))).values():
        assert not math.isnan(score.value)
        assert all(math.isnan(x) for x in (score.null, score.excess, score.excess_low, score.excess_high))
        assert (score.n_nulls, score.reason) == (0, "")


def test_failed_calls_are_counted_and_left_out_of_both_sides() -> None:
    of = without(evidence(own=noisy(1, 1.0), nulls={OTHER: unrelated(2)}), OWN, HELD_OUT[:3])
    # The same world in which the three excerpts were never sampled; the first document is gone.
    smaller = without(of, OTHER, HELD_OUT[:3])._replace(held_out=HELD_OUT[3:])
    for with_failures, never_sampled in zip(
        simulation(of, seed=0, draws=50), simulation(smaller, seed=0, draws=50), strict=True
    ):
        assert with_failures.value == pytest.approx(never_sampled.value, abs=1e-12)
        assert (with_failures.n_asked, with_failures.n_answered, with_failures.n_documents) == (20, 17, 9)


def test_a_failed_call_of_a_null_leaves_the_own_score_as_it_is() -> None:
    of = evidence(own=noisy(1, 1.0), nulls={OTHER: noisy(2, 4.0)})
    before, after = scores(of), scores(without(of, OTHER, HELD_OUT[:5]))
    for metric, score in after.items():
        was = before[metric]  # but for the rounding of a matrix product of another size
        assert (score.value, score.low, score.high) == pytest.approx(
            (was.value, was.low, was.high), rel=1e-12
        )
        assert score.n_answered == 20
        assert score.null != before[metric].null


def test_a_constant_simulation_has_no_correlation_and_no_explained_variance_worth_naming() -> None:
    result = scores(evidence(own=constant, nulls={OTHER: unrelated(1)}))
    for metric in ("correlation", "top_and_random"):
        score = result[metric]
        assert all(
            math.isnan(x) for x in (score.value, score.low, score.high, score.excess, score.excess_low)
        )
        assert not math.isnan(score.null)
        assert score.reason == "constant simulation"
    # F of a constant c is -(c - mean)² / variance: the means of two samples of 20 x 12 tokens differ by
    # sd * sqrt(2 / 240) at one standard error, times 1.2 for the unequal weights: three of them, squared.
    assert -((3 * 1.2) ** 2) * 2 / 240 < result["explained_variance"].value <= 1e-12
    assert result["explained_variance"].reason == ""


def silent(excerpts: Sequence[Excerpt]) -> tuple[Excerpt, ...]:
    return tuple(replace(e, activations=(0.0,) * len(e.activations), is_top=False) for e in excerpts)


@pytest.mark.parametrize(
    ("of", "reasons"),
    [
        (evidence(own=perfect, held_out=()), ("no test excerpt",) * 5),
        (evidence(own=None, nulls={OTHER: unrelated(1)}), ("no simulation answered",) * 5),
        (evidence(own=unrelated(1), held_out=silent(HELD_OUT)), (SILENT, SILENT, SILENT, "", SILENT)),
        (
            without(evidence(own=perfect, held_out=HELD_OUT[:2] + silent(HELD_OUT[2:])), OWN, HELD_OUT[:2]),
            (CONSTANT, CONSTANT, "unit fires on no answered test excerpt", "", CONSTANT),
        ),
        (
            evidence(own=perfect, held_out=tuple(replace(e, is_top=False) for e in HELD_OUT)),
            ("", "", "", "", "no top excerpt answered"),
        ),
        (
            without(evidence(own=perfect), OWN, CALIBRATE),
            ("", "no calibrate simulation answered", "", UNFITTED, ""),
        ),
        (
            evidence(
                own=perfect,
                held_out=tuple(replace(e, passage=replace(e.passage, n_context=14)) for e in HELD_OUT),
            )._replace(simulations=simulate(OWN, HELD_OUT, lambda _: [])),
            ("no scored token on any test excerpt",) * 5,
        ),
    ],
    ids=[
        "no excerpt",
        "no answer",
        "silent",
        "silent where answered",
        "no top",
        "no calibrate",
        "no token",
    ],
)
def test_an_undefined_score_says_why(of: World, reasons: tuple[str, ...]) -> None:
    result = simulation(of, seed=0, draws=50)
    assert tuple(score.reason for score in result) == reasons
    assert tuple(math.isnan(score.value) for score in result) == tuple(bool(reason) for reason in reasons)


def test_one_document_gives_a_value_without_an_interval() -> None:
    for score in scores(evidence(own=noisy(1, 1.0), held_out=HELD_OUT[:2])).values():
        assert not math.isnan(score.value)
        assert math.isnan(score.low)
        assert (score.n_documents, score.reason) == (1, "")


def test_label_mass_is_the_mean_over_answered_test_excerpts_of_the_own_explanation() -> None:
    of = evidence(own=perfect, nulls={OTHER: unrelated(1)})
    assert math.isnan(scores(of)["correlation"].label_mass)
    masses = {HELD_OUT[0].passage.id: 0.5, HELD_OUT[1].passage.id: 1.0, CALIBRATE[0].passage.id: 0.1}
    read = tuple(
        replace(s, label_mass=masses.get(s.excerpt, math.nan) if s.explanation == OWN else 0.2)
        for s in of.simulations
    )
    assert scores(of._replace(simulations=read))["correlation"].label_mass == pytest.approx(0.75)


@settings(max_examples=20)
@given(st.randoms(use_true_random=False))
def test_the_order_of_everything_is_irrelevant_to_the_last_bit(random: Random) -> None:
    of = evidence(own=noisy(1, 1.0), nulls={OTHER: noisy(2, 4.0), THIRD: unrelated(3), FOURTH: noisy(4, 4.0)})
    calibrate, held_out, simulations = list(of.calibrate), list(of.held_out), list(of.simulations)
    random.shuffle(calibrate)
    random.shuffle(held_out)
    random.shuffle(simulations)
    again = of._replace(calibrate=tuple(calibrate), held_out=tuple(held_out), simulations=tuple(simulations))
    assert repr(simulation(again, seed=0, draws=50)) == repr(simulation(of, seed=0, draws=50))


def test_the_seed_moves_the_interval_and_never_the_value() -> None:
    of = evidence(own=noisy(1, 1.0), nulls={OTHER: unrelated(2)})
    first, second = scores(of, seed=0)["correlation"], scores(of, seed=1)["correlation"]
    assert (first.value, first.null, first.excess) == (second.value, second.null, second.excess)
    assert (first.low, first.high) != (second.low, second.high)


def test_top_and_random_forgives_false_alarms_on_ordinary_text() -> None:
    """False alarms on every silent excerpt, of weight 50; none on the excerpts that fire."""
    firing = tuple(excerpt(i, "test", [0, 0, 0, 1, 0, 0, 0, 1]) for i in range(10))
    quiet = tuple(excerpt(10 + i, "test", [0] * 8, weight=50.0) for i in range(10))

    def broad(true: Sequence[float]) -> Sequence[float]:
        return true if any(true) else [0, 0, 0, 1, 0, 0, 0, 0]

    result = scores(evidence(own=broad, calibrate=(), held_out=firing + quiet))

    # Binary and nested: sqrt(p(1-q) / (q(1-p))), with p and q under each metric's weights.
    def nested(p: float, q: float) -> float:
        return math.sqrt(p * (1 - q) / (q * (1 - p)))

    p, q = 20 / (510 * 8), (20 + 500) / (510 * 8)
    assert result["correlation"].value == pytest.approx(nested(p, q))
    assert result["top_and_random"].value == pytest.approx(nested((p + 0.25) / 2, (q + 0.25) / 2))
    assert result["top_and_random"].value > 3 * result["correlation"].value


def altered(of: World, **changes: object) -> World:
    return of._replace(simulations=(replace(of.simulations[0], **changes), *of.simulations[1:]))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"expected": (1.0,) * 11}, f"calibrate-00 from explanation {OWN} has 11 values for 12"),
        (
            {"expected": (math.nan,) * 12},
            "calibrate-00 or a simulation of it holds values that are not finite",
        ),
        ({"excerpt": "nowhere"}, "no such calibrate or held-out excerpt"),
        ({"excerpt": "calibrate-01"}, "twice"),
        ({"unit": "L1.N2.pos"}, "for L1.N2.pos, expected scripted for L1.N1.pos"),
        ({"simulator": "other"}, "by other for L1.N1.pos"),
        ({"explanation": f"{UNIT}/human"}, "a null of its own"),
    ],
)
def test_evidence_that_contradicts_itself_is_refused_by_name(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        simulation(altered(evidence(own=perfect), **changes), seed=0, draws=10)
