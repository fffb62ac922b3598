"""Simulation scoring: how well a simulator that sees only an explanation predicts the unit.

Works on stored simulations of held-out excerpts, own and null, all explanations of a unit at once.
Population-weighted correlation, explained variance, average precision and gain in bits (SCIENCE.md
2.1), and the literature's top-and-random score beside them. Asks no model and reads nothing but the
evidence of one unit.

Shape key: X explanations (own first), N scored tokens, D documents, B bootstrap draws.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from scrutable.evaluators import information
from scrutable.evaluators.evidence import Batch, batches
from scrutable.evaluators.statistics import (
    Affine,
    Floats,
    Interval,
    average_precision,
    bootstrap_counts,
    correlation,
    explained_variance,
    fit_affine,
    generator,
    moments,
    percentile_interval,
    precision_recall,
    rank_p,
    resample,
    top_and_random_weights,
    weighted_means,
)
from scrutable.pipeline.protocols import Evidence, Simulated
from scrutable.pipeline.records import Calibration, Excerpt, Metric, Score

METRICS: tuple[Metric, ...] = (
    "correlation",
    "explained_variance",
    "auprc",
    "gain_bits",
    "top_and_random",
)
_CORRELATIONS = ("correlation", "top_and_random")  # undefined for a simulation that is constant
FIRES = 0.25
"""Share of the unit's largest calibrate and test activation above which a token is a positive of auprc:
high enough to mean firing, low enough that more than its very strongest documents hold one."""


def simulation(evidence: Evidence, *, seed: int, draws: int = 2000) -> tuple[Score, ...]:
    """Scores of one explanation of a unit: one for each of METRICS.

    Correlation in [-1, 1]; explained variance in (-inf, 1]; auprc in [0, 1], the area under the
    precision-recall curve for tokens above FIRES; gain_bits in bits per token of the population;
    top-and-random in [-1, 1], for comparison with the literature.

    Excerpts without a simulation (failed calls) are counted in n_asked - n_answered and left out of
    both sides. The null is the mean over null explanations whose score is defined, each with its own
    calibration; the excess has a paired interval, from the same documents in each draw; p is the
    rank of the value among the null values. A null that predicts one value everywhere has no
    correlation, but it does not fail either: it says nothing, and ranks as 0. Without it the short
    programs of other units, which mostly fire nowhere, would leave nothing to be ranked among. The
    draws depend on (seed, unit) only, so that explainers are compared on the same draws too.

    Args:
        evidence: own simulations and null ones.
        seed: of the run.
        draws: B, bootstrap draws.

    Returns:
        A score of each metric. An undefined one has value NaN and a reason.

    Raises:
        ValueError: the evidence contradicts itself (a simulation of another length than its excerpt,
            of an unknown excerpt, or with values that are not finite; an own explanation of another
            unit, or a null one of this). That is a bug of the caller, not a failure of the unit.
    """
    _check(evidence)
    simulated = [*([evidence.own] if evidence.own else []), *evidence.nulls]
    numbers = {name: i for i, name in enumerate(sorted({e.document for e in evidence.held_out}))}
    rng = generator(seed, evidence.unit, "score")
    counts = np.vstack([np.ones((1, len(numbers))), bootstrap_counts(len(numbers), draws=draws, rng=rng)])
    values = {metric: np.full((len(simulated), draws + 1), np.nan) for metric in METRICS}
    is_flat = np.zeros(len(simulated), dtype=np.bool_)
    answered: tuple[Excerpt, ...] = ()
    for places, batch in batches(evidence.held_out, simulated):
        found = _metrics(evidence, batch, [simulated[i] for i in places], numbers, counts)
        for metric in METRICS:
            values[metric][places] = found[metric]
        if batch.true.size and np.ptp(batch.true) > 0:
            is_flat[places] = np.isnan(found["correlation"][:, 0])
        if evidence.own and places[0] == 0:
            answered = batch.excerpts
    n_flat = int(is_flat[1:].sum() if evidence.own else is_flat.sum())
    return tuple(
        _score(evidence, metric, values[metric], answered, n_flat=n_flat if metric in _CORRELATIONS else 0)
        for metric in METRICS
    )


def calibration(evidence: Evidence) -> Calibration:
    """The map from simulated values to raw units, fitted on the calibrate excerpts.

    Puts the true and the simulated activations of a report on one scale. Both figures are NaN if no
    calibrate excerpt of the unit's own explanation was answered.

    Raises:
        ValueError: as for `simulation`.
    """
    fitted = Affine(np.array([math.nan]), np.array([math.nan]))
    for _, batch in batches(evidence.calibrate, [evidence.own] if evidence.own else []):
        fitted = fit_affine(batch.true, batch.predicted, batch.weights)
    return Calibration(
        unit=evidence.unit,
        explainer=evidence.explainer,
        simulator=evidence.simulator,
        slope=float(fitted.slope[0]),
        intercept=float(fitted.intercept[0]),
    )


def _metrics(
    evidence: Evidence,
    batch: Batch,
    simulated: Sequence[Simulated],
    numbers: Mapping[str, int],
    counts: Floats,
) -> dict[Metric, Floats]:
    """(X, 1 + B) of each metric; row 0 of the draws is the data."""
    codes, n = batch.documents(numbers), len(numbers)
    excerpt_weights = [e.weight for e in batch.excerpts]
    top_weights = top_and_random_weights(excerpt_weights, [e.is_top for e in batch.excerpts])
    whole, top = (
        resample(moments(batch.true, batch.predicted, w, codes, n_documents=n), counts)
        for w in (batch.weights, np.repeat(top_weights, batch.lengths))
    )
    fires = batch.true > _threshold(evidence)
    curve = precision_recall(fires, batch.predicted, batch.weights, codes, n_documents=n)
    affine, saved = _calibrated(evidence, simulated, batch)
    return {
        "correlation": correlation(whole),
        "explained_variance": explained_variance(whole, affine),
        "auprc": average_precision(curve, counts),
        "gain_bits": weighted_means(saved, batch.weights, codes, counts),
        "top_and_random": correlation(top),
    }


def _calibrated(evidence: Evidence, simulated: Sequence[Simulated], batch: Batch) -> tuple[Affine, Floats]:
    """What the calibrate split fits: affine maps (X,), and the bits saved on held-out tokens (X, N).

    Each explanation is fitted on the calibrate excerpts that it was simulated on; NaN where there are none.
    """
    slope, intercept = np.full((2, len(simulated)), np.nan)
    saved = np.full(batch.predicted.shape, np.nan)
    numbers = {name: i for i, name in enumerate(sorted({e.document for e in evidence.calibrate}))}
    for places, calibrate in batches(evidence.calibrate, simulated):
        slope[places], intercept[places] = fit_affine(calibrate.true, calibrate.predicted, calibrate.weights)
        reading = information.read(calibrate, calibrate.documents(numbers), len(numbers))
        if reading is not None:
            saved[places] = information.gains(reading, batch.true, batch.predicted[places])
    return Affine(slope, intercept), saved


def _threshold(evidence: Evidence) -> float:
    """Activation above which the unit fires; a property of the unit, the same in every draw."""
    excerpts = chain(evidence.calibrate, evidence.held_out)
    return FIRES * max((e.max_activation for e in excerpts), default=0.0)


def _score(
    evidence: Evidence, metric: Metric, values: Floats, answered: tuple[Excerpt, ...], *, n_flat: int
) -> Score:
    own = values[0] if evidence.own else np.full(values.shape[1], np.nan)
    nulls = values[1:] if evidence.own else values
    defined = nulls[~np.isnan(nulls[:, 0])]
    null = _mean_of_defined(defined) if len(defined) else np.full_like(own, np.nan)
    excess = own - null
    n_documents = len({e.document for e in answered})
    value = float(own[0])
    interval, excess_interval = (
        Interval(math.nan, math.nan)
        if math.isnan(figures[0])
        else percentile_interval(figures[1:], n_documents=n_documents)
        for figures in (own, excess)
    )
    return Score(
        unit=evidence.unit,
        explainer=evidence.explainer,
        simulator=evidence.simulator,
        scorer="simulation",
        metric=metric,
        value=value,
        low=interval.low,
        high=interval.high,
        null=float(null[0]),
        excess=float(excess[0]),
        excess_low=excess_interval.low,
        excess_high=excess_interval.high,
        n_asked=len(evidence.held_out),
        n_answered=len(answered),
        n_documents=n_documents,
        n_nulls=len(defined),
        label_mass=_label_mass(evidence.own, answered),
        reason=_reason(evidence, metric, answered) if math.isnan(value) else "",
        p=rank_p(value, [*defined[:, 0], *([0.0] * n_flat)]),
        null_values=tuple(defined[:, 0].tolist()),
        n_flat_nulls=n_flat,
    )


def _reason(evidence: Evidence, metric: Metric, answered: tuple[Excerpt, ...]) -> str:
    """Why the value is undefined; the first cause that applies."""
    true = [a for e in answered for a in e.activations[e.passage.n_context :]]
    if not evidence.held_out:
        return "no test excerpt"
    if not answered:
        return "no simulation answered"
    if not true:
        return "no scored token on any test excerpt"
    if all(e.max_activation == 0.0 for e in evidence.held_out):
        return "unit silent on every test excerpt"
    if metric == "auprc":
        return "unit fires on no answered test excerpt"
    if metric == "gain_bits":
        return "no calibrate simulation answered, or unit silent on every calibrate excerpt"
    if min(true) == max(true):
        return "unit constant on every answered test excerpt"
    if metric == "top_and_random" and not any(e.is_top for e in answered):
        return "no top excerpt answered"
    if metric == "explained_variance":
        return "no calibrate simulation answered"
    return "constant simulation"


def _check(evidence: Evidence) -> None:
    known = {e.passage.id for e in chain(evidence.calibrate, evidence.held_out)}
    for is_own, simulated in [(True, evidence.own), *((False, null) for null in evidence.nulls)]:
        if simulated is None:
            continue
        where = f"unit {evidence.unit}, simulations from explanation {simulated.explanation}"
        if (simulated.explanation.rpartition("/")[0] == evidence.unit) != is_own:
            raise ValueError(f"{where}: {'not its own' if is_own else 'a null of its own'}")
        if unknown := sorted(set(simulated.excerpts) - known):
            raise ValueError(f"{where}: no such calibrate or held-out excerpt as {unknown[0]}")


def _mean_of_defined(rows: Floats) -> Floats:
    """Mean over rows of what is defined, (1 + B,); NaN where nothing is."""
    is_defined: NDArray[np.bool_] = ~np.isnan(rows)
    if is_defined.all():
        return np.asarray(rows.mean(axis=0))
    with np.errstate(invalid="ignore"):
        mean: Floats = np.nansum(rows, axis=0) / is_defined.sum(axis=0)
    return mean


def _label_mass(own: Simulated | None, answered: tuple[Excerpt, ...]) -> float:
    if own is None:
        return math.nan
    ids = {e.passage.id for e in answered}
    masses = [m for name, m in zip(own.excerpts, own.label_mass, strict=True) if name in ids]
    read = [float(mass) for mass in masses if not math.isnan(mass)]
    return math.fsum(read) / len(read) if read else math.nan
