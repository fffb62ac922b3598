"""Text as words: the tokens of planted units, of which a text is the concatenation."""

from __future__ import annotations

import re

_TOKEN = re.compile(r" ?\w+| ?[^\w\s]|\s")


def split_words(text: str) -> tuple[str, ...]:
    """Words with the space before them, punctuation, and other white space, one token each."""
    return tuple(_TOKEN.findall(text))
