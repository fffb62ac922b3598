"""What an explanation saves over each baseline, in bits for each test input.

    gain(E) = mean over inputs of  log2 p(y | x, task, E) - log2 p(y | x, baseline)

with y what the subject did, every p a forced distribution over the outcomes and calibrated alike (FIELD.md H;
Hase & Bansal 2020, arXiv 2005.01831). Both are taken on the same inputs and resampled together, by source.

A simulator that cannot be told the task alone (one that runs policies, say) is compared with the task,
examples and own answer of the first simulator that can. Shape key: N test inputs, K outcomes, S sources.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scrutable.evaluators.behaviours.calibration import Floats
from scrutable.evaluators.behaviours.evidence import Evidence, Key, bits
from scrutable.evaluators.statistics import (
    Interval,
    bootstrap_counts,
    generator,
    mean_interval,
    percentile_interval,
)
from scrutable.pipeline.behaviours.records import BASELINES, Forecast, Gain, GainSummary, Inputs, Loss

Bools = NDArray[np.bool_]


class Worth(NamedTuple):
    """All that the predictions of one behaviour come to."""

    losses: tuple[Loss, ...]
    gains: tuple[Gain, ...]
    forecasts: tuple[Forecast, ...]


class _Told(NamedTuple):
    """One condition of one simulator, with several draws or nulls side by side."""

    simulator: str
    condition: str
    explainer: str  # author of the explanation; empty where there is none
    explanations: tuple[str, ...]  # (D,) ids
    logs: Floats  # (D, N, K) calibrated, NaN where there is no prediction
    label_mass: float


def worth(evidence: Evidence, *, peers: Sequence[str], seed: int, draws: int = 2000) -> Worth:
    """Losses, gains and forecasts of one behaviour.

    Args:
        evidence: all predictions and observations.
        peers: the other models whose mean answer is the consensus.
        seed: of the run.
        draws: of the bootstrap over sources.
    """
    told = _conditions(evidence, peers)
    expected = _default(told)
    surprising = (expected >= 0) & (expected != evidence.truth)
    losses = [
        loss
        for one in told
        for inputs, mask in _masks(surprising)
        for loss in [_loss(evidence, one, inputs, mask)]
    ]
    counts = bootstrap_counts(
        len(set(evidence.sources.tolist())),
        draws=draws,
        rng=generator(seed, evidence.behaviour, "gains"),
    )
    gains = [
        _gain(evidence, own, baseline, told, inputs, mask, counts)
        for own in told
        if own.condition == "explained"
        for baseline in BASELINES
        for inputs, mask in _masks(surprising)
        if _baseline(own, baseline, told) is not None
    ]
    forecasts = [forecast for one in told for forecast in _forecasts(evidence, one, surprising)]
    return Worth(tuple(losses), tuple(gains), tuple(forecasts))


def summarise_gains(
    gains: Sequence[Gain], behaviours: Sequence[str], *, seed: int, draws: int = 2000
) -> tuple[GainSummary, ...]:
    """The gains of each explainer over each baseline, over behaviours.

    Args:
        gains: of any number of behaviours.
        behaviours: those that were to be explained; one without a gain has failed.
        seed: of the run.
        draws: of the bootstrap over behaviours.
    """
    groups: dict[tuple[str, str, str, Inputs], list[Gain]] = {}
    for gain in gains:
        groups.setdefault((gain.explainer, gain.simulator, gain.baseline, gain.inputs), []).append(gain)
    return tuple(
        _summary(group, n_asked=len(behaviours), seed=seed, draws=draws) for group in groups.values()
    )


def _summary(group: Sequence[Gain], *, n_asked: int, seed: int, draws: int) -> GainSummary:
    first = group[0]
    ordered = sorted(group, key=lambda gain: gain.behaviour)
    values = np.array([gain.bits for gain in ordered if not math.isnan(gain.bits)])
    interval = mean_interval(values, draws=draws, rng=generator(seed, "gains"))
    return GainSummary(
        explainer=first.explainer,
        simulator=first.simulator,
        baseline=first.baseline,
        inputs=first.inputs,
        n_behaviours=n_asked,
        n_defined=values.size,
        n_undefined=len(group) - values.size,
        n_failed=n_asked - len(group),
        bits=float(values.mean()) if values.size else math.nan,
        low=interval.low,
        high=interval.high,
        n_above=sum(gain.low > 0 for gain in group),  # false where there is no interval
        n_below=sum(gain.high < 0 for gain in group),
    )


def _conditions(evidence: Evidence, peers: Sequence[str]) -> list[_Told]:
    """Every condition under which the subject was predicted, calibrated."""
    n, k = len(evidence.test), len(evidence.outcomes)
    told = [_Told("", "nothing", "", ("",), np.broadcast_to(evidence.prior, (1, n, k)), math.nan)]
    groups: dict[tuple[str, str, str], list[Key]] = {}
    for key in evidence.predictions:
        unit, _, author = key.explanation.rpartition("/")
        is_null = bool(key.explanation) and unit != evidence.behaviour
        condition = "shuffled" if is_null else key.condition
        groups.setdefault((key.simulator, condition, author), []).append(key)
    for (simulator, condition, author), keys in groups.items():
        logs = np.stack([evidence.logs(evidence.predicted(key)) for key in keys])
        masses = [one.label_mass for key in keys for one in evidence.predictions[key].values()]
        ids = tuple(key.explanation for key in keys)
        told.append(_Told(simulator, condition, author, ids, logs, float(np.mean(masses or [math.nan]))))
    told += [
        _Told(simulator, "own_answer", "", ("",), evidence.logs(answers)[None], math.nan)
        for simulator in dict.fromkeys(one.simulator for one in told if one.condition == "task")
        if (answers := evidence.answers_of([simulator]))
    ]
    if consensus := evidence.answers_of(peers):
        told.append(_Told("", "consensus", "", ("",), evidence.logs(consensus)[None], math.nan))
    return told


def _default(told: Sequence[_Told]) -> NDArray[np.intp]:
    """(N,) what is expected from the task alone; -1 where nothing is."""
    task = next((one for one in told if one.condition == "task"), told[0])
    likeliest = np.argmax(np.nan_to_num(task.logs[0], nan=-np.inf), axis=1)
    return np.where(np.isnan(task.logs[0, :, 0]), -1, likeliest).astype(np.intp)


def _masks(surprising: Bools) -> Iterator[tuple[Inputs, Bools]]:
    yield "all", np.ones_like(surprising)
    yield "surprising", surprising


def _costs(one: _Told, evidence: Evidence) -> Floats:
    """(N,) bits, averaged over draws or nulls that gave a prediction; NaN where none did."""
    each = np.array([bits(logs, evidence.truth) for logs in one.logs])
    known = ~np.isnan(each)
    total = np.where(known, each, 0.0).sum(axis=0)
    with np.errstate(invalid="ignore"):
        mean: Floats = total / np.where(known.any(axis=0), known.sum(axis=0), np.nan)
    return mean


def _loss(evidence: Evidence, one: _Told, inputs: Inputs, mask: Bools) -> Loss:
    costs = _costs(one, evidence)
    kept = mask & ~np.isnan(costs)
    right = [
        float((np.argmax(logs[kept], axis=1) == evidence.truth[kept]).mean())
        for logs in one.logs
        if kept.any()
    ]
    return Loss(
        behaviour=evidence.behaviour,
        simulator=one.simulator,
        condition=one.condition,
        explainer=one.explainer,
        inputs=inputs,
        bits=float(costs[kept].mean()) if kept.any() else math.nan,
        accuracy=float(np.mean(right)) if right else math.nan,
        n_inputs=int(kept.sum()),
        n_asked=int(mask.sum()),
        n_sources=len(set(evidence.sources[kept].tolist())),
        label_mass=one.label_mass,
        reason="" if kept.any() else _why_nothing(inputs, mask),
    )


def _why_nothing(inputs: Inputs, mask: Bools) -> str:
    if mask.any():
        return "no input has a prediction"
    return "no test input could be read" if inputs == "all" else "no input is surprising"


def _baseline(own: _Told, baseline: str, told: Sequence[_Told]) -> _Told | None:
    """What a gain of `own` over a baseline is taken over; the simulator's own where it has one."""
    fitting = [
        one
        for one in told
        if one.condition == baseline
        and (baseline not in ("examples", "shuffled") or one.explainer == own.explainer)
    ]
    return next((one for one in fitting if one.simulator == own.simulator), fitting[0] if fitting else None)


