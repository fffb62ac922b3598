"""Definitions of behaviours: what is accepted, and what is refused before anything runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from scrutable.pipeline.behaviours.definition import REFUSALS, Definition, FileInputs, slots_in
from scrutable.pipeline.behaviours.library import read_definition
from scrutable.pipeline.errors import ConfigError

CHOICE = {"kind": "choice", "labels": ["good", "bad"]}
TEMPLATED = {"templates": ["The {thing} was {quality}."], "slots": {"thing": ["film"], "quality": ["great"]}}


def defined(**changes: Any) -> Definition:
    """A sound definition with some of its keys changed."""
    sound = {"name": "toy", "about": "Is it good?", "readout": CHOICE, "inputs": TEMPLATED}
    return Definition.model_validate({**sound, **changes})


def refused(**changes: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        defined(**changes)
    return str(caught.value)


def with_inputs(**changes: Any) -> Mapping[str, Any]:
    return {**TEMPLATED, **changes}


def test_a_list_of_labels_names_its_outcomes() -> None:
    assert defined().outcomes == ("good", "bad")
    assert defined().labels == {"good": "good", "bad": "bad"}


def test_outcomes_keep_the_order_of_the_definition() -> None:
    readout = {"kind": "logit_difference", "labels": {"z": " Z", "a": " A"}}
    assert defined(readout=readout).outcomes == ("z", "a")


@pytest.mark.parametrize(
    ("readout", "outcomes"),
    [
        ({"kind": "next_token", "words": ["I"]}, ("yes", "no")),
        ({"kind": "next_token", "words": ["I"], "names": ["self", "other"]}, ("self", "other")),
        ({"kind": "refusal"}, ("refuses", "answers")),
        ({"kind": "text", "parse": {"list": r"^\d", "line": "."}}, ("list", "line")),
        ({"kind": "text", "parse": {"list": r"^\d"}, "otherwise": "line"}, ("list", "line")),
        ({"kind": "text", "parse": {"list": r"^\d", "line": "."}, "otherwise": "line"}, ("list", "line")),
    ],
)
def test_every_readout_knows_its_outcomes(readout: dict[str, Any], outcomes: tuple[str, ...]) -> None:
    assert defined(readout=readout).outcomes == outcomes


@pytest.mark.parametrize("kind", ["choice", "logit_difference"])
def test_one_label_is_refused(kind: str) -> None:
    assert re.search("labels needs (at least )?two", refused(readout={"kind": kind, "labels": ["good"]}))


def test_a_logit_difference_has_no_third_label() -> None:
    three = {"kind": "logit_difference", "labels": ["a", "b", "c"]}
    assert "labels needs two, got 3" in refused(readout=three)


def test_a_text_with_one_outcome_is_refused() -> None:
    assert "two outcomes" in refused(readout={"kind": "text", "parse": {"list": "^1"}})


def test_yes_without_quotes_is_not_silently_called_true() -> None:
    text = "name: toy\nabout: Is it?\nreadout: {kind: choice, labels: [yes, no]}\ninputs: {templates: [It]}"
    with pytest.raises(ConfigError, match="write them in quotes"):
        read_definition(text, source="toy.yaml")
    assert read_definition(text.replace("[yes, no]", "['yes', 'no']"), source="toy.yaml").outcomes == (
        "yes",
        "no",
    )


def test_numbers_are_labels_as_they_are_written() -> None:
    assert defined(readout={"kind": "choice", "labels": [1, 2]}).labels == {"1": "1", "2": "2"}


@pytest.mark.parametrize(
    "readout",
    [
        {"kind": "text", "parse": {"list": "(", "line": "."}},
        {"kind": "refusal", "phrases": ["[a-"]},
    ],
)
def test_what_is_no_regular_expression_is_refused_before_anything_runs(readout: dict[str, Any]) -> None:
    assert "is no regular expression" in refused(readout=readout)


@pytest.mark.parametrize("text", ["I'm sorry, but no.", "I can't do that", "As an AI, I", "i APOLOGISE"])
def test_the_usual_words_of_a_refusal_are_known(text: str) -> None:
    assert any(re.search(phrase, text, re.IGNORECASE) for phrase in REFUSALS)


@pytest.mark.parametrize("text", ["Sure, I can help.", "The candy is sorry-looking.", "I cannon"])
def test_other_words_are_no_refusal(text: str) -> None:
    assert not any(re.search(phrase, text, re.IGNORECASE) for phrase in REFUSALS)


def test_an_unknown_slot_is_named_with_those_that_there_are() -> None:
    problem = refused(inputs=with_inputs(templates=["The {thnig} was {quality}."]))
    assert "no slot thnig (there are quality, thing)" in problem


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": "{input} {where}"},
        {"readout": {"kind": "choice", "labels": {"one": "{where}", "two": "{thing}"}}},
        {"readout": {"kind": "logit_difference", "labels": {"one": "{where}", "two": "{thing}"}}},
    ],
)
def test_a_slot_of_the_prompt_or_of_a_label_must_be_one_of_the_inputs(changes: dict[str, Any]) -> None:
    assert "no slot where" in refused(**changes)


def test_slots_of_rows_can_be_used_everywhere() -> None:
    inputs = {"templates": ["{name} sings."], "rows": [{"name": "Ada", "year": 1843}], "source": "row"}
    readout = {"kind": "choice", "labels": {"one": "{name}", "two": "{year}"}}
    one = defined(inputs=inputs, readout=readout, prompt="{year}: {input}")
    assert one.slots_used == {"name", "year"}


def test_rows_have_the_same_slots_each() -> None:
    rows = [{"name": "Ada"}, {"name": "Ben", "year": "1850"}]
    assert "rows need the same slots each" in refused(inputs={"templates": ["{name}"], "rows": rows})


@pytest.mark.parametrize("source", ["row", "place"])
def test_a_source_that_inputs_do_not_have_is_refused(source: str) -> None:
    assert f"source '{source}'" in refused(inputs=with_inputs(source=source))


@pytest.mark.parametrize("template", ["The {thing", "The thing} was", "The {{thing} was"])
def test_braces_that_do_not_match_are_shown(template: str) -> None:
    problem = refused(inputs=with_inputs(templates=[template]))
    assert template in problem
    assert "for a brace" in problem


def test_a_brace_is_written_twice() -> None:
    assert slots_in("{{thing}} of {place}") == ["place"]


@pytest.mark.parametrize(
    "template",
    ["{a.__class__}", "{a[0]}", "{a!r}", "{a:>9999999}", "{}", "{0}", "{a b}"],
)
def test_nothing_but_a_name_stands_in_braces(template: str) -> None:
    with pytest.raises(ValueError, match="only the name of a slot"):
        slots_in(template)


@pytest.mark.parametrize("inputs", [{"file": "texts.jsonl"}, TEMPLATED])
def test_attributes_are_out_of_reach_of_prompts_and_labels(inputs: dict[str, Any]) -> None:
    assert "only the name" in refused(inputs=inputs, prompt="{input} {input.__class__}")
    labels = {"one": "{thing.__class__}", "two": "b"}
    assert "only the name" in refused(inputs=inputs, readout={"kind": "choice", "labels": labels})


def test_a_prompt_shows_the_input() -> None:
    assert "prompt does not show the input" in refused(prompt="What is {thing}?")


def test_no_slot_can_hide_the_input() -> None:
    assert "no slot can be named input" in refused(
        inputs={"templates": ["{input}"], "slots": {"input": ["a"]}}
    )


@pytest.mark.parametrize(
    "slots", [{"thing": [], "quality": ["great"]}, {"thing": {"least": 9, "most": 1}, "quality": ["great"]}]
)
def test_a_slot_that_nothing_fills_is_refused(slots: dict[str, Any]) -> None:
    assert "slots" in refused(inputs=with_inputs(slots=slots))


@pytest.mark.parametrize("key", ["prompts", "label"])
def test_an_unknown_key_is_refused(key: str) -> None:
    assert key in refused(**{key: "x"})


def test_what_is_wrong_with_templates_is_not_blamed_on_files() -> None:
    problem = refused(inputs=with_inputs(templates=["{nothing}"]))
    assert "no slot nothing" in problem
    assert "file" not in problem


def test_inputs_with_a_file_are_read() -> None:
    assert isinstance(defined(inputs={"file": "texts.jsonl"}).inputs, FileInputs)


@pytest.mark.parametrize("name", ["", "a b", "../up", "dot.ted"])
def test_a_name_can_stand_in_a_file_name(name: str) -> None:
    assert "name" in refused(name=name)
