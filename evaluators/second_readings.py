"""What is left of claims when others read them, and in other words: the readings of the lenient tier.

SCIENCE.md 2.4, tier B: worth that survives another family of simulators and a paraphrase by a third model is
worth that does not rest on a code between two models.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from scrutable.evaluators.statistics import generator, ratio_interval
from scrutable.pipeline.recursion.records import SecondReading

_FEWEST = 2


def second_readings(
    own: Mapping[str, float],
    again: Mapping[tuple[str, str], Mapping[str, float]],
    *,
    level: int,
    units: Sequence[str],
    n_same: Mapping[str, int],
    draws: int,
    seed: int,
) -> list[SecondReading]:
    """The share of the claims' gain that each reading keeps: a ratio of sums, bootstrapped over units.

    Args:
        own: unit → gain of its claim as it was scored, bits for each token.
        again: (wording, simulator) → unit → gain; a unit without one counts as 0, and is counted.
        level: of the claims.
        units: those whose claims are in the tree.
        n_same: wording → claims that it left word for word as they were.
        draws: of the bootstrap.
        seed: of the run.
    """
    units = [unit for unit in units if unit in own]
    first = np.array([own[unit] for unit in units])
    found = []
    for (wording, simulator), gains in again.items():
        second = np.array([gains.get(unit, 0.0) for unit in units])
        share, low, high, reason = math.nan, math.nan, math.nan, ""
        if len(units) < _FEWEST:
            reason = f"{len(units)} claims with a gain"
        elif not first.sum() > 0:
            reason = "the claims' own gain is not above 0"
        else:
            share = float(second.sum() / first.sum())
            rng = generator(seed, "second reading", str(level), wording, simulator)
            low, high = ratio_interval(second, first, draws=draws, rng=rng)
        found.append(
            SecondReading(
                level=level,
                wording=wording,
                simulator=simulator,
                n_claims=len(units),
                n_unread=sum(unit not in gains for unit in units),
                n_same=n_same.get(wording, 0),
                gain=float(second.mean()) if units else math.nan,
                share=share,
                low=low,
                high=high,
                reason=reason,
            )
        )
    return found
