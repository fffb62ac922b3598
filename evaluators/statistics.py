"""Weighted agreement between a unit and its simulation, with a bootstrap over documents.

Everything is computed from per-document sums (`Moments`), so that a bootstrap draw is a row of a
matrix product and needs no second pass over the tokens. Knows numbers only: no unit, no excerpt.

Weights are Horvitz-Thompson weights, 1 / inclusion probability (Horvitz & Thompson 1952): an excerpt
is the unit of sampling, so its weight applies to each of its scored tokens. A ratio of weighted sums,
such as a correlation, is then consistent for its value on the population, whatever the strata.

Shape key: N scored tokens, E excerpts, D documents, B bootstrap draws.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

# A side is constant if its standard deviation is below this share of its largest magnitude: an
# expected value over ten labels that was computed in float32 (unit roundoff 6e-8) carries about this
# much noise, and a correlation with noise is a plausible number that means nothing. It also covers
# draws that are constant where the whole is not: E[x^2] - E[x]^2 then leaves the rounding of its sums,
# about sqrt(N) * 1.1e-16 of max(x)^2, against this share squared.
_NOISE = 1e-6

_MAX_UNDEFINED_SHARE = 0.05  # of draws; beyond it the draws that remain are a biased selection
_INTERVAL = (2.5, 97.5)  # percentiles
_BLOCK = 1 << 20  # resampled items held at once when averaging over many units


class Affine(NamedTuple):
    """The map from a simulator's scale to the subject's raw units: slope * x + intercept."""

    slope: float  # raw units per simulated unit, >= 0; NaN if there was nothing to fit
    intercept: float  # raw units


class Interval(NamedTuple):
    """A 95 % interval; (NaN, NaN) if there is none."""

    low: float
    high: float


class Scale(NamedTuple):
    """How one side of `Moments` was centred."""

    centre: float  # subtracted before summing
    floor: float  # a variance at or below it is noise of the side's own arithmetic


class Moments(NamedTuple):
    """Weighted sums over tokens, about a centre that all rows share."""

    sums: Floats  # (D, 6) or (B, 6): sums of w, w·a, w·â, w·a², w·â², w·a·â of centred a and â
    true: Scale
    predicted: Scale


def generator(seed: int, *names: str) -> np.random.Generator:
    """A random generator that depends on the run's seed and on names, and on nothing else.

    Seeded by SHA-256 of (seed, *names), so that one unit re-done alone draws the same numbers.
    """
    digest = hashlib.sha256(json.dumps([seed, *names]).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


def moments(
    true: ArrayLike, predicted: ArrayLike, weights: ArrayLike, documents: ArrayLike, *, n_documents: int
) -> Moments:
    """Sufficient statistics of each document for correlation and explained variance.

    Args:
        true: (N,) activations a, subject's raw units.
        predicted: (N,) simulated values â, any scale.
        weights: (N,) >= 0; the weight of the token's excerpt.
        documents: (N,) the number of the token's document, in [0, n_documents).
        n_documents: D; a document without tokens gets a row of zeros.

    Returns:
        Sums of shape (D, 6). Values are centred on their weighted means first: raw activations may be
        far from zero compared with their spread, and squares would then cancel.

    Raises:
        ValueError: the four arrays differ in length.
    """
    a, p, w = (np.asarray(values, dtype=np.float64) for values in (true, predicted, weights))
    codes = np.asarray(documents, dtype=np.intp)
    if not a.shape == p.shape == w.shape == codes.shape:
        raise ValueError(f"lengths differ: {a.shape}, {p.shape}, {w.shape}, {codes.shape}")
    true_scale, predicted_scale = _scale(a, w), _scale(p, w)
    a = a - true_scale.centre
    p = p - predicted_scale.centre
    wa, wp = w * a, w * p
    columns = (w, wa, wp, wa * a, wp * p, wa * p)
    # bincount of nothing counts in integers, whatever the weights.
    sums = np.stack(
        [np.bincount(codes, column, minlength=n_documents) for column in columns], axis=1, dtype=np.float64
    )
    return Moments(sums, true_scale, predicted_scale)


def resample(moments: Moments, counts: Floats) -> Moments:
    """The moments of resampled data: row b takes document d `counts[b, d]` times.

    Args:
        moments: sums of shape (D, 6).
        counts: (B, D); a row of ones gives the data as they are.

    Returns:
        Sums of shape (B, 6), about the same centres.
    """
    # Transposed twice, so that each of the six columns is contiguous.
    return moments._replace(sums=(moments.sums.T @ counts.T).T)


def correlation(moments: Moments) -> Floats:
    """Weighted Pearson correlation of each row, (B,), in [-1, 1]; NaN if either side is constant."""
    w, a, p, _, _, ap = moments.sums.T
    spread_a, spread_p = _spreads(moments)
    with np.errstate(invalid="ignore", divide="ignore"):
        rho: Floats = np.clip((ap - a * p / w) / np.sqrt(spread_a * spread_p), -1.0, 1.0)
    return rho


def explained_variance(moments: Moments, affine: Affine) -> Floats:
    """Explained variance F = 1 - Σw(a - g(â))² / Σw(a - ā_w)² of each row, (B,).

    SCIENCE.md 2.1 (a), with g the affine map that was fitted on other documents. In (-inf, 1] and
    never clipped: a prediction that is worse than the mean is negative. NaN if a is constant. A
    constant prediction is defined, and near 0 if the map is right about the mean.
    """
    w, a, p, aa, pp, ap = moments.sums.T
    slope = affine.slope
    # g maps centred â to centred a with the same slope and this intercept.
    shift = affine.intercept + slope * moments.predicted.centre - moments.true.centre
    error = aa + slope**2 * pp + shift**2 * w - 2 * slope * ap - 2 * shift * a + 2 * slope * shift * p
    spread_a = _spread(w, a, aa, moments.true.floor)
    with np.errstate(invalid="ignore", divide="ignore"):
        explained: Floats = 1.0 - np.maximum(error, 0.0) / spread_a
    return explained


def fit_affine(true: ArrayLike, predicted: ArrayLike, weights: ArrayLike) -> Affine:
    """The weighted least-squares map from simulated values to raw units, with slope >= 0.

    The slope is constrained because a free one turns an explanation of the opposite into a perfect
    one (FIELD.md D6). Where the best slope is negative, or the prediction constant, the constrained
    optimum is slope 0 and the weighted mean.

    Args:
        true: (N,) activations, subject's raw units.
        predicted: (N,) simulated values.
        weights: (N,) >= 0.

    Returns:
        The map; both figures NaN if the weights sum to 0, as those of no token do.
    """
    n = np.size(np.asarray(true))
    if not np.sum(np.asarray(weights)):
        return Affine(math.nan, math.nan)
    total = resample(
        moments(true, predicted, weights, np.zeros(n, dtype=np.intp), n_documents=1), np.ones((1, 1))
    )
    w, a, p, _, _, ap = total.sums[0]
    spread = _spreads(total)[1][0]
    slope = 0.0 if math.isnan(spread) else max(0.0, float((ap - a * p / w) / spread))
    return Affine(slope, total.true.centre - slope * total.predicted.centre)


def bootstrap_counts(n_documents: int, *, draws: int, rng: np.random.Generator) -> Floats:
    """How often each document is drawn when documents are resampled with replacement, (B, D).

    Each row is multinomial and sums to D. Documents are resampled and never tokens, because tokens of
    one document are not independent. The same counts serve two explanations of a unit whose scores
    are compared: their difference then has a paired interval.
    """
    if not n_documents:
        return np.zeros((draws, 0))
    # One bincount over (draw, document) is many times faster than numpy's multinomial.
    cells = rng.integers(n_documents, size=(draws, n_documents), dtype=np.int64)
    cells += n_documents * np.arange(draws, dtype=np.int64)[:, None]
    counts = np.bincount(cells.ravel(), minlength=draws * n_documents)
    return counts.reshape(draws, n_documents).astype(np.float64)


def percentile_interval(draws: Floats, *, n_documents: int) -> Interval:
    """The 95 % percentile interval of bootstrap draws (B,), ignoring draws that are NaN.

    Without an interval if fewer than two documents were resampled (all draws are then the same), or
    if more than 5 % of the draws are undefined.
    """
    defined = draws[~np.isnan(draws)]
    if n_documents < 2 or defined.size == 0 or defined.size < (1 - _MAX_UNDEFINED_SHARE) * draws.size:
        return Interval(math.nan, math.nan)
    low, high = np.percentile(defined, _INTERVAL)
    return Interval(float(low), float(high))


def mean_interval(values: Floats, *, draws: int, rng: np.random.Generator) -> Interval:
    """95 % bootstrap interval of the mean of independent `values` (N,); none if N < 2."""
    n = values.size
    if n < 2:
        return Interval(math.nan, math.nan)
    block = max(1, _BLOCK // n)  # bounds memory where a run has many thousands of units
    means = [
        values[rng.integers(n, size=(min(block, draws - start), n))].mean(axis=1)
        for start in range(0, draws, block)
    ]
    return percentile_interval(np.concatenate(means), n_documents=n)


def top_and_random_weights(weights: ArrayLike, is_top: ArrayLike) -> Floats:
    """Excerpt weights (E,) that give the literature's top-and-random score in expectation.

    Bills et al. 2023 correlate over the concatenation of the n strongest excerpts and n random ones.
    Here each strongest excerpt has weight one, and the whole population sample is scaled to a total
    weight of n, which is what n random excerpts are on average, without their sampling noise.

    For comparison with the literature only. Half of the weight rests on excerpts that were selected
    for firing, so the score does not see false alarms on ordinary text: an explanation that is ten
    times too broad has a population correlation of 0.24 and a top-and-random score of 0.68
    (SCIENCE.md 0.3).

    Args:
        weights: (E,) 1 / inclusion probability.
        is_top: (E,) whether the excerpt is among the strongest.

    Returns:
        (E,) weights that sum to 2n; all zero if no excerpt is a top one.
    """
    w, top = np.asarray(weights, dtype=np.float64), np.asarray(is_top, dtype=np.float64)
    return top + w * (top.sum() / w.sum()) if w.size else top


def _scale(values: Floats, weights: Floats) -> Scale:
    total = weights.sum()
    if total == 0.0:  # no token, or none that counts: top-and-random without a top excerpt
        return Scale(0.0, 0.0)
    centre = float(weights @ values / total)
    return Scale(centre, (_NOISE * float(np.abs(values).max())) ** 2)


def _spreads(moments: Moments) -> tuple[Floats, Floats]:
    """Σw(x - x̄_w)² of both sides, (B,) each; NaN where the side is constant or nothing was drawn."""
    w, a, p, aa, pp, _ = moments.sums.T
    return _spread(w, a, aa, moments.true.floor), _spread(w, p, pp, moments.predicted.floor)


def _spread(w: Floats, x: Floats, xx: Floats, floor: float) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = xx - x * x / w
    return np.where(spread > floor * w, spread, np.nan)
