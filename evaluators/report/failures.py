"""Failures as tables: counted by kind, and the first of them each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from scrutable.evaluators.report import wording
from scrutable.pipeline.records import Failure

FAILURES_LISTED = 100


@dataclass(frozen=True, slots=True)
class FailureTable:
    """What gave no usable answer."""

    total: str
    counts: tuple[tuple[str, str, str], ...]  # stage, kind, count; empty if nothing failed
    rows: tuple[tuple[Failure, bool], ...]  # with True if its unit has a page
    note: str  # how many are not listed; empty if all are


def failure_table(failures: Sequence[Failure], known: Collection[str]) -> FailureTable:
    """The failures of a run; units or behaviours in `known` have a page."""
    counts = Counter((failure.stage, failure.kind) for failure in failures)
    note = f"The first {FAILURES_LISTED} of {wording.count(len(failures))} are listed."
    return FailureTable(
        total=wording.counted(len(failures), "failure"),
        counts=tuple((stage, kind, wording.count(n)) for (stage, kind), n in sorted(counts.items())),
        rows=tuple((failure, failure.unit in known) for failure in failures[:FAILURES_LISTED]),
        note=note if len(failures) > FAILURES_LISTED else "",
    )
