"""A small deterministic language for explanations that nobody has to trust.

A program says of each token whether the unit fires on it:

    program   = term ("or" term)*
    term      = factor ("and" factor)*
    factor    = "not" factor | "(" program ")" | atom
    atom      = "digit" | "capitalized" | "upper" | "lower" | "punctuation" | "space"
              | "word(" string ("," string)* ")"     the token without white space, any case
              | "starts(" string ")" | "ends(" string ")"
              | "after(" program ")"                  holds of the token before

Strings are written as in JSON. Knows text only: no activations, no models.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Union

from scrutable.pipeline.errors import ParseError


@dataclass(frozen=True, slots=True)
class Shape:
    """A class of characters or letter case."""

    name: str


@dataclass(frozen=True, slots=True)
class Text:
    """A test of the token's letters: `test` is word, starts or ends."""

    test: str
    strings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class After:
    """The token before satisfies a program."""

    inner: Program


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a program."""

    inner: Program


@dataclass(frozen=True, slots=True)
class Combined:
    """Two or more programs joined by "and" or by "or"."""

    operator: str
    parts: tuple[Program, ...]


Program = Union[Shape, Text, After, Not, Combined]  # noqa: UP007 - the classes above name it as a string

SHAPES: dict[str, Callable[[str], bool]] = {
    "digit": lambda token: bool(token) and all(c.isdigit() for c in token),
    "capitalized": lambda token: token[:1].isupper(),
    "upper": lambda token: len(token) > 1 and token.isalpha() and token.isupper(),
    "lower": lambda token: token.isalpha() and token.islower(),
    "punctuation": lambda token: bool(token) and all(unicodedata.category(c)[0] in "PS" for c in token),
    "space": lambda token: not token,
}
_TEXT_TESTS: dict[str, Callable[[str, tuple[str, ...]], bool]] = {
    "word": lambda token, strings: token.casefold() in strings,
    "starts": lambda token, strings: token.casefold().startswith(strings),
    "ends": lambda token, strings: token.casefold().endswith(strings),
}
_TOKEN = re.compile(r'\s*(?:("(?:[^"\\]|\\.)*")|([A-Za-z]+)|([(),]))')


def fires(program: Program, tokens: Sequence[str]) -> list[bool]:
    """(T,) whether the program holds of each token; white space around a token does not count."""
    bare = [token.strip() for token in tokens]
    return [_holds(program, bare, t) for t in range(len(bare))]


def write_program(program: Program) -> str:
    """The text that `read_program` reads back as the same program."""
    match program:
        case Shape(name):
            return name
        case Text(test, strings):
            return f"{test}({', '.join(json.dumps(s, ensure_ascii=False) for s in strings)})"
        case After(inner):
            return f"after({write_program(inner)})"
        case Not(inner):
            return f"not {_bracketed(inner)}"
        case Combined(operator, parts):
            return f" {operator} ".join(_bracketed(part) for part in parts)


def read_program(text: str) -> Program:
    """The program that a text writes. Raises ParseError with what was expected and where."""
    reader = _Reader(text)
    program = reader.combined("or")
    if reader.peek is not None:
        raise ParseError(f"program {text!r}: unexpected {reader.peek!r} after a complete program")
    return program


def _holds(program: Program, bare: Sequence[str], t: int) -> bool:
    match program:
        case Shape(name):
            return SHAPES[name](bare[t])
        case Text(test, strings):
            return _TEXT_TESTS[test](bare[t], tuple(s.casefold() for s in strings))
        case After(inner):
            return t > 0 and _holds(inner, bare, t - 1)
        case Not(inner):
            return not _holds(inner, bare, t)
        case Combined(operator, parts):
            return (any if operator == "or" else all)(_holds(part, bare, t) for part in parts)


def _bracketed(program: Program) -> str:
    text = write_program(program)
    return f"({text})" if isinstance(program, Combined) else text


class _Reader:
    """Recursive descent over the tokens of a program."""

    def __init__(self, text: str) -> None:
        self._text, self._tokens, position = text, list[str](), 0
        stripped = text.rstrip()
        while position < len(stripped):
            match = _TOKEN.match(stripped, position)
            if not match:
                raise ParseError(f"program {text!r}: cannot read {stripped[position : position + 12]!r}")
            self._tokens.append(match[0].strip())
            position = match.end()

    @property
    def peek(self) -> str | None:
        return self._tokens[0] if self._tokens else None

    def combined(self, operator: str) -> Program:
        """A program at the precedence of `operator`."""
        part: Callable[[], Program] = (lambda: self.combined("and")) if operator == "or" else self._factor
        parts = [part()]
        while self.peek == operator:
            self._take()
            parts.append(part())
        return parts[0] if len(parts) == 1 else Combined(operator, tuple(parts))

    def _factor(self) -> Program:
        token = self._take()
        if token == "not":
            return Not(self._factor())
        if token == "(":
            inner = self.combined("or")
            self._expect(")")
            return inner
        if token in SHAPES:
            return Shape(token)
        if token == "after":
            self._expect("(")
            inner = self.combined("or")
            self._expect(")")
            return After(inner)
        if token in _TEXT_TESTS:
            return Text(token, self._strings())
        raise ParseError(f"program {self._text!r}: unknown test {token!r}")

    def _strings(self) -> tuple[str, ...]:
        self._expect("(")
        strings: list[str] = []
        while True:
            token = self._take()
            if not token.startswith('"'):
                raise ParseError(f"program {self._text!r}: expected a string in quotes, got {token!r}")
            try:
                strings.append(json.loads(token))
            except json.JSONDecodeError as error:
                raise ParseError(f"program {self._text!r}: {token} is no JSON string: {error}") from error
            if self._take_one_of(",", ")") == ")":
                return tuple(strings)

    def _take(self) -> str:
        if not self._tokens:
            raise ParseError(f"program {self._text!r}: it ends too early")
        return self._tokens.pop(0)

    def _expect(self, wanted: str) -> None:
        self._take_one_of(wanted)

    def _take_one_of(self, *wanted: str) -> str:
        token = self._take()
        if token not in wanted:
            raise ParseError(f"program {self._text!r}: expected {' or '.join(wanted)}, got {token!r}")
        return token
