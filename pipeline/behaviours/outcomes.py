"""Whose outcome an explanation speaks of: its own behaviour's, or, as a null, another's. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def matched(theirs: Sequence[str], ours: Sequence[str]) -> tuple[int, ...] | None:
    """For each of our outcomes (K,), the place of the one of theirs that stands for it.

    By name where the names are the same; else by position, so that an explanation of another behaviour can
    be read as a null. None where there are not as many.
    """
    if set(theirs) == set(ours):
        return tuple(list(theirs).index(name) for name in ours)
    return tuple(range(len(ours))) if len(theirs) == len(ours) else None
