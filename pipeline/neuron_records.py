"""NeuronRecord JSON, the format of neuron-explainer (Bills et al. 2023), in and out.

A NeuronRecord holds the strongest records of a neuron and a random sample; it knows no documents, weights,
contexts or splits. Reading follows the splits of neuron-explainer's own demo: of the strongest, ranks 0, 4,
8, ... explain and 1, 5, 9, ... calibrate; of the random sample, 0, 3, 6, ... calibrate. What it calls
"valid" (the next ones) is counted to test here, since nothing is tuned on it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scrutable.pipeline.errors import ParseError
from scrutable.pipeline.records import Excerpt, Split, Unit

NEGATIVE = ".neg.json"  # end of the name of a file that holds a negative half
_TOP_SPLITS: tuple[Split, ...] = ("explain", "calibrate", "test", "test")
_RANDOM_SPLITS: tuple[Split, ...] = ("calibrate", "test", "test")


def is_neuron_record(value: Any) -> bool:
    """True for an object with the keys of a NeuronRecord."""
    return isinstance(value, dict) and "neuron_id" in value and "most_positive_activation_records" in value


def rows_of_neuron(
    record: Mapping[str, Any], *, is_negative: bool, population: int | None
) -> tuple[str, list[dict[str, Any]], list[str]]:
    """The unit, a row of our JSON lines for each activation record, and notes on what was assumed.

    A record knows no sign: the unit of one that holds the negative half of a neuron ends in `.neg`.

    The strongest weigh 1. A random record stands for population / (their number) excerpts if the population
    is known; else it weighs 1 too, and a weighted score is then the literature's top-and-random score.

    Raises ParseError for an object that has the keys of a NeuronRecord and is none.
    """
    layer, index = _place(record["neuron_id"])
    unit = f"L{layer}.N{index}{'.neg' * is_negative}"
    random = _samples(record, "random_sample")
    notes = []
    if population is None:
        notes.append(
            "no population given for NeuronRecord samples: random and strongest excerpts weigh alike, so "
            "weighted scores are top-and-random scores; --population N makes them the population's"
        )
    weight = population / len(random) if population and random else 1.0
    top = _samples(record, "most_positive_activation_records")
    rows = [
        _row(unit, one, f"top-{rank}", _TOP_SPLITS[rank % 4], 1.0, is_top=True)
        for rank, one in enumerate(top)
    ]
    rows += [
        _row(unit, one, f"random-{n}", _RANDOM_SPLITS[n % 3], weight, is_top=False)
        for n, one in enumerate(random)
    ]
    return unit, rows, notes


def write_neuron_records(
    folder: Path, units: Sequence[Unit], excerpts: Mapping[str, Sequence[Excerpt]]
) -> None:
    """One file for each unit, `LAYER/INDEX.json`, or `LAYER/INDEX.neg.json` for a negative half.

    Top excerpts become the strongest records, strongest first; all others the random sample. Moments are
    weighted to the population, over scored tokens. Weights, splits, documents and contexts are lost.
    """
    for unit in units:
        name = f"{unit.index}{NEGATIVE if unit.sign == 'neg' else '.json'}"
        path = folder / str(unit.layer) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(_neuron(unit, excerpts[unit.id]), ensure_ascii=False), encoding="utf-8")


def _place(neuron: Any) -> tuple[int, int]:
    """Layer and index of a NeuronId."""
    if isinstance(neuron, dict):
        layer, index = neuron.get("layer_index"), neuron.get("neuron_index")
        if isinstance(layer, int) and isinstance(index, int) and min(layer, index) >= 0:
            return layer, index
    raise ParseError(f"neuron_id {neuron!r}: expected an object with layer_index and neuron_index")


def _samples(record: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = record.get(key) or []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise ParseError(f"{key}: expected a list of objects with tokens and activations")
    return found


def _row(
    unit: str, record: Mapping[str, Any], id: str, split: Split, weight: float, *, is_top: bool
) -> dict[str, Any]:
    return {
        "unit": unit,
        "id": id,
        "document": id,
        "tokens": record.get("tokens"),
        "activations": record.get("activations"),
        "split": split,
        "weight": weight,
        "is_top": is_top,
    }


def _neuron(unit: Unit, excerpts: Sequence[Excerpt]) -> dict[str, Any]:
    top = sorted((e for e in excerpts if e.is_top), key=lambda e: -e.max_activation)
    return {
        "dataclass_name": "NeuronRecord",
        "neuron_id": {
            "dataclass_name": "NeuronId",
            "layer_index": unit.layer,
            "neuron_index": unit.index,
        },
        "random_sample": [_record(e) for e in excerpts if not e.is_top],
        "random_sample_by_quantile": None,
        "quantile_boundaries": None,
        **_moments(excerpts),
        "most_positive_activation_records": [_record(e) for e in top],
    }


def _record(excerpt: Excerpt) -> dict[str, Any]:
    return {
        "dataclass_name": "ActivationRecord",
        "tokens": list(excerpt.passage.tokens),
        "activations": list(excerpt.activations),
    }


def _moments(excerpts: Sequence[Excerpt]) -> dict[str, float]:
    """Weighted mean, variance, skewness and kurtosis (3 for a normal distribution); NaN if undefined."""
    pairs = [(a, e.weight) for e in excerpts for a in e.activations[e.passage.n_context :]]
    total = sum(w for _, w in pairs)
    mean = sum(w * a for a, w in pairs) / total if total else math.nan
    second, third, fourth = (
        sum(w * (a - mean) ** k for a, w in pairs) / total if total else math.nan for k in (2, 3, 4)
    )
    is_flat = not second > 0
    return {
        "mean": mean,
        "variance": second,
        "skewness": math.nan if is_flat else third / second**1.5,
        "kurtosis": math.nan if is_flat else fourth / second**2,
    }
