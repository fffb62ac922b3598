"""Weighted agreement between a unit and its simulation, with a bootstrap over documents.

Everything is computed from per-document sums (`Moments`), so that a bootstrap draw is a row of a
matrix product and needs no second pass over the tokens. Knows numbers only: no unit, no excerpt.

Weights are Horvitz-Thompson weights, 1 / inclusion probability (Horvitz & Thompson 1952): an excerpt
is the unit of sampling, so its weight applies to each of its scored tokens. A ratio of weighted sums,
such as a correlation, is then consistent for its value on the population, whatever the strata.

Shape key: X explanations of one unit, N scored tokens, E excerpts, D documents, B bootstrap draws, K bins.
Everything broadcasts over X, so that an explanation and its nulls are one matrix product.
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
_TIE = 1e-9  # scores that differ by less differ by rounding
_BINS = 32  # thresholds of a precision-recall curve


class Affine(NamedTuple):
    """The map from a simulator's scale to the subject's raw units: slope * x + intercept."""

    slope: Floats  # () or (X,) raw units per simulated unit, >= 0; NaN if there was nothing to fit
    intercept: Floats  # () or (X,) raw units


class Interval(NamedTuple):
    """A 95 % interval; (NaN, NaN) if there is none."""

    low: float
    high: float


class Scale(NamedTuple):
    """How one side of `Moments` was centred."""

    centre: Floats  # () or (X,) subtracted before summing
    floor: Floats  # () or (X,) a variance at or below it is noise of the side's own arithmetic


class Moments(NamedTuple):
    """Weighted sums over tokens, about a centre that all rows of one explanation share."""

    sums: Floats  # (..., D, 6) or (..., B, 6): w, w·a, w·â, w·a², w·â², w·a·â of centred a and â
    true: Scale
    predicted: Scale


class Curve(NamedTuple):
    """What a precision-recall curve is made of: cumulated from the strongest prediction down."""

    found: Floats  # (..., D, K) or (..., B, K): weight of positives among the tokens down to each threshold
    asked: Floats  # the same shape: weight of all tokens down to each threshold


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
        predicted: (N,) or (X, N) simulated values â, any scale.
        weights: (N,) >= 0; the weight of the token's excerpt.
        documents: (N,) the number of the token's document, in [0, n_documents).
        n_documents: D; a document without tokens gets a row of zeros.

    Returns:
        Sums of shape (D, 6) or (X, D, 6). Values are centred on their weighted means first: raw
        activations may be far from zero compared with their spread, and squares would then cancel.

    Raises:
        ValueError: the four arrays differ in length.
    """
    a, p, w = (np.asarray(values, dtype=np.float64) for values in (true, predicted, weights))
    codes = np.asarray(documents, dtype=np.intp)
    if not a.shape == p.shape[-1:] == w.shape == codes.shape:
        raise ValueError(f"lengths differ: {a.shape}, {p.shape}, {w.shape}, {codes.shape}")
    true_scale, predicted_scale = _scale(a, w), _scale(p, w)
    a = a - true_scale.centre
    p = p - predicted_scale.centre[..., None]
    # (N, D): a sum over the tokens of each document is then a matrix product.
    by_document = np.zeros((len(w), n_documents))
    by_document[np.arange(len(w)), codes] = w
    ones = np.broadcast_to(np.ones_like(a), p.shape)
    columns = (ones, np.broadcast_to(a, p.shape), p, np.broadcast_to(a * a, p.shape), p * p, a * p)
    sums = np.stack([column @ by_document for column in columns])
    return Moments(np.moveaxis(sums, 0, -1), true_scale, predicted_scale)


def resample(moments: Moments, counts: Floats) -> Moments:
    """The moments of resampled data: row b takes document d `counts[b, d]` times.

    Args:
        moments: sums of shape (..., D, 6).
        counts: (B, D); a row of ones gives the data as they are.

    Returns:
        Sums of shape (..., B, 6), about the same centres.
    """
    return moments._replace(sums=np.moveaxis(_resampled(np.moveaxis(moments.sums, -1, 0), counts), 0, -1))


