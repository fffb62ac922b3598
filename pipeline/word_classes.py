"""Named classes of words, written by hand: what `class("colour")` means in a program."""

from __future__ import annotations

import functools
from importlib import resources

import yaml


@functools.cache
def word_classes() -> dict[str, tuple[str, ...]]:
    """Name → words, lower case, in the order of the file; several words of one meaning stand for it."""
    text = (resources.files("scrutable.pipeline") / "word_classes.yaml").read_text(encoding="utf-8")
    return {name: tuple(words.split()) for name, words in yaml.safe_load(text).items()}


@functools.cache
def members(name: str) -> frozenset[str]:
    """The words of a class, case-folded. Raises KeyError for an unknown one."""
    return frozenset(word.casefold() for word in word_classes()[name])
