"""The course of each kind of job, from an open run folder to its report.

Those that may go well and yet have nothing to show return `NOTHING_FOUND` for an exit code, else 0.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from scrutable.evaluators.report import report_data, write_figures, write_report
from scrutable.pipeline.behaviours.config import (
    BehaviourPartsConfig,
    BehavioursConfig,
    BehaviourSelftestConfig,
    PolicyTestConfig,
)
from scrutable.pipeline.behaviours.records import GainSummary
from scrutable.pipeline.composition.behaviours import study_of, try_policies
from scrutable.pipeline.composition.host import host_facts
from scrutable.pipeline.composition.jobs import runner_of
from scrutable.pipeline.composition.matrix import run_matrix
from scrutable.pipeline.composition.models import Models
from scrutable.pipeline.composition.recursion import recurse, try_known
from scrutable.pipeline.composition.workers import Share, opened
from scrutable.pipeline.config import (
    AnyConfig,
    MatrixConfig,
    RecurseConfig,
    RunConfig,
    ScoredConfig,
    TrainConfig,
)
from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.forecast import StageForecast
from scrutable.pipeline.progress import StageClock
from scrutable.pipeline.records import Summary
from scrutable.pipeline.run import load_run
from scrutable.pipeline.store import RunFolder
from scrutable.pipeline.terminal import (
    say,
    say_result,
    tell_gains,
    tell_known_ladders,
    tell_ledger,
    tell_matrix,
    tell_spent,
    tell_summary,
    tell_what_it_took,
)

NOTHING_FOUND = 3


class Work(NamedTuple):
    """A run folder that is open for writing, and what is told of the work in it."""

    folder: RunFolder
    clock: StageClock
    note: Callable[[str, Any], None]  # puts a fact into the manifest
    models: Models  # whose answers are kept in the journal beside the run folders
    settle: Callable[[], None]  # puts into the manifest what all roles have spent until now


class How(NamedTuple):
    """How a run is worked on, which changes nothing that it finds."""

    tokens: int | None = None  # that it may spend, over all its starts
    dollars: float | None = None
    executor: str = "serial"
    workers: int = 2
    ray: tuple[str, str] = ("", "{}")  # address of a cluster, resources of a task
    forecast: tuple[StageForecast, ...] = ()  # put beside what it took, if there is one
    retries_failed: bool = False


PLAINLY = How()


@contextmanager
def at_work(config: AnyConfig, path: Path, *, level: str = "", how: How = PLAINLY) -> Iterator[Work]:
    """Opens a run folder and its manifest, which is kept whatever happens; an interrupt is one line."""
    folder = RunFolder(path, level=level)
    with folder.opened(config):
        manifest = folder.manifest()
        clock = StageClock(is_terminal=sys.stderr.isatty(), say=say)
        start = {"started": datetime.now(UTC).isoformat(timespec="seconds"), **host_facts()}
        start["stage_seconds"] = clock.seconds
        manifest.setdefault("starts", []).append(start)
        manifest |= {"name": config.name, "seed": config.seed, "config_digest": config.digest}

        def note(key: str, fact: Any) -> None:
            manifest[key] = {**manifest.get(key, {}), **fact}
            folder.write_manifest(manifest)

        models = Models.of_run(path, say, max_tokens=how.tokens, max_dollars=how.dollars)
        journal = models.journal

        def settle() -> None:
            manifest["spent"] = [asdict(row) for row in journal.spent(run=journal.run)]
            folder.write_manifest(manifest)

        try:
            yield Work(folder, clock, note, models, settle)
        except KeyboardInterrupt:
            say("scrutable: interrupted; run the same command again to continue")
            sys.exit(130)
        finally:
            if how.forecast:
                manifest["forecast"] = [asdict(line) for line in how.forecast]
            settle()
            tell_spent(journal.spent(run=journal.run), tell=say)
            if how.forecast:
                tell_what_it_took(how.forecast, manifest["starts"])
            journal.close()


def follow(config: AnyConfig, path: Path, *, until: str = "score", how: How = PLAINLY) -> int:
    """A job of any kind in its run folder, as far as a stage.

    Raises ConfigError for a job that another command runs, or that has no such stage.
    """
    if isinstance(config, TrainConfig):
        raise ConfigError(f"{config.name} trains a simulator; `scrutable simulator train` runs it")
    if isinstance(config, BehaviourSelftestConfig):
        raise ConfigError(f"{config.name} tries known answers; `scrutable selftest --behaviours` runs it")
    if isinstance(config, BehavioursConfig):
        return _follow_behaviours(config, path, until=until, how=how)
    if isinstance(config, RecurseConfig | MatrixConfig) and until not in ("score", "gate"):
        raise ConfigError(f"{config.name} is made of several runs, and cannot stop after a stage of one")
    if isinstance(config, RecurseConfig) and until == "score":
        return follow_ladder(config, path, how)
    if isinstance(config, MatrixConfig) and until == "score":
        return _follow_matrix(config, path, how)
    return _follow_run(config, path, until=until, how=how)


def _follow_run(config: ScoredConfig, path: Path, *, until: str, how: How) -> int:
    with at_work(config, path, level="level-0", how=how) as work:
        share = Share.of(config, path, max_tokens=how.tokens, max_dollars=how.dollars)
        with opened(how.executor, share, workers=how.workers, ray=how.ray) as executor:
            runner, parts = runner_of(
                config,
                work.folder,
                say=say,
                watch=work.clock,
                note=work.note,
                models=work.models,
                executor=executor,
            )
            if until == "gate":
                runner.gate()
            else:
                if how.retries_failed:
                    say(f"{runner.forget_failed()} parts are made again")
                if not runner.is_simulated:
                    parts.check()
                runner.run(until=until)
        work.settle()
        _show(work.folder, until=until)
    return 0


def _show(folder: RunFolder, *, until: str) -> None:
    """What a run has to show after a stage."""
    if until == "explain":
        say_result(f"explanations: {folder.level / 'explanations'}")
    elif until == "gate":
        say_result(folder.manifest()["gate"]["table"])
        say_result(f"report: {report(folder.path)}")
    elif until == "score" and folder.parts("explanations"):
        page = report(folder.path)
        tell_summary(folder.read_records(Summary, folder.level / "summary.parquet"))
        say_result(f"report: {page}")


def follow_ladder(config: RecurseConfig, path: Path, how: How = PLAINLY) -> int:
    """A study of recursion; NOTHING_FOUND where no claim could be followed, with the report of why."""
    with at_work(config, path, level="recursion", how=how) as work:
        rows, why = recurse(
            config,
            path,
            depth=config.recursion.depth,
            models=work.models,
            say=say,
            watch=work.clock,
            note=work.note,
        )
        tell_ledger(rows)
        work.settle()
        say_result(f"report: {report(path)}")
    if why:
        say(f"scrutable: {why}")
    return NOTHING_FOUND if why else 0


def _follow_matrix(config: MatrixConfig, path: Path, how: How) -> int:
    with at_work(config, path, level="recursion", how=how) as work:
        found = run_matrix(config, path, models=work.models, say=say, watch=work.clock, note=work.note)
        tell_matrix(found.cells, found.effects)
        say_result(f"report: {report(path)}")
    return 0


def _follow_behaviours(config: BehavioursConfig, path: Path, *, until: str, how: How) -> int:
    if until == "gate":
        raise ConfigError(
            f"{config.name} is a study of behaviours: `scrutable selftest --behaviours` tries it"
        )
    with at_work(config, path, level="level-0", how=how) as work:
        study, parts = study_of(
            config,
            config.subject,
            work.folder,
            work.models,
            seed=config.seed,
            watch=work.clock,
            note=work.note,
        )
        if not study.is_scored:
            parts.check()
        study.run(until=until)
        level = study.folder.level
        if until == "score":
            work.settle()
            page = report(path)
            tell_gains(study.folder.read_records(GainSummary, level / "gain_summary.parquet"))
            say_result(f"report: {page}")
        else:
            say_result(f"tables: {level}")
    return 0


def follow_policies(config: AnyConfig, path: Path) -> None:
    """Planted policies, for the simulators and explainers of a self-test, or of a study in its folder."""
    parts: BehaviourPartsConfig | None = None
    if isinstance(config, BehaviourSelftestConfig | BehavioursConfig):
        parts = config
    elif isinstance(config, RunConfig):
        parts = config.behaviours
    if parts is None:
        raise ConfigError(f"{config.name} has no simulators of behaviours to try")
    gate = config.gate if isinstance(config, BehaviourSelftestConfig) else PolicyTestConfig()
    with at_work(config, path, level="level-0") as work:
        table = try_policies(
            parts,
            gate,
            work.folder,
            work.models,
            seed=config.seed,
            say=say,
            watch=work.clock,
            note=work.note,
        )
        say_result(table)
        if not isinstance(config, BehaviourSelftestConfig):
            say_result(f"report: {report(path)}")


def follow_known_ladders(path: Path) -> int:
    """What the ledger says of planted authors, beside the truth; NOTHING_FOUND where one does not pass."""
    clock = StageClock(is_terminal=sys.stderr.isatty(), say=say)
    found = try_known(path, seed=0, draws=2000, models=Models(say), say=say, watch=clock)
    tell_known_ladders(found)
    return 0 if all(row.is_passed for row in found) else NOTHING_FOUND


def report(path: Path) -> Path:
    """Writes the report of a run folder; its first page."""
    return write_report(report_data(load_run(path)), path / "report")


def figures(path: Path) -> list[Path]:
    """Writes the figures of a study of recursion as files of their own."""
    return write_figures(report_data(load_run(path)), path / "report" / "figures")
