"""A small deterministic language for what decides a behaviour: what a policy means.

A policy is a list of rules over one input; the first whose condition holds gives the outcome:

    policy    = rule (";" rule)*
    rule      = outcome "if" condition | outcome "otherwise"         the last rule is the one with "otherwise"
    condition = term ("or" term)*
    term      = factor ("and" factor)*
    factor    = "not" factor | "(" condition ")" | cue
    cue       = "mentions(" test ")"       a token of the input passes a test of the language of programs
              | "begins(" test ")"         its first token that is not white space does
              | "finishes(" test ")"       its last token that is not white space does
              | "times(" n "," test ")"    at least n of its tokens do
              | "longer(" n ")"            it has more than n words
              | "before(" test "," test ")"   the first that passes the one is before that of the other
              | "sum(" n "," weight ":" condition ("," weight ":" condition)* ")"
                                           the weights of the conditions that hold add up to n or more

Outcomes are words, or strings in quotes. Inputs are cut into words as the texts of planted units are
(`pipeline.words`). Knows text only. Written form: `policy_text`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Union

from scrutable.pipeline.programs import Test, fires
from scrutable.pipeline.words import split_words

MOST = 999  # of numbers in the language


@dataclass(frozen=True, slots=True)
class Mentions:
    """At least `times` tokens of the input pass a test."""

    test: Test
    times: int = 1

    def __post_init__(self) -> None:
        _check(self.times, least=1)


@dataclass(frozen=True, slots=True)
class Begins:
    """The first token that is not white space passes a test."""

    test: Test


@dataclass(frozen=True, slots=True)
class Finishes:
    """The last token that is not white space passes a test."""

    test: Test


@dataclass(frozen=True, slots=True)
class Longer:
    """The input has more than `words` words."""

    words: int

    def __post_init__(self) -> None:
        _check(self.words, least=0)


@dataclass(frozen=True, slots=True)
class Before:
    """The first token that passes one test stands before the first that passes the other; both are there."""

    first: Test
    second: Test


@dataclass(frozen=True, slots=True)
class Sum:
    """The weights of the conditions that hold add up to a threshold or more."""

    threshold: int
    terms: tuple[tuple[int, Condition], ...]

    def __post_init__(self) -> None:
        if not self.terms:
            raise ValueError("a sum needs a term")
        for number in (self.threshold, *(weight for weight, _ in self.terms)):
            _check(abs(number), least=0)


@dataclass(frozen=True, slots=True)
class No:
    """The opposite of a condition."""

    inner: Condition


@dataclass(frozen=True, slots=True)
class Joined:
    """Two or more conditions joined by "and" or by "or"."""

    operator: str
    parts: tuple[Condition, ...]

    def __post_init__(self) -> None:
        if self.operator not in ("and", "or") or len(self.parts) < 2:
            raise ValueError(f'expected "and" or "or" and at least two parts, got {self!r}')


Condition = Union[Mentions, Begins, Finishes, Longer, Before, Sum, No, Joined]  # noqa: UP007 - named above


@dataclass(frozen=True, slots=True)
class Branch:
    """An outcome, and the condition under which it comes; None in the last branch."""

    outcome: str
    condition: Condition | None


@dataclass(frozen=True, slots=True)
class Policy:
    """Branches in order; the first that holds decides, and the last always holds."""

    branches: tuple[Branch, ...]

    def __post_init__(self) -> None:
        if not self.branches or self.branches[-1].condition is not None:
            raise ValueError('a policy needs a last rule with "otherwise"')
        if any(branch.condition is None for branch in self.branches[:-1]):
            raise ValueError('only the last rule can have "otherwise"')

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Those that it can give, in order of first mention."""
        return tuple(dict.fromkeys(branch.outcome for branch in self.branches))


def outcome_of(policy: Policy, text: str) -> str:
    """What the policy does with an input."""
    tokens = _tokens(text)
    return next(b.outcome for b in policy.branches if b.condition is None or _holds(b.condition, tokens))


def condition_holds(condition: Condition, text: str) -> bool:
    """Whether a condition holds of an input."""
    return _holds(condition, _tokens(text))


@functools.lru_cache(maxsize=4096)  # many conditions are tried on the same inputs
def _tokens(text: str) -> tuple[str, ...]:
    return tuple(token for token in split_words(text) if token.strip())


def _holds(condition: Condition, tokens: Sequence[str]) -> bool:
    match condition:
        case Mentions(test, times):
            return sum(fires(test, tokens)) >= times
        case Begins(test):
            return bool(tokens) and fires(test, tokens)[0]
        case Finishes(test):
            return bool(tokens) and fires(test, tokens)[-1]
        case Longer(words):
            return sum(any(c.isalnum() for c in token) for token in tokens) > words
        case Before(first, second):
            one, two = fires(first, tokens), fires(second, tokens)
            return any(one) and any(two) and one.index(True) < two.index(True)
        case Sum(threshold, terms):
            return sum(weight for weight, inner in terms if _holds(inner, tokens)) >= threshold
        case No(inner):
            return not _holds(inner, tokens)
        case Joined(operator, parts):
            return (all if operator == "and" else any)(_holds(part, tokens) for part in parts)


def _check(number: int, *, least: int) -> None:
    if not least <= number <= MOST:
        raise ValueError(f"{number}: expected {least} to {MOST}")
