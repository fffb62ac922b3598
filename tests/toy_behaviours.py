"""Small behaviours with known rules, and what is said of them: no model anywhere."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from scrutable.evaluators.behaviours.evidence import Evidence, Key
from scrutable.pipeline.behaviours.definition import Definition
from scrutable.pipeline.behaviours.protocols import Pair, Shown
from scrutable.pipeline.behaviours.readouts import certain
from scrutable.pipeline.behaviours.records import Condition, Input, Observation, Prediction
from scrutable.pipeline.records import Explanation, Language, Split

OUTCOMES = ("grant", "deny")
RULE = 'grant if mentions(word("please")); deny otherwise'


def definition(name: str = "desk", **changes: Any) -> Definition:
    """A help desk that grants what is asked for politely."""
    data: dict[str, Any] = {
        "name": name,
        "about": "Is the request granted or denied?",
        "readout": {"kind": "choice", "labels": list(OUTCOMES)},
        "inputs": {
            "templates": ["{who} {how} ask for {what}.", "Give {what} to {who}, {how}."],
            "slots": {
                "who": ["I", "my aunt", "our team", "the twins", "old Ben", "a guest", "Mrs Lowe", "we"],
                "how": ["please", "now", "again", "at once"],
                "what": ["a lamp", "two tickets", "tea", "the key", "more time"],
            },
            "source": "who",
            "count": 120,
        },
        "policy": RULE,
    }
    return Definition.model_validate(data | changes)


def inputs(n: int = 90, *, behaviour: str = "desk") -> tuple[Input, ...]:
    """Half of the explain split, a quarter each of the others; six sources in each split."""
    splits: tuple[Split, ...] = ("explain", "explain", "calibrate", "test")
    found = []
    for number in range(n):
        split = splits[number % 4]
        text = f"text {number} {'please' if number % 3 == 0 else 'now'}"
        found.append(Input(f"{behaviour}.{number}", behaviour, f"{split} {number % 24 // 4}", split, text))
    return tuple(found)


def observed(
    given: Sequence[Input], outcome: Callable[[Input], str], *, model: str = "subject"
) -> dict[str, Observation]:
    """What a model that follows a rule does."""
    return {
        one.id: Observation(
            one.behaviour, one.id, model, outcome(one), certain(OUTCOMES, outcome(one)), 0.0, 1.0
        )
        for one in given
    }


def polite(one: Input) -> str:
    """The rule of the toy subject."""
    return "grant" if "please" in one.text else "deny"


def predicted(
    given: Sequence[Input],
    outcome: Callable[[Input], str],
    *,
    condition: Condition = "explained",
    explanation: str = "",
    simulator: str = "reader",
    draw: int = 1,
) -> dict[Key, dict[str, Prediction]]:
    """Predictions of a simulator that expects a rule."""
    key = Key(simulator, condition, explanation, draw)
    return {
        key: {
            one.id: Prediction(
                one.behaviour,
                one.id,
                simulator,
                condition,
                explanation,
                certain(OUTCOMES, outcome(one)),
                0.9,
                draw,
            )
            for one in given
            if one.split != "explain"
        }
    }


def coin(seed: int) -> Callable[[Input], str]:
    """Says one of the outcomes at random, the same each time for one input."""
    return lambda one: random.Random(f"{seed}/{one.id}").choice(OUTCOMES)


def evidence(
    *predictions: dict[Key, dict[str, Prediction]],
    given: Sequence[Input] = (),
    others: dict[str, dict[str, Observation]] | None = None,
) -> Evidence:
    """The polite subject, and what was predicted of it."""
    given = tuple(given) or inputs()
    merged = {key: rows for one in predictions for key, rows in one.items()}
    return Evidence(
        "desk", OUTCOMES, tuple(given), {"subject": observed(given, polite), **(others or {})}, merged
    )


def explanation(
    text: str = "polite requests", *, unit: str = "desk", by: str = "llm", language: Language = "english"
) -> Explanation:
    """What someone says of a behaviour."""
    return Explanation(unit, by, language, text)


def shown(given: Sequence[Input] = (), *, rule: Callable[[Input], str] = polite) -> Shown:
    """What an explainer sees of the polite subject."""
    given = [one for one in (given or inputs()) if one.split == "explain"]
    seen = observed(given, rule)
    return Shown(definition(), tuple(Pair(one, seen[one.id]) for one in given))
