"""Explanations of behaviours as a reader can read them: policies in English, weights as a short table.

Whoever wrote one may have written anything, so one that cannot be read is shown as it is, and said to be so.
"""

from __future__ import annotations

from dataclasses import dataclass

from scrutable.pipeline.behaviours.policy_text import read_policy, say_policy
from scrutable.pipeline.errors import ParseError


@dataclass(frozen=True, slots=True)
class Account:
    """An explanation, in the parts that a page prints."""

    prose: str = ""  # English; empty where there is none
    source: str = ""  # the text that a simulator reads, where that is not the prose
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()  # as wide as `head`
    note: str = ""  # what is left out, or why nothing could be read


def readable_account(text: str, language: str) -> Account:
    """The explanation in a form for people."""
    if language == "english":
        return Account(prose=text)
    if language != "policy":
        return Account(source=text)
    try:
        return Account(prose=say_policy(read_policy(text)), source=text)
    except ParseError as error:
        return Account(source=text, note=f"It cannot be read as a policy: {error}.")
