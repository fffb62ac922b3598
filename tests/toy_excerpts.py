"""Small excerpts written by hand, and services that open one scripted door."""

from __future__ import annotations

from collections.abc import Sequence

from scrutable.pipeline.protocols import Ask, LocatedModel, Services
from scrutable.pipeline.records import Excerpt, Passage, Split
from scrutable.pipeline.sections import ModelConfig


def excerpt(
    tokens: Sequence[str],
    activations: Sequence[float],
    *,
    id: str = "e0",
    n_context: int = 0,
    weight: float = 1.0,
    is_top: bool = True,
    split: Split = "explain",
) -> Excerpt:
    return Excerpt(
        passage=Passage(id=id, tokens=tuple(tokens), n_context=n_context),
        document=f"document of {id}",
        split=split,
        activations=tuple(activations),
        weight=weight,
        is_top=is_top,
    )


def services(ask: Ask) -> Services:
    def locate(config: ModelConfig) -> LocatedModel:
        raise AssertionError(f"{config.model}: a scripted model has no files")

    return Services(locate=locate, ask=lambda config: ask, seed=0)  # noqa: ARG005 - one door for all
