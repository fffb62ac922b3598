"""Which nodes of the author wrote a text: ranked by attribution, accounted for by true patching.

Attribution ranks well and sums badly (SCIENCE.md 0.7): no sum of it is ever called coverage.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from scrutable.pipeline.recursion.protocols import SITES, NodePatch, Nodes, Task, Writer
from scrutable.pipeline.recursion.records import Cause, Job, Overlap, Patch, Patched

Family = Literal["content", "format"]

_NAMED = 32  # strongest nodes that are kept by name
_BISECTIONS = 3
_FEWEST_SINGLES = 3


class Causal(NamedTuple):
    """The causal set of one job, and everything that was patched to find it."""

    cause: Cause
    patches: tuple[Patch, ...]
    nodes: tuple[str, ...]  # (|T|,) unit ids, strongest first
    attribution: tuple[float, ...]  # (|T|,) nats, > 0


def find_cause(
    job: Job, task: Task, writer: Writer, *, coverage: float, max_nodes: int, singles: int, seed: int
) -> Causal:
    """The shortest prefix of the ranked nodes whose patching loses `coverage` of the content gap.

    Found by doubling and then bisection on the size of the prefix, each size by a true patch; coverage is
    not monotone, so a shorter prefix may exist. Controls of the same size: random nodes, and nodes of the
    same layers outside the set. `singles` nodes, spread over the ranks of the set, are patched alone.
    """
    screen = writer.screen(task)
    ids = writer.unit_ids()
    order: Nodes = np.argsort(-screen.content, kind="stable")
    order = order[screen.content[order] > 0][:max_nodes]
    trial = _Trial(job, task, writer)
    clean_gap = job.content_gap
    chosen = trial.shortest(order, coverage)
    rng = np.random.default_rng([seed, *job.id.encode()])
    layer_of = np.array([id.partition(".")[0] for id in ids])
    random = rng.choice(len(ids), size=min(len(chosen), len(ids)), replace=False)
    matched = _layer_matched(chosen, layer_of, rng)
    trial.effects("random", [random])
    trial.effects("layer_matched", [matched])
    agreement = _singles(trial, chosen, screen.content, ids, singles)
    for site in SITES:
        lost = trial.clean - writer.patched_site(task, site)
        if not math.isnan(lost):  # not every author has every site
            trial.found.append(Patch(job.id, site, 0, lost / clean_gap))
    named = np.argsort(-screen.format, kind="stable")[:_NAMED]
    reached = trial.of("prefix", len(chosen))
    return Causal(
        cause=Cause(
            job=job.id,
            n_nodes=len(chosen),
            coverage=reached,
            is_reached=reached >= coverage,
            random=trial.last("random"),
            layer_matched=trial.last("layer_matched"),
            rank_agreement=agreement,
            n_singles=sum(patch.kind == "single" for patch in trial.found),
            attention=trial.last("attention_exemplars"),
            attribution_sum=float(screen.content.sum(dtype=np.float64)) / clean_gap,
            content=tuple(ids[n] for n in chosen[:_NAMED]),
            format=tuple(ids[n] for n in named if screen.format[n] > 0),
        ),
        patches=tuple(trial.found),
        nodes=tuple(ids[n] for n in chosen),
        attribution=tuple(screen.content[chosen].astype(float).tolist()),
    )


class _Trial:
    """Patches of one job, each measured once."""

    def __init__(self, job: Job, task: Task, writer: Writer) -> None:
        self._job, self._task, self._writer = job, task, writer
        self.found: list[Patch] = []
        clean = writer.likelihoods(task, is_counterfactual=False)
        self.clean = float(clean[list(task.content)].sum())

    def effects(self, kind: Patched, nodes: Sequence[Nodes]) -> list[float]:
        """Shares of the content gap that are lost."""
        values = self._writer.patched(self._task, [NodePatch(some) for some in nodes])
        effects = [(self.clean - value) / self._job.content_gap for value in values]
        self.found += [
            Patch(self._job.id, kind, len(some), effect) for some, effect in zip(nodes, effects, strict=True)
        ]
        return effects

    def of(self, kind: Patched, n: int) -> float:
        """The effect of a set that was patched; NaN for one that was not."""
        return next((p.effect for p in self.found if (p.kind, p.n) == (kind, n)), math.nan)

    def last(self, kind: Patched) -> float:
        return next((p.effect for p in reversed(self.found) if p.kind == kind), math.nan)

    def shortest(self, order: Nodes, coverage: float) -> Nodes:
        """The prefix; all of `order` where no prefix that was tried reaches the coverage."""
        size, below = 1, 0
        while size < len(order) and self.effects("prefix", [order[:size]])[0] < coverage:
            below, size = size, size * 4
        size = min(size, len(order))
        if math.isnan(self.of("prefix", size)):
            self.effects("prefix", [order[:size]])
        for _ in range(_BISECTIONS):
            middle = round(math.sqrt(max(below, 1) * size))
            if not below < middle < size:
                break
            if self.effects("prefix", [order[:middle]])[0] < coverage:
                below = middle
            else:
                size = middle
        return order[:size]


def _layer_matched(chosen: Nodes, layer_of: NDArray[np.str_], rng: np.random.Generator) -> Nodes:
    """As many nodes of each layer as the set has, none of them in it."""
    is_free = np.ones(len(layer_of), dtype=np.bool_)
    is_free[chosen] = False
    parts = []
    for layer, n in zip(*np.unique(layer_of[chosen], return_counts=True), strict=True):
        free = np.flatnonzero((layer_of == layer) & is_free)
        parts.append(rng.choice(free, size=min(int(n), len(free)), replace=False))
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


def _singles(
    trial: _Trial, chosen: Nodes, content: NDArray[np.float32], ids: Sequence[str], count: int
) -> float:
    """Rank agreement of attribution with true patches of single nodes, spread over the set's ranks."""
    places = np.unique(np.geomspace(1, max(len(chosen), 1), num=max(count, 1)).round().astype(int)) - 1
    some = chosen[places[:count]] if len(chosen) and count else chosen[:0]
    if not len(some):
        return math.nan
    before = len(trial.found)
    effects = trial.effects("single", [np.array([node]) for node in some])
    gap = trial._job.content_gap
    trial.found[before:] = [
        Patch(p.job, p.kind, p.n, p.effect, unit=ids[node], attribution=float(content[node]) / gap)
        for p, node in zip(trial.found[before:], some, strict=True)
    ]
    if len(some) < _FEWEST_SINGLES or np.ptp(effects) == 0:
        return math.nan
    return float(spearmanr(content[some], effects).statistic)


def overlaps(causes: Sequence[Cause], *, level: int) -> list[Overlap]:
    """How alike the strongest nodes of different jobs are: content nodes, and format nodes."""
    found = []
    families: tuple[Family, ...] = ("content", "format")
    for family in families:
        sets = [set(getattr(cause, family)) for cause in causes]
        pairs = [len(a & b) / len(a | b) for a, b in combinations(sets, 2) if a | b]
        mean = math.fsum(pairs) / len(pairs) if pairs else math.nan
        found.append(Overlap(level, family, len(sets), mean, max(pairs, default=math.nan)))
    return found
