"""Which pairs are shown: outcomes and sources in turn."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scrutable.pipeline.behaviours.pairs import balanced
from scrutable.pipeline.behaviours.protocols import Pair, Shown
from scrutable.pipeline.behaviours.records import Input
from tests.toy_behaviours import OUTCOMES, shown


def job(granted: int, denied: int, *, sources: int = 5) -> Shown:
    """So many pairs of each outcome."""
    given = [
        Input(f"desk.{n}", "desk", f"source {n % sources}", "explain", "please" if n < granted else "now")
        for n in range(granted + denied)
    ]
    return shown(given)


def outcomes(chosen: tuple[Pair, ...]) -> tuple[str, ...]:
    return tuple(pair.observation.outcome for pair in chosen)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 40), st.integers(0, 9))
def test_outcomes_are_as_even_as_the_pairs_allow(granted: int, denied: int, count: int, seed: int) -> None:
    found = outcomes(balanced(job(granted, denied), count=count, seed=seed))
    a, b = (found.count(name) for name in OUTCOMES)
    assert a + b == min(count, granted + denied)
    assert abs(a - b) <= 1 or a == min(granted, a + b) < b or b == min(denied, a + b) < a


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 40), st.integers(0, 9))
def test_only_what_was_seen_is_shown_and_nothing_twice(
    granted: int, denied: int, count: int, seed: int
) -> None:
    seen = job(granted, denied)
    chosen = balanced(seen, count=count, seed=seed)
    assert len({pair.input.id for pair in chosen}) == len(chosen)
    assert set(chosen) <= set(seen.pairs)


def test_no_source_comes_twice_before_all_came_once() -> None:
    for seed in range(10):
        chosen = balanced(job(20, 20, sources=5), count=10, seed=seed)
        for outcome in OUTCOMES:
            sources = [pair.input.source for pair in chosen if pair.observation.outcome == outcome]
            assert sorted(sources) == [f"source {n}" for n in range(5)]


def test_the_order_does_not_tell_the_outcome() -> None:
    orders = {outcomes(balanced(job(9, 9), count=6, seed=seed)) for seed in range(20)}
    assert len(orders) > 5


def test_the_choice_depends_on_the_seed_and_the_behaviour_alone() -> None:
    seen = job(20, 20)
    other = Shown(seen.definition.model_copy(update={"name": "counter"}), seen.pairs)
    first = balanced(seen, count=12, seed=0)
    assert first == balanced(seen, count=12, seed=0)
    assert first != balanced(seen, count=12, seed=1)
    assert first != balanced(other, count=12, seed=0)
