"""From what a simulator says to probabilities that can be scored: fitted on the calibrate split.

A simulator may lean to one outcome whatever the input, or be too sure of itself, and a log loss would then
measure that and not what it knows. Every prediction, with and without explanation, goes through the same map:

    p(k | input)  ∝  exp(log m_k + c_k + a z_k)

with m the rates of the outcomes, z the simulator's log-probabilities less their means on the calibrate split,
in units of their spread there, and a >= 0 and c fitted there by penalised likelihood. With nothing to say it
gives the rates: a gain over them is then near 0 and not far below it. The slope is not negative, because a
free one turns an explanation of the opposite into a perfect one (FIELD.md D6).

Shape key: N inputs, K outcomes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PENALTY = 2.0  # on the squares of slope and shifts: noise then costs .03 bits of 30 inputs, .014 of 60
_SMOOTHING = 0.5  # added to the count of each outcome (Jeffreys)
_FLOOR = 1e-6  # smallest probability that a simulator is taken at
_CONSTANT = 1e-6  # a spread of log-probabilities below it is rounding


class Calibrator(NamedTuple):
    """The map, fitted on one set of predictions."""

    prior: Floats  # (K,) log rates of the outcomes
    shift: Floats  # (K,)
    slope: float  # >= 0, on standardised log-probabilities
    centre: Floats  # (K,) subtracted from the log-probabilities first
    scale: float  # and what they were then divided by

    def logs(self, probabilities: Floats) -> Floats:
        """(N, K) calibrated log-probabilities of raw probabilities (N, K)."""
        logits = self.prior + self.shift + self.slope * (centred(probabilities) - self.centre) / self.scale
        shifted: Floats = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        return shifted


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
        The map; slope and shifts are 0 where N is 0, the slope where the predictions are constant.
    """
    from scipy.optimize import minimize

    k = len(prior)
    if not len(outcomes):
        return Calibrator(prior, np.zeros(k), 0.0, np.zeros(k), 1.0)
    z = centred(probabilities)
    centre = z.mean(axis=0)
    z = z - centre
    has_slope = bool(np.abs(z).max() > _CONSTANT)
    scale = float(z.std()) if has_slope else 1.0
    one_hot = np.eye(k)[outcomes]

    def loss(parameters: Floats) -> tuple[float, Floats]:
        slope, shift = parameters[0] * has_slope, parameters[1:]
        logits = prior + shift + slope * z / scale
        logs = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        error = np.exp(logs) - one_hot
        value = -float((logs * one_hot).sum()) + PENALTY / 2 * float(parameters @ parameters)
        gradient = np.concatenate([[has_slope * float((error * z).sum()) / scale], error.sum(axis=0)])
        return value, gradient + PENALTY * parameters

    bounds = [(0.0, None), *[(None, None)] * k]
    found = minimize(loss, np.zeros(k + 1), jac=True, method="L-BFGS-B", bounds=bounds).x
    return Calibrator(prior, found[1:], float(found[0]) * has_slope, centre, scale)


def centred(probabilities: Floats) -> Floats:
    """(N, K) log-probabilities less their mean in each row, none below that of one in a million."""
    logs = np.log(np.maximum(probabilities, _FLOOR))
    less: Floats = logs - logs.mean(axis=1, keepdims=True)
    return less
