"""Versions and machine, for the manifest."""

from __future__ import annotations

import platform
import sys
from importlib import metadata
from typing import Any

_NAMED_VERSIONS = ("scrutable", "torch", "transformers", "tokenizers", "numpy", "pandas", "pyarrow")


def host_facts() -> dict[str, Any]:
    """Versions and machine, for the manifest."""
    versions = {}
    for name in _NAMED_VERSIONS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "versions": versions,
        "command": sys.argv[1:],
    }
