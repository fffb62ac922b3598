"""What a ladder will do and how long, before it does it: its runs, the work inside authors, their writing.

How many claims pass the gates is not known beforehand, so everything above the subject's own level is counted
as if as many jobs were traced as may be: at most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from scrutable.pipeline.composition.jobs import Composition, plan_of
from scrutable.pipeline.composition.ladder_parts import (
    LadderComposition,
    general_run,
    readings_of,
    shifted_run,
)
from scrutable.pipeline.composition.models import Models
from scrutable.pipeline.composition.writing_forecast import STAND_IN, forecast_writing, shown_sample
from scrutable.pipeline.config import (
    AUTHOR,
    JobConfig,
    LlmExplainer,
    RecurseConfig,
    RunConfig,
    SamplesConfig,
    UnitsConfig,
)
from scrutable.pipeline.forecast import StageForecast, forecast, timed
from scrutable.pipeline.protocols import Explanatory, TraceableExplainer, Watch
from scrutable.pipeline.records import Explanation
from scrutable.pipeline.recursion.config import WritingConfig
from scrutable.pipeline.recursion.jobs import written_reply
from scrutable.pipeline.recursion.protocols import NodePatch, Task, Writer
from scrutable.pipeline.recursion.working import ends_of_contexts
from scrutable.pipeline.recursion.writing import FOLLOWERS
from scrutable.pipeline.runner import Plan
from scrutable.pipeline.sampling import STRATUM_QUANTILES

_PREFIXES = 9  # patches of prefixes until the causal set is found, about
_OTHERS = 6  # random, layer-matched and the four sites


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
        found = _forecast(run, models, watch)
        kept = found if not level else [line for line in found if _is_asked(line)]
        lines += _named(f"level {level}", kept)
        if config.recursion.lenient and level < depth:
            lines += _read_again(config, models, level, watch=watch)
        lines += _other_text(config, models, level, kept, watch=watch)
    if config.recursion.writing:
        lines += forecast_writing(config, parts, config.recursion.writing)
        lines += _followed(config, models, config.recursion.writing, watch=watch)
    return lines


def _forecast(
    run: RunConfig, models: Models, watch: Watch, *, plan: Plan | None = None
) -> list[StageForecast]:
    composition = Composition(
        run, say=lambda _line: None, note=lambda _key, _fact: None, models=models, is_rehearsal=True
    )
    return forecast(run, composition, (plan or plan_of(run)).pairs, {}, watch=watch)


def _named(level: str, lines: Sequence[StageForecast], *, at_most: bool = False) -> list[StageForecast]:
    return [replace(one, stage=f"{level}: {one.stage}{', at most' if at_most else ''}") for one in lines]


def _read_again(config: RecurseConfig, models: Models, level: int, *, watch: Watch) -> list[StageForecast]:
    """The lenient tier's readings of the claims about a level, at most."""
    n_claims = _drawn(config, level) if level else config.recursion.jobs_at(1)
    run = _run_for(config.read_again(level + 1), _run_of(config, level), n_units=n_claims)
    found = _forecast(run, models, watch, plan=readings_of(config, level + 1))
    kept = [line for line in found if _is_asked(line) and line.stage != f"explain: {AUTHOR}"]
    return _named(f"level {level}, read again", kept, at_most=True)


def _other_text(
    config: RecurseConfig, models: Models, level: int, own: Sequence[StageForecast], *, watch: Watch
) -> list[StageForecast]:
    """What is written of the units of a level taken to other text, or written anew from there too."""
    if level:
        run = general_run(config, level, UnitsConfig(sample=_drawn(config, level)))
        if run is None or not config.recursion.general:
            return []
        found = _forecast(run, models, watch)
        there = [line for line in found if line.stage.startswith("simulate")]
        here = [line for line in own if line.stage in {line.stage for line in there}]
        return [
            *_named(f"level {level}, general text", found, at_most=True),
            *_named(f"level-{level}-shifted", there, at_most=True),
            *_named(f"level-{level}-general-on-working", here, at_most=True),
        ]
    if config.shifted is None:
        return []
    found = _forecast(shifted_run(config, config.units), models, watch)
    read = [line for line in found if not line.stage.startswith("explain")]
    return _named("level 0, other text", read)


def _followed(
    config: RecurseConfig, models: Models, settings: WritingConfig, *, watch: Watch
) -> list[StageForecast]:
    """Those who follow what is written of the first author."""
    followed = config.followed(dict.fromkeys(FOLLOWERS.values(), STAND_IN))
    n_units = settings.units + config.recursion.jobs_at(1)
    run = _run_for(followed, _run_of(config, 0), n_units=n_units)
    asked = [line for line in _forecast(run, models, watch) if _is_asked(line)]
    return _named("level 0, followed", asked, at_most=True)


def _drawn(config: RecurseConfig, level: int) -> int:
    """Nodes of the author of a level's claims that are explained, at most."""
    return config.recursion.jobs_at(level) * config.recursion.children


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


def _run_for(job: JobConfig, run: RunConfig, *, n_units: int) -> RunConfig:
    """The explainers and simulators of a job on some of the units of a run."""
    units = run.units.model_copy(update={"sample": min(n_units, run.units.sample), "ids": ()})
    update = {"explainers": job.explainers, "simulators": job.simulators, "judges": {}, "units": units}
    return run.model_copy(update=update)


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
    forward, _ = timed(lambda: writer.patched(task, [node]))
    screen, _ = timed(lambda: writer.screen(task))
    n_twins = 2 if settings.random_weights and isinstance(config.author(level), LlmExplainer) else 0
    patches = _PREFIXES + _OTHERS + settings.singles
    restored = 2 + 3 * n_pairs
    short = [
        [task.prompt[:context]] * len(ends_of_contexts(n_run, context))
        for context in settings.contexts
        if context <= len(task.prompt)
    ]
    alone, _ = timed(lambda: [writer.alone(texts, writer.unit_ids()[:1]) for texts in short])
    n_alone = sum(len(ids) for texts in short for ids in texts)
    stages = (
        ("jobs", claims, (2 + n_twins) * n_run, (2 + n_twins) * forward),
        ("causes", n_jobs, (patches + 6) * n_run, screen + (patches + 3) * forward),
        ("working text", claims if n_pairs else 0, n_run + n_alone, forward + alone),
        ("substitute", n_jobs, (restored + 3) * n_run, (restored + 3) * forward),
    )
    return [
        StageForecast(f"level {level}: {name}, at most", n, 0, n * tokens, n * seconds)
        for name, n, tokens, seconds in stages
    ]


def _task(author: TraceableExplainer, writer: Writer) -> Task:
    """A task with eight excerpts of the usual length."""
    job = Explanatory("L0.N0.pos", shown_sample())
    written, (answer, *_) = author.written(job), author.explain([job])
    assert written is not None, f"{AUTHOR} shows nothing of a unit that fires"
    read = writer.read(written)
    text = written_reply(answer) if isinstance(answer, Explanation) else " names of ships and towns"
    reply = writer.tokens(text).ids
    return Task(read.prefix, read.ids, read.ids, reply, (True,) * len(reply), read.spans)
