"""How often a unit fires, from a weighted sample of its excerpts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scrutable.pipeline.records import Excerpt


def density_of(excerpts: Sequence[Excerpt]) -> float:
    """E[a]² / E[a²] over the scored tokens, weighted to the population, in (0, 1]; NaN for a silent unit."""
    scored = [(a, e.weight) for e in excerpts for a in e.activations[e.passage.n_context :]]
    weight, first = sum(w for _, w in scored), sum(w * a for a, w in scored)
    second = sum(w * a * a for a, w in scored)
    return first * first / (weight * second) if second > 0 else math.nan
