"""Token tables: an explanation that anyone can look up, and its written form."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from scrutable.pipeline.description import text_bits
from scrutable.pipeline.errors import ParseError
from scrutable.pipeline.records import Excerpt

Key = TypeVar("Key", bound=Hashable)

_LEAST_BITS = 8  # no entry is shorter, compressed or not


@dataclass(frozen=True, slots=True)
class TokenTable:
    """The mean activation of each token, in the subject's raw units."""

    means: Mapping[str, float]
    other: float  # for a token that is not in the table

    def write(self) -> str:
        """One JSON object, strongest token first; the token "" stands for all others."""
        rounded = {token: _rounded(mean) for token, mean in self.means.items()}
        ordered = sorted(rounded.items(), key=lambda item: (-item[1], item[0]))
        return json.dumps(dict(ordered) | {"": _rounded(self.other)}, ensure_ascii=False)


def _rounded(mean: float) -> float:
    return float(f"{mean:.6g}")


def read_table(text: str) -> TokenTable:
    """The table that `write` wrote. Raises ParseError for anything else."""
    try:
        entries = json.loads(text, parse_int=float)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ParseError(f"not a token table: {error}") from error
    if not isinstance(entries, dict) or "" not in entries:
        raise ParseError('not a token table: expected a JSON object of token to mean, with "" for the rest')
    if not all(isinstance(mean, float) and math.isfinite(mean) for mean in entries.values()):
        raise ParseError("not a token table: every mean must be a finite number")
    return TokenTable({token: mean for token, mean in entries.items() if token}, entries[""])


def fit_table(excerpts: Sequence[Excerpt]) -> TokenTable:
    """Population-weighted mean activation of each token; `other` is the mean over tokens seen once.

    A token never seen behaves more like those seen once than like the average token.
    """
    seen = tally((token, a, weight) for _, token, a, weight in scored_tokens(excerpts))
    rare = [token for token in seen.count if seen.count[token] == 1]
    means = {token: seen.mean_of([token]) for token in seen.weight}
    return TokenTable(means, seen.mean_of(rare or seen.count))


def short_table(excerpts: Sequence[Excerpt], *, bits: float) -> TokenTable | None:
    """The table with the entries of most explained variance whose written form has at most `bits` bits.

    An entry explains weight * (mean - mean of all tokens)^2. Means are written with two digits, which
    leaves room for more entries. `other` is the mean over the tokens that were left out. None if not
    even a table without entries is as short as that.
    """
    seen = tally((token, a, weight) for _, token, a, weight in scored_tokens(excerpts))
    overall = seen.mean_of(seen.weight)
    gains = {token: seen.weight[token] * (seen.mean_of([token]) - overall) ** 2 for token in seen.weight}
    ranked = sorted(gains, key=lambda token: (-gains[token], token))

    def with_entries(count: int) -> TokenTable:
        means = {token: two_digits(seen.mean_of([token])) for token in ranked[:count]}
        return TokenTable(means, two_digits(seen.mean_of(ranked[count:] or ranked)))

    return longest_within(bits, len(ranked), with_entries)


@dataclass(frozen=True, slots=True)
class Tally(Generic[Key]):
    """What the occurrences of each key add up to."""

    weight: Mapping[Key, float]
    total: Mapping[Key, float]  # weighted activation
    count: Mapping[Key, int]

    def mean_of(self, keys: Collection[Key]) -> float:
        """Weighted mean activation over all occurrences of these keys; 0 where there are none."""
        weight = sum(self.weight[key] for key in keys)
        return sum(self.total[key] for key in keys) / weight if weight else 0.0


def scored_tokens(excerpts: Sequence[Excerpt]) -> Iterator[tuple[str, str, float, float]]:
    """(token before, token, activation, weight) of each scored token that is not empty.

    The token before the first scored one is its context token; "" where there is none.
    """
    for excerpt in excerpts:
        tokens, start = excerpt.passage.tokens, excerpt.passage.n_context
        before = ("", *tokens)[start:]
        for previous, token, a in zip(before, tokens[start:], excerpt.activations[start:], strict=False):
            if token:
                yield previous, token, a, excerpt.weight


def tally(occurrences: Iterable[tuple[Key, float, float]]) -> Tally[Key]:
    """Sums of (key, activation, weight) by key, in the order in which keys first occur."""
    weight: dict[Key, float] = defaultdict(float)
    total: dict[Key, float] = defaultdict(float)
    count: dict[Key, int] = defaultdict(int)
    for key, a, w in occurrences:
        weight[key] += w
        total[key] += w * a
        count[key] += 1
    return Tally(weight, total, count)


class _Writable(Protocol):
    def write(self) -> str: ...


Written = TypeVar("Written", bound=_Writable)


def longest_within(bits: float, entries: int, with_entries: Callable[[int], Written]) -> Written | None:
    """What `with_entries` makes of as many entries as fit, found by bisection; None if not even 0 fit.

    The length of compressed text is not quite monotone in the number of entries, so one more may
    have fitted; what is returned always does.
    """
    best: Written | None = None
    low, high = 0, min(entries, int(bits // _LEAST_BITS))
    while low <= high:
        middle = (low + high) // 2 if best else low  # nothing at all first: it may not fit
        made = with_entries(middle)
        if text_bits(made.write()) <= bits:
            best, low = made, middle + 1
        elif best is None:
            return None
        else:
            high = middle - 1
    return best


def two_digits(mean: float) -> float:
    """A mean as budgeted tables write it."""
    return float(f"{mean:.2g}")
