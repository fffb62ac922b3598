"""Money and time in words, the same on the terminal and in reports."""

from __future__ import annotations

import math


def in_dollars(amount: float) -> str:
    """`$0.1234`; `free` for nothing, `unknown` for NaN."""
    if math.isnan(amount):
        return "unknown"
    if 0 < amount < 0.0001:
        return "under $0.0001"
    return f"${amount:,.4f}" if amount else "free"


def in_time(seconds: float) -> str:
    """Seconds, or minutes from 100 s on; `unknown` for NaN."""
    if math.isnan(seconds):
        return "unknown"
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
