"""Where the adapter of a trained simulator lies: in the package, or in a folder that training wrote."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path
from typing import Any

from scrutable.pipeline.config import SHIPPED, TrainedSimulator
from scrutable.pipeline.errors import ConfigError

ADAPTER_FILE, SHAPE_FILE = "adapter.safetensors", "adapter.json"


def adapter_folder(config: TrainedSimulator) -> Path:
    """The folder of the adapter that a config names. Raises ConfigError if there is none."""
    folder = _shipped() / config.model if config.adapter == SHIPPED else Path(config.adapter)
    if (folder / ADAPTER_FILE).is_file():
        return folder
    if config.adapter == SHIPPED:
        raise ConfigError(
            f"simulator: no adapter for {config.model} comes with the package (there are "
            f"{', '.join(shipped_bases()) or 'none'}); train one with `scrutable simulator train`, and give "
            "its folder as adapter"
        )
    raise ConfigError(
        f"simulator: {folder} holds no {ADAPTER_FILE}; give a folder that `scrutable simulator train` wrote"
    )


def shipped_bases() -> tuple[str, ...]:
    """The models for which an adapter comes with the package."""
    return tuple(sorted(path.parent.name for path in _shipped().glob(f"*/{ADAPTER_FILE}")))


def adapter_facts(folder: Path) -> dict[str, Any]:
    """What the manifest says of an adapter."""
    data = (folder / ADAPTER_FILE).read_bytes()
    return {
        "adapter": str(folder),
        "adapter_bytes": len(data),
        "adapter_digest": hashlib.sha256(data).hexdigest(),
    }


def _shipped() -> Path:
    return Path(str(resources.files("scrutable.evaluators.trained"))) / "adapters"
