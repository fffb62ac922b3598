"""What a run will do and cost, before it does it: counts from the config, time from a small sample.

The sample is the real thing: the real models on the first windows of the real corpus. Nothing is
written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TypeVar

import numpy as np

from scrutable.pipeline.config import RunConfig, SamplesConfig
from scrutable.pipeline.cutting import cut_corpus
from scrutable.pipeline.protocols import Explanatory, Parts, SimulationJob, Subject, Watch
from scrutable.pipeline.records import SPLITS, Cost, Excerpt, Explanation, Failure, Simulation, Split
from scrutable.pipeline.sampling import STRATUM_QUANTILES
from scrutable.pipeline.selection import select_units
from scrutable.pipeline.windows import Windows

_SAMPLED_UNITS = 2
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StageForecast:
    """One line of a forecast."""

    stage: str
    units: int
    prompts: int  # 0 where no language model is asked
    tokens: int  # that a model computes or writes; 0 where there is none
    seconds: float


def forecast(
    config: RunConfig, parts: Parts, pairs: Mapping[str, tuple[str, str]], *, watch: Watch
) -> list[StageForecast]:
    """The stages of a run from the start, whatever the run folder already holds."""
    subject = parts.subject()
    with watch("corpus") as progress:
        windows, _ = cut_corpus(config.corpus, parts.corpus(), subject, progress, seed=config.seed)
    units = select_units(subject.unit_ids(), config.units, seed=config.seed)
    with watch("sample") as progress:
        lines = _capture_lines(config, subject, windows, n_units=len(units))
        jobs = _sample_jobs(config, subject, windows, units[:_SAMPLED_UNITS])
        parts.release_subject()
        written: dict[str, Explanation] = {}
        for done, name in enumerate(config.explainers, 1):
            lines.append(_explain_line(parts, name, jobs, n_units=len(units), written=written))
            progress(done, len(config.explainers) + len(pairs))
        for done, (pair, (explainer, simulator)) in enumerate(pairs.items(), 1):
            explanation = written.get(explainer)
            lines.append(
                _simulate_line(config, parts, pair, simulator, jobs[0], explanation, n_units=len(units))
            )
            progress(len(config.explainers) + done, len(config.explainers) + len(pairs))
    return lines


def _capture_lines(
    config: RunConfig, subject: Subject, windows: Windows, *, n_units: int
) -> list[StageForecast]:
    n = min(len(windows), config.subject.batch_size)
    seconds, _ = _timed(lambda: list(subject.traces(windows, range(n), subject.unit_ids()[:1])))
    total, each = int(windows.lengths.sum()), seconds / int(windows.lengths[:n].sum())
    # the second pass reads the union of the units' samples, at most the whole corpus
    sampled = min(len(windows), n_units * sum(excerpts_in(config.samples, split) for split in SPLITS))
    traced = int(total * sampled / len(windows))
    return [
        StageForecast("capture", len(subject.unit_ids()), 0, total, total * each),
        StageForecast("traces", n_units, 0, traced, traced * each),
    ]


def _sample_jobs(
    config: RunConfig, subject: Subject, windows: Windows, units: Sequence[str]
) -> list[Explanatory]:
    """Units with as many excerpts as they will be shown, from the first windows of the corpus."""
    n = min(len(windows), config.samples.top["explain"])
    jobs = []
    for column, unit in enumerate(units):
        excerpts = tuple(
            Excerpt(
                passage=windows.passage(window),
                document=windows.documents[windows.document[window]],
                split="explain",
                activations=tuple(trace[:, column].tolist()),
                weight=1.0,
                is_top=True,
            )
            for window, trace in subject.traces(windows, range(n), units)
        )
        jobs.append(Explanatory(unit, excerpts))
    return jobs


def _explain_line(
    parts: Parts, name: str, jobs: Sequence[Explanatory], *, n_units: int, written: dict[str, Explanation]
) -> StageForecast:
    explainer = parts.explainer(name)
    explainer.explain(jobs[:1])  # loads and warms up what is lazy
    seconds, answers = _timed(lambda: explainer.explain(jobs))
    for answer in answers:
        if isinstance(answer, Explanation):
            written.setdefault(name, answer)
    share = n_units / len(jobs)
    n_prompts = len(explainer.prompts(jobs))
    return StageForecast(
        f"explain: {name}",
        n_units,
        round(n_prompts * share),
        round(_tokens(answers) * share),
        seconds * share,
    )


def _simulate_line(
    config: RunConfig,
    parts: Parts,
    pair: str,
    simulator: str,
    job: Explanatory,
    explanation: Explanation | None,
    *,
    n_units: int,
) -> StageForecast:
    stage = f"simulate: {pair}"
    if explanation is None:  # the sample gave no usable explanation, so nothing can be timed
        return StageForecast(stage, n_units, 0, 0, float("nan"))
    made = parts.simulator(simulator)
    passages = tuple(excerpt.passage for excerpt in job.shown)
    sample = [SimulationJob(unit=job.unit, explanation=explanation, passages=passages)]
    made.simulate(sample)
    seconds, answers = _timed(lambda: made.simulate(sample))
    n_passages = n_units * sum(excerpts_in(config.samples, split) for split in SPLITS if split != "explain")
    share = n_passages * (1 + min(config.scoring.nulls, n_units - 1)) / len(passages)
    n_prompts = len(made.prompts(sample))
    return StageForecast(
        stage, n_units, round(n_prompts * share), round(_tokens(answers) * share), seconds * share
    )


def excerpts_in(samples: SamplesConfig, split: Split) -> int:
    """The most excerpts that a unit has in a split."""
    return samples.top[split] + samples.per_stratum[split] * (len(STRATUM_QUANTILES) + 1)


def _tokens(answers: Sequence[Explanation | Simulation | Failure]) -> int:
    costs = [answer.cost for answer in answers if not isinstance(answer, Failure)]
    total = sum(costs, start=Cost())
    return total.computed_tokens + total.generated_tokens


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    started = monotonic()
    result = work()
    return max(monotonic() - started, np.finfo(float).tiny), result
