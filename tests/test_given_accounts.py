"""Explanations of behaviours that someone else wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scrutable.pipeline.behaviours.config import GivenAccount as GivenConfig
from scrutable.pipeline.behaviours.explainers.given import GivenAccount
from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.records import Explanation, Failure
from tests.toy_behaviours import shown


def given(folder: Path, *lines: dict[str, str], **options: Any) -> Explanation | Failure:
    path = folder / "theirs.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    config = GivenConfig(file=str(path), **options)
    (answer,) = GivenAccount("theirs", config, None).explain([shown()])  # type: ignore[arg-type]
    return answer


POLITE = {"unit": "desk", "explanation": "polite requests are granted", "explainer": "ann"}


def test_the_explanation_of_the_file_is_used_under_the_name_of_the_config(tmp_path: Path) -> None:
    answer = given(tmp_path, POLITE)
    assert isinstance(answer, Explanation)
    assert (answer.id, answer.text, answer.language) == (
        "desk/theirs",
        "polite requests are granted",
        "english",
    )


def test_one_author_of_several_may_be_chosen(tmp_path: Path) -> None:
    answer = given(tmp_path, POLITE, POLITE | {"explainer": "bob", "explanation": "no"}, explainer="bob")
    assert isinstance(answer, Explanation)
    assert answer.text == "no"


def test_a_behaviour_that_the_file_does_not_explain_is_a_failure(tmp_path: Path) -> None:
    other = {"unit": "desk", "explanation": "grant if mentions(digit); deny otherwise", "language": "policy"}
    answer = given(tmp_path, other)
    assert isinstance(answer, Failure)
    assert (answer.kind, "english" in answer.detail) == ("not_given", True)
    assert isinstance(given(tmp_path, other, language="policy"), Explanation)


def test_a_file_without_anything_usable_says_why_and_a_missing_one_is_an_error(tmp_path: Path) -> None:
    answer = given(tmp_path, {"unit": "desk", "explanation": " "})
    assert isinstance(answer, Failure)
    assert "the explanation of unit desk is empty" in answer.detail
    missing = GivenAccount("theirs", GivenConfig(file=str(tmp_path / "none")), None)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"explainers\.theirs\.file: there is no file"):
        missing.explain([shown()])
