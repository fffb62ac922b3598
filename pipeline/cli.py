"""The command line; imported by nobody. Heavy modules are imported by the commands that need them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from scrutable.pipeline.errors import BudgetReached, ConfigError, ScrutableError

if TYPE_CHECKING:
    from scrutable.pipeline.behaviours.config import BehavioursConfig
    from scrutable.pipeline.behaviours.counting import StagePrompts
    from scrutable.pipeline.behaviours.study import Study
    from scrutable.pipeline.composition.models import Models
    from scrutable.pipeline.config import AnyConfig, MatrixConfig, RecurseConfig, RunConfig
    from scrutable.pipeline.forecast import StageForecast
    from scrutable.pipeline.journal import Spent
    from scrutable.pipeline.progress import StageClock
    from scrutable.pipeline.recursion.records import LedgerRow
    from scrutable.pipeline.runner import Runner
    from scrutable.pipeline.store import RunFolder

app = typer.Typer(
    help="Explain the units of a language model with another one, and measure what is understood.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
models_app = typer.Typer(help="Named models and corpora.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(models_app, name="models")
simulator_app = typer.Typer(help="Trained simulators.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(simulator_app, name="simulator")
batch_app = typer.Typer(help="OpenAI batch files.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(batch_app, name="batch")

ConfigPath = Annotated[Path, typer.Argument(help="A YAML config, for example configs/demo.yaml.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="Dotted overrides, for example units.sample=60 name=mine.")
]
RunsFolder = Annotated[Path, typer.Option("--runs", help="Where run folders lie.")]
RunPath = Annotated[Path, typer.Argument(help="A run folder, for example runs/demo.")]
Simulators = Annotated[
    list[str] | None,
    typer.Option(
        "--simulator",
        help="trained, trained:ADAPTER, a model, MODEL:PROMPT, or a kind such as program; may be repeated.",
    ),
]
Limit = Annotated[
    int | None, typer.Option(min=1, help="Only the first N units, in a run folder named NAME-limitN.")
]
MaxTokens = Annotated[
    int | None,
    typer.Option("--max-tokens", min=1, help="Stop before prompts and replies of all starts take more."),
]
MaxCost = Annotated[
    float | None,
    typer.Option("--max-cost", min=0, help="Stop before all starts together cost more, in dollars."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be done and how long; write nothing.")
]


def main() -> None:
    """The console script: a foreseen error is one line and exit code 2, an interrupt 130."""
    is_debug = "--debug" in sys.argv
    if is_debug:
        sys.argv.remove("--debug")
    try:
        app()
    except ScrutableError as error:
        if is_debug:
            raise
        say(f"scrutable: {' '.join(str(error).split())}")
        sys.exit(4 if isinstance(error, BudgetReached) else 2)


@app.command()
def run(
    config: ConfigPath,
    overrides: Overrides = None,
    runs: RunsFolder = Path("runs"),
    limit: Limit = None,
    dry_run: DryRun = False,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
    executor: Annotated[
        str, typer.Option(help="Where shards are worked on: serial, processes or ray.")
    ] = "serial",
    workers: Annotated[int, typer.Option(min=1, help="Of processes, or tasks at once on Ray.")] = 2,
    ray_address: Annotated[str, typer.Option(help="Of a Ray cluster; else one is started here.")] = "",
    ray_resources: Annotated[
        str, typer.Option(help="Of one task of each stage, as YAML: {simulate: {num_gpus: 1}}.")
    ] = "{}",
    with_forecast: Annotated[
        bool, typer.Option("--forecast", help="Forecast first, and put it beside what the run took.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Ask again where a server did not answer.")
    ] = False,
    until: Annotated[
        str, typer.Option(help="Stop after this stage: explain, simulate, judge or score.")
    ] = "score",
) -> None:
    """Explain, simulate, score and report; the same command continues an interrupted run."""
    from scrutable.pipeline.config import load_config

    if until not in _STAGES:
        raise ConfigError(f"--until {until}: no such stage (allowed: {', '.join(_STAGES)})")
    resolved = _limited(load_config(config, overrides or ()), limit)
    if dry_run:
        _forecast(resolved, runs)
    else:
        lines = _forecast_lines(resolved) if with_forecast else []
        ray = (ray_address, ray_resources)
        how = _How(max_tokens, max_cost, executor, workers, ray, tuple(lines), retry_failed)
        _execute(resolved, runs, until=until, how=how)


@app.command()
def explain(
    config: ConfigPath,
    overrides: Overrides = None,
    runs: RunsFolder = Path("runs"),
    limit: Limit = None,
    dry_run: DryRun = False,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
) -> None:
    """Only write explanations; `scrutable score` or `run` goes on from there."""
    run(config, overrides, runs, limit, dry_run, max_tokens, max_cost, until="explain")


@app.command()
def score(
    path: Annotated[Path | None, typer.Argument(help="A run folder, for example runs/demo.")] = None,
    records: Annotated[str, typer.Option(help="Activation records, see docs/records.md.")] = "",
    explanations: Annotated[str, typer.Option(help="Explanations of their units, JSONL.")] = "",
    simulator: Simulators = None,
    nulls: Annotated[int, typer.Option(min=0, help="Explanations of other units as the null.")] = 19,
    population: Annotated[
        int | None, typer.Option(min=1, help="Excerpts that NeuronRecord samples were drawn from.")
    ] = None,
    name: Annotated[str, typer.Option(help="Of the run folder.")] = "score",
    opponents: Annotated[bool, typer.Option(help="Fit tables, trees, ... on the explain split.")] = True,
    runs: RunsFolder = Path("runs"),
) -> None:
    """Score what a run folder has explained, or anybody's explanations on anybody's records."""
    from scrutable.pipeline.store import RunFolder

    if path is not None and not records and not explanations:
        return _execute(RunFolder(path).config(), path.parent, until="score", folder_name=path.name)
    if path is not None or not records or not explanations:
        raise ConfigError("give a run folder, or both --records and --explanations")
    from scrutable.pipeline.shorthand import records_config

    config = records_config(
        name=name,
        records=records,
        explanations=explanations,
        simulators=simulator or (),
        nulls=nulls,
        population=population,
        opponents=opponents,
    )
    return _execute(config, runs, until="score")


@app.command()
def selftest(
    where: Annotated[
        str, typer.Argument(help="A run folder, whose simulators are tried, or a config; may be left out.")
    ] = "",
    overrides: Overrides = None,
    simulator: Simulators = None,
    explainer: Annotated[
        list[str] | None, typer.Option(help="A model, MODEL:PROMPT, or a kind such as program.")
    ] = None,
    behaviours: Annotated[
        bool, typer.Option("--behaviours", help="Planted policies, for simulators of behaviours.")
    ] = False,
    recursion: Annotated[
        bool, typer.Option("--recursion", help="Planted ladders, whose ledgers are known; needs no model.")
    ] = False,
    runs: RunsFolder = Path("runs"),
) -> None:
    """Try simulators and explainers on known answers: planted units, puzzles and placebos; or policies."""
    from scrutable.pipeline.shorthand import behaviour_selftest_config, selftest_config
    from scrutable.pipeline.store import RunFolder

    path = Path(where)
    if recursion:
        return _known_ladders(runs / "selftest-recursion")
    if where and path.is_dir():
        if behaviours:
            return _policies(RunFolder(path).config(), path)
        return _execute(RunFolder(path).config(), path.parent, until="gate", folder_name=path.name)
    changes = list(overrides or ())
    if "=" in where and not path.exists():
        changes.insert(0, where)
    given = None if changes[:1] == [where] or not where else path
    if behaviours:
        known = behaviour_selftest_config(
            given, changes, simulators=simulator or (), explainers=explainer or ()
        )
        return _policies(known, runs / known.name)
    config = selftest_config(given, changes, simulators=simulator or (), explainers=explainer or ())
    return _execute(config, runs, until="gate")


@app.command()
def recurse(
    config: ConfigPath,
    overrides: Overrides = None,
    runs: RunsFolder = Path("runs"),
    depth: Annotated[
        int | None, typer.Option(min=1, help="Levels of claims; else what the config says.")
    ] = None,
    dry_run: DryRun = False,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
) -> None:
    """Follow explanations up into the models that wrote them, and keep the ledger of trust."""
    from scrutable.pipeline.config import RecurseConfig, load_config

    changes = [*(overrides or ()), *([f"recursion.depth={depth}"] if depth else ())]
    resolved = load_config(config, changes)
    if not isinstance(resolved, RecurseConfig):
        raise ConfigError(f"{config}: a ladder needs job: recurse, but its job is {resolved.job!r}")
    if dry_run:
        _forecast_ladder(resolved)
    else:
        _ladder(resolved, runs / resolved.name, _How(max_tokens, max_cost))


@app.command()
def worker(
    config: ConfigPath,
    shard: Annotated[str, typer.Option(help="K/N: which of N workers this is, from 0.")],
    overrides: Overrides = None,
    runs: RunsFolder = Path("runs"),
    patience: Annotated[
        float, typer.Option(min=1, help="Seconds without news after which it does others' shards.")
    ] = 3600.0,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
) -> None:
    """Work on one share of a run's shards, as one job of an array; `scrutable run` then scores the run."""
    from scrutable.pipeline.asking import Budget
    from scrutable.pipeline.composition.jobs import runner_of
    from scrutable.pipeline.composition.models import Models
    from scrutable.pipeline.composition.workers import manifest_note, work_on_share
    from scrutable.pipeline.config import RunConfig, load_config
    from scrutable.pipeline.journal import FILE, Journal
    from scrutable.pipeline.progress import StageClock
    from scrutable.pipeline.store import RunFolder

    number, of = _share(shard)
    resolved = load_config(config, overrides or ())
    if not isinstance(resolved, RunConfig):
        raise ConfigError(f"{config}: workers share the shards of a run; this is a job of another kind")
    path = runs / resolved.name
    folder = RunFolder(path)
    with folder.opened(resolved, is_shared=True):
        journal = Journal(path.parent / FILE, run=path.name)
        budget = Budget(journal, max_tokens=max_tokens, max_dollars=max_cost)
        runner, parts = runner_of(
            resolved,
            folder,
            say=say,
            watch=StageClock(is_terminal=False, say=say),
            note=manifest_note(folder) if number == 0 else lambda _key, _fact: None,
            models=Models(say, journal=journal, budget=budget),
        )
        parts.check()
        work_on_share(runner, number=number, of=of, patience=patience, say=say)
        journal.close()
    say_result(f"worker {number} of {of} is done; `scrutable run {config}` scores the run")


