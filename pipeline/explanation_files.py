"""Explanations that anyone may have written: JSON lines in and out. Format: docs/records.md."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.records import Explanation, Failure, Language

_STAGE = "explanations"
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
        if isinstance(value, _Problem):
            detail = f"{where}: {value.detail}; this explanation is left out"
            problems.append(Failure(value.unit, _STAGE, value.kind, detail, value.explainer))
            continue
        unit, explainer, text = value["unit"], value["explainer"], value["explanation"]
        first = seen.setdefault((unit, explainer, text), where)
        if first != where:
            detail = f"{where}: the same explanation of unit {unit} stands at {first}; it is used once"
            problems.append(Failure(unit, _STAGE, "duplicate_explanation", detail, explainer))
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


class _Problem(NamedTuple):
    """Why a line cannot be used, and of what: empty where the line does not say."""

    kind: str
    detail: str
    unit: str = ""
    explainer: str = ""


def _read(line: str, known: Collection[str]) -> dict[str, Any] | _Problem:
    """The fields of a line with their defaults."""
    try:
        value = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        return _Problem("bad_json", str(error))
    if not isinstance(value, dict) or "unit" not in value or "explanation" not in value:
        return _Problem("missing_key", "expected an object with unit and explanation")
    fields = {"explainer": "imported", "language": "english", "model": ""} | value
    unit, explainer = re.sub(r"[^A-Za-z0-9._-]", "_", str(value["unit"])), str(fields["explainer"])
    if not _NAME.match(explainer):
        return _Problem("bad_name", f"explainer {explainer!r}: only letters, digits, - and _", unit)
    if unit not in known:
        unit = unit.removesuffix(".pos")  # a NeuronRecord knows no sign
    if unit not in known:
        return _Problem("unknown_unit", f"no usable records of unit {value['unit']!r}", unit, explainer)
    text, languages = value["explanation"], get_args(Language)
    if not isinstance(text, str) or not text.strip():
        return _Problem("empty_explanation", f"the explanation of unit {unit} is empty", unit, explainer)
    if any("\ud800" <= c <= "\udfff" for c in f"{text}{fields['model']}"):
        return _Problem("bad_text", f"the explanation of unit {unit} is no valid Unicode", unit, explainer)
    if fields["language"] not in languages:
        detail = f"no language {fields['language']!r} (allowed: {', '.join(languages)})"
        return _Problem("bad_language", detail, unit, explainer)
    return fields | {"unit": unit, "explainer": explainer, "model": str(fields["model"])}
