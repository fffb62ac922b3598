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

    Neighbouring marked tokens are one piece; a mark neither begins nor ends with white space, and a
    token of nothing else is not marked. A silent excerpt comes without marks.
    """
    peak = _peak(excerpt)
    tokens = range(max(0, peak - BEFORE), min(len(excerpt.activations), peak + AFTER + 1))
    words = excerpt.passage.tokens
    pieces: list[Piece] = []
    for is_marked, run in groupby(tokens, lambda t: bool(words[t].strip()) and _is_strong(excerpt, t, share)):
        text = "".join(words[t] for t in run)
        before, bare, after = text.partition(text.strip()) if is_marked else (text, "", "")
        pieces += Piece(before, False), Piece(bare, True), Piece(after, False)
    first, *others = [*dropwhile(lambda piece: not piece.text.strip(), pieces), Piece("", False)]
    return tuple(piece for piece in (Piece(first.text.lstrip(), first.is_marked), *others) if piece.text)


def strongest_tokens(excerpts: Sequence[Excerpt], *, share: float, count: int) -> tuple[str, ...]:
    """Up to `count` different highlighted tokens without their white space, strongest first."""
    strength: dict[str, float] = {}
    for excerpt in excerpts:
        for t, (token, activation) in enumerate(
            zip(excerpt.passage.tokens, excerpt.activations, strict=True)
        ):
            bare = token.strip()
            if bare and _is_strong(excerpt, t, share):
                strength[bare] = max(strength.get(bare, 0.0), activation)
    return tuple(sorted(strength, key=lambda token: (-strength[token], token))[:count])


def _peak(excerpt: Excerpt) -> int:
    scored = range(excerpt.passage.n_context, len(excerpt.activations))
    return max(scored, key=lambda t: (excerpt.activations[t], -t), default=0)


def _is_strong(excerpt: Excerpt, t: int, share: float) -> bool:
    maximum = excerpt.max_activation
    return t >= excerpt.passage.n_context and maximum > 0 and excerpt.activations[t] >= share * maximum