def _share(shard: str) -> tuple[int, int]:
    number, slash, of = shard.partition("/")
    if not (slash and number.isdigit() and of.isdigit() and int(number) < int(of)):
        raise ConfigError(f"--shard {shard}: write K/N with K from 0 to N - 1, for example 0/8")
    return int(number), int(of)


@app.command()
def doctor(
    endpoint: Annotated[str, typer.Option(help="The address of a server, ending in /v1.")] = "",
    model: Annotated[str, typer.Option(help="The name of the served model; else the only one.")] = "",
    key_env: Annotated[str, typer.Option(help="The environment variable of its key.")] = "OPENAI_API_KEY",
) -> None:
    """Say what this machine has, and what a server can really do: found by asking, not by its word."""
    from scrutable.pipeline.composition.diagnosis import of_endpoint, of_machine

    for line in of_endpoint(endpoint, model, key_env=key_env) if endpoint else of_machine():
        say_result(line)


@app.command()
def journal(
    runs: RunsFolder = Path("runs"),
    prune: Annotated[bool, typer.Option("--prune", help="Drop answers, all or as the next two say.")] = False,
    run: Annotated[str, typer.Option(help="Only those of this run.")] = "",
    unused_for: Annotated[
        float | None, typer.Option(min=0, help="Only those not used for this many days.")
    ] = None,
) -> None:
    """How much is kept of answers that were paid for, what all runs have spent, and dropping answers."""
    import time

    from scrutable.pipeline.journal import FILE, Journal

    path = runs / FILE
    if not path.exists():
        raise ConfigError(f"there is no journal at {path}: no run in {runs} has asked a model yet")
    kept = Journal(path, run="")
    if prune:
        since = time.time() - unused_for * 86400 if unused_for is not None else None
        say_result(f"dropped {kept.prune(run=run or None, unused_since=since):,} answers")
    for row in kept.kept():
        age = (time.time() - row.used) / 86400
        say_result(
            f"{row.run}: {row.answers:,} answers of {row.model}, {row.bytes / 1e6:,.1f} MB, "
            f"last used {age:.1f} days ago"
        )
    _say_spent(kept.spent(), show=say_result)
    say_result(f"{path}: {path.stat().st_size / 1e6:,.1f} MB")
    kept.close()


