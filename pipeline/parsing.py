"""Reading what a model was asked to write."""

from __future__ import annotations

from scrutable.pipeline.errors import ParseError


def parse_explanation(reply: str) -> str:
    """The explanation in a reply: its first line with a letter or digit in it, without quotes around it.

    Raises ParseError for a reply without such a line.
    """
    for line in reply.splitlines():
        text = line.strip().removeprefix("Explanation:").strip()
        if text[:1] == text[-1:] and text[:1] in "\"'" and text.count(text[:1]) == 2:
            text = text[1:-1].strip()
        if any(character.isalnum() for character in text):
            return text
    raise ParseError(f"no explanation in the reply {reply[:80]!r}")
