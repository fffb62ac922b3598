"""Units are chosen before anything is known of them, evenly over layers."""

from __future__ import annotations

from collections import Counter

import pytest

from scrutable.pipeline.config import UnitsConfig
from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.selection import select_units

AVAILABLE = [f"L{layer}.N{n}.{sign}" for layer in range(4) for sign in ("pos", "neg") for n in range(10)]


def layers(units: list[str]) -> Counter[str]:
    return Counter(unit.partition(".")[0] for unit in units)


def test_a_sample_is_spread_evenly_over_the_layers() -> None:
    chosen = select_units(AVAILABLE, UnitsConfig(sample=10), seed=0)
    assert sorted(layers(chosen).values()) == [2, 2, 3, 3]
    assert len(set(chosen)) == 10


def test_a_larger_sample_begins_with_the_smaller_one() -> None:
    small, large = (select_units(AVAILABLE, UnitsConfig(sample=n), seed=3) for n in (5, 20))
    assert large[:5] == small


def test_the_seed_decides() -> None:
    draws = [tuple(select_units(AVAILABLE, UnitsConfig(sample=8), seed=seed)) for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]


def test_layers_can_be_named_and_a_missing_one_is_refused() -> None:
    assert set(layers(select_units(AVAILABLE, UnitsConfig(sample=6, layers=(1, 3)), seed=0))) == {"L1", "L3"}
    with pytest.raises(ConfigError, match="no layer 9; the subject has layers 0 to 3"):
        select_units(AVAILABLE, UnitsConfig(layers=(9,)), seed=0)


def test_listed_units_are_taken_as_they_are_and_once() -> None:
    config = UnitsConfig(sample=1, ids=("L2.N1.neg", "L0.N0.pos", "L2.N1.neg"))
    assert select_units(AVAILABLE, config, seed=0) == ["L2.N1.neg", "L0.N0.pos"]


def test_asking_for_more_than_there_are_gives_all() -> None:
    assert set(select_units(AVAILABLE, UnitsConfig(sample=999), seed=0)) == set(AVAILABLE)
