"""How long it will take to study the first author's writing: the study itself, timed on two units."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from scrutable.pipeline.composition.ladder_parts import LadderComposition
from scrutable.pipeline.composition.models import price_of
from scrutable.pipeline.config import ExplainerConfig, RecurseConfig
from scrutable.pipeline.forecast import StageForecast, timed
from scrutable.pipeline.records import Excerpt, Passage
from scrutable.pipeline.recursion.config import WritingConfig
from scrutable.pipeline.recursion.records import EDITS, GUIDES, Guide, Procedure
from scrutable.pipeline.recursion.writing import FOLLOWERS, Pair, Writing, choices, procedures
from scrutable.pipeline.sections import ModelConfig
from scrutable.pipeline.words import split_words

_SAMPLE = "The ship left the harbour of the old town in the night and was not seen again by anybody there."
_EXCERPTS = 8
_SAMPLED_UNITS = 2
STAND_IN = "Look at the marked words and at what stands beside them; say what they have in common. " * 3
"""For a procedure that nobody has written yet."""


def shown_sample(unit: int = 0) -> tuple[Excerpt, ...]:
    """Exemplars of about the usual number and length, with another word marked in each, and for each unit."""
    words = split_words(_SAMPLE)

    def marks(number: int) -> tuple[float, ...]:
        return tuple(float(t == (unit + number) % len(words)) for t in range(len(words)))

    return tuple(
        Excerpt(Passage(f"e{n}", words, 0), f"d{n}", "explain", marks(n), 1.0, is_top=True)
        for n in range(_EXCERPTS)
    )


def forecast_writing(
    config: RecurseConfig, parts: LadderComposition, settings: WritingConfig
) -> list[StageForecast]:
    """Procedures and choices; where a model costs money, prompts are counted and nothing is asked."""
    pairs = [Pair(f"L0.N{n}.pos", shown_sample(n), f" word number {n}") for n in range(settings.pairs)]
    tried = Writing(told=tuple(pairs), held_out=tuple(pairs[:_SAMPLED_UNITS]))
    guides: dict[Guide, Procedure] = {
        kind: Procedure(1, kind, "", "", STAND_IN, (), "") for kind in FOLLOWERS
    }
    author, writer, chooser = config.author(1), config.writer_of_procedures, settings.simulator

    def write() -> object:
        return procedures(pairs, parts.ask(writer), settings, author="", writer=writer.model)

    def choose() -> object:
        return choices(tried, parts.author(1), parts.ask(chooser), guides, settings, seed=config.seed)

    n_prompts = settings.units * len(EDITS) * (1 + len(GUIDES))
    share = settings.units / len(tried.held_out)
    return [
        _line("procedures", len(guides), len(guides), _seconds(write, [writer])),
        _line("choices", settings.units, n_prompts, share * _seconds(choose, [author, chooser])),
    ]


def _line(stage: str, n: int, n_prompts: int, seconds: float) -> StageForecast:
    return StageForecast(stage, n, n_prompts, 0, seconds, math.nan if math.isnan(seconds) else 0.0)


def _seconds(work: Callable[[], object], asked: Sequence[ExplainerConfig | ModelConfig | None]) -> float:
    """NaN, and nothing is done, where one that would be asked is not known to be free."""
    prices = [price_of(one) for one in asked if isinstance(one, ModelConfig)]
    if not all(price and price.is_free for price in prices):
        return math.nan
    return timed(work)[0]
