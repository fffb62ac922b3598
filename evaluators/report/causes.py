"""What was found inside the authors: causal sets and substitutions, summed up over jobs and job by job."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from scrutable.evaluators.report import wording
from scrutable.evaluators.report.table import Row, Table, number, numbers, ratio, table, texts
from scrutable.evaluators.report.trust import KINDS, mean, why
from scrutable.evaluators.report.wording import Figure
from scrutable.pipeline.recursion.records import Cause, Job, Proxy, Substitution

LISTED = 200  # jobs in the table of all of them
_COUNTED = ("coverage", "random", "layer_matched", "rank_agreement", "attention", "attribution_sum")
_REASONS = {"rank_agreement": "fewer than three nodes were patched alone"}

_NUMBERS = (
    "|T|, nodes",
    "Coverage",
    "Random nodes",
    "Same layers",
    "Rank agreement",
    "Attention",
    "Attribution sum",
)
_NOTE = (
    "Shares of the content gap. Coverage is what true patching of the causal set T takes away; random nodes "
    "and nodes in the same layers are as many as T has. Rank agreement is Spearman’s, of attribution and "
    "true patches of single nodes. Attention is patched at the exemplars. The attribution sum is not a "
    "coverage: it adds up first-order guesses, and is shown to be told from what true patching gives."
)


def cause_summary(causes: Sequence[Cause], jobs: Sequence[Job]) -> Table | None:
    """Means over jobs, for each level and author; |T| as median and range."""
    authors = {job.id: (job.level, job.author) for job in jobs}
    groups: dict[tuple[int, str], list[Cause]] = {}
    for cause in causes:
        key = authors.get(cause.job, (level_of(cause.job), wording.NO_NUMBER))
        groups.setdefault(key, []).append(cause)
    rows: list[Row] = [
        (
            str(level),
            author,
            wording.count(len(group)),
            f"{sum(cause.is_reached for cause in group)} of {len(group)}",
            _sizes([cause.n_nodes for cause in group]),
            *(_mean([getattr(cause, name) for cause in group], name) for name in _COUNTED),
        )
        for (level, author), group in sorted(groups.items())
    ]
    heads = [*texts("Level", "Author"), *numbers("Jobs, n", "Coverage reached", *_NUMBERS)]
    return table("Causal sets: nodes of the author that the text depends on", heads, rows, note=_NOTE)


def cause_table(causes: Sequence[Cause]) -> Table | None:
    """The causal set of each job."""
    rows: list[Row] = [
        (
            cause.job,
            "yes" if cause.is_reached else "no",
            wording.count(cause.n_nodes),
            *(number(getattr(cause, name), _REASONS.get(name, "")) for name in _COUNTED),
        )
        for cause in causes
    ]
    heads = [*texts("Job", "Coverage reached"), *numbers(*_NUMBERS)]
    return table("Causal set of each job", heads, rows, listed=LISTED)


def proxy_table(proxies: Sequence[Proxy]) -> Table | None:
    """The proxy of X, next to X and to how far it can be believed."""
    rows: list[Row] = [
        (
            str(one.level),
            one.explainer,
            one.simulator,
            wording.count(one.n_jobs),
            number(one.substitution, why(one.reason)),
            number(one.proxy, why(one.reason)),
            wording.figure(
                one.proxy - one.substitution, one.low, one.high, reason=why(one.reason), signed=True
            ),
            number(one.agreement, one.reason or "too few jobs that can be ranked"),
        )
        for one in proxies
    ]
    heads = [
        *texts("Level", "Explained by", "Simulated by"),
        *numbers("Jobs, n", "X, measured", "Proxy", "Proxy − X [95 % interval]", "Rank agreement over jobs"),
    ]
    note = (
        "The proxy is how well the nodes’ explanations describe them (excess explained variance, weighted by "
        "attribution), which needs no substitution. It is no estimate of X unless the two columns agree."
    )
    return table("A cheap proxy of substitution, beside it", heads, rows, note=note)


def substitution_table(substitutions: Sequence[Substitution]) -> Table | None:
    """Restored / lost by level, explainer, simulator and kind: ratios of sums, unclipped."""
    groups: dict[tuple[int, str, str, str], list[Substitution]] = {}
    for one in substitutions:
        groups.setdefault((level_of(one.job), one.explainer, one.simulator, one.kind), []).append(one)
    order = list(KINDS)
    keys = sorted(groups, key=lambda key: (*key[:3], order.index(key[3])))
    rows: list[Row] = [
        (
            str(level),
            explainer,
            simulator,
            KINDS[kind],
            *_substituted(groups[level, explainer, simulator, kind]),
        )
        for level, explainer, simulator, kind in keys
    ]
    heads = [
        *texts("Level", "Nodes explained by", "Simulator", "Values from"),
        *numbers("Jobs, n", "Nodes", "Without simulation", "Lost, nats", "Restored, nats", "Share"),
    ]
    note = (
        "Explained nodes of the running author take simulated values in place of their counterfactual ones. "
        "The share is what they restore of what their counterfactual values lose. A calibrated constant "
        "restores something too, so X, in the ledger, takes the first explanations of other nodes off both: "
        "1 if the explanations say all that these nodes do, 0 if they say no more than others. Ratios of "
        "sums over jobs, not clipped. Jobs without a defined figure are left out of the sums and counted."
    )
    return table("Substitution", heads, rows, note=note)


def level_of(job: str) -> int:
    """The level in the id of a job, `LEVEL/UNIT`; 0 if there is none."""
    level = job.partition("/")[0]
    return int(level) if level.isdigit() else 0


def _substituted(group: Sequence[Substitution]) -> Row:
    defined = [one for one in group if math.isfinite(one.lost) and math.isfinite(one.restored)]
    lost = math.fsum(one.lost for one in defined)
    restored = math.fsum(one.restored for one in defined)
    is_empty = not defined
    none = "not defined for any job"
    return (
        f"{len(defined)} of {len(group)}",
        wording.count(sum(one.n_nodes for one in group)),
        wording.count(sum(one.n_failed for one in group)),
        number(math.nan if is_empty else lost, none),
        number(math.nan if is_empty else restored, none),
        number(math.nan, none) if is_empty else ratio(restored, lost, of="what is lost"),
    )


def _mean(values: list[float], name: str) -> Figure:
    """The mean over jobs for which it is defined; it says for how many where it is not for all."""
    value, n = mean(values)
    reason = _REASONS.get(name, f"not defined for any of {wording.counted(len(values), 'job')}")
    found = number(value, reason)
    return found if n in (0, len(values)) else Figure(found.text, interval=f"n = {n}")


def _sizes(sizes: list[int]) -> str:
    return f"{median(sizes):,.0f} ({wording.count(min(sizes))} to {wording.count(max(sizes))})"
