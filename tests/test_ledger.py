"""The ledger of trust: planted trees whose shares are known, and the identity that always holds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_claims import claim, parties, planted_tree

from scrutable.pipeline.recursion.ledger import Party, keep_ledger
from scrutable.pipeline.recursion.records import Claim, LedgerRow


def ledger(claims: list[Claim], *, levels: int = 3, **how: str) -> tuple[LedgerRow, ...]:
    return keep_ledger(claims, parties(levels), draws=200, seed=0, **how)  # type: ignore[arg-type]


def shares(row: LedgerRow) -> tuple[float, float, float]:
    return row.discharged, row.stranded, row.passed_up


@pytest.mark.parametrize(
    ("v", "kept", "expected"),
    [
        (1.0, 0.0, (1, 0, 0)),  # a readable program that the checker accepts
        (0.0, 0.0, (0, 1, 0)),  # nobody checks it, and nothing in the author is explained
        (0.0, 1.0, (0, 0, 1)),  # nobody checks it, and the author is explained on the next one's word
        (0.5, 0.5, (0.5, 0.25, 0.25)),
    ],
)
def test_the_shares_of_known_claims(v: float, kept: float, expected: tuple[float, float, float]) -> None:
    roots = [claim(f"u{n}", gain=0.1 + n, v=v, kept=kept) for n in range(4)]
    row = ledger(roots)[0]
    assert shares(row) == pytest.approx(expected)
    assert (row.weight, row.open) == (1.0, 0.0)
    assert row.unresolved == pytest.approx(1 - v)


finite = st.floats(-2, 2, allow_nan=False)


@given(
    st.lists(st.tuples(st.floats(0.01, 2), finite, finite, st.booleans()), min_size=2, max_size=8),
    st.lists(st.tuples(st.integers(0, 7), st.floats(0.1, 1), finite, finite), max_size=6),
)
def test_what_comes_in_goes_somewhere_whatever_is_measured(
    roots: list[tuple[float, float, float, bool]], below: list[tuple[int, float, float, float]]
) -> None:
    claims = [
        claim(f"u{n}", gain=g, v=v, kept=k, stop="" if is_open else "below_gap")
        for n, (g, v, k, is_open) in enumerate(roots)
    ]
    parents = [c for c in claims if c.is_followed]
    for n, (place, gain, v, kept) in enumerate(below):
        if parents:
            claims.append(claim(f"n{n}", parent=parents[place % len(parents)], gain=gain, v=v, kept=kept))
    for row in ledger(claims):
        assert row.discharged + row.stranded + row.passed_up + row.open == pytest.approx(1, abs=1e-9)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=3), st.floats(0, 1))
def test_unresolved_trust_is_what_was_not_discharged(kept: list[float], v: float) -> None:
    rows = ledger(planted_tree(v=[v] * len(kept), kept=kept, roots=5, children=2))
    weight, released = 1.0, 0.0
    for row, k in zip(rows, kept, strict=False):
        assert row.weight == pytest.approx(weight)
        released += weight * v
        weight *= (1 - v) * k
        assert row.unresolved == pytest.approx(1 - released)


@pytest.mark.parametrize("kept", [0.0, 0.3, 1.0])
def test_without_any_check_trust_is_conserved_at_every_depth(kept: float) -> None:
    rows = ledger(planted_tree(v=[0.0] * 3, kept=[kept] * 3, roots=6, children=2))
    assert [row.unresolved for row in rows] == [1.0] * len(rows)


def test_estimates_of_noisy_trees_are_not_biased_since_nothing_is_clipped() -> None:
    found = list(_noisy(v=0.0, kept=0.9, trees=150))
    mean, error = np.mean(found), np.std(found) / math.sqrt(len(found))
    assert abs(mean - 1.0) < 3 * error + 1e-3  # U after two levels is 1: noise discharges nothing
    found = list(_noisy(v=0.3, kept=0.8, trees=150))
    expected = 1 - 0.3 - 0.7 * 0.8 * 0.3
    mean, error = np.mean(found), np.std(found) / math.sqrt(len(found))
    assert abs(mean - expected) < 3 * error + 1e-3


def _noisy(*, v: float, kept: float, trees: int) -> Iterator[float]:
    """U after two levels of trees whose gains and restored nats carry noise of the size of a tenth."""
    rng = np.random.default_rng(1)
    for _ in range(trees):
        tree = planted_tree(v=[v] * 2, kept=[kept] * 2, roots=20, children=3)
        noisy = [
            replace(
                c,
                gain_strict=c.gain_strict + 0.1 * c.gain * rng.standard_normal(),
                restored=c.restored + 0.1 * c.lost * rng.standard_normal(),
            )
            for c in tree
        ]
        yield keep_ledger(noisy, parties(2), draws=20, seed=0)[1].unresolved


def test_children_that_are_drawn_in_proportion_stand_for_all_of_them() -> None:
    """Hansen and Hurwitz: the mean over draws of a parent's nodes is the sum over all of its nodes."""
    attribution = np.array([5.0, 3.0, 1.0, 1.0])
    worth = np.array([0.9, 0.1, 0.5, 0.0])  # v of the claim about each node
    truth = (attribution / attribution.sum()) @ worth
    rng = np.random.default_rng(0)
    found = []
    for _ in range(400):
        roots = [claim(f"u{n}", gain=1.0, v=0.0, kept=1.0) for n in range(3)]
        below = []
        for root in roots:
            drawn = rng.choice(4, size=2, p=attribution / attribution.sum())
            for node, times in zip(*np.unique(drawn, return_counts=True), strict=True):
                below.append(
                    claim(f"n{node}", parent=root, share=times / 2, gain=1.0, v=float(worth[node]), kept=1.0)
                )
        found.append(ledger([*roots, *below])[1].v)
    assert abs(np.mean(found) - truth) < 3 * np.std(found) / 20