def _gain(
    evidence: Evidence,
    own: _Told,
    baseline: str,
    told: Sequence[_Told],
    inputs: Inputs,
    mask: Bools,
    counts: Floats,
) -> Gain:
    other = _baseline(own, baseline, told)
    assert other is not None
    saved = _costs(other, evidence) - _costs(own, evidence)
    kept = mask & ~np.isnan(saved)
    interval = source_interval(saved[kept], evidence.sources[kept], counts)
    return Gain(
        behaviour=evidence.behaviour,
        explainer=own.explainer,
        simulator=own.simulator,
        baseline=baseline,
        inputs=inputs,
        bits=float(saved[kept].mean()) if kept.any() else math.nan,
        low=interval.low,
        high=interval.high,
        n_inputs=int(kept.sum()),
        n_sources=len(set(evidence.sources[kept].tolist())),
        reason="" if kept.any() else _why_nothing(inputs, mask),
    )


def source_interval(values: Floats, sources: NDArray[np.intp], counts: Floats) -> Interval:
    """95 % bootstrap interval of the mean of values (M,) when their sources are drawn again.

    Args:
        values: (M,) finite.
        sources: (M,) numbers of sources, in [0, S).
        counts: (B, S) how often each source is drawn.
    """
    n_sources = counts.shape[1]
    sums = np.bincount(sources, values, minlength=n_sources)
    sizes = np.bincount(sources, minlength=n_sources).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (counts @ sums) / (counts @ sizes)
    return percentile_interval(means, n_documents=int((sizes > 0).sum()))


def _forecasts(evidence: Evidence, one: _Told, surprising: Bools) -> Iterator[Forecast]:
    """The first draw or null, input by input."""
    costs = bits(one.logs[0], evidence.truth)
    for i, shown in enumerate(evidence.test):
        if not math.isnan(costs[i]):
            yield Forecast(
                behaviour=evidence.behaviour,
                input=shown.id,
                simulator=one.simulator,
                condition=one.condition,
                explanation=one.explanations[0],
                probabilities=tuple(np.exp(one.logs[0, i]).tolist()),
                bits=float(costs[i]),
                is_surprising=bool(surprising[i]),
            )
