"""Gain in bits: how much shorter the unit's activations become to write down for who knows a simulation.

SCIENCE.md 2.1 (b), a plug-in estimate of conditional V-information (Xu et al. 2020) for one family of
readers that every simulator can serve: the activation is rounded to five levels, the simulated value is
read in at most six bins, and the code is p(level | bin). A simulator's own distribution over labels
enters through its expected value only: two labels and ten, or none at all for a program, would not
be comparable otherwise, and the share v of a text's gain that a program keeps is a ratio of such gains.

Fitted on calibrate documents alone: bins, levels, both codes, and how far p(level | bin) is shrunk to the
marginal code (leave one document out). The expected gain is therefore about >= 0, and its value on test
documents may be negative.

Shape key: X explanations, N tokens, D calibrate documents, B bins, Q levels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scrutable.evaluators.evidence import Batch

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]

N_LEVELS = 5  # 0, 1/4, ..., 1 of the unit's largest calibrate activation
_QUANTILES = (0.5, 0.75, 0.9, 0.96, 0.99)  # of the simulated values on calibrate tokens
_STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # pseudo-tokens of the marginal code
_FLOOR = 1e-4  # share of every level in the marginal code, so that none is impossible


class Reading(NamedTuple):
    """Codes of one unit, fitted on its calibrate split."""

    largest: float  # calibrate activation, subject's raw units
    cuts: tuple[Floats, ...]  # X arrays of ascending bin edges
    bits: tuple[Floats, ...]  # X arrays (B, Q) log2 p(level | bin) / p(level)


def read(calibrate: Batch, documents: Codes, n_documents: int) -> Reading | None:
    """The codes of each explanation; None for a unit that is silent on every calibrate excerpt.

    Args:
        calibrate: explanations on calibrate excerpts.
        documents: (N,) the number of each token's document, in [0, n_documents).
        n_documents: D.
    """
    largest = float(calibrate.true.max(initial=0.0))
    if largest <= 0.0 or not calibrate.weights.sum():
        return None
    levels = _levels(calibrate.true, largest)
    # Weights sum to the effective number of tokens (Kish), so that shrinkage sees how much data there is.
    w = calibrate.weights * (calibrate.weights.sum() / (calibrate.weights**2).sum())
    marginal = np.bincount(levels, w, minlength=N_LEVELS) / w.sum()
    marginal = (1 - _FLOOR * N_LEVELS) * marginal + _FLOOR
    fitted = [
        _fit(predicted, levels, w, documents, n_documents=n_documents, marginal=marginal)
        for predicted in calibrate.predicted
    ]
    return Reading(largest, tuple(cuts for cuts, _ in fitted), tuple(bits for _, bits in fitted))


def gains(reading: Reading, true: Floats, predicted: Floats) -> Floats:
    """(X, N) bits saved on each token against the marginal code; negative where the code is wrong."""
    levels = _levels(true, reading.largest)
    return np.stack(
        [
            bits[np.searchsorted(cuts, values, side="left"), levels]
            for cuts, bits, values in zip(reading.cuts, reading.bits, predicted, strict=True)
        ]
    )


def _levels(true: Floats, largest: float) -> Codes:
    return np.rint(np.clip(true / largest, 0.0, 1.0) * (N_LEVELS - 1)).astype(np.intp)


def _fit(
    predicted: Floats, levels: Codes, w: Floats, documents: Codes, *, n_documents: int, marginal: Floats
) -> tuple[Floats, Floats]:
    """Bin edges, and (B, Q) log2 p(level | bin) / p(level)."""
    cuts = _edges(predicted)
    counts = _counts(cuts, predicted, levels, w, documents, n_documents)
    kept = _ordered(counts.sum(axis=0))
    cuts = cuts[kept]
    counts = _counts(cuts, predicted, levels, w, documents, n_documents)
    total = counts.sum(axis=0)
    if not len(cuts):  # one bin tells nothing; its code must not beat the marginal one by rounding
        return cuts, np.zeros((1, N_LEVELS))
    code = _code(total, _strength(counts, total, marginal), marginal)
    return cuts, np.log2(code / marginal)


def _edges(predicted: Floats) -> Floats:
    """(B - 1,) ascending; a value belongs to the bin above the edges that it exceeds."""
    values = np.unique(predicted)
    if values.size <= len(_QUANTILES) + 1:
        return values[:-1]
    return np.unique(np.quantile(predicted, _QUANTILES))


def _counts(
    cuts: Floats, predicted: Floats, levels: Codes, w: Floats, documents: Codes, n_documents: int
) -> Floats:
    """(D, B, Q) weight of each level in each bin and document."""
    n_bins = len(cuts) + 1
    bins = np.searchsorted(cuts, predicted, side="left")
    cells = (documents * n_bins + bins) * N_LEVELS + levels
    sums: Floats = np.bincount(cells, w, minlength=n_documents * n_bins * N_LEVELS).astype(np.float64)
    return sums.reshape(-1, n_bins, N_LEVELS)


def _ordered(total: Floats) -> NDArray[np.bool_]:
    """(B - 1,) which edges stay when bins are pooled until the mean level never falls (isotonic).

    A simulation of the opposite is thus read as saying nothing, and gains nothing: a free code would turn
    it into a perfect explanation (FIELD.md D6).
    """
    blocks: list[tuple[float, float, int]] = []  # weight, weighted level, last bin
    for b, row in enumerate(total):
        weight, level = float(row.sum()), float(row @ np.arange(N_LEVELS))
        blocks.append((weight, level, b))
        while len(blocks) > 1 and blocks[-1][1] * blocks[-2][0] <= blocks[-2][1] * blocks[-1][0]:
            (w1, l1, last), (w0, l0, _) = blocks.pop(), blocks.pop()
            blocks.append((w0 + w1, l0 + l1, last))
    kept = np.zeros(len(total), dtype=np.bool_)
    kept[[last for _, _, last in blocks]] = True
    return kept[:-1]


def _strength(counts: Floats, total: Floats, marginal: Floats) -> float:
    """The pseudo-tokens under which each document is coded best by the others; infinite if none helps."""
    best, best_gain = np.inf, 0.0
    for strength in _STRENGTHS:
        others = _code(total - counts, strength, marginal)  # (D, B, Q)
        gain = float((counts * np.log2(others / marginal)).sum())
        if gain > best_gain + 1e-9:
            best, best_gain = strength, gain
    return best


def _code(counts: Floats, strength: float, marginal: Floats) -> Floats:
    """p(level | bin), shrunk to the marginal code."""
    if np.isinf(strength):
        return np.broadcast_to(marginal, counts.shape)
    counts = np.maximum(counts, 0.0)  # a difference of sums may come out a little below zero
    shrunk: Floats = (counts + strength * marginal) / (counts.sum(axis=-1, keepdims=True) + strength)
    return shrunk
