"""Traces on disk: the activations of some units on the windows that were kept of them, and no others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Traces = Mapping[tuple[str, int], NDArray[np.float32]]
"""(unit, window) to the unit's (T,) activations on it."""


def pack(
    traces: Iterable[tuple[int, NDArray[np.float32]]], wanted: Mapping[int, Sequence[int]]
) -> dict[str, NDArray[Any]]:
    """Arrays of the wanted (unit, window) pairs, one after the other.

    Args:
        traces: (window, (T, U) activations).
        wanted: window to the numbers, in 0 to U - 1, of the units that it was kept of.
    """
    pairs = [(u, window, trace[:, u].copy()) for window, trace in traces for u in wanted[window]]
    return {
        "units": np.array([u for u, _, _ in pairs], dtype=np.int32),
        "windows": np.array([window for _, window, _ in pairs], dtype=np.int32),
        "lengths": np.array([len(values) for _, _, values in pairs], dtype=np.int32),
        "values": np.concatenate([values for _, _, values in pairs]),
    }


def unpack(path: Path) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
    """(number of the unit, window, (T,) activations) of each pair in a file of packed arrays."""
    with np.load(path, allow_pickle=False) as part:
        units, windows, lengths, values = (part[name] for name in ("units", "windows", "lengths", "values"))
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    for k, (unit, window) in enumerate(zip(units, windows, strict=True)):
        yield int(unit), int(window), values[bounds[k] : bounds[k + 1]]
