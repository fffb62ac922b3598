"""Whose explanations serve as the null of each unit.

A null explanation is a real one, of another unit of about the same layer and density, so that the
excess over it is what the explanation says about this unit and no other: SCIENCE.md 2.1 (a), a
derangement within cells of layer and density. Cells are replaced by neighbourhoods of a ranking,
because a sample of sixty units fills few cells.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from scrutable.evaluators.statistics import generator
from scrutable.pipeline.records import Unit


def assign_nulls(units: Sequence[Unit], *, count: int, seed: int) -> dict[str, tuple[str, ...]]:
    """For each unit, the ids of `count` other units whose explanations serve as its null.

    Units are ranked by density within their layer, and the null is a rotation of that ranking by a
    few places drawn at random. Never the unit itself, never the opposite sign of the same neuron,
    no duplicates. Layers with fewer than 2·count + 4 units are pooled with their neighbours; from
    that number on, every unit serves as a null exactly `count` times.

    Args:
        units: at least as many as are explained; any order, which changes nothing.
        count: null explanations for each unit, >= 0.
        seed: of the run.

    Returns:
        Unit id → null unit ids; fewer than `count`, possibly none, where there are too few units.

    Raises:
        ValueError: a unit id appears twice, or count is negative.
    """
    if count < 0:
        raise ValueError(f"count must be >= 0, got {count}")
    if len({unit.id for unit in units}) < len(units):
        repeated = [name for name, n in Counter(unit.id for unit in units).items() if n > 1]
        raise ValueError(f"units appear twice: {', '.join(sorted(repeated))}")
    nulls: dict[str, tuple[str, ...]] = {}
    for group in _groups(units, smallest=2 * count + 4):
        rng = generator(seed, "nulls", group[0].id)
        nulls |= _rotated(_ring(group), count=count, rng=rng)
    return {name: nulls[name] for name in sorted(nulls)}


def _groups(units: Sequence[Unit], *, smallest: int) -> list[list[Unit]]:
    """Whole layers, neighbours pooled until each group has `smallest` units, ranked within."""
    groups: list[list[Unit]] = []
    layer: int | None = None
    for unit in sorted(units, key=_rank):
        if not groups or (unit.layer != layer and len(groups[-1]) >= smallest):
            groups.append([])
        groups[-1].append(unit)
        layer = unit.layer
    if len(groups) > 1 and len(groups[-1]) < smallest:
        last = groups.pop()
        groups[-1].extend(last)
    return groups


def _rank(unit: Unit) -> tuple[int, float, str]:
    # Only ranks are used, so density and its logarithm match alike. A unit that never fires has no
    # density and is ranked below all others.
    return unit.layer, -1.0 if math.isnan(unit.density) else unit.density, unit.id


def _ring(ranked: list[Unit]) -> list[Unit]:
    """The ranking folded into a ring, 0 2 4 … 5 3 1: neighbours are at most two ranks apart.

    A plain rotation would give the densest unit the sparsest one as its null.
    """
    return ranked[::2] + ranked[1::2][::-1]


def _rotated(ring: list[Unit], *, count: int, rng: np.random.Generator) -> dict[str, tuple[str, ...]]:
    n = len(ring)
    chosen: list[list[int]] = [[] for _ in ring]
    for offset in _offsets(n, count=count, rng=rng):
        order = [(place + offset) % n for place in range(n)]
        _repair(order, ring, chosen)
        for place, null in enumerate(order):
            if _allowed(place, null, ring, chosen):
                chosen[place].append(null)
    _fill(ring, chosen, count=count)
    return {unit.id: tuple(ring[null].id for null in chosen[place]) for place, unit in enumerate(ring)}


def _offsets(n: int, *, count: int, rng: np.random.Generator) -> list[int]:
    """`count` distinct rotations out of the 2·count smallest, of either direction."""
    near = sorted(range(1, n), key=lambda offset: (min(offset, n - offset), offset))[: 2 * count]
    return [near[i] for i in rng.permutation(len(near))[:count]]


def _allowed(place: int, null: int, ring: list[Unit], chosen: list[list[int]]) -> bool:
    unit, other = ring[place], ring[null]
    # The opposite sign shares the neuron, so its explanation may hold some truth about this unit.
    # Also refuses the unit itself.
    is_same_neuron = (unit.layer, unit.index) == (other.layer, other.index)
    return not is_same_neuron and null not in chosen[place]


def _repair(order: list[int], ring: list[Unit], chosen: list[list[int]]) -> None:
    """Swap each refused null with that of the nearest unit for which both swaps are allowed.

    A swap keeps `order` a permutation. At most count + 1 units hold a null that is refused here, and
    at most count + 1 refuse the one that is given away, so 2·count + 4 units always allow a swap.
    """
    n = len(ring)
    for place in range(n):
        if _allowed(place, order[place], ring, chosen):
            continue
        for step in range(1, n):
            # Alternates sides: +1, -1, +2, -2, …, and so meets each other place once.
            other = (place + (step + 1) // 2 * (1 if step % 2 else -1)) % n
            if _allowed(place, order[other], ring, chosen) and _allowed(other, order[place], ring, chosen):
                order[place], order[other] = order[other], order[place]
                break


def _fill(ring: list[Unit], chosen: list[list[int]], *, count: int) -> None:
    """Where units are too few for rotations, take what is allowed: least used first, then nearest."""
    n = len(ring)
    used = Counter(null for nulls in chosen for null in nulls)
    for place, nulls in enumerate(chosen):
        while len(nulls) < count:
            allowed = [null for null in range(n) if _allowed(place, null, ring, chosen)]
            if not allowed:
                break
            distance = {null: min((null - place) % n, (place - null) % n) for null in allowed}
            null = min(allowed, key=lambda null: (used[null], distance[null], null))
            nulls.append(null)
            used[null] += 1
