"""Pairs of input and outcome: which are shown, as many of each outcome as can be, and what they come to."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scrutable.pipeline.behaviours.protocols import Pair, Shown


def outcome_numbers(pairs: Sequence[Pair], outcomes: Sequence[str]) -> NDArray[np.intp]:
    """(N,) the place of each pair's outcome among those of the behaviour."""
    number = {outcome: k for k, outcome in enumerate(outcomes)}
    return np.array([number[pair.observation.outcome] for pair in pairs], dtype=np.intp)


def balanced(job: Shown, *, count: int, seed: int) -> tuple[Pair, ...]:
    """Up to `count` pairs, outcomes in turn and then shuffled; of each outcome, sources in turn."""
    rng = random.Random(f"{seed}/{job.definition.name}/pairs")
    queues = [
        _spread([pair for pair in job.pairs if pair.observation.outcome == outcome], rng)
        for outcome in job.definition.outcomes
    ]
    chosen: list[Pair] = []
    while len(chosen) < count and any(queues):
        for queue in queues:
            if queue and len(chosen) < count:
                chosen.append(queue.pop())
    rng.shuffle(chosen)
    return tuple(chosen)


def _spread(pairs: Sequence[Pair], rng: random.Random) -> list[Pair]:
    """In random order such that from the end every source comes once before one comes twice."""
    turns: dict[str, int] = {}
    ranked = []
    for pair in rng.sample(list(pairs), len(pairs)):
        turns[pair.input.source] = turn = turns.get(pair.input.source, -1) + 1
        ranked.append((turn, pair))
    return [pair for _, pair in sorted(ranked, key=lambda one: -one[0])]
