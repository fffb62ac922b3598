"""Simulation scoring: how well a simulator that sees only an explanation predicts the unit.

Works on stored simulations of held-out excerpts, own and null. Population-weighted correlation and
explained variance (SCIENCE.md 2.1 a), and the literature's top-and-random score beside them. Asks no
model and reads nothing but the evidence of one unit.

Shape key: E held-out excerpts, N scored tokens, D documents, B bootstrap draws.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scrutable.evaluators.statistics import (
    Affine,
    Floats,
    Interval,
    bootstrap_counts,
    correlation,
    explained_variance,
    fit_affine,
    generator,
    moments,
    percentile_interval,
    resample,
    top_and_random_weights,
)
from scrutable.pipeline.protocols import Evidence
from scrutable.pipeline.records import Calibration, Excerpt, Metric, Score, Simulation

_METRICS: tuple[Metric, ...] = ("correlation", "explained_variance", "top_and_random")


class _Aligned(NamedTuple):
    """Scored tokens of the excerpts that one explanation was simulated on."""

    true: Floats  # (N,) subject's raw units
    predicted: Floats  # (N,) simulator's own scale
    excerpts: tuple[Excerpt, ...]  # (E,) those with a simulation, ordered by id
    lengths: NDArray[np.intp]  # (E,) scored tokens of each; sums to N


@dataclass(frozen=True, slots=True)
class _Tested:
    """One explanation on the test split; row 0 of each metric is the data, the rest are draws."""

    aligned: _Aligned
    metrics: Mapping[Metric, Floats]  # (1 + B,) each


def simulation(evidence: Evidence, *, seed: int, draws: int = 2000) -> tuple[Score, ...]:
    """Scores of one unit's explanation: correlation, explained variance and top-and-random.

    Excerpts without a simulation (failed calls) are counted in n_asked - n_answered and left out of
    both sides. The null is the mean over null explanations whose score is defined, each with its own
    calibration; the excess has a paired interval, from the same documents in each draw. The draws
    depend on (seed, unit) only, so that explainers are compared on the same draws too.

    Args:
        evidence: own simulations (explanation id `unit/explainer`) and null ones, in any order.
        seed: of the run.
        draws: B, bootstrap draws.

    Returns:
        Three scores. An undefined one has value NaN and a reason.

    Raises:
        ValueError: the evidence contradicts itself (a simulation of another length than its excerpt,
            of an unknown excerpt, of another unit or simulator, twice, or with values that are not
            finite). That is a bug of the caller, not a failure of the unit.
    """
    grouped = _grouped(evidence)
    own_id = f"{evidence.unit}/{evidence.explainer}"
    documents = {name: i for i, name in enumerate(sorted({e.document for e in evidence.held_out}))}
    rng = generator(seed, evidence.unit, "score")
    counts = np.vstack([np.ones((1, len(documents))), bootstrap_counts(len(documents), draws=draws, rng=rng)])
    tested = {
        name: _tested(evidence, grouped.get(name, {}), documents=documents, counts=counts)
        for name in sorted({own_id, *grouped})
    }
    own = tested.pop(own_id)
    nulls = list(tested.values())
    label_mass = _label_mass(own.aligned.excerpts, grouped.get(own_id, {}))
    return tuple(_score(evidence, metric, own=own, nulls=nulls, label_mass=label_mass) for metric in _METRICS)


def calibration(evidence: Evidence) -> Calibration:
    """The map from simulated values to raw units, fitted on the calibrate excerpts.

    Puts the true and the simulated activations of a report on one scale. Both figures are NaN if no
    calibrate excerpt of the unit's own explanation was answered.

    Raises:
        ValueError: as for `simulation`.
    """
    own_id = f"{evidence.unit}/{evidence.explainer}"
    fitted = _calibrated(evidence, _grouped(evidence).get(own_id, {}))
    return Calibration(
        unit=evidence.unit,
        explainer=evidence.explainer,
        simulator=evidence.simulator,
        slope=fitted.slope,
        intercept=fitted.intercept,
    )


def _calibrated(evidence: Evidence, simulations: Mapping[str, Simulation]) -> Affine:
    aligned = _aligned(evidence.calibrate, simulations)
    return fit_affine(aligned.true, aligned.predicted, _per_token(aligned, _weights(aligned)))


def _tested(
    evidence: Evidence,
    simulations: Mapping[str, Simulation],
    *,
    documents: Mapping[str, int],
    counts: Floats,
) -> _Tested:
    aligned = _aligned(evidence.held_out, simulations)
    codes = np.repeat([documents[e.document] for e in aligned.excerpts], aligned.lengths).astype(np.intp)
    population = _weights(aligned)
    top_and_random = top_and_random_weights(population, [e.is_top for e in aligned.excerpts])
    whole, top = (
        resample(
            moments(
                aligned.true,
                aligned.predicted,
                _per_token(aligned, weights),
                codes,
                n_documents=len(documents),
            ),
            counts,
        )
        for weights in (population, top_and_random)
    )
    metrics: dict[Metric, Floats] = {
        "correlation": correlation(whole),
        "explained_variance": explained_variance(whole, _calibrated(evidence, simulations)),
        "top_and_random": correlation(top),
    }
    return _Tested(aligned, metrics)


def _score(
    evidence: Evidence, metric: Metric, *, own: _Tested, nulls: Sequence[_Tested], label_mass: float
) -> Score:
    values = own.metrics[metric]
    defined = [null.metrics[metric] for null in nulls if not math.isnan(null.metrics[metric][0])]
    null = _mean_of_defined(defined, like=values)
    excess = values - null
    n_documents = len({e.document for e in own.aligned.excerpts})
    value = float(values[0])
    interval, excess_interval = (
        Interval(math.nan, math.nan)
        if math.isnan(figures[0])
        else percentile_interval(figures[1:], n_documents=n_documents)
        for figures in (values, excess)
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
        n_answered=len(own.aligned.excerpts),
        n_documents=n_documents,
        n_nulls=len(defined),
        label_mass=label_mass,
        reason=_reason(evidence, metric, own.aligned) if math.isnan(value) else "",
    )


def _reason(evidence: Evidence, metric: Metric, own: _Aligned) -> str:
    """Why the value is undefined; the first cause that applies."""
    if not evidence.held_out:
        return "no test excerpt"
    if not own.excerpts:
        return "no simulation answered"
    if not own.true.size:
        return "no scored token on any test excerpt"
    if all(e.max_activation == 0.0 for e in evidence.held_out):
        return "unit silent on every test excerpt"
    if np.ptp(own.true) == 0.0:
        return "unit constant on every answered test excerpt"
    if metric == "top_and_random" and not any(e.is_top for e in own.excerpts):
        return "no top excerpt answered"
    if metric == "explained_variance":
        return "no calibrate simulation answered"
    return "constant simulation"


def _grouped(evidence: Evidence) -> dict[str, dict[str, Simulation]]:
    """Explanation id → excerpt id → simulation."""
    own = f"{evidence.unit}/{evidence.explainer}"
    excerpts = {e.passage.id for e in chain(evidence.calibrate, evidence.held_out)}
    grouped: dict[str, dict[str, Simulation]] = {}
    for simulated in evidence.simulations:
        where = f"simulation of excerpt {simulated.excerpt} from explanation {simulated.explanation}"
        if (simulated.unit, simulated.simulator) != (evidence.unit, evidence.simulator):
            raise ValueError(
                f"{where} is by {simulated.simulator} for {simulated.unit}, "
                f"expected {evidence.simulator} for {evidence.unit}"
            )
        if not simulated.is_null and simulated.explanation != own:
            raise ValueError(f"{where} is neither a null nor from {own}")
        if simulated.excerpt not in excerpts:
            raise ValueError(f"{where}: unit {evidence.unit} has no such calibrate or held-out excerpt")
        of_explanation = grouped.setdefault(simulated.explanation, {})
        if simulated.excerpt in of_explanation:
            raise ValueError(f"{where} is there twice")
        of_explanation[simulated.excerpt] = simulated
    return grouped


def _aligned(excerpts: Sequence[Excerpt], simulations: Mapping[str, Simulation]) -> _Aligned:
    # Ordered by id: a sum of floats depends on its order, and a score must not.
    answered = sorted(
        (e for e in excerpts if e.passage.id in simulations), key=lambda excerpt: excerpt.passage.id
    )
    lengths = [len(e.activations) - e.passage.n_context for e in answered]
    for excerpt, length in zip(answered, lengths, strict=True):
        simulated = simulations[excerpt.passage.id]
        if len(simulated.expected) != length:
            raise ValueError(
                f"simulation of excerpt {excerpt.passage.id} from explanation {simulated.explanation} "
                f"has {len(simulated.expected)} values for {length} scored tokens"
            )
    true = _flat([e.activations[e.passage.n_context :] for e in answered], sum(lengths))
    predicted = _flat([simulations[e.passage.id].expected for e in answered], sum(lengths))
    not_finite = np.flatnonzero(~np.isfinite(true + predicted))
    if not_finite.size:
        bad = answered[int(np.searchsorted(np.cumsum(lengths), not_finite[0], side="right"))].passage.id
        raise ValueError(
            f"excerpt {bad} or its simulation from explanation {simulations[bad].explanation} "
            f"holds values that are not finite"
        )
    return _Aligned(true, predicted, tuple(answered), np.array(lengths, dtype=np.intp))


def _flat(rows: Sequence[Sequence[float]], size: int) -> Floats:
    return np.fromiter(chain.from_iterable(rows), dtype=np.float64, count=size)


def _weights(aligned: _Aligned) -> Floats:
    return np.array([e.weight for e in aligned.excerpts], dtype=np.float64)


def _per_token(aligned: _Aligned, weights: Floats) -> Floats:
    return np.repeat(weights, aligned.lengths)


def _mean_of_defined(rows: Sequence[Floats], *, like: Floats) -> Floats:
    """Mean over rows of what is defined, (1 + B,); NaN where nothing is."""
    if not rows:
        return np.full_like(like, np.nan)
    stacked = np.stack(rows)
    n_defined = (~np.isnan(stacked)).sum(axis=0)
    with np.errstate(invalid="ignore"):
        mean: Floats = np.nansum(stacked, axis=0) / n_defined
    return mean


def _label_mass(excerpts: Sequence[Excerpt], simulations: Mapping[str, Simulation]) -> float:
    masses = [simulations[e.passage.id].label_mass for e in excerpts]
    read = [mass for mass in masses if not math.isnan(mass)]
    return math.fsum(read) / len(read) if read else math.nan
