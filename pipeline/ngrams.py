"""N-gram tables: the mean activation of a token after another one, which backs off to the token alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scrutable.pipeline.errors import ParseError
from scrutable.pipeline.records import Excerpt
from scrutable.pipeline.tables import (
    Tally,
    TokenTable,
    fit_table,
    longest_within,
    read_table,
    scored_tokens,
    tally,
    two_digits,
)

Pair = tuple[str, str]
"""(the token before, the token)."""

_PRIOR = 2.0  # a pair's mean counts as much as its token's once the pair was seen this often


@dataclass(frozen=True, slots=True)
class NgramTable:
    """Means in the subject's raw units; a pair that is not there has the mean of its token."""

    pairs: Mapping[Pair, float]
    single: TokenTable

    def predict(self, tokens: Sequence[str]) -> list[float]:
        """(T,) the mean of each token after the one before it; the first has none before it."""
        before = ["", *tokens]
        return [
            self.pairs.get(pair, self.single.means.get(pair[1], self.single.other))
            for pair in zip(before, tokens, strict=False)
        ]

    def write(self) -> str:
        """JSON: {"pairs": {token before: {token: mean}}, "tokens": a token table}, strongest first."""
        nested: dict[str, dict[str, float]] = {}
        for (before, token), mean in sorted(self.pairs.items(), key=lambda item: (-item[1], item[0])):
            nested.setdefault(before, {})[token] = float(f"{mean:.6g}")
        pairs = json.dumps(nested, ensure_ascii=False)
        return f'{{"pairs": {pairs}, "tokens": {self.single.write()}}}'


def read_ngrams(text: str) -> NgramTable:
    """The table that `write` wrote. Raises ParseError for anything else."""
    try:
        parts = json.loads(text, parse_int=float)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ParseError(f"not an n-gram table: {error}") from error
    if not isinstance(parts, dict) or set(parts) != {"pairs", "tokens"}:
        raise ParseError('not an n-gram table: expected a JSON object with the keys "pairs" and "tokens"')
    if not isinstance(parts["pairs"], dict):
        raise ParseError("not an n-gram table: pairs must be an object of objects")
    single = read_table(json.dumps(parts["tokens"]))
    return NgramTable(dict(_pairs(parts["pairs"])), single)


def _pairs(nested: Mapping[str, Any]) -> Iterator[tuple[Pair, float]]:
    for before, after in nested.items():
        if not isinstance(after, dict) or not before or "" in after:
            raise ParseError(f"not an n-gram table: after {before!r}, expected an object of token to mean")
        means = read_table(json.dumps(after | {"": 0.0})).means  # which checks that they are finite numbers
        yield from (((before, token), mean) for token, mean in means.items())


def fit_ngrams(excerpts: Sequence[Excerpt]) -> NgramTable:
    """Population-weighted mean activation of each pair that occurs, shrunk to the mean of its token.

    A pair seen n times has the mean (n * own mean + k * mean of its token) / (n + k), k = 2: the
    posterior mean under a prior that is worth k observations. Tokens are those of `fit_table`. The
    token before the first scored one is its context token.
    """
    single = fit_table(excerpts)
    return NgramTable(_shrunk(_tally(excerpts), single.means), single)


def short_ngrams(excerpts: Sequence[Excerpt], *, bits: float) -> NgramTable | None:
    """The table with the entries of most explained variance whose written form has at most `bits` bits.

    A token explains what it does in `tables.short_table`, a pair weight * (mean - mean of its token)^2.
    Means are written with two digits. `other` is the mean over the tokens without an entry. None if
    nothing is as short as that.
    """
    single = tally((token, a, weight) for _, token, a, weight in scored_tokens(excerpts))
    alone = {token: single.mean_of([token]) for token in single.weight}
    pairs = _tally(excerpts)
    means = _shrunk(pairs, alone) | {("", token): mean for token, mean in alone.items()}
    overall = single.mean_of(alone)
    gains = {("", token): single.weight[token] * (alone[token] - overall) ** 2 for token in alone}
    gains |= {pair: pairs.weight[pair] * (means[pair] - alone[pair[1]]) ** 2 for pair in pairs.weight}
    ranked = sorted(gains, key=lambda pair: (-gains[pair], pair))

    def with_entries(count: int) -> NgramTable:
        kept = {pair: two_digits(means[pair]) for pair in ranked[:count]}
        tokens = {token: mean for (before, token), mean in kept.items() if not before}
        other = single.mean_of([token for token in alone if token not in tokens] or alone)
        return NgramTable(
            {p: mean for p, mean in kept.items() if p[0]}, TokenTable(tokens, two_digits(other))
        )

    return longest_within(bits, len(ranked), with_entries)


def _tally(excerpts: Sequence[Excerpt]) -> Tally[Pair]:
    return tally(
        ((before, token), a, weight) for before, token, a, weight in scored_tokens(excerpts) if before
    )


def _shrunk(pairs: Tally[Pair], alone: Mapping[str, float]) -> dict[Pair, float]:
    return {
        pair: (n * pairs.mean_of([pair]) + _PRIOR * alone[pair[1]]) / (n + _PRIOR)
        for pair, n in pairs.count.items()
    }
