"""The command line; imported by nobody. Heavy modules are imported by the commands that need them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scrutable.pipeline.errors import ScrutableError

if TYPE_CHECKING:
    from scrutable.pipeline.config import RunConfig
    from scrutable.pipeline.forecast import StageForecast
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

ConfigPath = Annotated[Path, typer.Argument(help="A YAML config, for example configs/demo.yaml.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="Dotted overrides, for example units.sample=60 name=mine.")
]
RunsFolder = Annotated[Path, typer.Option("--runs", help="Where run folders lie.")]
RunPath = Annotated[Path, typer.Argument(help="A run folder, for example runs/demo.")]
Limit = Annotated[
    int | None, typer.Option(min=1, help="Only the first N units, in a run folder named NAME-limitN.")
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
        sys.exit(2)


@app.command()
def run(
    config: ConfigPath,
    overrides: Overrides = None,
    runs: RunsFolder = Path("runs"),
    limit: Limit = None,
    dry_run: DryRun = False,
) -> None:
    """Explain, simulate, score and report; the same command continues an interrupted run."""
    resolved = _resolved(config, overrides, limit)
    if dry_run:
        _forecast(resolved)
    else:
        _execute(resolved, runs, until="score")


@app.command()
def explain(
    config: ConfigPath,
    overrides: Overrides = None,
    runs: RunsFolder = Path("runs"),
    limit: Limit = None,
    dry_run: DryRun = False,
) -> None:
    """Only write explanations; `scrutable score` or `run` goes on from there."""
    resolved = _resolved(config, overrides, limit)
    if dry_run:
        _forecast(resolved)
    else:
        _execute(resolved, runs, until="explain")


@app.command()
def score(path: RunPath) -> None:
    """Simulate and score what a run folder has explained, and write its report."""
    from scrutable.pipeline.store import RunFolder

    folder = RunFolder(path)
    _execute(folder.config(), path.parent, until="score", folder_name=path.name)


@app.command()
def report(path: RunPath) -> None:
    """Write the report of a run folder again, from its tables."""
    say_result(str(_report(path)))


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


def say(line: str) -> None:
    """A line for the person at the terminal."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def say_result(line: str) -> None:
    """A line of what was asked for."""
    sys.stdout.write(f"{line}\n")


def _resolved(path: Path, overrides: list[str] | None, limit: int | None) -> RunConfig:
    from scrutable.pipeline.config import load_config

    resolved = load_config(path, overrides or ())
    if limit is None:
        return resolved
    units = resolved.units.model_copy(
        update={"sample": min(limit, resolved.units.sample), "ids": resolved.units.ids[:limit]}
    )
    return resolved.model_copy(update={"units": units, "name": f"{resolved.name}-limit{limit}"})


def _execute(config: RunConfig, runs: Path, *, until: str, folder_name: str = "") -> None:
    from datetime import UTC, datetime

    from scrutable.pipeline.composition import EVALUATION, Composition, host_facts, pairs_of
    from scrutable.pipeline.progress import StageClock
    from scrutable.pipeline.runner import Runner
    from scrutable.pipeline.store import RunFolder

    folder = RunFolder(runs / (folder_name or config.name))
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

        composition = Composition(config, say=say, note=note)
        runner = Runner(config, folder, composition, EVALUATION, pairs_of(config), clock, note)
        try:
            if not runner.is_simulated:
                composition.check()
            runner.run(until=until)
        except KeyboardInterrupt:
            say("scrutable: interrupted; run the same command again to continue")
            sys.exit(130)
        finally:
            folder.write_manifest(manifest)
        if until == "score":
            page = _report(folder.path)
            _print_summary(runner)
            say_result(f"report: {page}")
        else:
            say_result(f"explanations: {folder.level / 'explanations'}")


def _report(path: Path) -> Path:
    from scrutable.evaluators.report import report_data, write_report
    from scrutable.pipeline.run import load_run

    return write_report(report_data(load_run(path)), path / "report")


def _print_summary(runner: Runner) -> None:
    from scrutable.pipeline.run import load_run

    summary = load_run(runner.folder.path).summary
    say_result(
        f"{'explainer + simulator':<28}{'metric':<20}{'value':>8}{'null':>8}{'excess':>8}  "
        "95 % interval     units"
    )
    for row in summary.itertuples():
        interval = f"[{row.excess_low:+.3f}, {row.excess_high:+.3f}]"
        say_result(
            f"{f'{row.explainer} + {row.simulator}':<28}{row.metric:<20}{row.value:>8.3f}{row.null:>8.3f}"
            f"{row.excess:>+8.3f}  {interval}  {row.n_defined} of {row.n_units}"
        )


def _forecast(config: RunConfig) -> None:
    from scrutable.pipeline.composition import Composition, pairs_of
    from scrutable.pipeline.forecast import forecast
    from scrutable.pipeline.progress import StageClock

    composition = Composition(config, say=say, note=lambda _key, _fact: None)
    composition.check()
    clock = StageClock(is_terminal=sys.stderr.isatty(), say=say)
    _print_forecast(forecast(config, composition, pairs_of(config), watch=clock))


def _print_forecast(lines: list[StageForecast]) -> None:
    say_result(f"{'stage':<32}{'units':>9}{'prompts':>10}{'model tokens':>14}{'expected':>12}")
    for line in lines:
        say_result(
            f"{line.stage:<32}{line.units:>9,}{line.prompts:>10,}{line.tokens:>14,}{_duration(line.seconds):>12}"
        )
    total = sum(line.seconds for line in lines)
    tokens = sum(line.tokens for line in lines)
    say_result(
        f"{'all':<32}{'':>9}{sum(line.prompts for line in lines):>10,}{tokens:>14,}{_duration(total):>12}"
    )
    say_result("nothing was written; times are measured on a small sample and exclude downloads and loading")


def _duration(seconds: float) -> str:
    if seconds != seconds:
        return "unknown"
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
