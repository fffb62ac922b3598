"""How well an author's writing is foretold: choices over units, and traits by readable stand-ins. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from scrutable.evaluators.statistics import Floats, generator, mean_interval, ratio_interval
from scrutable.pipeline.recursion.records import (
    EDITS,
    GUIDES,
    TRAITS,
    Choice,
    Edit,
    Foretold,
    WritingTrait,
)

_FEWEST = 3  # units


def foretold(choices: Sequence[Choice], *, draws: int, seed: int) -> list[Foretold]:
    """Accuracy by edit under each procedure, over units that were asked under all of them."""
    return [_foretold([c for c in choices if c.edit == edit], edit, draws=draws, seed=seed) for edit in EDITS]


def _foretold(choices: Sequence[Choice], edit: Edit, *, draws: int, seed: int) -> Foretold:
    by_unit: dict[str, dict[str, Choice]] = {}
    for choice in choices:
        if not choice.reason:
            by_unit.setdefault(choice.job, {})[choice.procedure] = choice
    whole = [found for found in by_unit.values() if len(found) == len(GUIDES)]
    n, nan = len(whole), math.nan
    if n < _FEWEST:
        reason = f"{n} units were asked under every procedure, fewer than {_FEWEST}"
        return Foretold(1, edit, n, nan, nan, nan, nan, nan, nan, nan, reason)
    right = {
        guide: np.array([float(f[guide].is_right) for f in whole]) for guide in ("own", "shuffled", "none")
    }
    difference = right["own"] - right["shuffled"]
    rng = generator(seed, "foretold", edit)
    low, high = mean_interval(difference, draws=draws, rng=rng)
    return Foretold(
        level=1,
        edit=edit,
        n_units=n,
        chance=float(np.mean([1 / f["own"].n_candidates for f in whole])),
        own=float(right["own"].mean()),
        shuffled=float(right["shuffled"].mean()),
        none=float(right["none"].mean()),
        difference=float(difference.mean()),
        low=low,
        high=high,
    )


def traits(
    told: Sequence[Mapping[str, float]],
    held_out: Mapping[str, Mapping[str, float]],
    predicted: Mapping[str, Mapping[str, Mapping[str, float]]],
    *,
    draws: int,
    seed: int,
) -> list[WritingTrait]:
    """R2 of each stand-in for each trait, on held-out units.

    Args:
        told: traits of the units that a mean may be taken from.
        held_out: unit → traits of the author's text.
        predicted: stand-in → unit → traits of its text.
        draws: of the bootstrap over units.
        seed: of the run.
    """
    found = []
    for name, of_unit in predicted.items():
        for trait in TRAITS:
            both = [
                (held_out[unit][trait], of_unit[unit][trait])
                for unit in sorted(set(held_out) & set(of_unit))
                if not math.isnan(held_out[unit][trait] + of_unit[unit][trait])
            ]
            y, x = np.array(both, dtype=np.float64).reshape(-1, 2).T
            known = [one[trait] for one in told if not math.isnan(one[trait])]
            mean = float(np.mean(known)) if known else math.nan
            found.append(_trait(trait, name, y, x, mean, draws=draws, seed=seed))
    return found


def _trait(
    trait: str, predictor: str, y: Floats, x: Floats, mean: float, *, draws: int, seed: int
) -> WritingTrait:
    n = len(y)
    named = next(known for known in TRAITS if known == trait)
    reason = ""
    if n < _FEWEST or math.isnan(mean):
        reason = f"{n} held-out units, fewer than {_FEWEST}"
    elif not ((y - mean) ** 2).sum() > 0:
        reason = "the trait is the same in all held-out texts"
    average = float(y.mean()) if n else math.nan
    if reason:
        return WritingTrait(1, named, predictor, average, math.nan, math.nan, math.nan, n, reason)
    rng = generator(seed, "trait", trait, predictor)
    missed, spread = (y - x) ** 2, (y - mean) ** 2
    low, high = ratio_interval(missed, spread, draws=draws, rng=rng)
    r2 = float(1 - missed.sum() / spread.sum())
    return WritingTrait(1, named, predictor, average, r2, 1 - high, 1 - low, n)
