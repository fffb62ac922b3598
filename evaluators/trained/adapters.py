"""The adapter of a trained simulator: where it lies, and which network it was made for.

An adapter folder holds `adapter.safetensors` and `adapter.json`, its shape. Loads no torch.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

from scrutable.pipeline.config import SHIPPED, Objective
from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.protocols import LocatedModel

ADAPTER_FILE, SHAPE_FILE = "adapter.safetensors", "adapter.json"
PROMPT = "trained_reader"  # what every adapter was trained to read
LEAST_TEXT = 32  # tokens in a lesson or a window, below which it says nothing of a text


@dataclass(frozen=True, slots=True)
class Shape:
    """What must be known to build the network around its base model."""

    base: str  # name of the base model
    base_digest: str  # of the weights that the adapter was trained on
    layers: int  # of the base that are used, from the bottom
    rank: int
    alpha: int
    levels: tuple[float, ...]  # (L,) the value of each class of the head
    objective: Objective


def read_shape(folder: Path) -> Shape:
    """The shape of an adapter. Raises ConfigError for a folder that holds none."""
    try:
        found = json.loads((folder / SHAPE_FILE).read_text(encoding="utf-8"))
        return Shape(**{**found, "levels": tuple(found["levels"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(
            f"simulator: {folder} holds no adapter ({' '.join(str(error).split())}); give a folder that "
            "`scrutable simulator train` wrote"
        ) from error


def adapter_folder(model: str, adapter: str) -> Path:
    """Where an adapter lies: the shipped one for a model, or the folder itself.

    Raises ConfigError if none is there.
    """
    folder = _shipped() / model if adapter == SHIPPED else Path(adapter)
    if (folder / ADAPTER_FILE).is_file():
        return folder
    if adapter == SHIPPED:
        raise ConfigError(
            f"simulator: no adapter for {model} comes with the package (there are "
            f"{', '.join(shipped_bases()) or 'none'}); train one with `scrutable simulator train`, and give "
            "its folder as adapter"
        )
    raise ConfigError(
        f"simulator: {folder} holds no {ADAPTER_FILE}; give a folder that `scrutable simulator train` wrote"
    )


def check_start(shape: Shape, folder: Path) -> None:
    """Raises ConfigError if a training of this shape cannot begin with the adapter in a folder."""
    found = read_shape(folder)
    for field in fields(Shape):
        was, wanted = getattr(found, field.name), getattr(shape, field.name)
        if field.name != "base_digest" and was != wanted:
            raise ConfigError(
                f"start: {folder} has {field.name} {was}, and this training {wanted}; give the adapter's own "
                "base, layers, rank and objective, or start from none"
            )


def shipped_bases() -> tuple[str, ...]:
    """The models for which an adapter comes with the package."""
    return tuple(sorted(path.parent.name for path in _shipped().glob(f"*/{ADAPTER_FILE}")))


def adapter_facts(folder: Path, base: LocatedModel) -> dict[str, Any]:
    """What the manifest says of an adapter on a base model, other weights than it was trained on among it."""
    data, shape = (folder / ADAPTER_FILE).read_bytes(), read_shape(folder)
    facts: dict[str, Any] = {
        "adapter": folder.name,
        "adapter_bytes": len(data),
        "adapter_digest": hashlib.sha256(data).hexdigest(),
        "layers": shape.layers,
    }
    if base.provenance["digest"] != shape.base_digest:
        other = f"not the weights that the adapter was trained on ({shape.base})"
        facts["note"] = "; ".join(filter(None, (base.provenance.get("note"), other)))
    return facts


def _shipped() -> Path:
    return Path(str(resources.files("scrutable.evaluators.trained"))) / "shipped"