def _resampled(per_document: Floats, counts: Floats) -> Floats:
    """(..., D) to (..., B), in one matrix product whose result is contiguous."""
    leading = per_document.shape[:-1]
    flat = per_document.reshape(math.prod(leading), per_document.shape[-1])
    return (flat @ counts.T).reshape(*leading, len(counts))


def correlation(moments: Moments) -> Floats:
    """Weighted Pearson correlation of each row, (..., B), in [-1, 1]; NaN if either side is constant."""
    w, a, p, _, _, ap = np.moveaxis(moments.sums, -1, 0)
    spread_a, spread_p = _spreads(moments)
    with np.errstate(invalid="ignore", divide="ignore"):
        rho: Floats = np.clip((ap - a * p / w) / np.sqrt(spread_a * spread_p), -1.0, 1.0)
    return rho


def explained_variance(moments: Moments, affine: Affine) -> Floats:
    """Explained variance F = 1 - Σw(a - g(â))² / Σw(a - ā_w)² of each row, (..., B).

    SCIENCE.md 2.1 (a), with g the affine map that was fitted on other documents. In (-inf, 1] and
    never clipped: a prediction that is worse than the mean is negative. NaN if a is constant. A
    constant prediction is defined, and near 0 if the map is right about the mean.
    """
    w, a, p, aa, pp, ap = np.moveaxis(moments.sums, -1, 0)
    slope = np.asarray(affine.slope)[..., None]
    # g maps centred â to centred a with the same slope and this intercept.
    shift = (affine.intercept + affine.slope * moments.predicted.centre - moments.true.centre)[..., None]
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
        predicted: (N,) or (X, N) simulated values.
        weights: (N,) >= 0.

    Returns:
        The map, figures () or (X,); both NaN if the weights sum to 0, as those of no token do.
    """
    n, shape = np.size(np.asarray(true)), np.shape(predicted)[:-1]
    if not np.sum(np.asarray(weights)):
        return Affine(np.full(shape, np.nan), np.full(shape, np.nan))
    total = moments(true, predicted, weights, np.zeros(n, dtype=np.intp), n_documents=1)
    w, a, p, _, _, ap = np.moveaxis(total.sums[..., 0, :], -1, 0)
    spread = _spreads(total)[1][..., 0]
    with np.errstate(invalid="ignore"):
        slope = np.where(np.isnan(spread), 0.0, np.maximum(0.0, (ap - a * p / w) / spread))
    return Affine(slope, total.true.centre - slope * total.predicted.centre)


def precision_recall(
    is_positive: NDArray[np.bool_],
    predicted: ArrayLike,
    weights: ArrayLike,
    documents: ArrayLike,
    *,
    n_documents: int,
) -> Curve:
    """The precision-recall curve of each explanation, document by document, at up to 31 thresholds.

    The area changes only at the predictions for positive tokens. Where these take at most 31 different
    values, each is a threshold and the area is exact; else thresholds are at their quantiles, and the
    area is less than 0.02 too low or high on random data (tested).

    Args:
        is_positive: (N,) whether the unit fires on the token.
        predicted: (N,) or (X, N).
        weights: (N,) >= 0.
        documents: (N,) in [0, n_documents).
        n_documents: D.
    """
    p, w = np.asarray(predicted, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    rows = np.atleast_2d(p)
    places = _descending_bins(rows, is_positive)
    row = np.arange(len(rows))[:, None]
    cells = ((row * n_documents + np.asarray(documents, dtype=np.intp)) * _BINS + places).ravel()
    shape = (*p.shape[:-1], n_documents, _BINS)
    found, asked = (
        np.bincount(cells, np.broadcast_to(column, rows.shape).ravel(), minlength=int(np.prod(shape)))
        .reshape(shape)
        .cumsum(axis=-1, dtype=np.float64)
        for column in (w * is_positive, w)
    )
    return Curve(found, asked)


def _descending_bins(rows: Floats, is_positive: NDArray[np.bool_]) -> NDArray[np.intp]:
    """(X, N) the bin of each value, 0 the strongest; the last holds what is below every positive."""
    places = np.empty(rows.shape, dtype=np.intp)
    for x, values in enumerate(rows):
        cuts = np.unique(values[is_positive])
        if cuts.size >= _BINS:
            cuts = cuts[np.linspace(0, cuts.size - 1, _BINS - 1).round().astype(np.intp)]
        places[x] = cuts.size - np.searchsorted(cuts, values, side="right")
    return places


def average_precision(curve: Curve, counts: Floats) -> Floats:
    """Area under the precision-recall curve of resampled data, (..., B), in [0, 1].

    Average precision, Σ (R_k - R_{k-1}) P_k over thresholds k: no interpolation. Its value for a
    prediction that says nothing is the share of positives. NaN if nothing drawn is positive.

    Args:
        curve: of D documents.
        counts: (B, D) as for `resample`.
    """
    found, asked = (
        _resampled(np.moveaxis(sums, -2, -1).astype(np.float32), counts.astype(np.float32)) for sums in curve
    )  # (..., K, B)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(asked > 0, found / asked, 0.0)
        area = found[..., 0, :] * precision[..., 0, :]
        area += np.einsum("...kb,...kb->...b", np.diff(found, axis=-2), precision[..., 1:, :])
        result: Floats = (area / np.where(found[..., -1, :] > 0, found[..., -1, :], np.nan)).astype(
            np.float64
        )
    return result


def weighted_means(values: ArrayLike, weights: ArrayLike, documents: ArrayLike, counts: Floats) -> Floats:
    """Weighted mean of values (N,) or (X, N) over resampled documents, (..., B); NaN where none was drawn."""
    v, w = np.asarray(values, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    by_document = np.zeros((len(w), counts.shape[1]))
    by_document[np.arange(len(w)), np.asarray(documents, dtype=np.intp)] = w
    with np.errstate(invalid="ignore", divide="ignore"):
        means: Floats = _resampled(v @ by_document, counts) / (by_document.sum(axis=0) @ counts.T)
    return means


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


def ratio_interval(above: Floats, below: Floats, *, draws: int, rng: np.random.Generator) -> Interval:
    """95 % bootstrap interval of sum(above) / sum(below) over independent items (N,) of both; none if N < 2.

    Draws in which the sum below is 0 are undefined.
    """
    n = above.size
    if n < 2:
        return Interval(math.nan, math.nan)
    drawn = rng.integers(n, size=(draws, n))
    sums = below[drawn].sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = np.where(sums != 0, above[drawn].sum(axis=1) / sums, np.nan)
    return percentile_interval(ratios, n_documents=n)


def rank_p(value: float, nulls: ArrayLike) -> float:
    """Permutation p of a value: its rank from above among itself and its nulls, in (0, 1].

    (1 + nulls that are at least as high) / (1 + nulls): exact if, under the null hypothesis, the value
    is exchangeable with the nulls, as the score of an explanation that says nothing of the unit is
    with the scores of other units' explanations. Ties count against the value. 19 nulls are the fewest
    that allow p = 0.05. NaN if the value is, or if there is no null.
    """
    others = np.asarray(nulls, dtype=np.float64)
    if math.isnan(value) or not others.size:
        return math.nan
    return float((1 + np.sum(others >= value - _TIE)) / (1 + others.size))


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
        return Scale(np.zeros(values.shape[:-1]), np.zeros(values.shape[:-1]))
    return Scale(values @ weights / total, (_NOISE * np.abs(values).max(axis=-1)) ** 2)


def _spreads(moments: Moments) -> tuple[Floats, Floats]:
    """Σw(x - x̄_w)² of both sides, (..., B) each; NaN where the side is constant or nothing was drawn."""
    w, a, p, aa, pp, _ = np.moveaxis(moments.sums, -1, 0)
    return _spread(w, a, aa, moments.true.floor), _spread(w, p, pp, moments.predicted.floor)


def _spread(w: Floats, x: Floats, xx: Floats, floor: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = xx - x * x / w
    return np.where(spread > floor[..., None] * w, spread, np.nan)
