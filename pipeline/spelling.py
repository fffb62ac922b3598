"""How a text becomes a model's tokens, for all who have to agree on it: chat frame, lead, plain text.

Knows tokenizers of transformers, and imports none.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from scrutable.pipeline.errors import CapabilityError

MARK = "\ue002"  # stands for a message in its frame, or an input in its prompt; no text contains it


class Frame(NamedTuple):
    """The tokens that a chat template writes around a message."""

    before: tuple[int, ...]
    after: tuple[int, ...]


def token_ids(tokenizer: Any, text: str, *, is_ours: bool = False) -> tuple[int, ...]:
    """The tokens of a text. Outside our own frame, what is spelt like a control token is plain text:
    an explanation or an excerpt could otherwise end its turn and speak as somebody else.
    """
    if not text:
        return ()
    return tuple(tokenizer(text, add_special_tokens=False, split_special_tokens=not is_ours)["input_ids"])


def lead_ids(tokenizer: Any) -> tuple[int, ...]:
    """What the tokenizer puts before every text: a token for its beginning, or nothing."""
    bare, full = (tokenizer("a", add_special_tokens=special)["input_ids"] for special in (False, True))
    for start in range(len(full) - len(bare) + 1):
        if full[start : start + len(bare)] == bare:
            return tuple(full[:start])
    return ()


def chat_frame(tokenizer: Any, *, name: str) -> Frame:
    """The frame of a message. Raises CapabilityError for a template that is missing or hides the message."""
    check_chat(tokenizer, name=name)
    message = [{"role": "user", "content": MARK}]
    frame = tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
    before, found, after = frame.partition(MARK)
    if not found or MARK in after:
        raise CapabilityError(f"model {name}: its chat template does not show a message once")
    return Frame(*(token_ids(tokenizer, part, is_ours=True) for part in (before, after)))


def check_chat(tokenizer: Any, *, name: str) -> None:
    """Raises CapabilityError for a model that cannot be sent messages."""
    if not tokenizer.chat_template:
        raise CapabilityError(
            f"model {name} has no chat template; use a completion prompt such as explain_completion"
        )
