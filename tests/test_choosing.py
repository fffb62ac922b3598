"""Best of k is chosen on calibrate, and its null goes through the same choice."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest

from scrutable.evaluators.choosing import choose_best
from scrutable.evaluators.scorers.simulation import simulation
from scrutable.pipeline.protocols import Evidence, Simulated
from scrutable.pipeline.records import Excerpt, Passage, Split

LENGTH = 20


def an_excerpt(split: Split, i: int, rng: np.random.Generator) -> Excerpt:
    fires = rng.random(LENGTH) < 0.2
    passage = Passage(f"{split}-{i:02d}", ("x",) * LENGTH, 0)
    return Excerpt(passage, f"{split}-{i}", split, tuple(fires.astype(float)), weight=1.0, is_top=False)


def simulated(name: str, excerpts: tuple[Excerpt, ...], values: np.ndarray) -> Simulated:
    return Simulated(
        explanation=name,
        excerpts=tuple(e.passage.id for e in excerpts),
        lengths=np.full(len(excerpts), LENGTH),
        expected=values.astype(float),
        probabilities=np.zeros((values.size, 0), dtype=np.float32),
        levels=(),
        label_mass=np.full(len(excerpts), np.nan),
    )


class Candidates(NamedTuple):
    """Of one unit, and those of the units that serve as its null."""

    own: list[Evidence]
    nulls: list[Simulated]

    def best(self, seed: int = 0) -> Evidence | None:
        return choose_best(self.own, self.nulls, author="llm.best", seed=seed)


def candidates(seed: int, *, k: int, n_nulls: int, of_each: int | None = None) -> Candidates:
    """Explanations that say nothing: what they predict is as random as what the nulls predict.

    `n_nulls` units have `of_each` candidates, as many as the unit if nothing is said.
    """
    rng = np.random.default_rng(seed)
    calibrate = tuple(an_excerpt("calibrate", i, rng) for i in range(6))
    held_out = tuple(an_excerpt("test", i, rng) for i in range(8))
    whole = (*calibrate, *held_out)  # in the order of their ids
    # Calibrate and test share what makes an explanation look good: a taste for the unit's base rate.
    truth = np.concatenate([e.activations for e in whole])

    def guess(name: str) -> Simulated:
        luck = rng.normal(scale=0.15)
        return simulated(name, whole, rng.normal(size=truth.size) + luck * truth)

    names = ["llm" if c == 1 else f"llm.{c}" for c in range(1, k + 1)]
    of_others = ["llm", *(f"llm.{c}" for c in range(2, (of_each or k) + 1))]
    nulls = [guess(f"v{i}/{name}") for i in range(n_nulls) for name in of_others]
    firsts = tuple(null for null in nulls if null.explanation.endswith("/llm"))
    return Candidates(
        [Evidence("u", name, "s", calibrate, held_out, guess(f"u/{name}"), firsts) for name in names], nulls
    )


def test_the_chosen_one_is_the_best_on_calibrate_whatever_it_does_on_test() -> None:
    of = candidates(0, k=2, n_nulls=4)
    first, second = of.own
    truth = np.concatenate([e.activations for e in (*first.calibrate, *first.held_out)])
    split = LENGTH * len(first.calibrate)
    good_then_bad = np.concatenate([truth[:split], -truth[split:]])
    bad_then_good = -good_then_bad
    excerpts = (*first.calibrate, *first.held_out)
    first = first._replace(own=simulated("u/llm", excerpts, good_then_bad))
    second = second._replace(own=simulated("u/llm.2", excerpts, bad_then_good))
    best = choose_best([second, first], of.nulls, author="llm.best", seed=0)
    assert best is not None
    assert best.own is not None
    assert best.own.explanation == "u/llm"
    assert best.explainer == "llm.best"
    assert simulation(best, seed=0, draws=10)[0].value == pytest.approx(-1.0)


@pytest.mark.parametrize(
    ("k", "n_units", "of_each", "n_hands"),
    [(1, 6, 1, 6), (2, 6, 2, 6), (4, 6, 4, 6), (2, 6, 3, 6), (2, 6, 1, 3), (4, 6, 2, 3), (4, 3, 1, 1)],
)
def test_a_null_is_the_best_of_as_many_and_of_one_unit_where_that_has_as_many(
    k: int, n_units: int, of_each: int, n_hands: int
) -> None:
    of = candidates(1, k=k, n_nulls=n_units, of_each=of_each)
    best = of.best()
    assert best is not None
    assert len({null.explanation.partition("/")[0] for null in best.nulls}) == len(best.nulls) == n_hands


def test_without_nulls_there_are_none() -> None:
    best = candidates(1, k=3, n_nulls=0).best()
    assert best is not None
    assert best.nulls == ()


def test_nineteen_units_are_enough_to_find_the_best_of_three() -> None:
    of = candidates(0, k=3, n_nulls=19)
    whole = (*of.own[0].calibrate, *of.own[0].held_out)
    truth = np.concatenate([e.activations for e in whole])
    of.own[1] = of.own[1]._replace(own=simulated("u/llm.2", whole, truth))
    best = of.best()
    assert best is not None
    assert simulation(best, seed=0, draws=2)[0].p == pytest.approx(1 / 20)


@pytest.mark.parametrize("of_each", [4, 1])
def test_best_of_k_among_explanations_that_say_nothing_is_called_no_more_often_than_it_should(
    of_each: int,
) -> None:
    """p <= 0.25 must come up in a quarter of 200 units; best of 4 against single nulls does far oftener."""
    fair = unfair = 0
    for seed in range(200):
        of = candidates(seed, k=4, n_nulls=3 * (4 // of_each), of_each=of_each)
        best = of.best(seed)
        assert best is not None
        fair += simulation(best, seed=0, draws=2)[0].p <= 0.25
        unfair += simulation(best._replace(nulls=tuple(of.nulls)), seed=0, draws=2)[0].p <= 0.25
    three_errors = 3 * (0.25 * 0.75 / 200) ** 0.5
    assert abs(fair / 200 - 0.25) < three_errors
    assert unfair / 200 > 0.25 + three_errors


def test_a_candidate_without_simulations_is_passed_over_and_none_is_chosen_of_none() -> None:
    of = candidates(2, k=2, n_nulls=2)
    silent = [one._replace(own=None) for one in of.own]
    assert Candidates(silent, of.nulls).best() is None
    best = Candidates([silent[0], of.own[1]], of.nulls).best()
    assert best is not None
    assert best.own == of.own[1].own


def test_the_order_of_the_nulls_changes_nothing() -> None:
    of = candidates(3, k=2, n_nulls=6)
    one, other = of.best(), Candidates(of.own, of.nulls[::-1]).best()
    assert one is not None
    assert other is not None
    assert [n.explanation for n in one.nulls] == [n.explanation for n in other.nulls]


def test_without_a_calibrate_excerpt_the_first_candidate_is_taken() -> None:
    of = candidates(4, k=3, n_nulls=3)
    bare = [one._replace(calibrate=(), held_out=tuple(replace(e) for e in one.held_out)) for one in of.own]
    best = Candidates(bare, of.nulls).best()
    assert best is not None
    assert best.own == of.own[0].own
