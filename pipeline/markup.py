"""How an excerpt is shown to an explainer: a cut around its peak, with the strong tokens marked."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import dropwhile, groupby
from typing import NamedTuple

from scrutable.pipeline.records import Excerpt

BEFORE, AFTER = 24, 6  # tokens around the peak: a causal unit depends on what stands before it


class Piece(NamedTuple):
    """A stretch of an excerpt's text."""

    text: str
    is_marked: bool


def highlighted(excerpt: Excerpt, *, share: float) -> tuple[Piece, ...]:
    """The excerpt around its strongest token; tokens of at least `share` of the maximum are marked.

    Neighbouring marked tokens are one piece; a mark neither begins nor ends with white space, unless
    white space is all that it holds. A silent excerpt comes without marks.
    """
    words = excerpt.passage.tokens
    pieces: list[Piece] = []
    for is_marked, run in groupby(_around_peak(excerpt), lambda t: _is_strong(excerpt, t, share)):
        text = "".join(words[t] for t in run)
        bare = text.strip() or text
        before, bare, after = text.partition(bare) if is_marked and text else (text, "", "")
        pieces += Piece(before, False), Piece(bare, True), Piece(after, False)
    shown = list(dropwhile(lambda p: not p.is_marked and p.text.isspace(), filter(lambda p: p.text, pieces)))
    if shown and not shown[0].is_marked:
        shown[0] = Piece(shown[0].text.lstrip(), False)
    return tuple(shown)


def strongest_tokens(excerpts: Sequence[Excerpt], *, share: float, count: int) -> tuple[str, ...]:
    """Up to `count` different tokens that `highlighted` marks, strongest first, without white space.

    A token of white space alone is given as it is.
    """
    strength: dict[str, float] = {}
    for excerpt in excerpts:
        for t in _around_peak(excerpt):
            token = excerpt.passage.tokens[t]
            if token and _is_strong(excerpt, t, share):
                bare = token.strip() or token
                strength[bare] = max(strength.get(bare, 0.0), excerpt.activations[t])
    return tuple(sorted(strength, key=lambda token: (-strength[token], token))[:count])


def _around_peak(excerpt: Excerpt) -> range:
    scored = range(excerpt.passage.n_context, len(excerpt.activations))
    peak = max(scored, key=lambda t: (excerpt.activations[t], -t), default=0)
    return range(max(0, peak - BEFORE), min(len(excerpt.activations), peak + AFTER + 1))


def _is_strong(excerpt: Excerpt, t: int, share: float) -> bool:
    maximum = excerpt.max_activation
    return t >= excerpt.passage.n_context and maximum > 0 and excerpt.activations[t] >= share * maximum
