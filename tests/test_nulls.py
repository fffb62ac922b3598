"""Laws of the assignment of null explanations."""

from __future__ import annotations

import math
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrutable.evaluators.nulls import assign_nulls
from scrutable.pipeline.records import Unit


def unit(layer: int, index: int, density: float = 0.1, *, negative: bool = False) -> Unit:
    sign = "neg" if negative else "pos"
    return Unit(
        id=f"L{layer}.N{index}.{sign}",
        layer=layer,
        index=index,
        sign="neg" if negative else "pos",
        density=density,
        max_activation=1.0,
    )


@st.composite
def samples(draw: st.DrawFn, smallest: int = 0) -> list[Unit]:
    """Units of up to three layers, often both signs of a neuron, some that never fire."""
    keys = st.tuples(st.sampled_from([0, 1, 5]), st.integers(0, 12), st.booleans())
    density = st.one_of(st.floats(1e-5, 1.0), st.just(math.nan))
    chosen = draw(st.dictionaries(keys, density, min_size=smallest, max_size=40))
    return [unit(layer, index, d, negative=negative) for (layer, index, negative), d in chosen.items()]


def is_same_neuron(one: str, other: str) -> bool:
    return one.rpartition(".")[0] == other.rpartition(".")[0]


@given(samples(), st.integers(0, 5), st.integers(0, 3))
def test_every_unit_gets_as_many_others_as_there_are_and_never_its_own_neuron(
    units: list[Unit], count: int, seed: int
) -> None:
    nulls = assign_nulls(units, count=count, seed=seed)
    assert set(nulls) == {u.id for u in units}
    for name, others in nulls.items():
        eligible = {u.id for u in units if not is_same_neuron(u.id, name)}
        assert set(others) <= eligible
        assert len(set(others)) == len(others) == min(count, len(eligible))


@given(samples(smallest=14), st.integers(1, 5), st.integers(0, 3))
def test_every_unit_serves_as_a_null_exactly_count_times(units: list[Unit], count: int, seed: int) -> None:
    """From 2·count + 4 units on: the bound that the module derives."""
    used = Counter(null for others in assign_nulls(units, count=count, seed=seed).values() for null in others)
    assert used == {u.id: count for u in units}


@given(samples(), st.integers(0, 5), st.integers(0, 3), st.randoms(use_true_random=False))
def test_the_order_of_units_is_irrelevant(units: list[Unit], count: int, seed: int, random: Random) -> None:
    before = assign_nulls(units, count=count, seed=seed)
    random.shuffle(units)
    assert assign_nulls(units, count=count, seed=seed) == before


def test_nulls_are_of_the_same_layer_and_of_neighbouring_density() -> None:
    """60 units of 3 layers: rotations of at most 2·count / 2 places on a ring whose steps are 2 ranks."""
    count = 3
    units = [unit(layer, i, 10 ** (-4 + i / 10)) for layer in (2, 7, 9) for i in range(20)]
    by_id = {u.id: u for u in units}
    for name, others in assign_nulls(units, count=count, seed=0).items():
        for other in others:
            assert by_id[other].layer == by_id[name].layer
            assert 0 < abs(by_id[other].index - by_id[name].index) <= 2 * count


def test_layers_with_few_units_are_pooled_with_the_nearest_layers() -> None:
    units = [unit(layer, i) for layer in range(12) for i in range(2)]  # pooled to 4 layers of 2 units
    by_id = {u.id: u for u in units}
    for name, others in assign_nulls(units, count=2, seed=0).items():
        assert len(others) == 2
        assert all(abs(by_id[other].layer - by_id[name].layer) <= 3 for other in others)


def test_the_seed_changes_the_assignment() -> None:
    units = [unit(0, i, (i + 1) / 50) for i in range(40)]
    assert len({str(assign_nulls(units, count=3, seed=seed)) for seed in range(10)}) > 1


def test_too_few_units_leave_fewer_nulls_or_none() -> None:
    one, other, twin = unit(0, 1), unit(0, 2), unit(0, 1, negative=True)
    assert assign_nulls([], count=3, seed=0) == {}
    assert assign_nulls([one], count=3, seed=0) == {one.id: ()}
    assert assign_nulls([one, twin], count=3, seed=0) == {one.id: (), twin.id: ()}
    assert assign_nulls([one, other], count=3, seed=0) == {one.id: (other.id,), other.id: (one.id,)}


@pytest.mark.parametrize("seed", range(5))
def test_three_units_of_which_two_share_a_neuron_all_have_a_null(seed: int) -> None:
    """No rotation of three serves: both signs need the one other unit, which is then used twice."""
    positive, negative, other = unit(0, 0, 0.02), unit(0, 0, 0.9, negative=True), unit(0, 2, 0.2)
    nulls = assign_nulls([positive, negative, other], count=1, seed=seed)
    assert nulls[positive.id] == nulls[negative.id] == (other.id,)
    assert nulls[other.id] in ((positive.id,), (negative.id,))


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"twice: L0\.N1\.pos"):
        assign_nulls([unit(0, 1), unit(0, 1)], count=1, seed=0)
    with pytest.raises(ValueError, match="count"):
        assign_nulls([], count=-1, seed=0)
