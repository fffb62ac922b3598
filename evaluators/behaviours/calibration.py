"""From what a simulator says to probabilities that can be scored: fitted on the calibrate split.

A simulator may lean to one outcome whatever the input, or be too sure of itself, and a log loss would then
measure that and not what it knows. Every prediction, with and without explanation, goes through the same map:

    p(k | input)  ∝  m_k exp(a z_k)

with m the rates of the outcomes, z the simulator's log-probabilities less their means on the calibrate split,
in units of their spread there, and a >= 0 fitted there by penalised likelihood: one number, so that little is
lost to a small split. What says the same of every input gives the rates, whatever it says. The slope is not
negative, because a free one turns an explanation of the opposite into a perfect one (FIELD.md D6).

Shape key: N inputs, K outcomes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scrutable.pipeline.behaviours.heads import log_softmax

Floats = NDArray[np.float64]

PENALTY = 2.0  # on the square of the slope: about as strong as two inputs of evidence
_SMOOTHING = 0.5  # added to the count of each outcome (Jeffreys)
_FLOOR = 1e-6  # smallest probability that a simulator is taken at
_STEEPEST = 20.0  # largest slope that is tried
_CONSTANT = 1e-6  # a spread of log-probabilities below it is rounding


class Calibrator(NamedTuple):
    """The map, fitted on one set of predictions."""

    prior: Floats  # (K,) log rates of the outcomes
    slope: float  # >= 0, on standardised log-probabilities
    centre: Floats  # (K,) subtracted from the log-probabilities first
    scale: float  # and what they were then divided by

    def logs(self, probabilities: Floats) -> Floats:
        """(N, K) calibrated log-probabilities of raw probabilities (N, K)."""
        return log_softmax(self.prior + self.slope * (centred(probabilities) - self.centre) / self.scale)


def log_rates(outcomes: NDArray[np.intp], *, n_outcomes: int) -> Floats:
    """(K,) logarithms of the shares of the outcomes (N,), with half a count added to each."""
    counts = np.bincount(outcomes, minlength=n_outcomes) + _SMOOTHING
    rates: Floats = np.log(counts / counts.sum())
    return rates


def fit_calibrator(probabilities: Floats, outcomes: NDArray[np.intp], prior: Floats) -> Calibrator:
    """The map for predictions of which these are the ones on the calibrate split.

    Args:
        probabilities: (N, K) raw; rows sum to 1.
        outcomes: (N,) what the subject did, in [0, K).
        prior: (K,) log rates of the outcomes on all splits that may be seen.

    Returns:
        The map; its slope is 0 where N is 0 or the predictions are constant.
    """
    from scipy.optimize import minimize_scalar

    k = len(prior)
    z = centred(probabilities)
    centre = z.mean(axis=0) if len(outcomes) else np.zeros(k)
    z = z - centre
    if not len(outcomes) or np.abs(z).max() <= _CONSTANT:
        return Calibrator(prior, 0.0, centre, 1.0)
    scale = float(z.std())
    rows = np.arange(len(outcomes))

    def loss(slope: float) -> float:
        logs = log_softmax(prior + slope * z / scale)[rows, outcomes]
        return float(PENALTY / 2 * slope**2 - logs.sum())

    slope = float(minimize_scalar(loss, bounds=(0.0, _STEEPEST), method="bounded").x)
    return Calibrator(prior, slope if loss(slope) < loss(0.0) else 0.0, centre, scale)


def centred(probabilities: Floats) -> Floats:
    """(N, K) log-probabilities less their mean in each row, none below that of one in a million."""
    logs = np.log(np.maximum(probabilities, _FLOOR))
    less: Floats = logs - logs.mean(axis=1, keepdims=True)
    return less
