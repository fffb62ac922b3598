"""What a score must do before it may be believed: the sanity checks that most metrics of the field fail.

Missing- and extra-label tests: Oikarinen et al. 2025 (arXiv 2506.05774). A planted 0/1 unit; the simulation
is the truth with half of its labels dropped, or with as many false ones added.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from scrutable.evaluators.scorers.simulation import simulation
from scrutable.pipeline.protocols import Evidence, Simulated
from scrutable.pipeline.records import Excerpt, Passage, Split

LENGTH = 50
RATES = (0.1, 0.03, 0.01, 0.003, 0.001)
HEADLINE = ("correlation", "explained_variance", "auprc", "gain_bits")
Values = NDArray[np.float64]


def excerpts(split: Split, rows: Values, weights: Values | None = None) -> tuple[Excerpt, ...]:
    weights = np.ones(len(rows)) if weights is None else weights
    return tuple(
        Excerpt(
            passage=Passage(f"{split}-{i:04d}", ("x",) * LENGTH, 0),
            document=f"{split}-{i % 40}",
            split=split,
            activations=tuple(row.tolist()),
            weight=float(weight),
            is_top=bool(weight == 1.0 and row.any()),
        )
        for i, (row, weight) in enumerate(zip(rows, weights, strict=True))
    )


def values_of(calibrate: tuple[Values, Values], test: tuple[Values, Values]) -> dict[str, float]:
    """Metric → value for (truth, simulation) of each split, rows being excerpts."""
    splits = (excerpts("calibrate", calibrate[0]), excerpts("test", test[0]))
    return scored(splits, np.concatenate([calibrate[1].ravel(), test[1].ravel()]))


def scored(splits: tuple[tuple[Excerpt, ...], tuple[Excerpt, ...]], simulated: Values) -> dict[str, float]:
    calibrate, test = splits
    both = (*calibrate, *test)
    own = Simulated(
        explanation="u/llm",
        excerpts=tuple(e.passage.id for e in both),
        lengths=np.full(len(both), LENGTH),
        expected=simulated,
        probabilities=np.zeros((simulated.size, 0), dtype=np.float32),
        levels=(),
        label_mass=np.full(len(both), np.nan),
    )
    evidence = Evidence("u", "llm", "s", calibrate, test, own, ())
    return {score.metric: score.value for score in simulation(evidence, seed=0, draws=1)}


def planted(rate: float, n: int, rng: np.random.Generator) -> Values:
    """(n, T) 0 or 1, with exactly the share `rate` of ones, an even number of them."""
    flat = np.zeros(n * LENGTH)
    flat[rng.choice(flat.size, size=2 * max(1, round(rate * flat.size / 2)), replace=False)] = 1.0
    return flat.reshape(n, LENGTH)


def dropped(truth: Values, rng: np.random.Generator) -> Values:
    fires = np.flatnonzero(truth)
    changed = truth.ravel().copy()
    changed[rng.choice(fires, size=fires.size // 2, replace=False)] = 0.0
    return changed.reshape(truth.shape)


def doubled(truth: Values, rng: np.random.Generator) -> Values:
    silent = np.flatnonzero(truth == 0)
    changed = truth.ravel().copy()
    changed[rng.choice(silent, size=int(truth.sum()), replace=False)] = 1.0
    return changed.reshape(truth.shape)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("change", [dropped, doubled], ids=["missing labels", "extra labels"])
def test_every_headline_metric_falls_when_labels_are_dropped_or_added(rate: float, change: object) -> None:
    rng = np.random.default_rng(0)
    calibrate, test = planted(rate, 200, rng), planted(rate, 400, rng)
    right = values_of((calibrate, calibrate), (test, test))
    wrong = values_of((calibrate, change(calibrate, rng)), (test, change(test, rng)))  # type: ignore[operator]
    for metric in HEADLINE:
        assert wrong[metric] < 0.9 * right[metric], metric
    # Half of the labels: sqrt(1/2) in correlation, whatever the rate, but for terms of the order of the rate.
    assert wrong["correlation"] == pytest.approx(0.5**0.5, abs=rate + 0.01)


@pytest.mark.parametrize("rate", RATES)
def test_a_sign_flipped_simulation_is_negative_and_gains_nothing(rate: float) -> None:
    rng = np.random.default_rng(1)
    calibrate, test = planted(rate, 200, rng), planted(rate, 400, rng)
    flipped = values_of((calibrate, 1 - calibrate), (test, 1 - test))
    assert flipped["correlation"] == pytest.approx(-1.0)
    assert flipped["explained_variance"] <= 1e-9
    assert flipped["gain_bits"] <= 0.0
    assert flipped["auprc"] <= rate + 1e-6  # curves are kept in float32


def broad_world(rng: np.random.Generator) -> tuple[Values, Values]:
    """A unit that fires with noise on 0.2 % of tokens, and a description that is ten times too broad.

    A firing token has a strength of 1 plus noise of SD 0.8 that the description cannot know: a true
    description then correlates by 1 / sqrt(1 + 0.64) = 0.78, and one ten times too broad, 0.78 / sqrt(10) =
    0.247 (SCIENCE.md 0.3 has 0.77 and 0.24).
    """
    fires = rng.random((20_000, LENGTH)) < 0.002
    true = fires * np.maximum(1 + 0.8 * rng.normal(size=fires.shape), 0.0)
    broad = fires | (rng.random(fires.shape) < 0.018)
    return true, broad.astype(float)


def sampled(true: Values, rng: np.random.Generator) -> tuple[NDArray[np.intp], Values]:
    """The 24 strongest windows for certain and 60 of the others that fire, 120 of those that do not."""
    strength = true.max(axis=1)
    order = np.argsort(-strength)
    firing = order[24 : int((strength > 0).sum())]
    silent = order[int((strength > 0).sum()) :]
    chosen = np.concatenate([order[:24], rng.choice(firing, 60, False), rng.choice(silent, 120, False)])
    weights = np.repeat([1.0, len(firing) / 60, len(silent) / 120], [24, 60, 120])
    return chosen, weights


def test_a_description_ten_times_too_broad_gets_its_population_value_from_a_sample() -> None:
    rng = np.random.default_rng(2)
    true, broad = broad_world(rng)
    population = float(np.corrcoef(true.ravel(), broad.ravel())[0, 1])
    assert population == pytest.approx(0.24, abs=0.02)
    found = []
    for _ in range(40):
        chosen, weights = sampled(true, rng)
        test = excerpts("test", true[chosen], weights)
        found.append(scored(((), test), broad[chosen].ravel()))
    by_metric = {m: np.array([f[m] for f in found]) for m in ("correlation", "top_and_random")}
    error = by_metric["correlation"].std() / 40**0.5
    assert by_metric["correlation"].mean() == pytest.approx(population, abs=3 * error + 0.01)
    assert by_metric["top_and_random"].mean() > 2 * population  # the literature's score does not see it
