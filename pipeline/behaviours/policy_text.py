"""The written form of policies, and what they say in English.

What is written is read back as the same policy; any text is a policy or a ParseError that says what was
expected and where. The grammar stands in `policies`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from scrutable.pipeline.behaviours.policies import (
    Before,
    Begins,
    Branch,
    Condition,
    Finishes,
    Joined,
    Longer,
    Mentions,
    No,
    Policy,
    Sum,
)
from scrutable.pipeline.program_english import say_test
from scrutable.pipeline.program_text import Reader, write_test
from scrutable.pipeline.programs import Class, Shape, Test, Text

_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[A-Za-z_][A-Za-z_-]*|[0-9]+|[(),:;-])')
_CUES = ("mentions", "begins", "finishes", "times", "longer", "before", "sum")
_WORD = re.compile(r"[A-Za-z_]+")


def write_policy(policy: Policy) -> str:
    """The text that `read_policy` reads back as the same policy."""
    return "; ".join(
        f"{_name(branch.outcome)} otherwise"
        if branch.condition is None
        else f"{_name(branch.outcome)} if {write_condition(branch.condition)}"
        for branch in policy.branches
    )


def write_condition(condition: Condition) -> str:
    """The text of a condition as it stands in a policy."""
    match condition:
        case Mentions(test, 1):
            return f"mentions({write_test(test)})"
        case Mentions(test, times):
            return f"times({times}, {write_test(test)})"
        case Begins(test):
            return f"begins({write_test(test)})"
        case Finishes(test):
            return f"finishes({write_test(test)})"
        case Longer(words):
            return f"longer({words})"
        case Before(first, second):
            return f"before({write_test(first)}, {write_test(second)})"
        case Sum(threshold, terms):
            listed = ", ".join(f"{weight}: {write_condition(inner)}" for weight, inner in terms)
            return f"sum({threshold}, {listed})"
        case No(inner):
            return f"not {_bracketed(inner)}"
        case Joined(operator, parts):
            return f" {operator} ".join(_bracketed(part) for part in parts)


def read_policy(text: str) -> Policy:
    """The policy that a text writes. Raises ParseError with what was expected and where."""
    reader = _PolicyReader(text)
    return reader.whole(reader.policy)


def say_policy(policy: Policy) -> str:
    """Plain English of a policy: what a true explanation of a planted behaviour says."""
    *rules, last = policy.branches
    said = [f'"{rule.outcome}" if {say_condition(rule.condition)}' for rule in rules if rule.condition]
    return f"The answer is {'; otherwise it is '.join([*said, _quoted(last.outcome)])}."


def say_condition(condition: Condition) -> str:
    """Plain English of a condition."""
    match condition:
        case Mentions() | Begins() | Finishes() | Longer():
            return _clause(condition, is_denied=False)
        case Before(first, second):
            return f"{_thing(first)} comes before {_thing(second)}"
        case Sum(threshold, terms):
            listed = ", ".join(f"{weight:+d} if {say_condition(inner)}" for weight, inner in terms)
            return f"these points add up to {threshold} or more: {listed}"
        case No(inner):
            is_simple = isinstance(inner, Mentions | Begins | Finishes | Longer)
            return _clause(inner, is_denied=True) if is_simple else f"it is not true that {_said(inner)}"
        case Joined(operator, parts):
            return f" {operator} ".join(_said(part) for part in parts)


def _clause(condition: Condition, *, is_denied: bool) -> str:
    """What the text does, or does not."""
    verb = {
        "contain": "does not contain" if is_denied else "contains",
        "begin": "does not begin" if is_denied else "begins",
        "end": "does not end" if is_denied else "ends",
        "have": "does not have" if is_denied else "has",
    }
    match condition:
        case Mentions(test, 1):
            return f"the text {verb['contain']} {_thing(test)}"
        case Mentions(test, times):
            return f"the text {verb['contain']} {_thing(test)} at least {times} times"
        case Begins(test):
            return f"the text {verb['begin']} with {_thing(test)}"
        case Finishes(test):
            return f"the text {verb['end']} with {_thing(test)}"
        case Longer(words):
            return f"the text {verb['have']} more than {words} words"
        case _:
            raise AssertionError(condition)


def _thing(test: Test) -> str:
    """What a token is that passes a test, as one would say it of a text."""
    match test:
        case Class(name):
            return f"{'an' if name[0] in 'aeiou' else 'a'} {name} word"
        case Shape("digit"):
            return "a number in digits"
        case Text("word", (mark,)) if not any(c.isalnum() for c in mark):
            return f'"{mark}"'
        case _:
            return say_test(test)


def _bracketed(condition: Condition) -> str:
    text = write_condition(condition)
    return f"({text})" if isinstance(condition, Joined) else text


def _said(condition: Condition) -> str:
    text = say_condition(condition)
    return f"({text})" if isinstance(condition, Joined | Sum) else text


def _quoted(outcome: str) -> str:
    return f'"{outcome}"'


def _name(outcome: str) -> str:
    return outcome if _WORD.fullmatch(outcome) else json.dumps(outcome, ensure_ascii=False)


class _PolicyReader(Reader):
    """Recursive descent; token tests inside conditions are read as in programs."""

    token = _TOKEN

    def policy(self) -> Policy:
        """Rules with semicolons between them."""
        branches = [self._branch()]
        while self.peek == ";":
            self.skip()
            branches.append(self._branch())
        return self.built(lambda: Policy(tuple(branches)))

    def _branch(self) -> Branch:
        outcome = self._outcome()
        if self.take("if or otherwise", among=("if", "otherwise")) == "otherwise":
            return Branch(outcome, None)
        return Branch(outcome, self._condition("or"))

    def _outcome(self) -> str:
        token = self.peek
        if token is None or not (token.startswith('"') or _WORD.fullmatch(token)):
            raise self.error(f"expected an outcome, got {token!r}")
        if token.startswith('"'):
            return self.string()
        self.skip()
        return token

    def _condition(self, operator: str) -> Condition:
        part: Callable[[], Condition] = (
            (lambda: self._condition("and")) if operator == "or" else lambda: self.nested(self._one)
        )
        parts = [part()]
        while self.peek == operator:
            self.skip()
            parts.append(part())
        return parts[0] if len(parts) == 1 else Joined(operator, tuple(parts))

    def _one(self) -> Condition:
        match self.take("a condition", among=("not", "(", *_CUES)):
            case "not":
                return No(self.nested(self._one))
            case "mentions":
                return Mentions(self.only(self._test))
            case "begins":
                return Begins(self.only(self._test))
            case "finishes":
                return Finishes(self.only(self._test))
            case "longer":
                return self.built(lambda: Longer(self.only(self.number)))
            case "times":
                return self.only(self._times)
            case "before":
                return self.only(self._before)
            case "sum":
                return self.only(self._sum)
            case _:
                inner = self._condition("or")
                self.take(")")
                return inner

    def _test(self) -> Test:
        return self.combined("or")

    def _times(self) -> Condition:
        times = self.number()
        self.take(",")
        return self.built(lambda: Mentions(self._test(), times))

    def _before(self) -> Condition:
        first = self._test()
        self.take(",")
        return Before(first, self._test())

    def _sum(self) -> Condition:
        threshold = self._signed()
        terms = []
        while self.peek == ",":
            self.skip()
            weight = self._signed()
            self.take(":")
            terms.append((weight, self._condition("or")))
        return self.built(lambda: Sum(threshold, tuple(terms)))

    def _signed(self) -> int:
        if self.peek == "-":
            self.skip()
            return -self.number()
        return self.number()
