"""The sampler of every unit at once keeps what a slow, obvious sampler keeps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scrutable.pipeline.sampling import SamplingPlan
from scrutable.pipeline.subjects.strata import StrataSampler

PLAN = SamplingPlan(
    top={"explain": 3, "calibrate": 2, "test": 3},
    per_stratum={"explain": 2, "calibrate": 2, "test": 2},
    quantiles=(0.25, 0.5, 0.9),
    pilot=8,
)
WIDTHS = (3, 2)


def feed(sampler: StrataSampler, maxima_UW: np.ndarray, *, split: int, batch: int) -> None:
    for start in range(0, maxima_UW.shape[1], batch):
        windows = torch.arange(start, min(start + batch, maxima_UW.shape[1]))
        for group, (a, b) in enumerate([(0, 3), (3, 5)]):
            sampler.update(group, torch.from_numpy(maxima_UW[a:b])[:, windows], windows, split=split)
    sampler.end_of_split(split)


def sampled(maxima_UW: np.ndarray, *, batch: int) -> dict[str, np.ndarray]:
    sampler = StrataSampler(WIDTHS, PLAN, torch.device("cpu"))
    for split in range(3):
        feed(sampler, maxima_UW, split=split, batch=batch)
    return sampler.kept()


MAXIMA = st.integers(5, 40).flatmap(
    lambda n: st.lists(
        st.lists(st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0]), min_size=n, max_size=n),
        min_size=5,
        max_size=5,
    )
)


@settings(deadline=None, max_examples=60)
@given(MAXIMA, st.integers(1, 9))
def test_it_keeps_what_an_obvious_sampler_keeps(rows: list[list[float]], batch: int) -> None:
    maxima = np.array(rows, dtype=np.float32)
    kept = sampled(maxima, batch=batch)
    for u, values in enumerate(maxima):
        pilot = np.sort(values[:8])
        edges = [pilot[min(len(pilot) - 1, int(q * len(pilot)))] for q in PLAN.quantiles]
        strata = np.searchsorted(edges, values)
        for s in range(4):
            members = np.flatnonzero(strata == s)
            assert kept["population"][0, u, s] == len(members)
            slots = kept["slots"][0, u, s]
            assert slots[slots >= 0].tolist() == members[:2].tolist()
        top = kept["top_windows"][0, u]
        top = top[top >= 0]
        strongest = np.sort(values[values > 0])[::-1][:3]
        assert values[top].tolist() == strongest.tolist()
        assert kept["top_strata"][0, u, : len(top)].tolist() == strata[top].tolist()


@pytest.mark.parametrize("batch", [1, 7, 40])
def test_how_windows_are_batched_changes_nothing(batch: int) -> None:
    maxima = np.random.default_rng(1).exponential(size=(5, 40)).astype(np.float32)
    reference = sampled(maxima, batch=8)
    for name, array in sampled(maxima, batch=batch).items():
        assert np.array_equal(array, reference[name]), name


def test_a_silent_unit_has_no_top_window() -> None:
    kept = sampled(np.zeros((5, 12), dtype=np.float32), batch=4)
    assert (kept["top_windows"] == -1).all()
    assert kept["population"].sum(-1).tolist() == [[12] * 5] * 3


@pytest.mark.parametrize("done", [3, 20])
def test_a_restored_state_goes_on_as_if_nothing_had_happened(done: int) -> None:
    maxima = np.random.default_rng(2).exponential(size=(5, 32)).astype(np.float32)
    whole = StrataSampler(WIDTHS, PLAN, torch.device("cpu"))
    feed(whole, maxima, split=0, batch=1)
    first, second = (StrataSampler(WIDTHS, PLAN, torch.device("cpu")) for _ in range(2))
    for sampler, numbers in ((first, range(done)), (second, range(done, 32))):
        if sampler is second:
            second.restore(first.state())
        for w in numbers:
            for group, (a, b) in enumerate([(0, 3), (3, 5)]):
                sampler.update(group, torch.from_numpy(maxima[a:b, [w]]), torch.tensor([w]), split=0)
    second.end_of_split(0)
    for name, array in whole.kept().items():
        assert np.array_equal(array, second.kept()[name]), name
