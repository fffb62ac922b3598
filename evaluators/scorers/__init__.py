"""Scorers by the name that a config gives them; each implements `protocols.Scorer`.

A keyword beyond the protocol (`draws`) is bound with functools.partial where a run is composed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from scrutable.evaluators.scorers.simulation import simulation
from scrutable.pipeline.records import Score

SCORERS: Final[dict[str, Callable[..., tuple[Score, ...]]]] = {
    "simulation": simulation,
}
