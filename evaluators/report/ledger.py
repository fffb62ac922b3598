"""The ledger of a study of recursion as tables: verdicts, known ladders, what was left out, every level."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scrutable.evaluators.report import wording
from scrutable.evaluators.report.drawing import short_count
from scrutable.evaluators.report.table import Row, Table, Verdict, number, numbers, table, texts
from scrutable.evaluators.report.trust import ENDS, SHARES, STOPS, why
from scrutable.pipeline.recursion.records import Gated, KnownLadder, LedgerRow, Ruling

UNTRIED = (
    "No known ladders have been tried in this run: nothing shows that its ledger can tell trust that is "
    "discharged from trust that is stranded or passed up. Read no verdict below as a result."
)


@dataclass(frozen=True, slots=True)
class RulingRow:
    """A verdict of the rule table."""

    ladder: str
    hypothesis: str
    question: str
    outcome: str
    why: str


def ruling_rows(rulings: Sequence[Ruling]) -> tuple[RulingRow, ...]:
    """The verdicts in the run's order."""
    return tuple(RulingRow(r.ladder, r.hypothesis, r.question, r.outcome, r.why) for r in rulings)


def known_complaint(known: Sequence[KnownLadder]) -> str:
    """Why the ledger is not to be believed yet; empty if every known ladder has passed."""
    if not known:
        return UNTRIED
    failed = list(dict.fromkeys(one.name for one in known if not one.is_passed))
    if not failed:
        return ""
    n = len({one.name for one in known})
    return (
        f"{len(failed)} of {wording.counted(n, 'known ladder')} did not pass ({', '.join(failed)}): the "
        "ledger misjudges an explainer of which the truth is known. Read the verdicts below with that."
    )


def known_table(known: Sequence[KnownLadder]) -> Table | None:
    """What was found of planted explainers, beside what is true of them."""
    rows: list[Row] = [
        (
            one.name,
            one.about,
            SHARES[one.share],
            number(one.expected, "no expectation was recorded"),
            wording.figure(one.value, one.low, one.high, reason=why(one.reason)),
            wording.count(one.n_roots),
            Verdict("passed" if one.is_passed else "not passed", one.is_passed, one.reason),
        )
        for one in known
    ]
    heads = [
        *texts("Ladder", "Planted explainer", "Share"),
        *numbers("True", "Found [95 % interval]", "Roots, n"),
        *texts("Verdict"),
    ]
    return table("Known ladders: planted explainers, of which the truth is known", heads, rows)


def gated_table(gated: Sequence[Gated]) -> Table | None:
    """What each level began with, and what became of it."""
    rows: list[Row] = [
        (one.ladder, str(one.level), one.reason, wording.count(one.n), wording.percent(one.share))
        for one in gated
    ]
    heads = [*texts("Ladder", "Level", "What became of them"), *numbers("Claims", "of those it began with")]
    return table("What each level began with: only what is followed is in the shares", heads, rows)


_ACCOUNT = (
    *texts("Level", "Tier, text", "Written by", "Then trusted (parameters)"),
    *numbers("Claims, followed", "Roots", "Came in", "Bits per token"),
    *numbers("Discharged", "Stranded", "Passed up", "Open", "U"),
    *texts("Ends"),
)
_ESTIMATES = (*texts("Level", "Tier, text"), *numbers("v", "r", "Coverage", "X", "X, shuffled"))


def ledger_table(rows: Sequence[LedgerRow]) -> Table | None:
    """Where the trust went, ladder by ladder: level, then tier, then text."""
    caption = "The ledger: where the trust in each level went"
    return Table(caption, _ACCOUNT, _by_ladder(rows, _account)) if rows else None


def estimate_table(rows: Sequence[LedgerRow]) -> Table | None:
    """What the shares of the same rows are made of."""
    caption = "What the shares of the ledger are made of"
    return Table(caption, _ESTIMATES, _by_ladder(rows, _estimates)) if rows else None


def _by_ladder(
    rows: Sequence[LedgerRow], shown: Callable[[LedgerRow], Row]
) -> tuple[tuple[str, tuple[Row, ...]], ...]:
    order = {"strict": 0, "lenient": 1, "sampled": 0, "shifted": 1}
    ordered = sorted(rows, key=lambda row: (row.level, order[row.tier], order[row.corpus]))
    ladders = dict.fromkeys(row.ladder for row in rows)
    return tuple((name, tuple(shown(row) for row in ordered if row.ladder == name)) for name in ladders)


def _account(row: LedgerRow) -> Row:
    told = why(row.reason)
    return (
        str(row.level),
        f"{row.tier}, {row.corpus}",
        row.author,
        _who(row),
        f"{wording.count(row.n_claims)}, {wording.count(row.n_followed)}",
        wording.count(row.n_roots),
        number(row.weight, told),
        number(row.weight_bits, told),
        wording.figure(row.discharged, row.discharged_low, row.discharged_high, reason=told),
        wording.figure(row.stranded, row.stranded_low, row.stranded_high, reason=told),
        wording.figure(row.passed_up, row.passed_up_low, row.passed_up_high, reason=told),
        number(row.open, told),
        wording.figure(row.unresolved, row.unresolved_low, row.unresolved_high, reason=told),
        _end(row),
    )


def _end(row: LedgerRow) -> str:
    """How the ladder ends here, or that it goes on, and why claims stay open."""
    left = [STOPS[name] for name in row.stop.split(", ") if name in STOPS and name]
    how = ENDS[row.end] or "goes on"
    return f"{how}; open: {', '.join(left)}" if left else how


def _estimates(row: LedgerRow) -> Row:
    is_closed = row.end in ("foundation", "text_only") and not math.isfinite(row.coverage)
    told = why("nothing was patched: no model that can be looked into" if is_closed else row.reason)
    return (
        str(row.level),
        f"{row.tier}, {row.corpus}",
        wording.figure(row.v, row.v_low, row.v_high, reason=told),
        wording.figure(row.r, row.r_low, row.r_high, reason=told),
        number(row.coverage, told),
        wording.figure(row.substitution, row.substitution_low, row.substitution_high, reason=told),
        number(row.substitution_shuffled, told),
    )


def _who(row: LedgerRow) -> str:
    """Who is trusted with what is passed up, and how large that model is."""
    if not row.trusted:
        return "nobody above"
    if row.parameters == 0:
        return f"{row.trusted} (a program)"
    size = short_count(row.parameters) if math.isfinite(row.parameters) else "unknown"
    return f"{row.trusted} ({size})"
