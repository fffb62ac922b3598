"""The proxy of substitution: printed beside what it stands for, and only where both were measured."""

from __future__ import annotations

import math

import numpy as np
import pytest

from scrutable.evaluators.proxies import proxies
from scrutable.pipeline.recursion.records import Proxy, Substitution

PAIR = ("author", "trained")


def substituted(job: str, x: float, *, lost: float = 2.0, null: float = 0.3) -> list[Substitution]:
    """Nodes of a job whose explanations restore the share x of what they lose beyond the null."""
    own = null + x * (lost - null)
    return [
        Substitution(job, *PAIR, kind, 1, 0, lost, restored)  # type: ignore[arg-type]
        for kind, restored in (("own", own), ("null", null), ("shuffled", null))
    ]


def proxy(x: dict[str, float], fidelity: dict[str, float], *, lost: float = 2.0) -> Proxy:
    """Each job has one node, of the same name."""
    rows = [row for job, share in x.items() for row in substituted(job, share, lost=lost)]
    drawn = {job: {job: 3} for job in x}
    [found] = proxies(rows, drawn, {PAIR: fidelity}, level=1, draws=300, seed=0)
    return found


def test_a_proxy_that_says_what_substitution_says_has_no_difference_and_ranks_alike() -> None:
    x = {f"1/u{n}": share for n, share in enumerate(np.random.default_rng(0).uniform(0, 1, 12))}
    found = proxy(x, dict(x))
    assert found.proxy == pytest.approx(found.substitution)
    assert found.proxy == pytest.approx(np.mean(list(x.values())))
    assert (found.low, found.high) == pytest.approx((0, 0), abs=1e-12)
    assert found.agreement == pytest.approx(1)


def test_explanations_that_describe_but_cannot_stand_in_are_told_by_the_difference() -> None:
    x = {f"1/u{n}": 0.1 + 0.01 * n for n in range(12)}
    found = proxy(x, {job: 0.6 - share for job, share in x.items()})
    assert found.low > 0.2
    assert found.agreement == pytest.approx(-1)


def test_nodes_weigh_by_how_often_they_were_drawn_and_unscored_ones_do_not_count() -> None:
    rows = [row for n in range(3) for row in substituted(f"1/u{n}", 0.5)]
    drawn = {f"1/u{n}": {"good": 3, "bad": 1, "silent": 9} for n in range(3)}
    [found] = proxies(rows, drawn, {PAIR: {"good": 0.8, "bad": 0.0}}, level=1, draws=50, seed=0)
    assert found.proxy == pytest.approx(0.6)
    assert math.isnan(found.agreement)  # every job says the same


@pytest.mark.parametrize(
    ("fidelity", "lost", "reason"),
    [
        ({}, 2.0, "0 jobs with explained nodes"),
        ({"1/u0": 0.5, "1/u1": 0.5}, 2.0, "2 jobs with explained nodes"),
        ({f"1/u{n}": 0.5 for n in range(4)}, 0.3, "the explained nodes lose nothing"),
    ],
)
def test_there_is_no_proxy_without_what_it_is_held_against(
    fidelity: dict[str, float], lost: float, reason: str
) -> None:
    found = proxy({f"1/u{n}": 0.5 for n in range(4)}, fidelity, lost=lost)
    assert math.isnan(found.proxy)
    assert found.reason == reason