@batch_app.command("export")
def batch_export(
    config: ConfigPath,
    to: Annotated[Path, typer.Option(help="The JSONL file to write.")],
    overrides: Overrides = None,
    runs: RunsFolder = Path("runs"),
) -> None:
    """Read the subject if need be, and write what the next stage would ask of servers."""
    from scrutable.pipeline.composition.batches import export_batch

    with _served_run(config, overrides, runs) as (runner, job):
        for stage in runner.source.stages().values():
            stage()
        written = export_batch(runner, job.models, to)
    for path, count in written.items():
        say_result(f"{path}: {count:,} requests")
    if not written:
        say_result("nothing is left to ask of a server")


@batch_app.command("import")
def batch_import(
    config: ConfigPath,
    source: Annotated[Path, typer.Option("--from", help="The output file of the batch, JSONL.")],
    overrides: Overrides = None,
    runs: RunsFolder = Path("runs"),
) -> None:
    """Put the answers of a batch where the run looks first; then go on with `scrutable run`."""
    from scrutable.pipeline.composition.batches import import_batch

    with _served_run(config, overrides, runs) as (runner, job):
        found = import_batch(runner, job.models, source, say=say)
    say_result(f"{found.answered:,} answers kept, {found.failed:,} failed, {found.unknown:,} not asked for")


@contextmanager
def _served_run(config: Path, overrides: list[str] | None, runs: Path) -> Iterator[tuple[Runner, _Job]]:
    """A run some of whose parts are asked of servers. Raises ConfigError for another."""
    from scrutable.pipeline.composition.batches import served_parts
    from scrutable.pipeline.composition.jobs import runner_of
    from scrutable.pipeline.config import RunConfig, load_config

    resolved = load_config(config, overrides or ())
    if not isinstance(resolved, RunConfig) or not served_parts(resolved):
        raise ConfigError(f"{config}: no explainer or simulator has a server's address as its backend")
    with _job(resolved, runs / resolved.name, level="level-0") as job:
        runner, _ = runner_of(
            resolved, job.folder, say=say, watch=job.clock, note=job.note, models=job.models
        )
        yield runner, job


