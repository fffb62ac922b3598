"""Rate-distortion curves: what a transparent surrogate of a unit is worth at a given length.

SCIENCE.md 2.9, figure F4. Each family is fitted on explain excerpts within a budget of bits, mapped to the
subject's units on calibrate excerpts, and scored on test excerpts, as every explanation is.
Shape key: P fitted surrogates, N scored tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import takewhile
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scrutable.evaluators import statistics
from scrutable.pipeline.description import text_bits
from scrutable.pipeline.features import readable_features
from scrutable.pipeline.ngrams import NgramTable, short_ngrams
from scrutable.pipeline.programs import levels
from scrutable.pipeline.records import Excerpt, RatePoint
from scrutable.pipeline.rule_lists import best_rule_list, rule_lists
from scrutable.pipeline.surrogates import MOST_BITS, Sized, largest_within
from scrutable.pipeline.tables import TokenTable, short_table
from scrutable.pipeline.trees import trees

Floats = NDArray[np.float64]
Predict = Callable[[Sequence[str]], Sequence[float]]
"""(T,) tokens of a passage to (T,) predictions."""


class _Fitted(NamedTuple):
    """A surrogate of one family within one budget."""

    family: str
    budget: float
    bits: float  # bits of its description; NaN if nothing is as short as the budget
    predict: Predict | None


def rate_points(
    unit: str,
    explain: Sequence[Excerpt],
    calibrate: Sequence[Excerpt],
    held_out: Sequence[Excerpt],
    *,
    budgets: Sequence[int],
) -> tuple[RatePoint, ...]:
    """One point for each family ("table", "ngrams", "tree", "rules") and budget, families in this order.

    `explained_variance` is F of `statistics.explained_variance`, in (-inf, 1]; `correlation` in [-1, 1].
    Where nothing is as short as the budget, or a figure is not defined, it is NaN and `reason` says why.
    """
    fitted = list(_fitted(explain, budgets))
    scored = iter(_scored([one.predict for one in fitted if one.predict], calibrate, held_out))
    return tuple(_point(unit, one, next(scored) if one.predict else None) for one in fitted)


def _fitted(explain: Sequence[Excerpt], budgets: Sequence[int]) -> Iterator[_Fitted]:
    for budget in budgets:
        table = short_table(explain, bits=budget)
        yield _text("table", budget, table, _lookup(table) if table else None)
    for budget in budgets:
        ngrams = short_ngrams(explain, bits=budget)
        yield _text("ngrams", budget, ngrams, ngrams.predict if ngrams else None)
    features = readable_features(explain)
    most = min(max(budgets, default=0), MOST_BITS)
    grown = list(takewhile(lambda sized: sized.bits <= 2 * most, trees(features)))
    for budget in budgets:
        yield _program("tree", budget, largest_within(grown, min(budget, MOST_BITS)))
    lists = rule_lists(features, bits=most)
    for budget in budgets:
        yield _program("rules", budget, best_rule_list(lists, bits=budget))


def _text(
    family: str, budget: int, table: TokenTable | NgramTable | None, predict: Predict | None
) -> _Fitted:
    return _Fitted(family, budget, text_bits(table.write()) if table else math.nan, predict)


def _program(family: str, budget: int, sized: Sized | None) -> _Fitted:
    if sized is None:
        return _Fitted(family, budget, math.nan, None)
    return _Fitted(family, budget, sized.bits, partial(levels, sized.program))


def _lookup(table: TokenTable) -> Predict:
    return lambda tokens: [table.means.get(token, table.other) for token in tokens]


class _Scored(NamedTuple):
    explained_variance: float
    correlation: float
    reason: str


def _scored(
    predicts: Sequence[Predict], calibrate: Sequence[Excerpt], held_out: Sequence[Excerpt]
) -> list[_Scored]:
    """Explained variance and correlation of each surrogate, with what is undefined by name."""
    if not predicts:
        return []
    fit, test = _column(calibrate), _column(held_out)
    if not fit.weight.sum() or not test.weight.sum():
        split = "calibrate" if not fit.weight.sum() else "test"
        return [_Scored(math.nan, math.nan, f"no scored token in the {split} excerpts")] * len(predicts)
    affine = statistics.fit_affine(fit.truth, _predicted(predicts, calibrate), fit.weight)
    documents = np.zeros(len(test.truth), dtype=np.intp)  # no bootstrap: all as one
    sums = statistics.moments(
        test.truth, _predicted(predicts, held_out), test.weight, documents, n_documents=1
    )
    found = statistics.explained_variance(sums, affine)[:, 0], statistics.correlation(sums)[:, 0]
    return [_Scored(f, rho, _reason(f, rho)) for f, rho in np.stack(found, axis=1).tolist()]


def _reason(explained: float, correlation: float) -> str:
    if math.isnan(explained):
        return "the unit is constant on the test excerpts"
    return "the prediction is constant on the test excerpts" if math.isnan(correlation) else ""


class _Column(NamedTuple):
    truth: Floats  # (N,)
    weight: Floats  # (N,)


def _column(excerpts: Sequence[Excerpt]) -> _Column:
    truth = [a for e in excerpts for a in e.activations[e.passage.n_context :]]
    weight = [e.weight for e in excerpts for _ in e.passage.tokens[e.passage.n_context :]]
    return _Column(np.array(truth, dtype=np.float64), np.array(weight, dtype=np.float64))


def _predicted(predicts: Sequence[Predict], excerpts: Sequence[Excerpt]) -> Floats:
    """(P, N) predictions of the scored tokens."""
    passages = [excerpt.passage for excerpt in excerpts]
    return np.array([[x for p in passages for x in predict(p.tokens)[p.n_context :]] for predict in predicts])


def _point(unit: str, fitted: _Fitted, scored: _Scored | None) -> RatePoint:
    if scored is None:
        reason = f"no {fitted.family} that says anything fits within {fitted.budget:.0f} bits"
        scored = _Scored(math.nan, math.nan, reason)
    return RatePoint(unit, fitted.family, fitted.budget, fitted.bits, *scored)
