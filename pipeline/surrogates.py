"""From clauses with levels to short programs, and the largest program that fits a budget of bits.

What decision trees and rule lists have in common: both find an ordered list of conjunctions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from scrutable.pipeline.config import Budget
from scrutable.pipeline.description import description_bits, program_bits
from scrutable.pipeline.programs import (
    TOP_LEVEL,
    After,
    Combined,
    Not,
    Program,
    Rule,
    Test,
    Text,
    Within,
)
from scrutable.pipeline.protocols import Explanatory

MOST_BITS = 8192.0  # of a program that a search may write; well below what the reader of programs accepts

EVERYTHING = Text("contains", ("",))
"""The test that holds of every token."""


class Clause(NamedTuple):
    """Tokens of which all tests hold, and no earlier clause, have this level."""

    tests: tuple[Test, ...]  # none: every token
    level: int  # 0 to 9


class Sized(NamedTuple):
    """A program and its length."""

    program: Program
    bits: float


def allowed_bits(budget: Budget, job: Explanatory) -> float | None:
    """The bits that a surrogate of a unit may have: as many as the source's text, or those of the config.

    None if the budget is the length of another explainer's text and that wrote none.
    """
    if not budget.of:
        return min(float(budget.bits), MOST_BITS)
    return min(description_bits(job.source), MOST_BITS) if job.source else None


def to_level(mean: float, highest: float) -> int:
    """A mean activation as a level, 9 for the highest mean; 0 where nothing fires."""
    return round(TOP_LEVEL * max(mean, 0.0) / highest) if highest > 0 else 0


def write_clauses(clauses: Sequence[Clause]) -> Sized | None:
    """The shortest program we know how to write that gives every token the level that the clauses give.

    Neighbours of one level become one rule, words of one test one list; rules of level 0 at the end
    say nothing and go. None if nothing is left, or if the same level is left for every token.
    """
    kept = list(clauses)
    for place, clause in enumerate(kept):
        if not clause.tests:  # what follows is never reached
            kept = kept[: place + 1]
            break
    while kept and kept[-1].level == 0:
        kept.pop()
    while len(kept) > 1 and not kept[-1].tests and kept[-2].level == kept[-1].level:
        del kept[-2]
    if not kept or not kept[0].tests:
        return None
    program = Program(tuple(Rule(level, _either(tests)) for level, tests in _by_level(kept)))
    return Sized(program, program_bits(program))


def largest_within(growing: Iterable[Sized], bits: float) -> Sized | None:
    """The last of ever larger programs that has at most `bits` bits; None if none has.

    Gives up at one twice as long, so that programs that nobody asked for need not be made.
    """
    best = None
    for sized in growing:
        if sized.bits > 2 * bits:
            break
        if sized.bits <= bits:
            best = sized
    return best


def _by_level(clauses: Sequence[Clause]) -> list[tuple[int, list[tuple[Test, ...]]]]:
    runs: list[tuple[int, list[tuple[Test, ...]]]] = []
    for tests, level in clauses:
        if not runs or runs[-1][0] != level:
            runs.append((level, []))
        runs[-1][1].append(tests)
    return runs


def _either(conjunctions: Sequence[tuple[Test, ...]]) -> Test:
    """One test for "any of these conjunctions": those that differ in their last word only are merged."""
    by_start: dict[tuple[Test, ...], list[Test]] = {}
    for tests in conjunctions:
        by_start.setdefault(tests[:-1], []).append(tests[-1] if tests else EVERYTHING)
    return _joined("or", [_all((*start, _joined("or", last))) for start, last in by_start.items()])


def _all(tests: Sequence[Test]) -> Test:
    """Not one and not another is not either."""
    denied = [test.inner for test in tests if isinstance(test, Not)]
    held = [test for test in tests if not isinstance(test, Not)]
    return _joined("and", [*held, Not(_joined("or", denied))] if denied else held)


def _joined(operator: str, tests: Sequence[Test]) -> Test:
    """The tests with an operator between them; "or" merges lists of strings and nested "or"."""
    parts: list[Test] = []
    for test in tests:
        inner = test.parts if isinstance(test, Combined) and test.operator == operator else (test,)
        for part in inner:
            if operator == "or":
                _merge_into(parts, part)
            elif part not in parts:
                parts.append(part)
    return parts[0] if len(parts) == 1 else Combined(operator, tuple(parts))


def _merge_into(parts: list[Test], test: Test) -> None:
    for place, part in enumerate(parts):
        merged = _merged(part, test)
        if merged is not None:
            parts[place] = merged
            return
    parts.append(test)


def _merged(one: Test, other: Test) -> Test | None:
    """A single atom for "one or other", if there is one."""
    match one, other:
        case Text(kind, strings), Text(also, more) if kind == also:
            return Text(kind, (*strings, *(string for string in more if string not in strings)))
        case After(a), After(b):
            return After(_joined("or", [a, b]))
        case Within(k, a), Within(same, b) if k == same:
            return Within(k, _joined("or", [a, b]))
        case _:
            return one if one == other else None
