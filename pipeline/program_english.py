"""A program said in English: for a reader who shall check what a compiled explanation claims."""

from __future__ import annotations

import json
from collections.abc import Sequence

from scrutable.pipeline.programs import (
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

_SHAPES = {
    "digit": "a token of digits",
    "capitalized": "a capitalised token",
    "upper": "a token in capitals",
    "lower": "a token in lower case",
    "punctuation": "punctuation",
    "space": "white space",
}
_TEXTS = {"starts": "starts with", "ends": "ends in", "contains": "contains"}


def say_program(program: Program) -> str:
    """Plain English of a program, one rule a sentence part; brackets where "and" and "or" meet."""
    first, *others = program.rules
    if not others and first.level == TOP_LEVEL:
        return say_test(first.test)
    return "; otherwise ".join(_rule(rule) for rule in program.rules)


def say_test(test: Test) -> str:
    """Plain English of a test, as a description of the tokens of which it holds."""
    match test:
        case Shape(name):
            return _SHAPES[name]
        case Text("word", strings):
            return f"the word {_listed(strings)}"
        case Text(kind, strings):
            return f"a token that {_TEXTS[kind]} {_listed(strings)}"
        case Class(name):
            return f"a word of the class {name}"
        case Matches(pattern):
            return f"a token that matches /{pattern}/"
        case After(inner):
            return f"a token right after {_bracketed(inner)}"
        case Within(k, inner):
            return f"a token at most {k} after {_bracketed(inner)}"
        case First(k):
            return f"one of the first {k} tokens"
        case Not(inner):
            return f"anything but {_bracketed(inner)}"
        case Combined("and", (first, *others)):
            return " that is also ".join(_bracketed(part) for part in (first, *others))
        case Combined(_, parts):
            return ", or ".join(_bracketed(part) for part in parts)


def _rule(rule: Rule) -> str:
    return f"level {rule.level} of {TOP_LEVEL} on {_bracketed(rule.test)}"


def _bracketed(test: Test) -> str:
    text = say_test(test)
    return f"({text})" if isinstance(test, Combined) else text


def _listed(strings: Sequence[str]) -> str:
    quoted = [json.dumps(string, ensure_ascii=False) for string in strings]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
