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
from scrutable.pipeline.programs import Test

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
    said = [f'The answer is "{r.outcome}" if {say_condition(r.condition)}' for r in rules if r.condition]
    return (
        "; ".join([*said, f'otherwise it is "{last.outcome}"' if said else f'It is "{last.outcome}"']) + "."
    )


def say_condition(condition: Condition) -> str:
    """Plain English of a condition."""
    match condition:
        case Mentions(test, 1):
            return f"the text contains {say_test(test)}"
        case Mentions(test, times):
            return f"the text contains {say_test(test)} at least {times} times"
        case Begins(test):
            return f"the text begins with {say_test(test)}"
        case Finishes(test):
            return f"the text ends with {say_test(test)}"
        case Longer(words):
            return f"the text has more than {words} words"
        case Before(first, second):
            return f"{say_test(first)} comes before {say_test(second)}"
        case Sum(threshold, terms):
            listed = ", ".join(f"{weight:+d} if {say_condition(inner)}" for weight, inner in terms)
            return f"these points add up to {threshold} or more: {listed}"
        case No(inner):
            return f"it is not true that {_said(inner)}"
        case Joined(operator, parts):
            return f" {operator} ".join(_said(part) for part in parts)


def _bracketed(condition: Condition) -> str:
    text = write_condition(condition)
    return f"({text})" if isinstance(condition, Joined) else text


def _said(condition: Condition) -> str:
    text = say_condition(condition)
    return f"({text})" if isinstance(condition, Joined | Sum) else text


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
