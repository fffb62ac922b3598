"""The regression over the subject x explainer matrix: what size, family and level do to the score.

SCIENCE.md 2.6: in one ladder, level, size and family are one variable; over a matrix, with ladders as paths
through it, they may be told apart.
Pure. A term that this matrix cannot tell from others is an effect without a value, and says why.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scrutable.evaluators.statistics import Floats, bootstrap_counts, generator, percentile_interval
from scrutable.pipeline.recursion.records import Effect

INTERCEPT = "intercept"
SUBJECT_SIZE, EXPLAINER_SIZE = "log10 subject parameters", "log10 explainer parameters"
READABLE, FAMILY, SAME, LEVEL = "readable", "same family", "same model", "level"
"""The terms. Sizes and levels are centred, so that the intercept is the score at the mean subject and mean
model that explains, and `readable` is what a program has over that model."""

_FEWEST = 3  # units
_COLLINEAR = 1e-8  # share of a column's length that the terms before it leave unexplained
_SINGULAR = 1e-10  # smallest eigenvalue of a resampled fit, as a share of the largest


@dataclass(frozen=True, slots=True)
class MatrixScore:
    """The score of one explainer on one unit, and what may account for it."""

    subject: str
    unit: str
    explainer: str
    value: float  # excess correlation, in [-2, 2]; NaN where undefined
    subject_parameters: float  # > 0; NaN if unknown
    explainer_parameters: float  # > 0 of a model, 0 of a program; NaN if unknown
    subject_family: str  # the architecture; empty if unknown
    explainer_family: str  # empty for a program, or if unknown
    is_same: bool  # the explainer is the subject's own model
    level: int = 1  # of the claim: 1 about a subject, 2 about the neurons of who explains it, and so on


def effects(scores: Sequence[MatrixScore], *, draws: int = 2000, seed: int) -> tuple[Effect, ...]:
    """One coefficient for each term, by least squares, with a 95 % interval.

    The bootstrap resamples units, (subject, unit), each with its scores by all explainers. Intervals are
    therefore about further units of these subjects, not about further subjects: with few of them, the slope
    over their sizes is a description.

    Terms are tried in the order of the names above. One that does not vary, that is a combination of those
    before it, whose size or family is not known for everyone concerned, or that varies over fewer than 3
    units is left out of the fit; its effect is NaN with the reason.

    Args:
        scores: of all cells and of the levels of ladders; those with an undefined value are left out.
        draws: of the bootstrap.
        seed: of the run.
    """
    rows = [score for score in scores if not math.isnan(score.value)]
    clusters = _clusters(rows)
    n_clusters = int(clusters.max()) + 1 if rows else 0
    if n_clusters < _FEWEST:
        reason = f"{n_clusters} units with a score, fewer than {_FEWEST}"
        return tuple(_undefined(term, reason, n=len(rows)) for term in _TERMS)
    columns, reasons = _identified(rows, clusters)
    values, drawn = _fits(
        np.column_stack(list(columns.values())),
        np.array([row.value for row in rows]),
        clusters,
        counts=bootstrap_counts(n_clusters, draws=draws, rng=generator(seed, "matrix effects")),
    )
    found = {}
    for k, term in enumerate(columns):
        interval = percentile_interval(drawn[:, k], n_documents=n_clusters)
        found[term] = Effect(term, float(values[k]), interval.low, interval.high, n=len(rows))
    return tuple(
        found[term] if term in found else _undefined(term, reasons[term], n=len(rows)) for term in _TERMS
    )


def _undefined(term: str, reason: str, *, n: int) -> Effect:
    return Effect(term, math.nan, math.nan, math.nan, n=n, reason=reason)


def _clusters(rows: Sequence[MatrixScore]) -> NDArray[np.intp]:
    """(N,) the number of each row's unit."""
    numbers: dict[tuple[str, str], int] = {}
    return np.array(
        [numbers.setdefault((row.subject, row.unit), len(numbers)) for row in rows], dtype=np.intp
    )


# -- terms --------------------------------------------------------------------------------------


def _intercept(rows: Sequence[MatrixScore]) -> Floats | str:
    return np.ones(len(rows))


def _subject_size(rows: Sequence[MatrixScore]) -> Floats | str:
    sizes = {row.subject: row.subject_parameters for row in rows}
    if unknown := [name for name, size in sizes.items() if not size > 0]:
        return f"the size of {_listed(unknown)} is not known"
    logs = {name: math.log10(size) for name, size in sizes.items()}
    return _centred([row.subject for row in rows], logs)


def _explainer_size(rows: Sequence[MatrixScore]) -> Floats | str:
    """Programs have the mean size: what they are apart from size is the next term's."""
    sizes = {row.explainer: row.explainer_parameters for row in rows}
    if unknown := [name for name, size in sizes.items() if math.isnan(size)]:
        return f"the size of {_listed(unknown)} is not known"
    logs = {name: math.log10(size) for name, size in sizes.items() if size > 0}
    return _centred([row.explainer for row in rows], logs)


