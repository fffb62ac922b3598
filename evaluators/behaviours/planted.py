"""Planted policies: behaviours whose rule is known, on inputs that all of them share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from scrutable.pipeline.behaviours.definition import Definition
from scrutable.pipeline.behaviours.library import read_definition
from scrutable.pipeline.behaviours.policies import outcome_of
from scrutable.pipeline.behaviours.policy_text import read_policy, say_policy
from scrutable.pipeline.behaviours.records import Input
from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.records import Explanation, Language

TRUTH = "truth"
_RELATED = (0.25, 0.75)  # share of inputs on which two rules may agree if one is to be a null of the other


def planted_policies(path: str = "") -> list[Definition]:
    """The policies of a file, or those that come with the package. Raises ConfigError for a bad file."""
    source = path or "policies.yaml"
    file = Path(path) if path else resources.files("scrutable.evaluators.behaviours") / "policies.yaml"
    try:
        data: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
        common = {
            "about": data["about"],
            "inputs": data["inputs"],
            "readout": {"kind": "choice", "labels": data["outcomes"]},
        }
        names = ("name", "kind", "rule")
        rows = [[str(row[name]) for name in names] for row in data["policies"]]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        why = f"{type(error).__name__}: {error}"
        raise ConfigError(f"{source}: no file of planted policies ({' '.join(why.split())})") from error
    return [
        read_definition(
            yaml.safe_dump({"name": name, "kind": kind, "policy": rule, **common}, sort_keys=False),
            source=f"{source}: {name}",
        )
        for name, kind, rule in rows
    ]


def true_explanation(definition: Definition, language: Language) -> Explanation:
    """The rule itself, as a policy, or in English."""
    text = definition.policy if language == "policy" else say_policy(read_policy(definition.policy))
    return Explanation(definition.name, TRUTH, language, text)


def unrelated(
    definitions: Sequence[Definition], inputs: Sequence[Input], *, count: int
) -> Mapping[str, tuple[str, ...]]:
    """Policy → others whose rules are no nearly the same, and no nearly the opposite, on these inputs.

    They serve as its null. Those that agree on about half of the inputs come first.
    """
    rules = {one.name: read_policy(one.policy) for one in definitions}
    done = {name: [outcome_of(rule, one.text) for one in inputs] for name, rule in rules.items()}
    found = {}
    for name, own in done.items():
        agreement = {
            other: sum(a == b for a, b in zip(own, theirs, strict=True)) / len(own)
            for other, theirs in done.items()
            if other != name
        }
        low, high = _RELATED
        fair = [other for other, share in agreement.items() if low <= share <= high]
        found[name] = tuple(sorted(fair, key=lambda other: (abs(agreement[other] - 0.5), other))[:count])
    return found