def test_the_null_counts_for_nothing() -> None:
    """What a constant restores is taken off both sides, so that a shuffled explanation has X = 0."""
    root = [replace(claim(f"u{n}", v=0.0, kept=1.0), restored_null=6.0) for n in range(3)]  # of 10 lost
    alike = [replace(c, restored=6.0) for c in root]
    assert shares(ledger(alike)[0]) == pytest.approx((0, 1, 0))
    assert shares(ledger(root)[0]) == pytest.approx((0, 0, 1))


def test_an_author_whose_weights_may_not_be_read_strands_everything_that_is_not_checked() -> None:
    row = ledger([claim(f"u{n}", v=0.25, kept=0.0, stop="text_only") for n in range(3)])[0]
    assert shares(row) == pytest.approx((0.25, 0.75, 0))


def test_an_author_that_anybody_can_read_passes_everything_on() -> None:
    row = ledger([claim(f"u{n}", v=0.25, kept=0.0, stop="foundation") for n in range(3)])[0]
    assert shares(row) == pytest.approx((0.25, 0, 0.75))


def test_claims_that_were_not_looked_into_stay_open() -> None:
    rows = ledger([claim("a", v=0.0, kept=1.0, gain=3.0), claim("b", v=0.0, kept=1.0, stop="budget")])
    assert rows[0].open == pytest.approx(0.25)
    assert rows[0].stop == "budget"


def test_a_level_whose_texts_have_no_gain_discharges_nothing_and_says_why() -> None:
    rng = np.random.default_rng(0)
    noise = [
        replace(claim(f"u{n}", kept=0.5), gain=g, gain_strict=1.0) for n, g in enumerate(rng.normal(size=9))
    ]
    row = ledger(noise)[0]
    assert math.isnan(row.v)
    assert row.discharged == 0
    assert "no gain above 0" in row.reason


def test_programs_are_their_own_check_however_little_they_are_worth() -> None:
    rng = np.random.default_rng(0)
    drawn = enumerate(rng.normal(size=9))
    programs = [replace(claim(f"u{n}", stop="foundation"), gain=g, gain_strict=g) for n, g in drawn]
    row = ledger(programs)[0]
    assert (row.v, row.discharged, row.unresolved, row.reason) == (1, 1, 0, "")


def test_programs_that_are_worth_nothing_are_discharged_all_the_same() -> None:
    silent = [replace(claim(f"u{n}", stop="foundation"), gain=0.0, gain_strict=0.0) for n in range(3)]
    ends = {1: Party("tree", "its code", 0.0, "foundation", is_own_check=True)}
    row = keep_ledger(silent, ends, draws=50, seed=0)[0]
    assert (row.v, row.discharged, row.passed_up, row.unresolved, row.reason) == (1, 1, 0, 0, "")


def test_the_lenient_tier_reads_the_least_of_diverse_simulators() -> None:
    roots = [replace(claim(f"u{n}", v=0.1, kept=0.0), gain_lenient=0.6) for n in range(3)]
    assert ledger(roots)[0].discharged == pytest.approx(0.1)
    assert ledger(roots, tier="lenient")[0].discharged == pytest.approx(0.6)


def test_other_text_is_a_ledger_of_its_own() -> None:
    roots = [
        replace(claim(f"u{n}", v=0.9, kept=0.0), gain_shifted=0.5, gain_strict_shifted=0.05) for n in range(3)
    ]
    assert ledger(roots, corpus="shifted")[0].discharged == pytest.approx(0.1)


def test_intervals_resample_roots_with_all_that_hangs_below_them() -> None:
    mixed = [claim(f"u{n}", v=float(n % 2), kept=0.5) for n in range(12)]
    row = ledger(mixed)[0]
    assert row.discharged_low < row.discharged < row.discharged_high
    alone = ledger([claim("a", v=0.5, kept=0.5)])[0]
    assert math.isnan(alone.discharged_low)


def test_claims_without_worth_are_followed_all_the_same() -> None:
    """A root may turn out to be worth nothing on test; its author was looked into nevertheless, and nothing
    is discharged by a program that is worth nothing too."""
    roots = [claim(f"u{n}", gain=0.0, kept=0.2) for n in range(3)]
    row = ledger(roots)[0]
    assert shares(row) == pytest.approx((0, 0.8, 0.2))
    assert (row.stranded_low, row.stranded_high) == pytest.approx((0.8, 0.8))


def test_no_claims_no_rows() -> None:
    assert ledger([]) == ()
