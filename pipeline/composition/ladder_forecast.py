"""What a ladder will do and how long, before it does it: the runs of its levels, and the work inside authors.

How many claims pass the gates is not known beforehand, so everything above the subject's own level is counted
as if as many jobs were traced as may be: at most.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from time import monotonic

import numpy as np

from scrutable.pipeline.composition.jobs import Composition, plan_of
from scrutable.pipeline.composition.ladder_parts import LadderComposition, readings_of
from scrutable.pipeline.composition.models import Models
from scrutable.pipeline.config import AUTHOR, LlmExplainer, RecurseConfig, RunConfig, SamplesConfig
from scrutable.pipeline.forecast import StageForecast, forecast
from scrutable.pipeline.protocols import Explanatory, TraceableExplainer, Watch
from scrutable.pipeline.records import Excerpt, Explanation, Passage
from scrutable.pipeline.recursion.jobs import written_reply
from scrutable.pipeline.recursion.protocols import NodePatch, Task, Writer
from scrutable.pipeline.sampling import STRATUM_QUANTILES
from scrutable.pipeline.words import split_words

_PREFIXES = 9  # patches of prefixes until the causal set is found, about
_OTHERS = 6  # random, layer-matched and the four sites
_SAMPLE = "The ship left the harbour of the old town in the night and was not seen again by anybody there."


def forecast_ladder(
    config: RecurseConfig, models: Models, parts: LadderComposition, *, depth: int, watch: Watch
) -> list[StageForecast]:
    """The stages of all levels from the start; those above level 0 at most."""
    lines: list[StageForecast] = []
    for level in range(depth + 1):
        if level:
            if not parts.is_traceable(level):
                break
            lines += _inside(config, parts, level)
            if config.author(level + 1) is None:
                break
        run = _run_of(config, level)
        found = forecast(run, _rehearsal(run, models), plan_of(run).pairs, {}, watch=watch)
        kept = found if not level else [line for line in found if _is_asked(line)]
        lines += [replace(line, stage=f"level {level}: {line.stage}") for line in kept]
        if config.recursion.lenient and level < depth:
            lines += _read_again(config, models, level, watch=watch)
    return lines


def _read_again(config: RecurseConfig, models: Models, level: int, *, watch: Watch) -> list[StageForecast]:
    """The lenient tier's readings of the claims about a level, at most."""
    again = config.read_again(level + 1)
    run = _run_of(config, level)
    n_claims = _drawn(config, level) if level else config.recursion.jobs_at(1)
    run = run.model_copy(
        update={
            "explainers": again.explainers,
            "simulators": again.simulators,
            "judges": {},
            "units": run.units.model_copy(update={"sample": min(n_claims, run.units.sample), "ids": ()}),
        }
    )
    composition = _rehearsal(run, models)
    found = forecast(run, composition, readings_of(config, level + 1).pairs, {}, watch=watch)
    return [
        replace(line, stage=f"level {level}, read again: {line.stage}, at most")
        for line in found
        if _is_asked(line) and line.stage != f"explain: {AUTHOR}"
    ]


def _drawn(config: RecurseConfig, level: int) -> int:
    """Nodes of the author of a level's claims that are explained, at most."""
    return config.recursion.jobs_at(level) * config.recursion.children


def _rehearsal(run: RunConfig, models: Models) -> Composition:
    return Composition(
        run, say=lambda _line: None, note=lambda _key, _fact: None, models=models, is_rehearsal=True
    )


def _is_asked(line: StageForecast) -> bool:
    """Explaining and simulating; neurons of an author are not captured on the corpus."""
    return line.stage.startswith(("explain", "simulate"))


def _run_of(config: RecurseConfig, level: int) -> RunConfig:
    """The run of a level, with as many units as may be drawn."""
    run = config.run_of_subject()
    if not level:
        return run
    working = config.recursion.working
    strata = len(STRATUM_QUANTILES) + 1
    samples = SamplesConfig(
        top=working.top, per_stratum={split: math.ceil(n / strata) for split, n in working.random.items()}
    )
    units = run.units.model_copy(update={"sample": _drawn(config, level), "ids": ()})
    return run.model_copy(
        update={"explainers": config.explainers_of(level + 1), "samples": samples, "units": units}
    )


def _inside(config: RecurseConfig, parts: LadderComposition, level: int) -> list[StageForecast]:
    """Jobs, causes and substitutions, timed on one task of the usual size."""
    settings, n_jobs = config.recursion, config.recursion.jobs_at(level)
    claims = config.units.sample if level == 1 else _drawn(config, level - 1)
    n_pairs = len(parts.pairs(level)) if config.author(level + 1) is not None else 0
    writer = parts.writer(level)
    task = _task(parts.author(level), writer)
    n_run = len(task.prompt) + len(task.reply)
    node = NodePatch(np.zeros(1, dtype=np.int64))
    writer.likelihoods(task, is_counterfactual=False)  # computes what is shared
    forward = _seconds(lambda: writer.patched(task, [node]))
    screen = _seconds(lambda: writer.screen(task))
    n_twins = 2 if settings.random_weights and isinstance(config.author(level), LlmExplainer) else 0
    patches = _PREFIXES + _OTHERS + settings.singles
    restored = 2 + 3 * n_pairs
    stages = (
        ("jobs", claims, 2 + n_twins, (2 + n_twins) * forward),
        ("causes", n_jobs, patches + 6, screen + (patches + 3) * forward),
        ("substitute", n_jobs, restored + 3, (restored + 3) * forward),
    )
    return [
        StageForecast(f"level {level}: {name}, at most", n, 0, n * passes * n_run, n * seconds)
        for name, n, passes, seconds in stages
    ]


def _task(author: TraceableExplainer, writer: Writer) -> Task:
    """A task with eight excerpts of the usual length."""
    words = split_words(_SAMPLE)
    marks = tuple(float(t == len(words) // 2) for t in range(len(words)))
    shown = tuple(
        Excerpt(Passage(f"e{n}", words, 0), f"d{n}", "explain", marks, 1.0, is_top=True) for n in range(8)
    )
    job = Explanatory("L0.N0.pos", shown)
    written, (answer, *_) = author.written(job), author.explain([job])
    assert written is not None, f"{AUTHOR} shows nothing of a unit that fires"
    read = writer.read(written)
    text = written_reply(answer) if isinstance(answer, Explanation) else " names of ships and towns"
    reply = writer.tokens(text).ids
    return Task(read.prefix, read.ids, read.ids, reply, (True,) * len(reply), read.spans)


def _seconds(work: Callable[[], object]) -> float:
    started = monotonic()
    work()
    return monotonic() - started
