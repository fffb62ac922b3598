"""One sample of windows that serves all planted units: a probability sample with the same weights for each.

Every explanation is then simulated once, and its simulations are the nulls of all other units.
Shape key: U units, W windows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_BASE = 0.25  # share of the sample that is drawn whether a unit fires or not
_HALVINGS = 60


class Pool(NamedTuple):
    """A sample of windows."""

    windows: NDArray[np.intp]  # (n,) places in the population, ascending
    weights: Floats  # (n,) 1 / inclusion probability, >= 1


def draw_pool(fires: NDArray[np.bool_], *, size: int, rng: np.random.Generator) -> Pool:
    """A sample of about `size` of W windows in which every unit fires about equally often.

    The inclusion probability of a window is min(1, base + k · max over units that fire in it of 1 / N_u),
    N_u being the windows in which unit u fires: rare units pull their windows in. k makes the
    probabilities sum to `size`. Drawn systematically from a random order (Madow 1949), so that each
    window comes in with exactly its probability, and weighted sums are unbiased for any unit.

    Args:
        fires: (U, W).
        size: of the sample; all windows if there are no more.
        rng: orders the windows and places the first draw.
    """
    n_windows = fires.shape[1]
    if size >= n_windows:
        return Pool(np.arange(n_windows), np.ones(n_windows))
    pull = (fires / np.maximum(fires.sum(axis=1, keepdims=True), 1)).max(axis=0, initial=0.0)
    probability = _probabilities(pull, size=size)
    order = rng.permutation(n_windows)
    reached = np.cumsum(probability[order]) + rng.random()
    is_drawn = np.diff(np.floor(reached), prepend=np.floor(reached[0] - probability[order[0]])) > 0
    windows = np.sort(order[is_drawn])
    return Pool(windows, 1.0 / probability[windows])


def _probabilities(pull: Floats, *, size: int) -> Floats:
    base = _BASE * size / pull.size
    low, high = 0.0, size / max(pull.max(initial=0.0), 1e-12) * pull.size
    if not pull.any():
        return np.full(pull.size, size / pull.size)
    for _ in range(_HALVINGS):
        k = (low + high) / 2
        if np.minimum(1.0, base + k * pull).sum() > size:
            high = k
        else:
            low = k
    return np.minimum(1.0, base + low * pull)
