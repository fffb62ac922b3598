"""Stand-ins for an explainer: how much of its worth something readable keeps when it explains in its place.

SCIENCE.md 2.7 (ii), the replica test at the level of what explanations are worth: S = gain of the replica's
explanations / gain of the real ones, both as excess over their nulls, on the same units.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from scrutable.evaluators.statistics import generator, ratio_interval
from scrutable.pipeline.recursion.records import Replica


def replicas(
    gains: Mapping[tuple[str, str], Mapping[str, float]],
    real: tuple[str, str],
    stand_ins: Sequence[tuple[str, str]],
    *,
    units: Sequence[str],
    draws: int,
    seed: int,
) -> list[Replica]:
    """S of each stand-in, a ratio of sums over units with a bootstrap over them; never clipped.

    Args:
        gains: (explainer, simulator) → unit → excess gain, bits for each token.
        real: the explainer that is to be replaced, and who reads it.
        stand_ins: explainers that might, and who reads them.
        units: those whose real explanation passed the gate.
        draws: of the bootstrap.
        seed: of the run.
    """
    found = []
    for name, simulator in stand_ins:
        own, other = gains.get(real, {}), gains.get((name, simulator), {})
        both = np.array([(own[u], other[u]) for u in units if u in own and u in other]).reshape(-1, 2)
        n = len(both)
        about = f"{name}, read by {simulator}, writes in place of the author"
        if n < 2 or both[:, 0].sum() <= 0:
            reason = f"{n} units with both gains" if n < 2 else "the author's own gain is not above 0"
            nan = math.nan
            found.append(Replica(1, name, about, n, nan, nan, nan, nan, nan, reason))
            continue
        rng = generator(seed, "replica", name, simulator)
        interval = ratio_interval(both[:, 1], both[:, 0], draws=draws, rng=rng)
        real_gain, gain = both.mean(axis=0)
        found.append(
            Replica(1, name, about, n, float(real_gain), float(gain), float(gain / real_gain), *interval)
        )
    return found
