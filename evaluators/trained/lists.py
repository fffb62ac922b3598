"""Lists of words and phrasings that lie beside this module as YAML."""

from __future__ import annotations

import functools
from importlib import resources
from typing import Any

import yaml


def read_yaml(name: str) -> Any:
    """What a file of this package holds."""
    text = (resources.files("scrutable.evaluators.trained") / name).read_text(encoding="utf-8")
    return yaml.safe_load(text)


@functools.cache
def word_list(name: str) -> tuple[str, ...]:
    """A list of word_lists.yaml."""
    return tuple(read_yaml("word_lists.yaml")[name].split())
