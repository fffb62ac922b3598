"""Work on the shards of a run in other processes: pools of this machine, Ray, and jobs of a queue.

A worker gets the config as text and the place of the run folder, makes the same runner as the command would,
and does single shards. What it has loaded stays for its next shard.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from scrutable.pipeline.composition.jobs import runner_of
from scrutable.pipeline.composition.models import Models
from scrutable.pipeline.config import JobConfig, parse_config
from scrutable.pipeline.errors import ConfigError, RunFolderError
from scrutable.pipeline.executors import Executor, InThisProcess, OnRay, Processes, Task
from scrutable.pipeline.protocols import Progress
from scrutable.pipeline.runner import PARTS, Runner
from scrutable.pipeline.store import RunFolder

_POLL = 2.0  # seconds between looks at what others have done


class Share(NamedTuple):
    """What a worker needs to know of a run; text and numbers only, so that it can be sent anywhere."""

    config: str  # JSON
    path: str  # of the run folder
    max_tokens: int | None = None
    max_dollars: float | None = None

    @classmethod
    def of(cls, config: JobConfig, path: Path, *, max_tokens: int | None, max_dollars: float | None) -> Share:
        """Of a run that is about to start."""
        return cls(json.dumps(config.model_dump(mode="json")), str(path.resolve()), max_tokens, max_dollars)


def do_shard(share: Share, task: Task) -> None:
    """Does one shard of a run, in whatever process this is called."""
    _runner(share).do(task)


@functools.lru_cache(maxsize=1)
def _runner(share: Share) -> Runner:
    path = Path(share.path)
    config = parse_config(json.loads(share.config), source=f"{path}/config.yaml")
    assert isinstance(config, JobConfig)
    return runner_of(
        config,
        RunFolder(path),
        say=lambda _line: None,
        watch=_quiet,
        note=lambda _key, _fact: None,
        models=Models.of_run(
            path, lambda _line: None, max_tokens=share.max_tokens, max_dollars=share.max_dollars
        ),
    )[0]


@contextmanager
def _quiet(stage: str) -> Iterator[Progress]:
    del stage
    yield lambda _done, _total: None


@contextmanager
def opened(kind: str, share: Share, *, workers: int, ray: tuple[str, str]) -> Iterator[Executor]:
    """The executor of a name; `ray` is the address of a cluster, and the resources of a task as YAML.

    Raises ConfigError for one that does not exist.
    """
    do = functools.partial(do_shard, share)
    if kind == "serial":
        yield InThisProcess()
        return
    if kind not in ("processes", "ray"):
        raise ConfigError(f"--executor {kind}: no such executor (allowed: serial, processes, ray)")
    made = (
        Processes(workers, do)
        if kind == "processes"
        else OnRay(do, address=ray[0], workers=workers, resources=_resources(ray[1]))
    )
    try:
        yield made
    finally:
        made.close()


def _resources(text: str) -> dict[str, dict[str, float]]:
    """Stage → what one task of it takes. Raises ConfigError for text that says something else."""
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError:
        data = None
    is_usable = isinstance(data, dict) and all(s in PARTS and isinstance(t, dict) for s, t in data.items())
    if not is_usable:
        raise ConfigError(
            f"--ray-resources {text}: write a mapping of stages ({', '.join(PARTS)}) to what a task takes, "
            "such as {simulate: {num_gpus: 1}}"
        )
    return dict(data)


def work_on_share(
    runner: Runner, *, number: int, of: int, patience: float, say: Callable[[str], None]
) -> None:
    """The shards of a run that fall to worker `number` of `of`, and those of workers that seem to be gone.

    The first worker reads the subject and tries the known answers; the others wait for that. Before a stage
    that needs all of another, a worker waits for the rest of it.

    Args:
        runner: of the run.
        number: from 0.
        of: how many workers there are.
        patience: seconds without a new part file after which a worker does what is missing itself.
        say: told what it waits for.

    Raises:
        RunFolderError: the first worker has not read the subject in that time.
    """
    if number == 0:
        for read in runner.source.stages().values():
            read()
        if runner.config.gate:
            runner.gate()
    else:
        say("waiting for worker 0 to read the subject")
        _wait(functools.partial(_n_to_read, runner), patience=patience)
        if not runner.has_excerpts:
            raise RunFolderError(
                f"worker 0 has not read the subject within {patience:.0f} s: is it running? Start this "
                "again, or give more --patience"
            )
    for stage in PARTS:
        for name in runner.names(stage):
            if number == 0:
                runner.parts.describe(stage, name)
            for task in runner.tasks(stage, name):
                if task.number % of == number:
                    say(f"{stage} {name}: shard {task.number}")
                    runner.do(task)
            if stage != "explain":
                continue  # nothing needs all of it before the scores
            while missing := runner.tasks(stage, name):
                _wait(functools.partial(_n_missing, runner, stage, name), patience=patience)
                if (still := runner.tasks(stage, name)) == missing:
                    say(f"{stage} {name}: nobody has done shard {still[0].number}; doing it here")
                    runner.do(still[0])


def _n_to_read(runner: Runner) -> int:
    """0 when there are excerpts; until then it falls with every file that worker 0 writes."""
    return 0 if runner.has_excerpts else -1 - sum(1 for _ in runner.folder.level.rglob("*"))


def _n_missing(runner: Runner, stage: str, name: str) -> int:
    return len(runner.tasks(stage, name))


def _wait(count: Callable[[], int], *, patience: float) -> None:
    """Until nothing is left, or nothing has changed for as long as `patience`."""
    left, since = count(), time.monotonic()
    while left and time.monotonic() - since < patience:
        time.sleep(min(_POLL, patience))
        if (now := count()) != left:
            left, since = now, time.monotonic()


def manifest_note(folder: RunFolder) -> Callable[[str, Any], None]:
    """Puts facts into a manifest that the command that scores the run will go on with."""

    def note(key: str, fact: Any) -> None:
        manifest = folder.manifest()
        manifest[key] = {**manifest.get(key, {}), **fact}
        folder.write_manifest(manifest)

    return note
