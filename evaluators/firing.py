"""Which excerpts of a unit count as firing and which as silent, for judges of whole excerpts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from scrutable.evaluators.statistics import generator
from scrutable.pipeline.records import Excerpt

FIRES, SILENT = 0.25, 0.1
"""Shares of the unit's largest test activation: at least the first fires, at most the second is silent. What
lies between is neither, and is asked about by nobody."""


class Classes(NamedTuple):
    """Excerpts of each class, in a seeded order that favours those that stand for many."""

    firing: tuple[Excerpt, ...]
    silent: tuple[Excerpt, ...]
    largest: float  # activation


def classes(unit: str, excerpts: Sequence[Excerpt], *, seed: int) -> Classes:
    """The excerpts of a unit by class; each is a sample by weight, without replacement, of its population.

    The order depends on (seed, unit) only, so that every explanation answers the same questions.
    """
    ordered = sorted(excerpts, key=lambda e: e.passage.id)
    largest = max((e.max_activation for e in ordered), default=0.0)
    rng = generator(seed, "classes", unit)
    # Efraimidis & Spirakis 2006: the largest of u^(1/w) are a weighted sample without replacement.
    keys = {e.passage.id: float(np.log(rng.random()) / max(e.weight, 1e-12)) for e in ordered}
    drawn = sorted(ordered, key=lambda e: -keys[e.passage.id])
    return Classes(
        firing=tuple(e for e in drawn if largest > 0 and e.max_activation >= FIRES * largest),
        silent=tuple(e for e in drawn if largest > 0 and e.max_activation <= SILENT * largest),
        largest=largest,
    )
