"""Which units of a subject a run explains: chosen before anything is known of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from random import Random

from scrutable.pipeline.config import UnitsConfig
from scrutable.pipeline.errors import ConfigError


def select_units(available: Sequence[str], config: UnitsConfig, *, seed: int) -> list[str]:
    """Unit ids, spread evenly over the layers: a larger sample begins with the smaller one.

    Args:
        available: every unit of the subject, ids like `L8.N715.pos`.
        config: a list of ids, or how many to draw and from which layers.
        seed: of the run.

    Raises:
        ConfigError: a layer that the subject does not have.
    """
    if config.ids:
        return list(dict.fromkeys(config.ids))
    by_layer: dict[int, list[str]] = {}
    for unit in available:
        by_layer.setdefault(int(unit[1:].partition(".")[0]), []).append(unit)
    unknown = [layer for layer in config.layers if layer not in by_layer]
    if unknown:
        raise ConfigError(
            f"units.layers: no layer {unknown[0]}; the subject has layers {min(by_layer)} to {max(by_layer)}"
        )
    layers = sorted(config.layers or by_layer)
    rng = Random(int.from_bytes(hashlib.sha256(f"{seed}/units".encode()).digest()[:8], "big"))
    rng.shuffle(layers)
    drawn = {layer: rng.sample(by_layer[layer], k=len(by_layer[layer])) for layer in layers}
    rounds = (
        drawn[layer][i]
        for i in range(max(map(len, drawn.values())))
        for layer in layers
        if i < len(drawn[layer])
    )
    return [unit for unit, _ in zip(rounds, range(config.sample), strict=False)]
