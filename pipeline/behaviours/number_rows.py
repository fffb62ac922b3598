"""Rows of numbers in explanations that anybody may have written: to three digits, finite, and not endless."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_DIGITS = 3
_LARGEST = 1e6  # nats; more says nothing more, and sums must stay finite


def write_row(row: Sequence[float]) -> list[float]:
    """The numbers as they stand in an explanation."""
    return [round(float(value), _DIGITS) + 0.0 for value in row]


def read_row(row: Any) -> tuple[float, ...]:
    """The numbers that were written. Raises ValueError or TypeError for anything else."""
    if not isinstance(row, list):
        raise ValueError("expected a list of numbers")
    found = tuple(float(value) for value in row)
    if not all(abs(value) <= _LARGEST for value in found):  # NaN is none of these
        raise ValueError(f"expected numbers from -{_LARGEST:g} to {_LARGEST:g}")
    return found
