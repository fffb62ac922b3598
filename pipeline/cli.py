"""The command line; imported by nobody. Heavy modules are imported by the commands that need them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scrutable.pipeline.errors import BudgetReached, ConfigError, ScrutableError
from scrutable.pipeline.terminal import say, say_result, tell_spent

if TYPE_CHECKING:
    from scrutable.pipeline.composition.courses import Work
    from scrutable.pipeline.config import AnyConfig
    from scrutable.pipeline.runner import Runner

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
        from scrutable.pipeline.composition.rehearsals import rehearse

        return rehearse(resolved, runs)
    from scrutable.pipeline.composition.courses import How, follow
    from scrutable.pipeline.composition.rehearsals import forecast_run

    lines = forecast_run(resolved) if with_forecast else []
    ray = (ray_address, ray_resources)
    how = How(max_tokens, max_cost, executor, workers, ray, tuple(lines), retry_failed)
    return _leave(follow(resolved, runs / resolved.name, until=until, how=how))


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
    from scrutable.pipeline.composition.courses import follow
    from scrutable.pipeline.store import RunFolder

    if path is not None and not records and not explanations:
        return _leave(follow(RunFolder(path).config(), path))
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
    return _leave(follow(config, runs / config.name))


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
    from scrutable.pipeline.composition.courses import follow, follow_known_ladders, follow_policies
    from scrutable.pipeline.shorthand import behaviour_selftest_config, selftest_config
    from scrutable.pipeline.store import RunFolder

    path = Path(where)
    if recursion:
        return _leave(follow_known_ladders(runs / "selftest-recursion"))
    if where and path.is_dir():
        if behaviours:
            return follow_policies(RunFolder(path).config(), path)
        return _leave(follow(RunFolder(path).config(), path, until="gate"))
    changes = list(overrides or ())
    if "=" in where and not path.exists():
        changes.insert(0, where)
    given = None if changes[:1] == [where] or not where else path
    if behaviours:
        known = behaviour_selftest_config(
            given, changes, simulators=simulator or (), explainers=explainer or ()
        )
        return follow_policies(known, runs / known.name)
    config = selftest_config(given, changes, simulators=simulator or (), explainers=explainer or ())
    return _leave(follow(config, runs / config.name, until="gate"))


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
        from scrutable.pipeline.composition.rehearsals import rehearse_ladder

        return rehearse_ladder(resolved)
    from scrutable.pipeline.composition.courses import How, follow_ladder

    return _leave(follow_ladder(resolved, runs / resolved.name, How(max_tokens, max_cost)))


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
    from scrutable.pipeline.composition.jobs import runner_of
    from scrutable.pipeline.composition.models import Models
    from scrutable.pipeline.composition.workers import manifest_note, work_on_share
    from scrutable.pipeline.config import RunConfig, load_config
    from scrutable.pipeline.progress import StageClock
    from scrutable.pipeline.store import RunFolder

    number, of = _share(shard)
    resolved = load_config(config, overrides or ())
    if not isinstance(resolved, RunConfig):
        raise ConfigError(f"{config}: workers share the shards of a run; this is a job of another kind")
    path = runs / resolved.name
    folder = RunFolder(path)
    with folder.opened(resolved, is_shared=True):
        models = Models.of_run(path, say, max_tokens=max_tokens, max_dollars=max_cost)
        runner, parts = runner_of(
            resolved,
            folder,
            say=say,
            watch=StageClock(is_terminal=False, say=say),
            note=manifest_note(folder) if number == 0 else lambda _key, _fact: None,
            models=models,
        )
        parts.check()
        work_on_share(runner, number=number, of=of, patience=patience, say=say)
        models.journal.close()
    say_result(f"worker {number} of {of} is done; `scrutable run {config}` scores the run")


def _leave(code: int) -> None:
    if code:
        sys.exit(code)


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
    tell_spent(kept.spent(), tell=say_result, names_runs=True)
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

    with _served_run(config, overrides, runs) as (runner, work):
        for stage in runner.source.stages().values():
            stage()
        written = export_batch(runner, work.models, to)
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

    with _served_run(config, overrides, runs) as (runner, work):
        found = import_batch(runner, work.models, source, say=say)
    say_result(f"{found.answered:,} answers kept, {found.failed:,} failed, {found.unknown:,} not asked for")


@contextmanager
def _served_run(config: Path, overrides: list[str] | None, runs: Path) -> Iterator[tuple[Runner, Work]]:
    """A run some of whose parts are asked of servers. Raises ConfigError for another."""
    from scrutable.pipeline.composition.batches import served_parts
    from scrutable.pipeline.composition.courses import at_work
    from scrutable.pipeline.composition.jobs import runner_of
    from scrutable.pipeline.config import RunConfig, load_config

    resolved = load_config(config, overrides or ())
    if not isinstance(resolved, RunConfig) or not served_parts(resolved):
        raise ConfigError(f"{config}: no explainer or simulator has a server's address as its backend")
    with at_work(resolved, runs / resolved.name, level="level-0") as work:
        runner, _ = runner_of(
            resolved, work.folder, say=say, watch=work.clock, note=work.note, models=work.models
        )
        yield runner, work


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
    from scrutable.pipeline.composition import courses

    pictures = courses.figures(path) if figures else []
    for written in (courses.report(path), *pictures):
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
    from scrutable.pipeline.composition.courses import at_work
    from scrutable.pipeline.composition.training import train
    from scrutable.pipeline.config import TrainConfig, load_config

    resolved = load_config(config, overrides or ())
    if not isinstance(resolved, TrainConfig):
        raise ConfigError(f"{config}: a training needs job: train, but its job is {resolved.job!r}")
    with at_work(resolved, runs / resolved.name) as work:
        adapter = train(resolved, work.folder, say=say, watch=work.clock, note=work.note)
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
