"""Reading what a model was asked to write."""

from __future__ import annotations

from scrutable.pipeline.errors import ParseError
from scrutable.pipeline.records import CallFailure, Completion, Explanation, Failure, Prompt


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


def read_explanation(
    answer: Completion | CallFailure,
    *,
    unit: str,
    explainer: str,
    model: str,
    prompt: Prompt,
    prompt_digest: str,
    shown: tuple[str, ...],
) -> Explanation | Failure:
    """What a model wrote of a unit in English; a reply that holds no explanation is a Failure.

    The fields are those of `Explanation`.
    """
    if isinstance(answer, CallFailure):
        return Failure(unit, "explain", answer.kind, answer.detail, explainer)
    try:
        text = parse_explanation(answer.text)
    except ParseError as error:
        return Failure(unit, "explain", "parse", str(error), explainer)
    return Explanation(
        unit=unit,
        explainer=explainer,
        language="english",
        text=text,
        model=model,
        prompt=prompt.whole,
        prompt_digest=prompt_digest,
        reply=answer.text,
        is_cut=answer.stopped == "length",
        shown=shown,
        cost=answer.cost,
    )
