"""What a job would do, before it does it: forecasts of runs and ladders, and what is paid for already."""

from __future__ import annotations

import sys
from pathlib import Path

from scrutable.pipeline.behaviours.config import BehavioursConfig
from scrutable.pipeline.composition.batches import count_kept, served_parts
from scrutable.pipeline.composition.behaviours import prompts_of
from scrutable.pipeline.composition.jobs import Composition, plan_of, runner_of
from scrutable.pipeline.composition.ladder_forecast import forecast_ladder
from scrutable.pipeline.composition.ladder_parts import LadderComposition
from scrutable.pipeline.composition.models import Models
from scrutable.pipeline.config import AnyConfig, RecurseConfig, RunConfig
from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.forecast import StageForecast, forecast
from scrutable.pipeline.journal import FILE
from scrutable.pipeline.progress import StageClock
from scrutable.pipeline.store import RunFolder
from scrutable.pipeline.terminal import say, say_result, tell_forecast, tell_prompts


def rehearse(config: AnyConfig, runs: Path) -> None:
    """Says what a run or a study of behaviours would do; writes nothing."""
    if isinstance(config, BehavioursConfig):
        return tell_prompts(prompts_of(config, seed=config.seed))
    tell_forecast(forecast_run(config))
    assert isinstance(config, RunConfig)
    return _say_what_is_kept(config, runs / config.name)


def forecast_run(config: AnyConfig) -> list[StageForecast]:
    """The stages of a run. Raises ConfigError for a job of another kind."""
    if not isinstance(config, RunConfig):
        raise ConfigError(f"a forecast times a run; {config.name} is a job of another kind")
    composition = Composition(config, say=say, note=lambda _key, _fact: None, is_rehearsal=True)
    composition.check()
    plan = plan_of(config)
    panels = {name: (panel.explainer, panel.judge) for name, panel in plan.panels.items()}
    return forecast(config, composition, plan.pairs, panels, watch=_clock())


def rehearse_ladder(config: RecurseConfig) -> None:
    """Says what a ladder would do, at most; writes nothing."""
    models, depth = Models(say), config.recursion.depth
    clock = _clock()
    parts = LadderComposition(
        config, Path(), models=models, say=say, watch=clock, note=lambda _key, _fact: None
    )
    parts.check(depth)
    tell_forecast(forecast_ladder(config, models, parts, depth=depth, watch=clock))


def _say_what_is_kept(config: RunConfig, path: Path) -> None:
    """How many of the questions that a begun run still has are answered in the journal."""
    if not served_parts(config) or not (path.parent / FILE).exists() or not (path / "config.yaml").exists():
        return
    models = Models.of_run(path, say)
    clock = StageClock(is_terminal=False, say=say)
    folder = RunFolder(path)
    runner, _ = runner_of(config, folder, say=say, watch=clock, note=lambda _key, _fact: None, models=models)
    if runner.has_excerpts:
        for part, kept, asked in count_kept(runner, models):
            say_result(f"{part}: {kept:,} of {asked:,} questions that are left are answered in the journal")
    models.journal.close()


def _clock() -> StageClock:
    return StageClock(is_terminal=sys.stderr.isatty(), say=say)
