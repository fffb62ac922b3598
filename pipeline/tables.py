"""Token tables: an explanation that anyone can look up, and its written form."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scrutable.pipeline.errors import ParseError
from scrutable.pipeline.records import Excerpt


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
    weight: dict[str, float] = defaultdict(float)
    total: dict[str, float] = defaultdict(float)
    count: dict[str, int] = defaultdict(int)
    for excerpt in excerpts:
        start = excerpt.passage.n_context
        for token, a in zip(excerpt.passage.tokens[start:], excerpt.activations[start:], strict=True):
            if token:
                weight[token] += excerpt.weight
                total[token] += excerpt.weight * a
                count[token] += 1
    rare = [token for token in count if count[token] == 1] or list(count)
    rare_weight = sum(weight[token] for token in rare)
    other = sum(total[token] for token in rare) / rare_weight if rare_weight else 0.0
    return TokenTable({token: total[token] / weight[token] for token in weight}, other)
