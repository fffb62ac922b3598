"""What a run will do and cost, before it does it: counts from the config, time from a small sample.

The sample is the real thing: the real models on the first windows of the real corpus. Nothing is
written.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TypeVar

import numpy as np

from scrutable.pipeline.config import CompilingConfig, RunConfig, SamplesConfig, of_another
from scrutable.pipeline.cutting import cut_corpus
from scrutable.pipeline.protocols import Examination, Explanatory, Parts, SimulationJob, Subject, Tab, Watch
from scrutable.pipeline.records import (
    SPLITS,
    Cost,
    Excerpt,
    Explanation,
    Failure,
    Simulation,
    Split,
    Verdict,
)
from scrutable.pipeline.sampling import STRATUM_QUANTILES
from scrutable.pipeline.selection import select_units
from scrutable.pipeline.windows import Windows

_SAMPLED_UNITS = 2
_STAND_IN = "words and phrases that have to do with travel by sea"  # for what a server would have written
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StageForecast:
    """One line of a forecast."""

    stage: str
    units: int
    prompts: int  # 0 where no language model is asked
    tokens: int  # that a model computes or writes; 0 where there is none
    seconds: float  # NaN where it is not known
    dollars: float = 0.0  # NaN where the price is not known


Written = dict[str, dict[str, Explanation]]
"""Explainer → unit → what it wrote of the sample."""


def forecast(
    config: RunConfig,
    parts: Parts,
    pairs: Mapping[str, tuple[str, str]],
    panels: Mapping[str, tuple[str, str]],
    *,
    watch: Watch,
) -> list[StageForecast]:
    """The stages of a run from the start, whatever the run folder already holds.

    Args:
        config: of the run.
        parts: made from it.
        pairs: "explainer+simulator" to the two.
        panels: "explainer+judge" to the two; the explainer is empty for a judge that reads no explanation.
        watch: told as the sample goes.
    """
    subject = parts.subject()
    with watch("corpus") as progress:
        windows, _ = cut_corpus(config.corpus, parts.corpus(), subject, progress, seed=config.seed)
    units = select_units(subject.unit_ids(), config.units, seed=config.seed)
    with watch("sample") as progress:
        lines = _capture_lines(config, subject, windows, n_units=len(units))
        jobs = _sample_jobs(config, subject, windows, units[:_SAMPLED_UNITS])
        written: Written = {}
        n_units, total = len(units), len(config.explainers) + len(pairs) + len(panels)
        done = itertools.count(1)
        for name in config.explainers:
            lines.append(_explain_line(config, parts, name, jobs, n_units=n_units, written=written))
            progress(next(done), total)
        for pair, (explainer, simulator) in pairs.items():
            sample = written[explainer]
            lines.append(
                _simulate_line(config, parts, pair, explainer, simulator, jobs, sample, n_units=n_units)
            )
            progress(next(done), total)
        for panel, (explainer, judge) in panels.items():
            sample = written.get(explainer, {})
            lines.append(_judge_line(config, parts, panel, judge, jobs, sample, n_units=n_units))
            progress(next(done), total)
        parts.release_subject()
    if config.twin:
        lines.append(_twin_line(config.random_subject, lines, n_units=n_units))
    return lines


def _capture_lines(
    config: RunConfig, subject: Subject, windows: Windows, *, n_units: int
) -> list[StageForecast]:
    n = min(len(windows), config.subject.batch_size)
    seconds, _ = timed(lambda: list(subject.traces(windows, range(n), subject.unit_ids()[:1])))
    total, each = int(windows.lengths.sum()), seconds / int(windows.lengths[:n].sum())
    # the second pass reads the union of the units' samples: so many windows, were they drawn at random
    drawn = n_units * sum(excerpts_in(config.samples, split) for split in SPLITS)
    traced = int(total * -math.expm1(-drawn / len(windows)))
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
    config: RunConfig,
    parts: Parts,
    name: str,
    jobs: Sequence[Explanatory],
    *,
    n_units: int,
    written: Written,
) -> StageForecast:
    explainer = parts.explainer(name)
    sources = written.get(of_another(config.explainers[name]), {})
    jobs = [job._replace(source=sources.get(job.unit)) for job in jobs]
    explainer.explain(jobs[:1])  # loads and warms up what is lazy
    parts.tab("explain", name)
    seconds, answers = timed(lambda: explainer.explain(jobs))
    if tab := parts.tab("explain", name):
        written[name] = {job.unit: Explanation(job.unit, name, "english", _STAND_IN) for job in jobs}
        return _tabbed(f"explain: {name}", n_units, tab, share=n_units / len(jobs))
    written[name] = {}
    for answer in answers:
        if isinstance(answer, Explanation):
            written[name].setdefault(answer.unit, answer)
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
    explainer: str,
    simulator: str,
    jobs: Sequence[Explanatory],
    written: Mapping[str, Explanation],
    *,
    n_units: int,
) -> StageForecast:
    stage = f"simulate: {pair}"
    job = next((job for job in jobs if job.unit in written), None)
    if job is None:  # the sample gave no usable explanation, so nothing can be timed
        return StageForecast(stage, n_units, 0, 0, float("nan"))
    made = parts.simulator(simulator)
    passages = tuple(excerpt.passage for excerpt in job.shown)
    sample = [SimulationJob(unit=job.unit, explanation=written[job.unit], passages=passages)]
    made.simulate(sample)
    parts.tab("simulate", pair)
    seconds, answers = timed(lambda: made.simulate(sample))
    n_passages = n_units * sum(excerpts_in(config.samples, split) for split in SPLITS if split != "explain")
    n_explanations = (1 + min(config.scoring.nulls, n_units - 1)) * candidates_of(config, explainer)
    share = n_passages * n_explanations / len(passages)
    if tab := parts.tab("simulate", pair):
        return _tabbed(stage, n_units, tab, share=share)
    n_prompts = len(made.prompts(sample))
    return StageForecast(
        stage, n_units, round(n_prompts * share), round(_tokens(answers) * share), seconds * share
    )


def _judge_line(
    config: RunConfig,
    parts: Parts,
    panel: str,
    judge: str,
    jobs: Sequence[Explanatory],
    written: Mapping[str, Explanation],
    *,
    n_units: int,
) -> StageForecast:
    """All verdicts on the sample's units; unknown if the sample's excerpts give none."""
    made = parts.judge(judge)
    sample = [
        Examination(job.unit, _own_and_others(job.unit, written, count=config.scoring.nulls), job.shown)
        for job in jobs
        if job.unit in written or not made.reads_explanations
    ]
    # what a judge does for the unit itself is done once for all explanations, so some nulls are in the sample
    n_explanations = (1 + min(config.scoring.nulls, n_units - 1)) if made.reads_explanations else 1
    n_sampled = sum(max(1, len(one.explanations)) for one in sample)
    made.judge(sample)
    parts.tab("judge", panel)
    seconds, answers = timed(lambda: made.judge(sample))
    tab = parts.tab("judge", panel)
    if tab and not tab.prompts:  # its excerpts do not differ enough for a single question
        return StageForecast(f"judge: {panel}", n_units, 0, 0, math.nan, math.nan)
    if tab:
        return _tabbed(f"judge: {panel}", n_units, tab, share=n_units * n_explanations / n_sampled)
    verdicts = [answer for answer in answers if isinstance(answer, Verdict)]
    if not verdicts:
        return StageForecast(f"judge: {panel}", n_units, 0, 0, float("nan"))
    answered = len({verdict.unit for verdict in verdicts})
    share = n_units / answered * n_explanations * len(sample) / n_sampled
    return StageForecast(
        f"judge: {panel}",
        n_units,
        round(len(verdicts) * share),
        round(_tokens(verdicts) * share),
        seconds * share,
    )


def _own_and_others(unit: str, written: Mapping[str, Explanation], *, count: int) -> tuple[Explanation, ...]:
    """The explanation of a unit and those of others that stand for its nulls; none where there is none."""
    others = [explanation for other, explanation in written.items() if other != unit]
    return (written[unit], *others[:count]) if unit in written else ()


def _tabbed(stage: str, n_units: int, tab: Tab, *, share: float) -> StageForecast:
    """What a server would be asked that was not: at most, since replies may be shorter."""
    tokens = tab.prompt_tokens + tab.reply_tokens
    return StageForecast(
        stage, n_units, round(tab.prompts * share), round(tokens * share), math.nan, tab.dollars * share
    )


def _twin_line(n_twin: int, lines: Sequence[StageForecast], *, n_units: int) -> StageForecast:
    """The same on random weights: the whole capture, and explanations and simulations of fewer units."""

    def share(line: StageForecast) -> float:
        return 0.0 if line.stage.startswith("judge") else 1.0 if line.stage == "capture" else n_twin / n_units

    return StageForecast(
        "random weights: all stages",
        n_twin,
        round(sum(line.prompts * share(line) for line in lines)),
        round(sum(line.tokens * share(line) for line in lines)),
        sum(line.seconds * share(line) for line in lines if share(line) and not math.isnan(line.seconds)),
        sum(line.dollars * share(line) for line in lines if share(line)),
    )


def candidates_of(config: RunConfig, explainer: str) -> int:
    """The most explanations that an explainer writes of one unit; a null is as many of another unit."""
    settings = config.explainers[explainer]
    return settings.candidates if isinstance(settings, CompilingConfig) else 1


def excerpts_in(samples: SamplesConfig, split: Split) -> int:
    """The most excerpts that a unit has in a split."""
    return samples.top[split] + samples.per_stratum[split] * (len(STRATUM_QUANTILES) + 1)


def _tokens(answers: Sequence[Explanation | Simulation | Verdict | Failure]) -> int:
    costs = [answer.cost for answer in answers if not isinstance(answer, Failure)]
    total = sum(costs, start=Cost())
    return total.computed_tokens + total.generated_tokens


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Seconds that some work takes, more than 0, and its result."""
    started = monotonic()
    result = work()
    return max(monotonic() - started, np.finfo(float).tiny), result
