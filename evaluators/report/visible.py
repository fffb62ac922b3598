"""Tokens made visible: every character that would print as nothing is shown as a sign.

Tokens are untrusted: invisible and direction-changing characters are spelled out, so that what the
page shows is what the model read.
"""

from __future__ import annotations

import unicodedata
from itertools import groupby
from typing import NamedTuple

_SIGNS = {" ": "·", "\n": "⏎", "\t": "⇥", "\r": "␍", "\N{NO-BREAK SPACE}": "⍽"}
_SPELLED_OUT = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"}  # Unicode categories without a shape


class Run(NamedTuple):
    """Part of a token: its own text, or signs that stand for what has no shape."""

    text: str
    is_sign: bool


def visible(token: str) -> tuple[Run, ...]:
    """The token in runs, none of which is invisible."""
    if not token:
        return (Run("∅", True),)
    shown = [_shown(character) for character in token]
    return tuple(
        Run("".join(run.text for run in runs), is_sign)
        for is_sign, runs in groupby(shown, key=lambda run: run.is_sign)
    )


def readable(token: str) -> str:
    """The token as one text, with the signs in it."""
    return "".join(run.text for run in visible(token))


def legible(text: str) -> str:
    """A text as it is read, spaces and line breaks kept; every other character without a shape is a sign."""
    return "".join(character if character in " \n" else _shown(character).text for character in text)


def _shown(character: str) -> Run:
    if character in _SIGNS:
        return Run(_SIGNS[character], True)
    if unicodedata.category(character) in _SPELLED_OUT:
        return Run(f"⟨U+{ord(character):04X}⟩", True)
    return Run(character, False)