@app.command()
def export(
    what: Annotated[str, typer.Argument(help="A run folder, `puzzles`, or another file of puzzles.")],
    to: Annotated[Path, typer.Option(help="A folder to write into.")],
    neuron_records: Annotated[
        bool, typer.Option("--neuron-records", help="NeuronRecord JSON, as neuron-explainer reads it.")
    ] = False,
) -> None:
    """Write records and explanations as files that `scrutable score` and other tools read."""
    from scrutable.pipeline.exporting import export_puzzles, export_run

    if what == "puzzles" or Path(what).is_file():
        from scrutable.pipeline.assets import resolve_corpus

        paths = export_puzzles(resolve_corpus(what, say=say), to, as_neuron_records=neuron_records)
    else:
        paths = export_run(Path(what), to, as_neuron_records=neuron_records)
    for path in paths:
        say_result(str(path))


@app.command()
def report(
    path: RunPath,
    figures: Annotated[
        bool, typer.Option("--figures", help="Also write the figures of a study of recursion, as SVG.")
    ] = False,
) -> None:
    """Write the report of a run folder again, from its tables."""
    pictures = _figures(path) if figures else []
    for written in (_report(path), *pictures):
        say_result(str(written))


@models_app.command("list")
def models_list() -> None:
    """What can be named, how large it is, and whether it is here."""
    from scrutable.pipeline.assets import cache_dir, listing

    states = listing()
    width = max(len(state.name) for state in states)
    for state in states:
        where = "here" if state.cached else "to fetch"
        megabytes = f"{state.bytes / 1e6:,.1f} MB"
        say_result(f"{state.name:<{width}}  {state.kind:<8} {megabytes:>12}  {where:<9} {state.licence}")
        say_result(f"{'':<{width}}  {state.description}")
    say_result(f"cache: {cache_dir()}")


@models_app.command("fetch")
def models_fetch(
    names: Annotated[list[str], typer.Argument(help="Names from `scrutable models list`.")],
) -> None:
    """Fetch, verify and convert named models and corpora."""
    from scrutable.pipeline.assets import fetch, verify
    from scrutable.pipeline.backends.conversion import check_continuation, convert_gguf

    for name in names:
        path = fetch(name, convert=convert_gguf, check=check_continuation, say=say)
        verify(name)
        say_result(f"{name}: {path}")


@simulator_app.command("train")
def simulator_train(config: ConfigPath, overrides: Overrides = None, runs: RunsFolder = Path("runs")) -> None:
    """Train a simulator on planted units; the same command continues an interrupted training."""
    from scrutable.pipeline.composition.training import train
    from scrutable.pipeline.config import TrainConfig, load_config

    resolved = load_config(config, overrides or ())
    if not isinstance(resolved, TrainConfig):
        raise ConfigError(f"{config}: a training needs job: train, but its job is {resolved.job!r}")
    with _job(resolved, runs / resolved.name) as job:
        adapter = train(resolved, job.folder, say=say, watch=job.clock, note=job.note)
    say_result(f"adapter: {adapter}")


@simulator_app.command("export")
def simulator_export(
    to: Annotated[Path, typer.Option(help="A folder to write into.")],
    model: Annotated[str, typer.Option(help="The base model.")] = "",
    adapter: Annotated[str, typer.Option(help="A folder that training wrote; else what is shipped.")] = "",
) -> None:
    """Write a trained simulator as a token classifier that transformers and GPU servers load."""
    from scrutable.pipeline.composition.training import export_simulator

    say_result(str(export_simulator(model, adapter, to, say=say)))


