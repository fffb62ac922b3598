"""Rule lists over readable tests, found one rule after the other and written as programs.

Separate and conquer (Fürnkranz 1999): the best rule for the tokens that no rule covers yet, again and
again. Shape key: A tests, N scored tokens, W conjunctions of the beam.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scrutable.pipeline.features import DENIAL_BITS, Features
from scrutable.pipeline.programs import Not, Test
from scrutable.pipeline.surrogates import Clause, Sized, to_level, write_clauses

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

_MOST_TESTS = 3  # in one rule
_BEAM = 6
_FEWEST = 2  # tokens that a rule covers
_SEARCHES = ((3e-3, 0.0), (1e-3, 0.0), (3e-4, 0.0), (1e-3, 4.0), (3e-4, 4.0))
"""(share of the variance that one bit must explain, how much error among covered tokens counts): error
among covered tokens stays, while later rules may still remove that among the others."""
_LONGEST = 60  # rules
_NOTHING = 1e-6  # share of the weight below which rounding is all that is left


class RuleList(NamedTuple):
    """A program and how well it does on the excerpts that it was found on."""

    sized: Sized
    error: float  # weighted squared error of the rules' means, as a share of the variance


def rule_lists(features: Features, *, bits: float) -> list[RuleList]:
    """Rule lists of at most `bits` bits, from several greedy searches, the best on the excerpts first.

    A rule is a conjunction of up to 3 tests or denied tests; it is worth the weighted squared error that
    giving its tokens a mean of their own saves, less a price of its bits and of the error that is left
    among the covered tokens; searches differ in the two prices. Only rules above the mean of what is
    not covered yet are taken, so that lists go from strong to weak. The level is 9 * mean / highest mean.
    """
    if not features.tests or not features.weight.sum():
        return []
    search = _Search(features)
    if search.variance <= 0:
        return []
    found = [made for prices in _SEARCHES for made in search.lists(prices, bits)]
    return sorted(found, key=lambda made: (round(made.error, 9), made.sized.bits))


def best_rule_list(lists: Sequence[RuleList], *, bits: float) -> Sized | None:
    """Of the lists of at most `bits` bits, the one with the least error; None if there is none."""
    return next((made.sized for made in lists if made.sized.bits <= bits), None)


class _Found(NamedTuple):
    """A conjunction, and where it holds of tokens that no earlier rule covers."""

    tests: tuple[Test, ...]
    covers: Bools  # (N,)
    bits: float  # about: a test costs as much in a conjunction as alone
    worth: float  # share of the variance that it explains, less what it costs


class _Search:
    """Greedy search on one unit's tokens."""

    def __init__(self, features: Features) -> None:
        self._features = features
        self._holds = features.holds.astype(np.float32)
        self._bits = np.concatenate([features.bits, features.bits + DENIAL_BITS])  # (2A,) tests, then denied
        self._weight, self._truth = features.weight / features.weight.sum(), features.truth
        self.variance = float(self._weight @ (self._truth - self._weight @ self._truth) ** 2)

    def lists(self, prices: tuple[float, float], bits: float) -> Iterator[RuleList]:
        """The list after each rule that is worth its price, until it is too long."""
        rules: list[_Found] = []
        left = np.ones(self._truth.size, dtype=bool)
        while len(rules) < _LONGEST:
            best = self._best_rule(left, prices)
            if best is None:
                return
            left = left & ~best.covers
            rules.append(best)
            sized = self._written(rules)
            if sized is not None and sized.bits > bits:
                return
            if sized is not None:
                yield RuleList(sized, sum(map(self._error, [*(rule.covers for rule in rules), left])))

    def _written(self, rules: Sequence[_Found]) -> Sized | None:
        means = [self._mean(rule.covers) for rule in rules]
        levels = [to_level(mean, max(means)) for mean in means]
        return write_clauses([Clause(rule.tests, level) for rule, level in zip(rules, levels, strict=True)])

    def _best_rule(self, left: Bools, prices: tuple[float, float]) -> _Found | None:
        """The conjunction that is worth most on the tokens that are left; None if none is worth its price."""
        best = _Found((), left, 0.0, 0.0)
        beam = [best]
        for _ in range(_MOST_TESTS):
            beam = self._extended(beam, left, prices)
            if not beam or beam[0].worth <= best.worth:
                break
            best = beam[0]
        return best if best.tests else None

    def _extended(self, beam: Sequence[_Found], left: Bools, prices: tuple[float, float]) -> list[_Found]:
        """The best conjunctions of one more test, no two of which cover the same tokens."""
        worths = self._worths(beam, left, prices)
        extended: list[_Found] = []
        seen: set[bytes] = set()
        for cell in np.argsort(-worths, axis=None, kind="stable")[: 4 * _BEAM].tolist():
            start, literal = divmod(cell, worths.shape[1])
            if len(extended) == _BEAM or not np.isfinite(worths[start, literal]):
                break
            a, is_denied = literal % len(self._holds), literal >= len(self._holds)
            covers = beam[start].covers & (self._features.holds[a] != is_denied)
            if covers.tobytes() in seen:
                continue
            seen.add(covers.tobytes())
            test = Not(self._features.tests[a]) if is_denied else self._features.tests[a]
            bits = beam[start].bits + float(self._bits[literal])
            found = _Found((*beam[start].tests, test), covers, bits, float(worths[start, literal]))
            extended.append(found)
        return extended

    def _worths(self, beam: Sequence[_Found], left: Bools, prices: tuple[float, float]) -> Floats:
        """(W, 2A) worth of each conjunction with one test more, held or denied; -inf if not allowed."""
        w = self._weight * left
        centred = self._truth - w @ self._truth / w.sum()
        covers = np.stack([start.covers for start in beam])  # (W, N)
        moments = np.stack([np.ones_like(w), w, w * centred, w * centred**2])[:, None]  # (4, 1, N)
        columns = (moments * covers).astype(np.float32)  # (4, W, N)
        # As one matrix product: numpy takes a far slower path for a stack of them.
        held = (columns.reshape(-1, covers.shape[1]) @ self._holds.T).reshape(4, len(beam), -1)  # (4, W, A)
        count, weight, above, squares = np.concatenate([held, columns.sum(axis=2)[..., None] - held], axis=2)
        rest = w.sum() - weight
        allowed = (count >= _FEWEST) & (above > 0) & (weight > 0) & (rest > _NOTHING * w.sum())
        # Sum of squares between the covered tokens and the rest of those that are left.
        saved = np.divide(above**2 * w.sum(), weight * rest, out=np.zeros_like(weight), where=allowed)
        within = squares - np.divide(above**2, weight, out=np.zeros_like(weight), where=allowed)
        bits = np.array([[start.bits] for start in beam]) + self._bits
        per_bit, per_error = prices
        worth = ((saved - per_error * within) / self.variance - per_bit * bits).round(
            6
        )  # so that what covers alike ties
        return np.where(allowed, worth, -np.inf)

    def _mean(self, covers: Bools) -> float:
        return float(self._weight[covers] @ self._truth[covers] / self._weight[covers].sum())

    def _error(self, covers: Bools) -> float:
        """Squared error of the mean of these tokens, as a share of the variance of all."""
        if not covers.any():
            return 0.0
        return float(self._weight[covers] @ (self._truth[covers] - self._mean(covers)) ** 2) / self.variance
