"""What is said to the person at the terminal: lines on the way, and tables of what was found."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scrutable.pipeline.amounts import in_dollars, in_time

if TYPE_CHECKING:
    from scrutable.pipeline.behaviours.counting import StagePrompts
    from scrutable.pipeline.behaviours.records import GainSummary
    from scrutable.pipeline.forecast import StageForecast
    from scrutable.pipeline.journal import Spent
    from scrutable.pipeline.records import Summary
    from scrutable.pipeline.recursion.records import Effect, KnownLadder, LedgerRow, MatrixCell


def say(line: str) -> None:
    """A line for the person at the terminal."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def say_result(line: str) -> None:
    """A line of what was asked for."""
    sys.stdout.write(f"{line}\n")


def tell_summary(rows: Sequence[Summary]) -> None:
    """What each explanation is worth to each reader, with the null."""
    width = 2 + max(len("explainer + simulator"), *(len(f"{r.explainer} + {r.simulator}") for r in rows), 0)
    say_result(
        f"{'explainer + simulator':<{width}}{'metric':<20}{'value':>8}{'null':>8}{'excess':>8}  "
        f"{'95 % interval':<16}  {'p':>7}  found  units"
    )
    for row in rows:
        interval = _interval(row.excess_low, row.excess_high, "+.3f")
        say_result(
            f"{f'{row.explainer} + {row.simulator}':<{width}}{row.metric:<20}{_number(row.value, '.3f'):>8}"
            f"{_number(row.null, '.3f'):>8}{_number(row.excess, '+.3f'):>8}  {interval:<16}  "
            f"{_number(row.p, '.4f'):>7}  {row.n_found:>5}  {row.n_defined} of {row.n_units}"
        )


def tell_ledger(rows: Sequence[LedgerRow]) -> None:
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


def tell_gains(rows: Sequence[GainSummary]) -> None:
    """Bits that each explanation saves for each input over each baseline, over behaviours."""
    rows = [row for row in rows if row.inputs == "all"]
    width = 2 + max(len("explainer + simulator"), *(len(f"{r.explainer} + {r.simulator}") for r in rows), 0)
    say_result(
        f"{'explainer + simulator':<{width}}{'gain over':<16}{'bits':>8}  {'95 % interval':<18}behaviours"
    )
    for row in rows:
        interval = _interval(row.low, row.high, "+.3f")
        say_result(
            f"{f'{row.explainer} + {row.simulator}':<{width}}{row.baseline.replace('_', ' '):<16}"
            f"{_number(row.bits, '+.3f'):>8}  {interval:<18}{row.n_defined} of {row.n_behaviours}"
        )


def tell_prompts(stages: Sequence[StagePrompts]) -> None:
    """How many prompts a study of behaviours will send, at most."""
    width = 2 + max(len(stage.stage) for stage in stages)
    say_result(f"{'stage':<{width}}{'behaviours':>12}{'prompts':>10}")
    for stage in stages:
        say_result(f"{stage.stage:<{width}}{stage.behaviours:>12,}{stage.prompts:>10,}")
    say_result(f"{'all':<{width}}{'':>12}{sum(stage.prompts for stage in stages):>10,}")
    say_result("nothing was written; these are at most: what is asked twice alike is computed once")


def tell_forecast(lines: Sequence[StageForecast]) -> None:
    """What each stage will do, cost and take."""
    width = max([34, *(len(line.stage) + 1 for line in lines)])
    heads = f"{'units':>9}{'prompts':>10}{'model tokens':>14}{'cost':>12}{'expected':>12}"
    say_result(f"{'stage':<{width}}{heads}")
    for line in lines:
        say_result(
            f"{line.stage:<{width}}{line.units:>9,}{line.prompts:>10,}{line.tokens:>14,}"
            f"{in_dollars(line.dollars):>12}{in_time(line.seconds):>12}"
        )
    known = [line.seconds for line in lines if line.seconds == line.seconds]
    total = f"{'' if len(known) == len(lines) else 'at least '}{in_time(sum(known))}"
    tokens = sum(line.tokens for line in lines)
    priced = [line.dollars for line in lines if line.dollars == line.dollars]
    cost = f"{'' if len(priced) == len(lines) else 'at least '}{in_dollars(sum(priced))}"
    prompts = sum(line.prompts for line in lines)
    say_result(f"{'all':<{width}}{'':>9}{prompts:>10,}{tokens:>14,}  {cost:>10}  {total:>10}")
    say_result("nothing was written; times are measured on a small sample and exclude downloads and loading")
    if any(line.dollars for line in lines):
        say_result(
            "a server that costs, or whose price is unknown, was not asked: its prompts were rendered and "
            "their tokens counted, each reply as long as it may be; how long it takes is not known"
        )


def tell_what_it_took(lines: Sequence[StageForecast], starts: Sequence[Mapping[str, Any]]) -> None:
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
        say(f"{stage:<34}{in_time(seconds):>12}{in_time(found):>12}{ratio:>8}")


def tell_spent(rows: Sequence[Spent], *, tell: Callable[[str], None], names_runs: bool = False) -> None:
    """What each role has asked and what that took, over all starts of its run."""
    for row in rows:
        price = in_dollars(math.nan if row.unpriced else row.dollars)
        who = f"{row.run}, {row.role}" if names_runs else row.role
        tell(
            f"{who}: {row.calls:,} calls to {row.model} ({row.failed:,} failed, {row.replayed:,} from "
            f"the journal), {row.prompt_tokens:,} prompt tokens ({row.computed_tokens:,} computed), "
            f"{row.generated_tokens:,} written, cost {price}"
        )


def tell_matrix(cells: Sequence[MatrixCell], effects: Sequence[Effect]) -> None:
    """Every explainer on every subject, and what size, family and level do to the score."""
    say_result(f"{'subject':<22}{'explainer':<16}{'excess correlation':<28}units")
    for cell in cells:
        shown = f"{_number(cell.value, '+.3f')} {_interval(cell.low, cell.high, '+.3f')}"
        say_result(f"{cell.subject:<22}{cell.explainer:<16}{shown:<28}{cell.n_units}")
    for effect in effects:
        shown = effect.reason or f"{effect.value:+.3f} {_interval(effect.low, effect.high, '+.3f')}"
        say_result(f"{effect.term:<38}{shown}")


def tell_known_ladders(rows: Sequence[KnownLadder]) -> None:
    """What the ledger says of planted authors, beside the truth."""
    say_result(
        f"{'planted author':<16}{'share':<12}{'true':>6}{'measured':>10}  {'95 % interval':<16}  roots"
    )
    for row in rows:
        verdict = "passed" if row.is_passed else f"NOT passed {row.reason}"
        say_result(
            f"{row.name:<16}{row.share.replace('_', ' '):<12}{row.expected:>6.2f}"
            f"{_number(row.value, '.2f'):>10}  {_interval(row.low, row.high, '.2f'):<16}  {row.n_roots:>5}  "
            f"{verdict}"
        )


def _interval(low: float, high: float, form: str) -> str:
    return f"[{_number(low, form)}, {_number(high, form)}]"


def _number(value: float, form: str) -> str:
    """A dash where there is none."""
    return "-" if value != value else f"{value:{form}}"
