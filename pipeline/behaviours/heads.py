"""A linear head from readable features to outcomes: of words, and of concepts. Pure.

Shape key: N inputs, A features, K outcomes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scrutable.pipeline.behaviours.folds import folds
from scrutable.pipeline.behaviours.protocols import Pair

Floats = NDArray[np.float64]

_STRENGTHS = (0.003, 0.03, 0.1, 0.3, 1.0, 3.0)  # inverse penalties that are tried, the most held back first
_ABSENT = -5.0  # nats of an outcome that never occurred


class Head(NamedTuple):
    """Log-odds of outcomes: bias + features @ weights."""

    bias: Floats  # (K,) nats
    weights: Floats  # (A, K) nats

    def logits(self, features: Floats) -> Floats:
        """(N, K) of features (N, A)."""
        found: Floats = self.bias + features @ self.weights
        return found


def log_softmax(logits: Floats) -> Floats:
    """(..., K) log-probabilities of logits (..., K)."""
    logs: Floats = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    return logs


def fit_head(features: Floats, outcomes: NDArray[np.intp], pairs: Sequence[Pair], *, n_outcomes: int) -> Head:
    """Multinomial logistic regression, its penalty chosen by log loss on held-out sources.

    Args:
        features: (N, A).
        outcomes: (N,) in [0, K).
        pairs: (N,) whose sources are held out together.
        n_outcomes: K; one that never occurs gets a low bias.
    """
    losses = np.zeros(len(_STRENGTHS))
    for i, strength in enumerate(_STRENGTHS):
        for held_out in folds(pairs):
            head = _fitted(features[~held_out], outcomes[~held_out], strength, n_outcomes)
            logits = head.logits(features[held_out])
            logs = log_softmax(logits)
            losses[i] -= logs[np.arange(len(logs)), outcomes[held_out]].sum()
    return _fitted(features, outcomes, _STRENGTHS[int(losses.argmin())], n_outcomes)


def _fitted(features: Floats, outcomes: NDArray[np.intp], strength: float, n_outcomes: int) -> Head:
    from sklearn.linear_model import LogisticRegression

    present = np.unique(outcomes)
    bias, weights = np.full(n_outcomes, _ABSENT), np.zeros((features.shape[1], n_outcomes))
    if len(present) == 1 or not features.shape[1]:
        counts = np.bincount(outcomes, minlength=n_outcomes) + 0.5
        return Head(np.log(counts / counts.sum()), weights)
    model: Any = LogisticRegression(C=strength, max_iter=2000).fit(features, outcomes)
    if len(present) == 2:
        half = model.coef_[0] / 2
        weights[:, present[1]], weights[:, present[0]] = half, -half
        bias[present[1]], bias[present[0]] = model.intercept_[0] / 2, -model.intercept_[0] / 2
    else:
        weights[:, present], bias[present] = model.coef_.T, model.intercept_
    return Head(bias, weights)
