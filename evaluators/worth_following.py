"""The gate of recursion: is a claim worth following, as far as text that no score is taken from can tell?"""

from __future__ import annotations

import numpy as np

from scrutable.evaluators.evidence import batches
from scrutable.evaluators.statistics import bootstrap_counts, correlation, generator, moments, resample
from scrutable.pipeline.protocols import Evidence


def clears(evidence: Evidence, *, level: float, seed: int, draws: int) -> bool:
    """Whether the excess correlation on calibrate lies above 0 with the lower end of its interval.

    Estimates are then taken on test, so that the choice flatters nothing (SCIENCE.md 2.6). A null that is
    constant counts as a correlation of 0; an explanation that is constant itself does not clear.

    Args:
        evidence: of one explanation, own and null simulations.
        level: of the two-sided percentile interval, for example 0.90.
        seed: of the run.
        draws: of the bootstrap over documents.
    """
    if evidence.own is None or not evidence.calibrate:
        return False
    simulated = [evidence.own, *evidence.nulls]
    numbers = {name: n for n, name in enumerate(sorted({e.document for e in evidence.calibrate}))}
    rng = generator(seed, evidence.unit, "gate")
    counts = np.vstack([np.ones((1, len(numbers))), bootstrap_counts(len(numbers), draws=draws, rng=rng)])
    values = np.full((len(simulated), draws + 1), np.nan)
    for places, batch in batches(evidence.calibrate, simulated):
        codes = batch.documents(numbers)
        sums = moments(batch.true, batch.predicted, batch.weights, codes, n_documents=len(numbers))
        values[places] = correlation(resample(sums, counts))
    if np.isnan(values[0, 0]):
        return False
    null = np.nan_to_num(values[1:], nan=0.0).mean(axis=0) if len(values) > 1 else 0.0
    excess = (values[0] - null)[1:]
    excess = excess[~np.isnan(excess)]
    return bool(len(excess) and np.quantile(excess, (1 - level) / 2) > 0)
