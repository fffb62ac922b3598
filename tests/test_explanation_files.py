"""Explanations that anyone wrote: usable ones, and a line for each that is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.explanation_files import read_explanations, write_explanations
from scrutable.pipeline.records import Explanation, Failure

KNOWN = ("u", "v")


def read(tmp_path: Path, *lines: Any) -> tuple[tuple[Explanation, ...], tuple[Failure, ...]]:
    path = tmp_path / "e.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return read_explanations(path, KNOWN)


def test_a_line_needs_a_unit_and_a_text_and_gets_the_rest_by_default(tmp_path: Path) -> None:
    found, problems = read(tmp_path, {"unit": "u", "explanation": "colors"})
    assert found == (Explanation("u", "imported", "english", "colors"),)
    assert problems == ()


def test_several_lines_of_a_unit_and_explainer_are_its_candidates_in_order(tmp_path: Path) -> None:
    found, _ = read(
        tmp_path,
        {"unit": "u", "explanation": "one", "explainer": "gpt"},
        {"unit": "v", "explanation": "one", "explainer": "gpt"},
        {"unit": "u", "explanation": "two", "explainer": "gpt"},
        {"unit": "u", "explanation": "digit", "explainer": "rules", "language": "program"},
    )
    assert [e.id for e in found] == ["u/gpt", "v/gpt", "u/gpt.2", "u/rules"]


@pytest.mark.parametrize(
    ("line", "kind", "says"),
    [
        ({"unit": "w", "explanation": "x"}, "unknown_unit", "no usable records of unit 'w'"),
        ({"unit": "u", "explanation": " \n"}, "empty_explanation", "the explanation of unit u is empty"),
        ({"unit": "u", "explanation": 3}, "empty_explanation", "is empty"),
        ({"unit": "u"}, "missing_key", "expected an object with unit and explanation"),
        ("{", "bad_json", "Expecting"),
        ("[" * 100_000, "bad_json", "recursion"),
        ({"unit": "u", "explanation": "\ud800"}, "bad_text", "no valid Unicode"),
        ({"unit": "u", "explanation": "x", "explainer": "a.b"}, "bad_name", "only letters, digits, - and _"),
        ({"unit": "u", "explanation": "x", "language": "latin"}, "bad_language", "no language 'latin'"),
        ({"unit": "u", "explanation": "good"}, "duplicate_explanation", "stands at"),
    ],
)
def test_a_bad_line_is_named_and_the_rest_is_used(tmp_path: Path, line: Any, kind: str, says: str) -> None:
    found, problems = read(tmp_path, {"unit": "u", "explanation": "good"}, line)
    assert [e.text for e in found] == ["good"]
    (problem,) = problems
    assert (problem.stage, problem.kind) == ("explanations", kind)
    assert says in problem.detail
    assert "e.jsonl:2" in problem.detail


def test_a_number_will_do_as_a_name(tmp_path: Path) -> None:
    found, _ = read(tmp_path, {"unit": "u", "explanation": "x", "explainer": 4})
    assert [e.id for e in found] == ["u/4"]


def test_nothing_usable_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"no explanation can be used \(1 problems; first: .*unknown_unit|no usable rec"
    ):
        read(tmp_path, {"unit": "w", "explanation": "x"})
    with pytest.raises(ConfigError, match="no readable file"):
        read_explanations(tmp_path / "nowhere", KNOWN)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    written = (
        Explanation("u", "llm", "english", 'the word "é"\nand', model="m"),
        Explanation("u", "llm", "english", "second", model="m", candidate=2),
        Explanation("v", "rules", "program", "digit"),
    )
    write_explanations(tmp_path / "e.jsonl", written)
    assert read_explanations(tmp_path / "e.jsonl", KNOWN) == (written, ())