def _readable(rows: Sequence[MatrixScore]) -> Floats | str:
    return np.array([float(row.explainer_parameters == 0) for row in rows])


def _same(rows: Sequence[MatrixScore]) -> Floats | str:
    return np.array([float(row.is_same) for row in rows])


def _family(rows: Sequence[MatrixScore]) -> Floats | str:
    """Programs are of no family."""
    families = {row.subject: row.subject_family for row in rows}
    families |= {row.explainer: row.explainer_family for row in rows if row.explainer_parameters != 0}
    if unknown := [name for name, family in families.items() if not family]:
        return f"the family of {_listed(unknown)} is not known"
    return np.array([float(row.subject_family == row.explainer_family) for row in rows])


def _level(rows: Sequence[MatrixScore]) -> Floats | str:
    levels = {str(row.level): float(row.level) for row in rows}
    if len(levels) < 2:
        return "all scores are of one level: give ladders"
    return _centred([str(row.level) for row in rows], levels)


_TERMS: Mapping[str, Callable[[Sequence[MatrixScore]], Floats | str]] = {
    INTERCEPT: _intercept,
    SUBJECT_SIZE: _subject_size,
    EXPLAINER_SIZE: _explainer_size,
    READABLE: _readable,
    FAMILY: _family,
    SAME: _same,
    LEVEL: _level,
}
"""Term → its column (N,), or why there is none."""


def _centred(names: Sequence[str], figures: Mapping[str, float]) -> Floats:
    """The figure of each name less the mean over those that have one, each counted once; 0 for the others."""
    mean = sum(figures.values()) / len(figures) if figures else 0.0
    return np.array([figures[name] - mean if name in figures else 0.0 for name in names])


def _identified(
    rows: Sequence[MatrixScore], clusters: NDArray[np.intp]
) -> tuple[dict[str, Floats], dict[str, str]]:
    """The columns of the terms that can be told apart, and of each other term why it cannot."""
    columns: dict[str, Floats] = {}
    reasons: dict[str, str] = {}
    for term, make in _TERMS.items():
        column = make(rows)
        reason = column if isinstance(column, str) else _confounded(column, columns, clusters)
        if reason or isinstance(column, str):
            reasons[term] = reason
        else:
            columns[term] = column
    return columns, reasons


def _confounded(column: Floats, before: Mapping[str, Floats], clusters: NDArray[np.intp]) -> str:
    """Why a column adds nothing that can be estimated to those before it; empty if it does."""
    if not before:
        return ""
    if np.ptp(column) <= _COLLINEAR * np.abs(column).max():
        return "it is the same in all scores"
    others = np.column_stack(list(before.values()))
    weights = np.linalg.lstsq(others, column, rcond=None)[0]
    if np.linalg.norm(column - others @ weights) <= _COLLINEAR * np.linalg.norm(column):
        shares = np.abs(weights) * np.linalg.norm(others, axis=0) / np.linalg.norm(column)
        names = [name for name, share in zip(before, shares, strict=True) if share > _COLLINEAR]
        return f"confounded with {_listed([name for name in names if name != INTERCEPT])}"
    supported = [np.unique(clusters[column == value]).size >= _FEWEST for value in np.unique(column)]
    if sum(supported) < 2:
        return f"it varies over fewer than {_FEWEST} units"
    return ""


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


# -- fits ---------------------------------------------------------------------------------------


def _fits(x: Floats, y: Floats, clusters: NDArray[np.intp], *, counts: Floats) -> tuple[Floats, Floats]:
    """Least-squares coefficients of all rows, and of resampled clusters.

    Args:
        x: (N, K) columns of full rank.
        y: (N,).
        clusters: (N,) in [0, C).
        counts: (B, C) how often each cluster is drawn.

    Returns:
        (K,), and (B, K) with NaN for draws in which the columns cannot be told apart.
    """
    n_clusters, n_terms = counts.shape[1], x.shape[1]
    squares = np.zeros((n_clusters, n_terms, n_terms))
    products = np.zeros((n_clusters, n_terms))
    np.add.at(squares, clusters, x[:, :, None] * x[:, None, :])
    np.add.at(products, clusters, x * y[:, None])
    drawn_squares = (counts @ squares.reshape(n_clusters, -1)).reshape(-1, n_terms, n_terms)
    drawn_products = counts @ products
    spectrum = np.linalg.eigvalsh(drawn_squares)
    is_regular = spectrum[:, 0] > _SINGULAR * spectrum[:, -1]
    drawn = np.full((len(counts), n_terms), np.nan)
    right = drawn_products[is_regular][..., None]
    drawn[is_regular] = np.linalg.solve(drawn_squares[is_regular], right)[..., 0]
    values: Floats = np.asarray(np.linalg.lstsq(x, y, rcond=None)[0], dtype=np.float64)
    return values, drawn
