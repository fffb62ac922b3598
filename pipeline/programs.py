"""A small deterministic language for explanations that nobody has to trust.

A program says of each token whether the unit fires on it:

    program   = term ("or" term)*
    term      = factor ("and" factor)*
    factor    = "not" factor | "(" program ")" | atom
    atom      = "digit" | "capitalized" | "upper" | "lower" | "punctuation" | "space"
              | "word(" string ("," string)* ")"     the token without white space, any case
              | "starts(" string ("," string)* ")" | "ends(" string ("," string)* ")"
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

    def __post_init__(self) -> None:
        if self.name not in SHAPES:
            raise ValueError(f"no shape {self.name!r} (known: {', '.join(SHAPES)})")


@dataclass(frozen=True, slots=True)
class Text:
    """A test of the token's letters: `test` is word, starts or ends."""

    test: str
    strings: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.test not in _TEXT_TESTS or not self.strings:
            raise ValueError(f"{self.test}{self.strings}: expected {', '.join(_TEXT_TESTS)}, with strings")


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

    def __post_init__(self) -> None:
        if self.operator not in ("and", "or") or len(self.parts) < 2:
            raise ValueError(f'expected "and" or "or" and at least two parts, got {self!r}')


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
_DEEPEST = 100  # nested brackets, "not" and "after"; what nobody can read is refused
_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[A-Za-z]+|[(),])')


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
        raise reader.error(f"unexpected {reader.peek!r} after a complete program")
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
        self._text, self._next, self._depth = text, 0, 0
        self._tokens: list[str] = []
        self._starts: list[int] = []  # character offset of each token
        end = len(text.rstrip())
        position = 0
        while position < end:
            match = _TOKEN.match(text, position)
            if not match:
                raise ParseError(
                    f"program {text!r}, character {position}: cannot read {text[position : position + 12]!r}"
                )
            self._tokens.append(match[1])
            self._starts.append(match.start(1))
            position = match.end()
        self._starts.append(end)

    @property
    def peek(self) -> str | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def error(self, problem: str) -> ParseError:
        """What is wrong with the next token, and where it stands."""
        return ParseError(f"program {self._text!r}, character {self._starts[self._next]}: {problem}")

    def combined(self, operator: str) -> Program:
        """A program at the precedence of `operator`."""
        part: Callable[[], Program] = (lambda: self.combined("and")) if operator == "or" else self._factor
        parts = [part()]
        while self.peek == operator:
            self._next += 1
            parts.append(part())
        return parts[0] if len(parts) == 1 else Combined(operator, tuple(parts))

    def _factor(self) -> Program:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self.error(f"nested more than {_DEEPEST} deep")
        factor = self._one_factor()
        self._depth -= 1
        return factor

    def _one_factor(self) -> Program:
        token = self.peek
        if token in _TEXT_TESTS:
            self._next += 1
            return Text(token, self._strings())
        if token in SHAPES:
            self._next += 1
            return Shape(token)
        match self._take("a test", among=("not", "(", "after")):
            case "not":
                return Not(self._factor())
            case "after":
                self._take("(")
                return After(self._closed())
            case _:
                return self._closed()

    def _closed(self) -> Program:
        inner = self.combined("or")
        self._take(")")
        return inner

    def _strings(self) -> tuple[str, ...]:
        self._take("(")
        strings = [self._string()]
        while self._take(", or )", among=(",", ")")) == ",":
            strings.append(self._string())
        return tuple(strings)

    def _string(self) -> str:
        token = self.peek
        if token is None or not token.startswith('"'):
            raise self.error(f"expected a string in quotes, got {token!r}")
        try:
            string: str = json.loads(token)
        except json.JSONDecodeError as error:
            raise self.error(f"{token!r} is no JSON string: {error}") from error
        self._next += 1
        return string

    def _take(self, wanted: str, *, among: Sequence[str] = ()) -> str:
        """The next token, which must be `wanted`, or one of `among`, which `wanted` then describes."""
        token = self.peek
        if token is None:
            raise self.error(f"expected {wanted}, but it ends here")
        if token not in (among or (wanted,)):
            raise self.error(f"expected {wanted}, got {token!r}")
        self._next += 1
        return token
