"""The written form of programs: what is written is read back as the same program.

Reading is total: any text is a program or a ParseError that says what was expected and where. The
grammar stands in `programs`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from scrutable.pipeline.errors import ParseError
from scrutable.pipeline.programs import (
    SHAPES,
    TEXT_TESTS,
    TOP_LEVEL,
    After,
    Class,
    Combined,
    First,
    Matches,
    Not,
    Program,
    Rule,
    Shape,
    Test,
    Text,
    Within,
)

_DEEPEST = 100  # nested brackets, "not" and "after"; what nobody can read is refused
_LONGEST = 20_000  # characters
_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[A-Za-z]+|[0-9]+|[(),:;])')

T = TypeVar("T")


def write_program(program: Program) -> str:
    """The text that `read_program` reads back as the same program."""
    return "; ".join(
        write_test(rule.test) if rule.level == TOP_LEVEL else f"{rule.level}: {write_test(rule.test)}"
        for rule in program.rules
    )


def write_test(test: Test) -> str:
    """The text that `read_test` reads back as the same test."""
    match test:
        case Shape(name):
            return name
        case Text(kind, strings):
            return f"{kind}({', '.join(map(_quoted, strings))})"
        case Class(name):
            return f"class({_quoted(name)})"
        case Matches(pattern):
            return f"matches({_quoted(pattern)})"
        case After(inner):
            return f"after({write_test(inner)})"
        case Within(k, inner):
            return f"within({k}, {write_test(inner)})"
        case First(k):
            return f"first({k})"
        case Not(inner):
            return f"not {_bracketed(inner)}"
        case Combined(operator, parts):
            return f" {operator} ".join(_bracketed(part) for part in parts)


def read_program(text: str) -> Program:
    """The program that a text writes. Raises ParseError with what was expected and where."""
    reader = Reader(text)
    return reader.whole(reader.program)


def read_test(text: str) -> Test:
    """The test that a text writes. Raises ParseError as `read_program` does."""
    reader = Reader(text)
    return reader.whole(lambda: reader.combined("or"))


def _quoted(string: str) -> str:
    return json.dumps(string, ensure_ascii=False)


def _bracketed(test: Test) -> str:
    text = write_test(test)
    return f"({text})" if isinstance(test, Combined) else text


class Reader:
    """Recursive descent over the tokens of a program, and of languages that have its tests in them."""

    token = _TOKEN

    def __init__(self, text: str) -> None:
        self._text, self._next, self._depth = text, 0, 0
        self._tokens: list[str] = []
        self._starts: list[int] = []  # character offset of each token
        if len(text) > _LONGEST:
            raise ParseError(f"a program of {len(text):,} characters: at most {_LONGEST:,} are read")
        end = len(text.rstrip())
        position = 0
        while position < end:
            match = self.token.match(text, position)
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

    def whole(self, read: Callable[[], T]) -> T:
        """What `read` reads, which must be all of the text."""
        found = read()
        if self.peek is not None:
            raise self.error(f"unexpected {self.peek!r} after a complete program")
        return found

    def error(self, problem: str) -> ParseError:
        """What is wrong with the next token, and where it stands."""
        return ParseError(f"program {self._text!r}, character {self._starts[self._next]}: {problem}")

    def program(self) -> Program:
        """Rules with semicolons between them."""
        rules = [self._rule()]
        while self.peek == ";":
            self._next += 1
            rules.append(self._rule())
        return Program(tuple(rules))

    def _rule(self) -> Rule:
        if self.peek is None or not self.peek.isdigit():
            return Rule(TOP_LEVEL, self.combined("or"))
        level = self.built(lambda: Rule(self.number(), Shape("space"))).level
        self.take(":")
        return Rule(level, self.combined("or"))

    def combined(self, operator: str) -> Test:
        """A test at the precedence of `operator`."""
        part: Callable[[], Test] = (lambda: self.combined("and")) if operator == "or" else self._factor
        parts = [part()]
        while self.peek == operator:
            self._next += 1
            parts.append(part())
        return parts[0] if len(parts) == 1 else Combined(operator, tuple(parts))

    def nested(self, read: Callable[[], T]) -> T:
        """What `read` reads, one level deeper. Raises ParseError where nobody could follow."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self.error(f"nested more than {_DEEPEST} deep")
        found = read()
        self._depth -= 1
        return found

    def _factor(self) -> Test:
        return self.nested(self._one_factor)

    def _one_factor(self) -> Test:
        token = self.peek
        if token in TEXT_TESTS:
            self.skip()
            return Text(token, self._strings())
        if token in SHAPES:
            self._next += 1
            return Shape(token)
        match self.take("a test", among=("not", "(", "after", "within", "first", "class", "matches")):
            case "not":
                return Not(self._factor())
            case "after":
                self.take("(")
                return After(self._closed())
            case "within":
                return self._within()
            case "first":
                return self.built(lambda: First(self.only(self.number)))
            case "class":
                return self.built(lambda: Class(self.only(self.string)))
            case "matches":
                return self.built(lambda: Matches(self.only(self.string)))
            case _:
                return self._closed()

    def _within(self) -> Test:
        self.take("(")
        k = self.built(lambda: Within(self.number(), Shape("space"))).k
        self.take(",")
        return Within(k, self._closed())

    def _closed(self) -> Test:
        inner = self.combined("or")
        self.take(")")
        return inner

    def only(self, read: Callable[[], T]) -> T:
        """What `read` reads between brackets."""
        self.take("(")
        found = read()
        self.take(")")
        return found

    def built(self, build: Callable[[], T]) -> T:
        """What `build` makes; a value that the language does not have is a parse error at its place."""
        start = self._next
        try:
            return build()
        except ValueError as error:
            self._next = start
            raise self.error(" ".join(str(error).split())) from error

    def _strings(self) -> tuple[str, ...]:
        self.take("(")
        strings = [self.string()]
        while self.take(", or )", among=(",", ")")) == ",":
            strings.append(self.string())
        return tuple(strings)

    def string(self) -> str:
        """A string in quotes."""
        token = self.peek
        if token is None or not token.startswith('"'):
            raise self.error(f"expected a string in quotes, got {token!r}")
        try:
            string: str = json.loads(token)
        except json.JSONDecodeError as error:
            raise self.error(f"{token!r} is no JSON string: {error}") from error
        self._next += 1
        return string

    def number(self) -> int:
        """A number of at most three digits."""
        token = self.peek
        if token is None or not token.isdigit() or len(token) > 3:
            raise self.error(f"expected a number of at most 3 digits, got {token!r}")
        self._next += 1
        return int(token)

    def skip(self) -> None:
        """Leaves the next token behind."""
        self._next += 1

    def take(self, wanted: str, *, among: Sequence[str] = ()) -> str:
        """The next token, which must be `wanted`, or one of `among`, which `wanted` then describes."""
        token = self.peek
        if token is None:
            raise self.error(f"expected {wanted}, but it ends here")
        if token not in (among or (wanted,)):
            raise self.error(f"expected {wanted}, got {token!r}")
        self._next += 1
        return token