def say(line: str) -> None:
    """A line for the person at the terminal."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def say_result(line: str) -> None:
    """A line of what was asked for."""
    sys.stdout.write(f"{line}\n")


_STAGES = ("explain", "gate", "simulate", "judge", "score")


def _limited(config: AnyConfig, limit: int | None) -> AnyConfig:
    from scrutable.pipeline.behaviours.config import BehavioursConfig
    from scrutable.pipeline.config import RunConfig

    if limit is None:
        return config
    name = f"{config.name}-limit{limit}"
    if isinstance(config, BehavioursConfig):
        return config.model_copy(update={"inputs": min(limit, config.inputs or limit), "name": name})
    if not isinstance(config, RunConfig):
        raise ConfigError(f"--limit takes the first units of a run; {config.name} is a job of another kind")
    units = config.units.model_copy(
        update={"sample": min(limit, config.units.sample), "ids": config.units.ids[:limit]}
    )
    return config.model_copy(update={"units": units, "name": name})


class _Job(NamedTuple):
    """A run folder that is open for writing, and what is told of the work in it."""

    folder: RunFolder
    clock: StageClock
    note: Callable[[str, Any], None]  # puts a fact into the manifest
    models: Models  # whose answers are kept in the journal beside the run folders
    settle: Callable[[], None]  # puts into the manifest what all roles have spent until now


class _How(NamedTuple):
    """How a run is worked on, which changes nothing that it finds."""

    tokens: int | None = None  # that it may spend, over all its starts
    dollars: float | None = None
    executor: str = "serial"
    workers: int = 2
    ray: tuple[str, str] = ("", "{}")  # address of a cluster, resources of a task
    forecast: tuple[StageForecast, ...] = ()  # put beside what it took, if there is one
    retries_failed: bool = False


_PLAINLY = _How()


@contextmanager
def _job(config: AnyConfig, path: Path, *, level: str = "", how: _How = _PLAINLY) -> Iterator[_Job]:
    """Opens a run folder and its manifest, which is kept whatever happens; an interrupt is one line."""
    from datetime import UTC, datetime

    from scrutable.pipeline.asking import Budget
    from scrutable.pipeline.composition.host import host_facts
    from scrutable.pipeline.composition.models import Models
    from scrutable.pipeline.journal import FILE, Journal
    from scrutable.pipeline.progress import StageClock
    from scrutable.pipeline.store import RunFolder

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

        journal = Journal(path.parent / FILE, run=path.name)
        budget = Budget(journal, max_tokens=how.tokens, max_dollars=how.dollars)

        def settle() -> None:
            manifest["spent"] = [asdict(row) for row in journal.spent(run=journal.run)]
            folder.write_manifest(manifest)

        try:
            yield _Job(folder, clock, note, Models(say, journal=journal, budget=budget), settle)
        except KeyboardInterrupt:
            say("scrutable: interrupted; run the same command again to continue")
            sys.exit(130)
        finally:
            if how.forecast:
                manifest["forecast"] = [asdict(line) for line in how.forecast]
            settle()
            _say_spent(journal.spent(run=journal.run))
            if how.forecast:
                _say_forecast(how.forecast, manifest["starts"])
            journal.close()


def _say_forecast(lines: Sequence[StageForecast], starts: Sequence[Mapping[str, Any]]) -> None:
    """What each stage was to take beside what it took, over all starts; only of those that were foreseen."""
    took: dict[str, float] = {}
    for start in starts:
        for stage, seconds in start["stage_seconds"].items():
            took[stage] = took.get(stage, 0.0) + seconds
    both = [(line.stage, line.seconds, took[line.stage]) for line in lines if line.stage in took]
    both = [row for row in both if row[1] == row[1]]
    say(f"{'stage':<34}{'forecast':>12}{'took':>12}{'ratio':>8}")
    for stage, seconds, found in [*both, ("all", sum(row[1] for row in both), sum(row[2] for row in both))]:
        ratio = f"{found / seconds:.2f}" if seconds >= 0.05 else "-"
        say(f"{stage:<34}{_duration(seconds):>12}{_duration(found):>12}{ratio:>8}")


def _say_spent(rows: Sequence[Spent], *, show: Callable[[str], None] | None = None) -> None:
    """What each role has asked and what that took, over all starts of its run."""
    for row in rows:
        price = "price unknown" if row.unpriced else f"${row.dollars:,.4f}" if row.dollars else "free"
        who = f"{row.run}, {row.role}" if show else row.role
        (show or say)(
            f"{who}: {row.calls:,} calls to {row.model} ({row.failed:,} failed, {row.replayed:,} from "
            f"the journal), {row.prompt_tokens:,} prompt tokens ({row.computed_tokens:,} computed), "
            f"{row.generated_tokens:,} written, {price}"
        )


def _execute(
    config: AnyConfig, runs: Path, *, until: str, folder_name: str = "", how: _How = _PLAINLY
) -> None:
    from scrutable.pipeline.behaviours.config import BehavioursConfig, BehaviourSelftestConfig
    from scrutable.pipeline.composition.jobs import runner_of
    from scrutable.pipeline.composition.workers import Share, opened
    from scrutable.pipeline.config import MatrixConfig, RecurseConfig, TrainConfig

    if isinstance(config, TrainConfig):
        raise ConfigError(f"{config.name} trains a simulator; `scrutable simulator train` runs it")
    if isinstance(config, BehavioursConfig):
        return _study(config, runs, until=until, folder_name=folder_name, how=how)
    if isinstance(config, RecurseConfig | MatrixConfig) and until not in ("score", "gate"):
        raise ConfigError(f"{config.name} is made of several runs, and cannot stop after a stage of one")
    if isinstance(config, RecurseConfig) and until == "score":
        return _ladder(config, runs / (folder_name or config.name), how)
    if isinstance(config, MatrixConfig) and until == "score":
        return _matrix(config, runs / (folder_name or config.name), how)
    if isinstance(config, BehaviourSelftestConfig):
        raise ConfigError(f"{config.name} tries known answers; `scrutable selftest --behaviours` runs it")
    with _job(config, runs / (folder_name or config.name), level="level-0", how=how) as job:
        share = Share.of(config, job.folder.path, max_tokens=how.tokens, max_dollars=how.dollars)
        with opened(how.executor, share, workers=how.workers, ray=how.ray) as executor:
            runner, parts = runner_of(
                config,
                job.folder,
                say=say,
                watch=job.clock,
                note=job.note,
                models=job.models,
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
        job.settle()
        _say_what_there_is(job.folder, until=until)


def _ladder(config: RecurseConfig, path: Path, how: _How) -> None:
    """A study of recursion; exit code 3 where no claim could be followed, with the report of why."""
    from scrutable.pipeline.composition.recursion import recurse as follow

    with _job(config, path, level="recursion", how=how) as job:
        rows, why = follow(
            config,
            path,
            depth=config.recursion.depth,
            models=job.models,
            say=say,
            watch=job.clock,
            note=job.note,
        )
        _print_ledger(rows)
        job.settle()
        say_result(f"report: {_report(path)}")
    if why:
        say(f"scrutable: {why}")
        sys.exit(3)


def _matrix(config: MatrixConfig, path: Path, how: _How) -> None:
    """Every explainer on every subject, and what size, family and level do to the score."""
    from scrutable.pipeline.composition.matrix import run_matrix

    with _job(config, path, level="recursion", how=how) as job:
        found = run_matrix(config, path, models=job.models, say=say, watch=job.clock, note=job.note)
        say_result(f"{'subject':<22}{'explainer':<16}{'excess correlation':<28}units")
        for cell in found.cells:
            shown = (
                f"{_number(cell.value, '+.3f')} [{_number(cell.low, '+.3f')}, {_number(cell.high, '+.3f')}]"
            )
            say_result(f"{cell.subject:<22}{cell.explainer:<16}{shown:<28}{cell.n_units}")
        for effect in found.effects:
            shown = (
                effect.reason
                or f"{effect.value:+.3f} [{_number(effect.low, '+.3f')}, {_number(effect.high, '+.3f')}]"
            )
            say_result(f"{effect.term:<38}{shown}")
        say_result(f"report: {_report(path)}")


def _known_ladders(path: Path) -> None:
    """What the ledger says of planted authors, beside the truth; exit code 3 where one does not pass."""
    from scrutable.pipeline.composition.models import Models
    from scrutable.pipeline.composition.recursion import try_known
    from scrutable.pipeline.progress import StageClock

    clock = StageClock(is_terminal=sys.stderr.isatty(), say=say)
    found = try_known(path, seed=0, draws=2000, models=Models(say), say=say, watch=clock)
    say_result(
        f"{'planted author':<16}{'share':<12}{'true':>6}{'measured':>10}  {'95 % interval':<16}  roots"
    )
    for row in found:
        interval = f"[{_number(row.low, '.2f')}, {_number(row.high, '.2f')}]"
        verdict = "passed" if row.is_passed else f"NOT passed {row.reason}"
        say_result(
            f"{row.name:<16}{row.share.replace('_', ' '):<12}{row.expected:>6.2f}"
            f"{_number(row.value, '.2f'):>10}  {interval:<16}  {row.n_roots:>5}  {verdict}"
        )
    if not all(row.is_passed for row in found):
        sys.exit(3)


def _forecast_ladder(config: RecurseConfig) -> None:
    from scrutable.pipeline.composition.ladder_forecast import forecast_ladder
    from scrutable.pipeline.composition.ladder_parts import LadderComposition
    from scrutable.pipeline.composition.models import Models
    from scrutable.pipeline.progress import StageClock

    models, depth = Models(say), config.recursion.depth
    clock = StageClock(is_terminal=sys.stderr.isatty(), say=say)
    parts = LadderComposition(
        config, Path(), models=models, say=say, watch=clock, note=lambda _key, _fact: None
    )
    parts.check(depth)
    _print_forecast(forecast_ladder(config, models, parts, depth=depth, watch=clock))


def _print_ledger(rows: Sequence[LedgerRow]) -> None:
    """Where the trust in each level went, as shares of what came in."""
    names = ("discharged", "stranded", "passed_up", "open", "unresolved")
    head = "".join(f"{name.replace('_', ' '):>22}" for name in names)
    say_result(f"{'ladder':<12}{'tier':<9}{'level':>5}  {'claims':>6}{head}")
    for row in rows:
        cells = ""
        for name in names:
            low, high = (getattr(row, f"{name}_{end}", float("nan")) for end in ("low", "high"))
            interval = f" [{low:.2f}, {high:.2f}]" if low == low else ""
            cells += f"{_number(getattr(row, name), '.2f') + interval:>22}"
        tier = row.tier if row.corpus == "sampled" else row.corpus
        say_result(f"{row.ladder:<12}{tier:<9}{row.level:>5}  {row.n_claims:>6}{cells}")


def _study(config: BehavioursConfig, runs: Path, *, until: str, folder_name: str, how: _How) -> None:
    from scrutable.pipeline.composition.behaviours import study_of

    if until == "gate":
        raise ConfigError(
            f"{config.name} is a study of behaviours: `scrutable selftest --behaviours` tries it"
        )
    with _job(config, runs / (folder_name or config.name), level="level-0", how=how) as job:
        study, parts = study_of(
            config,
            config.subject,
            job.folder,
            job.models,
            seed=config.seed,
            watch=job.clock,
            note=job.note,
        )
        if not study.is_scored:
            parts.check()
        study.run(until=until)
        if until == "score":
            job.settle()
            page = _report(job.folder.path)
            _print_gains(study)
            say_result(f"report: {page}")
        else:
            say_result(f"tables: {study.folder.level}")


def _policies(config: AnyConfig, path: Path) -> None:
    """Planted policies, for the simulators and explainers of a self-test, or of a study in its folder."""
    from scrutable.pipeline.behaviours.config import (
        BehaviourPartsConfig,
        BehavioursConfig,
        BehaviourSelftestConfig,
        PolicyTestConfig,
    )
    from scrutable.pipeline.composition.behaviours import try_policies
    from scrutable.pipeline.config import RunConfig

    parts: BehaviourPartsConfig | None = None
    if isinstance(config, BehaviourSelftestConfig | BehavioursConfig):
        parts = config
    elif isinstance(config, RunConfig):
        parts = config.behaviours
    if parts is None:
        raise ConfigError(f"{config.name} has no simulators of behaviours to try")
    gate = config.gate if isinstance(config, BehaviourSelftestConfig) else PolicyTestConfig()
    with _job(config, path, level="level-0") as job:
        table = try_policies(
            parts,
            gate,
            job.folder,
            job.models,
            seed=config.seed,
            say=say,
            watch=job.clock,
            note=job.note,
        )
        say_result(table)
        if not isinstance(config, BehaviourSelftestConfig):
            say_result(f"report: {_report(path)}")


def _print_gains(study: Study) -> None:
    """Bits that each explanation saves for each input over each baseline, over behaviours."""
    from scrutable.pipeline.behaviours.records import GainSummary

    rows = study.folder.read_records(GainSummary, study.folder.level / "gain_summary.parquet")
    rows = [row for row in rows if row.inputs == "all"]
    width = 2 + max(len("explainer + simulator"), *(len(f"{r.explainer} + {r.simulator}") for r in rows), 0)
    say_result(
        f"{'explainer + simulator':<{width}}{'gain over':<16}{'bits':>8}  {'95 % interval':<18}behaviours"
    )
    for row in rows:
        interval = f"[{_number(row.low, '+.3f')}, {_number(row.high, '+.3f')}]"
        say_result(
            f"{f'{row.explainer} + {row.simulator}':<{width}}{row.baseline.replace('_', ' '):<16}"
            f"{_number(row.bits, '+.3f'):>8}  {interval:<18}{row.n_defined} of {row.n_behaviours}"
        )


def _say_what_there_is(folder: RunFolder, *, until: str) -> None:
    if until == "explain":
        say_result(f"explanations: {folder.level / 'explanations'}")
    elif until == "gate":
        say_result(folder.manifest()["gate"]["table"])
        say_result(f"report: {_report(folder.path)}")
    elif until == "score" and folder.parts("explanations"):
        page = _report(folder.path)
        _print_summary(folder)
        say_result(f"report: {page}")


def _report(path: Path) -> Path:
    from scrutable.evaluators.report import report_data, write_report
    from scrutable.pipeline.run import load_run

    return write_report(report_data(load_run(path)), path / "report")


def _figures(path: Path) -> list[Path]:
    from scrutable.evaluators.report import report_data, write_figures
    from scrutable.pipeline.run import load_run

    return write_figures(report_data(load_run(path)), path / "report" / "figures")


def _print_summary(folder: RunFolder) -> None:
    from scrutable.pipeline.records import Summary

    rows = folder.read_records(Summary, folder.level / "summary.parquet")
    width = 2 + max(len("explainer + simulator"), *(len(f"{r.explainer} + {r.simulator}") for r in rows), 0)
    say_result(
        f"{'explainer + simulator':<{width}}{'metric':<20}{'value':>8}{'null':>8}{'excess':>8}  "
        f"{'95 % interval':<16}  {'p':>7}  found  units"
    )
    for row in rows:
        interval = f"[{_number(row.excess_low, '+.3f')}, {_number(row.excess_high, '+.3f')}]"
        say_result(
            f"{f'{row.explainer} + {row.simulator}':<{width}}{row.metric:<20}{_number(row.value, '.3f'):>8}"
            f"{_number(row.null, '.3f'):>8}{_number(row.excess, '+.3f'):>8}  {interval:<16}  "
            f"{_number(row.p, '.4f'):>7}  {row.n_found:>5}  {row.n_defined} of {row.n_units}"
        )


def _number(value: float, form: str) -> str:
    """A dash where there is none."""
    return "-" if value != value else f"{value:{form}}"


def _print_prompts(stages: Sequence[StagePrompts]) -> None:
    width = 2 + max(len(stage.stage) for stage in stages)
    say_result(f"{'stage':<{width}}{'behaviours':>12}{'prompts':>10}")
    for stage in stages:
        say_result(f"{stage.stage:<{width}}{stage.behaviours:>12,}{stage.prompts:>10,}")
    say_result(f"{'all':<{width}}{'':>12}{sum(stage.prompts for stage in stages):>10,}")
    say_result("nothing was written; these are at most: what is asked twice alike is computed once")


def _forecast(config: AnyConfig, runs: Path) -> None:
    from scrutable.pipeline.behaviours.config import BehavioursConfig
    from scrutable.pipeline.composition.behaviours import prompts_of
    from scrutable.pipeline.config import RunConfig

    if isinstance(config, BehavioursConfig):
        return _print_prompts(prompts_of(config, seed=config.seed))
    _print_forecast(_forecast_lines(config))
    assert isinstance(config, RunConfig)
    return _say_what_is_kept(config, runs / config.name)


def _forecast_lines(config: AnyConfig) -> list[StageForecast]:
    from scrutable.pipeline.composition.jobs import Composition, plan_of
    from scrutable.pipeline.config import RunConfig
    from scrutable.pipeline.forecast import forecast
    from scrutable.pipeline.progress import StageClock

    if not isinstance(config, RunConfig):
        raise ConfigError(f"a forecast times a run; {config.name} is a job of another kind")
    composition = Composition(config, say=say, note=lambda _key, _fact: None, is_rehearsal=True)
    composition.check()
    clock = StageClock(is_terminal=sys.stderr.isatty(), say=say)
    plan = plan_of(config)
    panels = {name: (panel.explainer, panel.judge) for name, panel in plan.panels.items()}
    return forecast(config, composition, plan.pairs, panels, watch=clock)


def _say_what_is_kept(config: RunConfig, path: Path) -> None:
    """How many of the questions that a begun run still has are answered in the journal."""
    from scrutable.pipeline.composition.batches import count_kept, served_parts
    from scrutable.pipeline.composition.jobs import runner_of
    from scrutable.pipeline.composition.models import Models
    from scrutable.pipeline.journal import FILE, Journal
    from scrutable.pipeline.progress import StageClock
    from scrutable.pipeline.store import RunFolder

    if not served_parts(config) or not (path.parent / FILE).exists() or not (path / "config.yaml").exists():
        return
    journal = Journal(path.parent / FILE, run=path.name)
    models = Models(say, journal=journal)
    clock = StageClock(is_terminal=False, say=say)
    folder = RunFolder(path)
    runner, _ = runner_of(config, folder, say=say, watch=clock, note=lambda _key, _fact: None, models=models)
    if runner.has_excerpts:
        for part, kept, asked in count_kept(runner, models):
            say_result(f"{part}: {kept:,} of {asked:,} questions that are left are answered in the journal")
    journal.close()


def _print_forecast(lines: list[StageForecast]) -> None:
    say_result(f"{'stage':<34}{'units':>9}{'prompts':>10}{'model tokens':>14}{'cost':>12}{'expected':>12}")
    for line in lines:
        say_result(
            f"{line.stage:<34}{line.units:>9,}{line.prompts:>10,}{line.tokens:>14,}"
            f"{_dollars(line.dollars):>12}{_duration(line.seconds):>12}"
        )
    known = [line.seconds for line in lines if line.seconds == line.seconds]
    total = f"{'' if len(known) == len(lines) else 'at least '}{_duration(sum(known))}"
    tokens = sum(line.tokens for line in lines)
    priced = [line.dollars for line in lines if line.dollars == line.dollars]
    cost = f"{'' if len(priced) == len(lines) else 'at least '}{_dollars(sum(priced))}"
    prompts = sum(line.prompts for line in lines)
    say_result(f"{'all':<34}{'':>9}{prompts:>10,}{tokens:>14,}  {cost:>10}  {total:>10}")
    say_result("nothing was written; times are measured on a small sample and exclude downloads and loading")
    if any(line.dollars for line in lines):
        say_result(
            "a server that costs, or whose price is unknown, was not asked: its prompts were rendered and "
            "their tokens counted, each reply as long as it may be; how long it takes is not known"
        )


def _dollars(amount: float) -> str:
    return "unknown" if amount != amount else f"${amount:,.4f}" if amount else "free"


def _duration(seconds: float) -> str:
    if seconds != seconds:
        return "unknown"
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
