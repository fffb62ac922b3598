"""Rescoring stored simulations of many units, beside a plain numpy loop that does the same by hand.

    python bench/resampling.py [--units 1000]

Each unit has its own explanation and 20 null ones on 49 excerpts of 28 scored tokens, 2,000 bootstrap draws
of documents, five metrics. The loop resamples tokens document by document and calls numpy on them; it is
timed on a few draws of one explanation and scaled, since all of it would take hours.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter, process_time

import numpy as np

from scrutable.evaluators.evidence import Floats
from scrutable.evaluators.scorers.simulation import METRICS, simulation
from scrutable.evaluators.statistics import bootstrap_counts, correlation, generator, moments, resample
from scrutable.pipeline.protocols import Evidence, Simulated
from scrutable.pipeline.records import Excerpt, Passage, Simulation, Split
from scrutable.pipeline.store import RunFolder

TARGET = 60.0  # seconds for 1,000 units
N_TOKENS, N_CONTEXT = 32, 4
N_TEST, N_CALIBRATE, N_DOCUMENTS = 40, 9, 20
N_NULLS, DRAWS = 20, 2000
LOOP_DRAWS = 40


def excerpts(split: Split, n: int, rng: np.random.Generator) -> tuple[Excerpt, ...]:
    """Five excerpts of weight 1 and others that stand for thirty."""
    return tuple(
        Excerpt(
            passage=Passage(f"{split}-{i:02d}", ("x",) * N_TOKENS, N_CONTEXT),
            document=f"{split}-{i % N_DOCUMENTS}",
            split=split,
            activations=tuple((rng.exponential(size=N_TOKENS) * (rng.random(N_TOKENS) < 0.1)).tolist()),
            weight=1.0 if i < 5 else 30.0,
            is_top=i < 5,
        )
        for i in range(n)
    )


def stored(folder: RunFolder, unit: str, seed: int) -> tuple[tuple[Excerpt, ...], tuple[Excerpt, ...]]:
    """Writes the simulations of one unit, and returns its calibrate and test excerpts."""
    rng = np.random.default_rng(seed)
    calibrate, test = excerpts("calibrate", N_CALIBRATE, rng), excerpts("test", N_TEST, rng)
    rows = []
    for x in range(N_NULLS + 1):
        for excerpt in (*calibrate, *test):
            noise = rng.random(N_TOKENS - N_CONTEXT)
            true = np.array(excerpt.activations[N_CONTEXT:])
            expected = noise if x else 0.5 * true + noise
            author = f"v{x}/llm" if x else f"{unit}/llm"
            rows.append(Simulation(unit, author, "prompted", excerpt.passage.id, tuple(expected.tolist())))
    folder.write_records(folder.part("simulations", unit), Simulation, rows)
    return calibrate, test


def evidences(
    folder: RunFolder, excerpts_of: dict[str, tuple[tuple[Excerpt, ...], tuple[Excerpt, ...]]]
) -> Iterator[Evidence]:
    """What the score stage of a run makes of the stored parts."""
    for path in folder.parts("simulations"):
        for unit, simulated in folder.read_simulated(path):
            own = simulated.pop(f"{unit}/llm")
            nulls = tuple(simulated.values())
            yield Evidence(unit, "llm", "prompted", *excerpts_of[unit], own, nulls)


def flat(test: tuple[Excerpt, ...], one: Simulated) -> tuple[Floats, Floats, Floats, list[str]]:
    """Truth, prediction, weight and document of each test token."""
    values = dict(zip(one.excerpts, np.split(one.expected, np.cumsum(one.lengths)[:-1]), strict=True))
    true = np.concatenate([e.activations[N_CONTEXT:] for e in test])
    predicted = np.concatenate([values[e.passage.id] for e in test])
    weights = np.repeat([e.weight for e in test], N_TOKENS - N_CONTEXT)
    return true, predicted, weights, [e.document for e in test for _ in range(N_TOKENS - N_CONTEXT)]


def by_loop(evidence: Evidence, counts: Floats) -> Floats:
    """(draws,) weighted correlation of the own explanation, as one would write it first."""
    assert evidence.own
    true, predicted, weights, documents = flat(evidence.held_out, evidence.own)
    names = sorted(set(documents))
    tokens_of = {name: np.flatnonzero(np.array(documents) == name) for name in names}
    found = []
    for row in counts:
        drawn = [tokens_of[name] for name, n in zip(names, row, strict=True) for _ in range(int(n))]
        chosen = np.concatenate(drawn)
        a, p, w = true[chosen], predicted[chosen], weights[chosen]
        c = np.cov(a, p, aweights=w, ddof=0)
        found.append(c[0, 1] / np.sqrt(c[0, 0] * c[1, 1]))
    return np.array(found)


def vectorised(evidence: Evidence, counts: Floats) -> Floats:
    """The same from per-document sums."""
    assert evidence.own
    true, predicted, weights, documents = flat(evidence.held_out, evidence.own)
    numbers = {name: i for i, name in enumerate(sorted(set(documents)))}
    codes = [numbers[name] for name in documents]
    sums = moments(true, predicted, weights, codes, n_documents=len(numbers))
    return correlation(resample(sums, counts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=1000)
    n_units = parser.parse_args().units
    with tempfile.TemporaryDirectory() as place:
        folder = RunFolder(Path(place))
        excerpts_of = {f"u{u:05d}": stored(folder, f"u{u:05d}", u) for u in range(n_units)}
        started = perf_counter()
        last = None
        for last in evidences(folder, excerpts_of):  # noqa: B007 - the last one is used below
            pass
        reading = perf_counter() - started
        started, started_cpu = perf_counter(), process_time()
        for evidence in evidences(folder, excerpts_of):
            simulation(evidence, seed=0, draws=DRAWS)
        total, total_cpu = perf_counter() - started, process_time() - started_cpu
    assert last
    counts = bootstrap_counts(N_DOCUMENTS, draws=LOOP_DRAWS, rng=generator(0, "bench"))
    started = perf_counter()
    looped = by_loop(last, counts)
    each = (perf_counter() - started) / LOOP_DRAWS
    assert np.allclose(looped, vectorised(last, counts), atol=1e-9), "the two ways disagree"
    loop = each * DRAWS * (N_NULLS + 1) * n_units
    print(f"{n_units:,} units, {N_NULLS + 1} explanations each, {DRAWS:,} draws, {len(METRICS)} metrics")
    print(f"reading the simulations          {reading:>10.1f} s")
    print(
        f"reading and scoring them         {total:>10.1f} s; target at most {TARGET * n_units / 1000:.1f} s "
        f"({total_cpu:.1f} s of CPU)"
    )
    print(f"numpy loop, correlation alone    {loop:>10.1f} s (from {LOOP_DRAWS} draws, same results to 1e-9)")
    print(f"ratio loop / all five metrics    {loop / total:>10.1f}")


if __name__ == "__main__":
    main()
