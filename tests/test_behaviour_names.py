"""Definitions are found by name or path, and what is wrong with one is one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from scrutable.pipeline.behaviours.library import library_names, load_behaviours, read_definition
from scrutable.pipeline.errors import ConfigError
from tests.toy_behaviours import definition

TOY = yaml.safe_dump(definition().model_dump(mode="json", exclude_defaults=True), sort_keys=False)


def test_a_name_is_of_the_library_and_all_is_all_of_it() -> None:
    assert [one.definition.name for one in load_behaviours(["sentiment"])] == ["sentiment"]
    assert [one.definition.name for one in load_behaviours(["all"])] == library_names()


def test_a_path_is_a_file_of_the_user_whose_inputs_lie_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(TOY, encoding="utf-8")
    (found,) = load_behaviours([str(path)])
    assert (found.definition.name, found.folder) == ("desk", tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a list", "mine.yaml: expected a mapping"),
        ("name: [", "mine.yaml: not a readable YAML file"),
        (TOY + "\nabuot: x", "mine.yaml: abuot: unknown key"),
        (TOY + "\npolicy: grant if", "policy: program 'grant if'"),
        (TOY + "\npolicy: allow otherwise", "the behaviour has no outcome 'allow' (it has grant, deny)"),
    ],
)
def test_a_file_that_is_no_definition_is_refused_with_the_place(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_definition(text, source="mine.yaml")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no behaviour .sentimnt.*Did you mean sentiment"):
        load_behaviours(["sentimnt"])


def test_a_behaviour_is_not_studied_twice() -> None:
    with pytest.raises(ConfigError, match="sentiment is there twice"):
        load_behaviours(["sentiment", "sentiment"])
