"""The ledger of trust: of what the explanations are worth, how much is discharged, stranded, passed up.

Pure. SCIENCE.md 2.3: a claim is discharged by v, the share of its worth that survives without trust in any
model; of the rest a share r rests on writing that nobody has accounted for, and 1 - r on the word of the next
author. The identity weight = discharged + stranded + passed up + open holds by construction and in every
draw; v and r are estimates, ratios of sums, never clipped.
Shape key: C claims of a level, B bootstrap draws; row 0 of the draws is the data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scrutable.pipeline.recursion.records import Claim, LedgerRow

Floats = NDArray[np.float64]
End = Literal["", "cut_off", "loop", "foundation", "text_only", "nothing_left"]
Tier = Literal["strict", "lenient"]
Corpus = Literal["sampled", "shifted"]

_FEWEST = 2  # roots; an interval over one says nothing


@dataclass(frozen=True, slots=True)
class Party:
    """Who wrote the claims of a level, and who is trusted with what is passed up from it."""

    author: str
    trusted: str  # empty at the top
    parameters: float  # of the trusted party; NaN if unknown
    end: End = ""  # how the ladder ends here
    is_own_check: bool = False  # its texts are programs that the checker runs, whatever they are worth


def keep_ledger(
    claims: Sequence[Claim],
    parties: Mapping[int, Party],
    *,
    tier: Tier = "strict",
    corpus: Corpus = "sampled",
    draws: int = 2000,
    seed: int,
) -> tuple[LedgerRow, ...]:
    """One row for each level of one ladder.

    v = sum of weighted checked gains / sum of weighted gains; 1 - r = (sum of effects / sum of gaps) x
    (sum of restored / sum of lost, both less what a null restores), over claims that were followed. A claim
    below the root weighs what its parent passed up times the share at which it was drawn, so that sums are
    unbiased for the whole tree (Hansen & Hurwitz 1943). Claims that were not followed are open. Where the
    texts of a level have no gain that differs from 0 there is nothing to check: v is undefined, and nothing
    is discharged. Programs that the checker runs are their own check, v = 1.

    Args:
        claims: of one ladder, any order.
        parties: level → who wrote and who is trusted.
        tier: which gains count as checked.
        corpus: on which text they were measured.
        draws: B, of the bootstrap over roots.
        seed: of the run.
    """
    levels = sorted({claim.level for claim in claims})
    roots = sorted({claim.root for claim in claims})
    if not levels:
        return ()
    rng = np.random.default_rng([seed, len(roots)])
    counts = np.ones((draws + 1, len(roots)))
    counts[1:] = rng.multinomial(len(roots), [1 / len(roots)] * len(roots), size=draws)
    book = _Book(claims, roots, counts, *_readers(tier, corpus))
    rows, weight, released = [], np.ones(draws + 1), np.zeros(draws + 1)
    for level in levels:
        party = parties[level]
        found = book.level(level, is_own_check=party.is_own_check)
        released = released + weight * found.discharged
        if level == levels[-1] and not party.end:  # nothing in the author above could be explained
            party = replace(party, end="nothing_left")
        rows.append(_row(book, found, party, weight, 1 - released, tier, corpus))
        weight = weight * found.passed_up
    return tuple(rows)


def path_weights(claims: Sequence[Claim]) -> dict[str, float]:
    """Claim id → product of the shares at which it and its ancestors were drawn; 1 for a root."""
    by_id = {claim.id: claim for claim in claims}

    def weight(claim: Claim) -> float:
        return claim.share * (weight(by_id[claim.parent]) if claim.parent else 1.0)

    return {claim.id: weight(claim) for claim in claims}


@dataclass(frozen=True, slots=True)
class _Level:
    """Shares of what came into a level, (1 + B,) each."""

    level: int
    claims: tuple[Claim, ...]
    v: Floats  # NaN where there is no gain to check
    r: Floats
    coverage: Floats
    substitution: Floats
    shuffled: Floats
    followed: Floats
    reason: str

    @property
    def discharged(self) -> Floats:
        return np.nan_to_num(self.v, nan=0.0)

    @property
    def stranded(self) -> Floats:
        return self._rest * self.followed * np.nan_to_num(self.r, nan=1.0)

    @property
    def passed_up(self) -> Floats:
        return self._rest * self.followed * (1 - np.nan_to_num(self.r, nan=1.0))

    @property
    def open(self) -> Floats:
        return self._rest * (1 - self.followed)

    @property
    def _rest(self) -> Floats:
        return 1 - self.discharged


class _Book:
    """Sums over resampled roots."""

    def __init__(
        self,
        claims: Sequence[Claim],
        roots: Sequence[str],
        counts: Floats,
        gain: Callable[[Claim], float],
        checked: Callable[[Claim], float],
    ) -> None:
        self.counts = counts
        self._claims = claims
        self._column = {root: n for n, root in enumerate(roots)}
        self._gain, self._checked = gain, checked
        self._path = path_weights(claims)
        self._worth = {claim.root: claim.gain for claim in claims if not claim.parent}
        self.n_roots = len(roots)

    def level(self, number: int, *, is_own_check: bool) -> _Level:
        """The shares of one level."""
        some = tuple(claim for claim in self._claims if claim.level == number)
        is_root = number == min(claim.level for claim in self._claims)
        # The worth of a root is its gain, so its gain weighs once; a claim below weighs by its root's worth.
        own = [1.0 if is_root else self._worth[c.root] * self._path[c.id] for c in some]
        came_in = [self._gain(c) if is_root else w for c, w in zip(some, own, strict=True)]
        gains = self._sums(some, [w * self._gain(c) for c, w in zip(some, own, strict=True)])
        checked = self._sums(some, [w * self._checked(c) for c, w in zip(some, own, strict=True)])
        reason = ""
        if not some or not math.isfinite(gains[0]):
            reason = "no claim of this level has a gain"
        elif not np.quantile(gains[1:], 0.025) > 0:
            reason = "the explanations of this level have no gain above 0, so there is nothing to check"
        v = np.full_like(gains, np.nan) if reason else _ratio(checked, gains)
        if is_own_check or self._is_all_checked(some):
            v, reason = np.ones_like(gains), ""
        followed = [c for c in some if c.is_followed]
        drawn = {c.id: self._path[c.id] for c in followed}
        gaps, effects, lost, restored, null, shuffled = (
            self._sums(followed, [drawn[c.id] * getattr(c, name) for c in followed])
            for name in ("gap", "effect", "lost", "restored", "restored_null", "restored_shuffled")
        )
        coverage, x = _ratio(effects, gaps), _ratio(restored - null, lost - null)
        kept = coverage * x
        if followed and all(c.stop == "foundation" for c in followed):
            kept = np.ones_like(kept)
        elif followed and all(c.stop == "text_only" for c in followed):
            kept = np.zeros_like(kept)
        is_followed = [w if c.is_followed else 0.0 for c, w in zip(some, came_in, strict=True)]
        share = _ratio(self._sums(some, is_followed), self._sums(some, came_in))
        counted = _ratio(
            self._sums(some, [float(c.is_followed) for c in some]), self._sums(some, [1.0] * len(some))
        )
        share = np.where(np.isnan(share), counted, share)  # where nothing came in, claims count alike
        # Of a claim that was followed, nodes that could not be substituted are accounted for by nobody.
        return _Level(
            level=number,
            claims=some,
            v=v,
            r=1 - kept if followed else np.full_like(v, np.nan),
            coverage=coverage,
            substitution=x,
            shuffled=_ratio(shuffled - null, lost - null),
            followed=np.nan_to_num(share, nan=0.0) if followed else np.zeros_like(v),
            reason=reason,
        )

    def _is_all_checked(self, claims: Sequence[Claim]) -> bool:
        """Whether all of the worth of claims is checked, however little it is."""
        pairs = [(self._gain(claim), self._checked(claim)) for claim in claims]
        return any(gain != 0 for gain, _ in pairs) and all(gain == checked for gain, checked in pairs)

    def _sums(self, claims: Sequence[Claim], values: Sequence[float]) -> Floats:
        """(1 + B,) sums over claims, each as often as its root is drawn."""
        drawn = self.counts[:, [self._column[claim.root] for claim in claims]]
        return np.asarray(drawn @ np.array(values, dtype=np.float64).reshape(-1))


def _readers(tier: Tier, corpus: Corpus) -> tuple[Callable[[Claim], float], Callable[[Claim], float]]:
    """The gain of the text, and the gain that counts as checked."""
    if corpus == "shifted":
        return (lambda c: c.gain_shifted), (lambda c: c.gain_strict_shifted)
    return (lambda c: c.gain), (lambda c: c.gain_strict if tier == "strict" else c.gain_lenient)


def _ratio(above: Floats, below: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below != 0, above / below, np.nan)


def _row(
    book: _Book,
    found: _Level,
    party: Party,
    weight: Floats,
    unresolved: Floats,
    tier: Tier,
    corpus: Corpus,
) -> LedgerRow:
    stops = sorted({claim.stop for claim in found.claims if claim.stop})
    n_roots = book.n_roots
    roots_worth = sum(book._worth.values())
    values: dict[str, float] = {}
    for name, figures in {
        "discharged": found.discharged,
        "stranded": found.stranded,
        "passed_up": found.passed_up,
        "v": found.v,
        "r": found.r,
        "substitution": found.substitution,
        "unresolved": unresolved,
    }.items():
        low, high = _interval(figures, n_roots)
        values |= {name: float(figures[0]), f"{name}_low": low, f"{name}_high": high}
    return LedgerRow(
        ladder=found.claims[0].ladder,
        level=found.level,
        tier=tier,
        corpus=corpus,
        author=party.author,
        trusted=party.trusted,
        parameters=party.parameters,
        n_claims=len(found.claims),
        n_followed=sum(claim.is_followed for claim in found.claims),
        n_roots=n_roots,
        weight=float(weight[0]),
        weight_bits=float(weight[0]) * roots_worth,
        open=float(found.open[0]),
        coverage=float(found.coverage[0]),
        substitution_shuffled=float(found.shuffled[0]),
        stop=", ".join(stop for stop in stops if stop not in ("foundation", "text_only")),
        end=party.end,
        reason=found.reason,
        **values,
    )


def _interval(figures: Floats, n_roots: int) -> tuple[float, float]:
    """95 % percentile interval of the draws; none over fewer than two roots, or of an undefined figure."""
    draws = figures[1:][~np.isnan(figures[1:])]
    if n_roots < _FEWEST or math.isnan(figures[0]) or not len(draws):
        return math.nan, math.nan
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)
