"""The sampling design: every window is represented, and weights say by how many."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrutable.pipeline.records import Unit
from scrutable.pipeline.sampling import Captured, design

POPULATIONS = st.lists(st.integers(0, 30), min_size=1, max_size=8).filter(any)


@given(POPULATIONS, st.integers(0, 6), st.integers(1, 5), st.randoms(use_true_random=False))
def test_weights_sum_to_the_number_of_windows(
    population: list[int], n_top: int, k: int, random: Random
) -> None:
    strata = [s for s, n in enumerate(population) for _ in range(n)]  # window w lies in strata[w]
    ranked = sorted(range(len(strata)), key=lambda w: (-strata[w], w))
    order = random.sample(range(len(strata)), k=len(strata))
    slots = [[w for w in order if strata[w] == s][:k] for s in range(len(population))]
    top = ranked[:n_top]
    sample = design(top=top, top_strata=[strata[w] for w in top], slots=slots, population=population)
    left = [w for w in range(len(strata)) if w not in top]
    if left and not (set(sample.windows) - set(top)):
        return  # no random window survives beside the top: nothing is left to carry the rest
    assert sum(sample.weights) == pytest.approx(len(strata))
    assert len(set(sample.windows)) == len(sample.windows)
    assert all(weight >= 1 - 1e-12 for weight in sample.weights)


def test_top_windows_count_for_themselves_and_the_rest_of_their_stratum_for_the_rest() -> None:
    sample = design(top=[7], top_strata=[1], slots=[[0, 1], [7, 8, 9]], population=[10, 5])
    assert sample.windows == (7, 0, 1, 8, 9)
    assert sample.weights == (1.0, 5.0, 5.0, 2.0, 2.0)
    assert sample.n_top == 1


def test_a_stratum_without_a_sampled_window_is_carried_by_its_nearest_neighbour() -> None:
    sample = design(top=[5], top_strata=[2], slots=[[0], [3], [5]], population=[4, 6, 3])
    assert dict(zip(sample.windows, sample.weights, strict=True)) == {5: 1.0, 0: 4.0, 3: 8.0}


def test_the_weighted_mean_of_many_samples_is_the_mean_of_the_population() -> None:
    rng = np.random.default_rng(0)
    values = np.sort(rng.exponential(size=200))
    strata = np.searchsorted(np.quantile(values, [0.5, 0.9]), values)
    population = [int((strata == s).sum()) for s in range(3)]
    top = [int(w) for w in np.argsort(values)[::-1][:4]]
    estimates = []
    for _ in range(400):
        order = rng.permutation(200)
        slots = [[int(w) for w in order if strata[w] == s][:6] for s in range(3)]
        sample = design(top=top, top_strata=[int(strata[w]) for w in top], slots=slots, population=population)
        estimates.append(float(np.dot(values[list(sample.windows)], sample.weights)) / 200)
    error = np.std(estimates) / np.sqrt(len(estimates))
    assert abs(np.mean(estimates) - values.mean()) < 4 * error


def test_units_can_be_picked_out_in_any_order() -> None:
    units = tuple(Unit(f"L0.N{i}.pos", 0, i, "pos", 0.1, 1.0) for i in range(3))
    slots = np.arange(3 * 3 * 2 * 1, dtype=np.int32).reshape(3, 3, 2, 1)
    captured = Captured(
        units=units,
        top_windows=np.arange(9, dtype=np.int32).reshape(3, 3, 1),
        top_strata=np.zeros((3, 3, 1), dtype=np.int8),
        slots=slots,
        population=np.ones((3, 3, 2), dtype=np.int32),
    )
    some = captured.only(["L0.N2.pos", "L0.N0.pos"])
    assert [unit.id for unit in some.units] == ["L0.N2.pos", "L0.N0.pos"]
    for unit in ("L0.N2.pos", "L0.N0.pos"):
        for split in ("explain", "test"):
            picked = some.sampled(unit, split, top=1, per_stratum=1)
            assert picked == captured.sampled(unit, split, top=1, per_stratum=1)
    with pytest.raises(KeyError):
        captured.only(["L9.N0.pos"])
