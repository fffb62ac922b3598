"""A small deterministic language for explanations that nobody has to trust: what a program means.

A program is a list of rules; the first whose test holds of a token gives its level, 0 to 9, and a token
of which none holds has level 0:

    program = rule (";" rule)*
    rule    = [level ":"] test         a test alone has level 9
    test    = term ("or" term)*
    term    = factor ("and" factor)*
    factor  = "not" factor | "(" test ")" | atom
    atom    = "digit" | "capitalized" | "upper" | "lower" | "punctuation" | "space"
            | "word(" string ("," string)* ")"     the token without white space, any case
            | "starts(" strings ")" | "ends(" strings ")" | "contains(" strings ")"
            | "class(" string ")"                  a named class of words, for example "colour"
            | "matches(" string ")"                a regular expression for the whole token, exact case
            | "after(" test ")"                    holds of the token before
            | "within(" k "," test ")"             holds of one of the k tokens before
            | "first(" k ")"                       among the first k tokens of the passage

Tests are evaluated over all tokens of a passage at once, in time linear in its length: regular
expressions run on RE2. Knows text only: no activations, no models. Written form: `program_text`.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Union

from scrutable.pipeline.word_classes import members, word_classes

TOP_LEVEL = 9
WIDEST, LONGEST = 20, 999  # of within and first


@dataclass(frozen=True, slots=True)
class Shape:
    """A class of characters or letter case."""

    name: str

    def __post_init__(self) -> None:
        if self.name not in SHAPES:
            raise ValueError(f"no shape {self.name!r} (known: {', '.join(SHAPES)})")


@dataclass(frozen=True, slots=True)
class Text:
    """A test of the token's letters: `test` is word, starts, ends or contains."""

    test: str
    strings: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.test not in TEXT_TESTS or not self.strings:
            raise ValueError(f"{self.test}{self.strings}: expected {', '.join(TEXT_TESTS)}, with strings")


@dataclass(frozen=True, slots=True)
class Class:
    """The token is a word of a named class."""

    name: str

    def __post_init__(self) -> None:
        if self.name not in word_classes():
            raise ValueError(f"no word class {self.name!r} (known: {', '.join(sorted(word_classes()))})")


@dataclass(frozen=True, slots=True)
class Matches:
    """A regular expression matches the whole token, without white space around it."""

    pattern: str

    def __post_init__(self) -> None:
        _compiled(self.pattern)


@dataclass(frozen=True, slots=True)
class After:
    """The token before satisfies a test."""

    inner: Test


@dataclass(frozen=True, slots=True)
class Within:
    """One of the `k` tokens before satisfies a test."""

    k: int
    inner: Test

    def __post_init__(self) -> None:
        if not 1 <= self.k <= WIDEST:
            raise ValueError(f"within({self.k}, ...): expected 1 to {WIDEST} tokens")


@dataclass(frozen=True, slots=True)
class First:
    """Among the first `k` tokens of the passage."""

    k: int

    def __post_init__(self) -> None:
        if not 1 <= self.k <= LONGEST:
            raise ValueError(f"first({self.k}): expected 1 to {LONGEST} tokens")


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a test."""

    inner: Test


@dataclass(frozen=True, slots=True)
class Combined:
    """Two or more tests joined by "and" or by "or"."""

    operator: str
    parts: tuple[Test, ...]

    def __post_init__(self) -> None:
        if self.operator not in ("and", "or") or len(self.parts) < 2:
            raise ValueError(f'expected "and" or "or" and at least two parts, got {self!r}')


Test = Union[Shape, Text, Class, Matches, After, Within, First, Not, Combined]  # noqa: UP007 - named above


@dataclass(frozen=True, slots=True)
class Rule:
    """A token of which the test holds has this level."""

    level: int  # 0 to 9
    test: Test

    def __post_init__(self) -> None:
        if not 0 <= self.level <= TOP_LEVEL:
            raise ValueError(f"level {self.level}: expected 0 to {TOP_LEVEL}")


@dataclass(frozen=True, slots=True)
class Program:
    """Rules in order; the first that holds decides."""

    rules: tuple[Rule, ...]

    def __post_init__(self) -> None:
        if not self.rules:
            raise ValueError("a program needs a rule")


SHAPES: dict[str, Callable[[str], bool]] = {
    "digit": lambda token: bool(token) and all(c.isdigit() for c in token),
    "capitalized": lambda token: token[:1].isupper(),
    "upper": lambda token: len(token) > 1 and token.isalpha() and token.isupper(),
    "lower": lambda token: token.isalpha() and token.islower(),
    "punctuation": lambda token: bool(token) and all(unicodedata.category(c)[0] in "PS" for c in token),
    "space": lambda token: not token,
}
TEXT_TESTS: dict[str, Callable[[str, tuple[str, ...]], bool]] = {
    "word": lambda token, strings: token in strings,
    "starts": lambda token, strings: token.startswith(strings),
    "ends": lambda token, strings: token.endswith(strings),
    "contains": lambda token, strings: any(string in token for string in strings),
}


def levels(program: Program, tokens: Sequence[str]) -> list[int]:
    """(T,) the level of each token, 0 to 9; white space around a token does not count."""
    found = [0] * len(tokens)
    for rule in reversed(program.rules):  # so that an earlier rule overwrites a later one
        held = fires(rule.test, tokens)
        found = [rule.level if holds else level for holds, level in zip(held, found, strict=True)]
    return found


def fires(test: Test, tokens: Sequence[str]) -> list[bool]:
    """(T,) whether the test holds of each token; white space around a token does not count."""
    return _holds(test, *_plain(tuple(tokens)))


@functools.lru_cache(maxsize=4096)  # many programs are tried on the same passages
def _plain(tokens: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Tokens without white space around them, and the same with case folded."""
    bare = tuple(token.strip() for token in tokens)
    return bare, tuple(token.casefold() for token in bare)


def _holds(test: Test, bare: tuple[str, ...], folded: tuple[str, ...]) -> list[bool]:
    match test:
        case Shape(name):
            return [SHAPES[name](token) for token in bare]
        case Text(kind, strings):
            wanted = tuple(string.casefold() for string in strings)
            return [TEXT_TESTS[kind](token, wanted) for token in folded]
        case Class(name):
            return [token in members(name) for token in folded]
        case Matches(pattern):
            return [_compiled(pattern).fullmatch(token) is not None for token in bare]
        case After(inner):
            return [False, *_holds(inner, bare, folded)][: len(bare)]
        case Within(k, inner):
            return _within(_holds(inner, bare, folded), k)
        case First(k):
            return [t < k for t in range(len(bare))]
        case Not(inner):
            return [not held for held in _holds(inner, bare, folded)]
        case Combined(operator, parts):
            columns = zip(*(_holds(part, bare, folded) for part in parts), strict=True)
            return [any(column) if operator == "or" else all(column) for column in columns]


def _within(held: list[bool], k: int) -> list[bool]:
    """Whether one of the k tokens before each holds, in one pass."""
    found, last = [], -k - 1
    for t, holds in enumerate(held):
        found.append(t - last <= k)
        last = t if holds else last
    return found


@functools.lru_cache(maxsize=4096)
def _compiled(pattern: str) -> Any:
    """Raises ValueError for what RE2 does not accept: it runs in linear time, so it has no look-around."""
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        detail = error.args[0] if error.args else "not a regular expression"
        if isinstance(detail, bytes):
            detail = detail.decode(errors="replace")
        raise ValueError(f"matches({pattern!r}): {detail}") from None
