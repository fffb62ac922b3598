"""An explanation as it was written: by whom, in what language, from which prompt, at what cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scrutable.evaluators.report import wording
from scrutable.pipeline.records import Explanation


@dataclass(frozen=True, slots=True)
class Written:
    """An explanation and where it came from."""

    explainer: str
    language: str
    text: str
    is_prose: bool
    written_by: str
    prompt_digest: str
    prompt: str
    reply: str
    cost: str


def written(explanation: Explanation) -> Written:
    """What a page tells of one explanation."""
    cost = explanation.cost
    return Written(
        explainer=explanation.author,
        language=explanation.language,
        text=explanation.text,
        is_prose=explanation.language == "english",
        written_by=_author(explanation),
        prompt_digest=explanation.prompt_digest,
        prompt=explanation.prompt,
        reply=explanation.reply,
        cost=f"{wording.count(cost.prompt_tokens)} prompt tokens ({wording.count(cost.computed_tokens)} "
        f"computed), {wording.count(cost.generated_tokens)} generated",
    )


def english_first(explanations: Sequence[Explanation]) -> list[Explanation]:
    """In the run's order otherwise."""
    return sorted(explanations, key=lambda explanation: explanation.language != "english")


def _author(explanation: Explanation) -> str:
    if not explanation.model:
        return "written without a model"
    return f"written by {explanation.model}" + (", cut off at max_tokens" if explanation.is_cut else "")
