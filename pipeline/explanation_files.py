"""Explanations that anyone may have written: JSON lines in and out. Format: docs/records.md."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, get_args

from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.records import Explanation, Failure, Language

_NAME = re.compile(r"^[A-Za-z0-9_-]+$")


def read_explanations(
    path: Path, known: Collection[str]
) -> tuple[tuple[Explanation, ...], tuple[Failure, ...]]:
    """The explanations of known units, and what could not be used.

    Several lines of one unit and explainer are its candidates, in order.

    Raises:
        ConfigError: there is no such file, or nothing in it can be used.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # not at every break that Unicode knows
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: no readable file of explanations ({error})") from error
    found: list[Explanation] = []
    problems: list[Failure] = []
    seen: dict[tuple[str, str, str], str] = {}
    count: Counter[tuple[str, str]] = Counter()
    for number, line in enumerate(lines, 1):
        where = f"{path}:{number}"
        if not line.strip():
            continue
        value = _read(line, known)
        if isinstance(value, str):
            kind, _, detail = value.partition(": ")
            problems.append(Failure("", "records", kind, f"{where}: {detail}; this explanation is left out"))
            continue
        unit, explainer, text = value["unit"], value["explainer"], value["explanation"]
        first = seen.setdefault((unit, explainer, text), where)
        if first != where:
            detail = f"{where}: the same explanation of unit {unit} stands at {first}; it is used once"
            problems.append(Failure(unit, "records", "duplicate_explanation", detail))
            continue
        count[unit, explainer] += 1
        found.append(
            Explanation(
                unit=unit,
                explainer=explainer,
                language=value["language"],
                text=text,
                model=value["model"],
                candidate=count[unit, explainer],
            )
        )
    if not found:
        first = f"; first: {problems[0].detail}" if problems else ""
        raise ConfigError(f"{path}: no explanation can be used ({len(problems)} problems{first})")
    return tuple(found), tuple(problems)


def write_explanations(path: Path, explanations: Sequence[Explanation]) -> None:
    """JSON lines that `read_explanations` reads back."""
    with path.open("w", encoding="utf-8") as file:
        for explanation in explanations:
            row = {
                "unit": explanation.unit,
                "explanation": explanation.text,
                "explainer": explanation.explainer,
                "language": explanation.language,
                "model": explanation.model,
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _read(line: str, known: Collection[str]) -> dict[str, Any] | str:
    """The fields of a line with their defaults, or "kind: what is wrong"."""
    try:
        value = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        return f"bad_json: {error}"
    if not isinstance(value, dict) or "unit" not in value or "explanation" not in value:
        return "missing_key: expected an object with unit and explanation"
    fields = {"explainer": "imported", "language": "english", "model": ""} | value
    unit = re.sub(r"[^A-Za-z0-9._-]", "_", str(value["unit"]))
    if unit not in known:
        unit = unit.removesuffix(".pos")  # a NeuronRecord knows no sign
    if unit not in known:
        return f"unknown_unit: no records of unit {value['unit']!r}"
    if not isinstance(value["explanation"], str) or not value["explanation"].strip():
        return f"empty_explanation: the explanation of unit {unit} is empty"
    if any("\ud800" <= c <= "\udfff" for c in f"{value['explanation']}{fields['model']}"):
        return f"bad_text: the explanation of unit {unit} is no valid Unicode"
    if not _NAME.match(str(fields["explainer"])):
        return f"bad_name: explainer {fields['explainer']!r}: only letters, digits, - and _"
    if fields["language"] not in get_args(Language):
        return f"bad_language: no language {fields['language']!r} (allowed: {', '.join(get_args(Language))})"
    return fields | {"unit": unit, "explainer": str(fields["explainer"]), "model": str(fields["model"])}
