"""The cheap stand-in for substitution, beside what it stands for: never one without the other.

SCIENCE.md 2.5: attribution-weighted fidelity of the nodes' explanations costs no pass of the author, but that
an explanation describes a node well does not say that it can take the node's place. It is therefore printed
only next to X, with how far the two agree over jobs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import spearmanr

from scrutable.evaluators.statistics import generator, ratio_interval
from scrutable.pipeline.recursion.records import Proxy, Substitution

_FEWEST = 3  # jobs

Pair = tuple[str, str]  # explainer, simulator


def proxies(
    substitutions: Sequence[Substitution],
    drawn: Mapping[str, Mapping[str, int]],
    fidelity: Mapping[Pair, Mapping[str, float]],
    *,
    level: int,
    draws: int,
    seed: int,
) -> list[Proxy]:
    """One row for each explainer and simulator of the nodes, over jobs.

    A job's proxy is the mean excess explained variance over its draws, which were made in proportion to
    attribution; jobs weigh by what their nodes lose beyond the null, as in X. The difference from X has a
    bootstrap over jobs.

    Args:
        substitutions: of the jobs of one level.
        drawn: job → node → how often it was drawn.
        fidelity: pair → node → excess explained variance of its explanation on the author's working text.
        level: of the jobs.
        draws: of the bootstrap.
        seed: of the run.
    """
    by_pair: dict[Pair, dict[str, dict[str, Substitution]]] = {}
    for one in substitutions:
        if one.kind in ("own", "null"):
            by_pair.setdefault((one.explainer, one.simulator), {}).setdefault(one.job, {})[one.kind] = one
    return [
        _proxy(pair, jobs, drawn, fidelity.get(pair, {}), level=level, draws=draws, seed=seed)
        for pair, jobs in by_pair.items()
    ]


def _proxy(
    pair: Pair,
    jobs: Mapping[str, Mapping[str, Substitution]],
    drawn: Mapping[str, Mapping[str, int]],
    fidelity: Mapping[str, float],
    *,
    level: int,
    draws: int,
    seed: int,
) -> Proxy:
    rows = []
    for job, kinds in sorted(jobs.items()):
        known = {node: n for node, n in drawn.get(job, {}).items() if node in fidelity}
        if len(kinds) == 2 and known:
            null = kinds["null"].restored
            guessed = sum(n * fidelity[node] for node, n in known.items()) / sum(known.values())
            rows.append((guessed, kinds["own"].restored - null, kinds["own"].lost - null))
    proxy, restored, lost = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    n, total = len(rows), float(lost.sum())
    if n < _FEWEST or not total > 0:
        reason = f"{n} jobs with explained nodes" if n < _FEWEST else "the explained nodes lose nothing"
        nan = math.nan
        return Proxy(level, *pair, n, nan, nan, nan, nan, nan, reason)
    rng = generator(seed, "proxy", str(level), *pair)
    low, high = ratio_interval(lost * proxy - restored, lost, draws=draws, rng=rng)
    is_measured = lost > 0
    x = restored[is_measured] / lost[is_measured]
    varies = len(x) >= _FEWEST and np.ptp(x) > 0 and np.ptp(proxy[is_measured]) > 0
    return Proxy(
        level=level,
        explainer=pair[0],
        simulator=pair[1],
        n_jobs=n,
        proxy=float((lost * proxy).sum() / total),
        substitution=float(restored.sum() / total),
        low=low,
        high=high,
        agreement=float(spearmanr(proxy[is_measured], x).statistic) if varies else math.nan,
    )
