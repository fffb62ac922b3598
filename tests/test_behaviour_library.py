"""The behaviours that come with the package: each can be split, read and told apart."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from scrutable.pipeline.behaviours.definition import Definition
from scrutable.pipeline.behaviours.inputs import make_inputs
from scrutable.pipeline.behaviours.library import library_names, load_behaviours, read_definition
from scrutable.pipeline.behaviours.policies import outcome_of
from scrutable.pipeline.behaviours.policy_text import read_policy
from scrutable.pipeline.behaviours.records import Input
from scrutable.pipeline.records import SPLITS

FOLDER = Path(__file__).parent.parent / "configs" / "behaviours"
NAMES = library_names()
PLANTED = [name for name in NAMES if name.startswith("planted_")]
KINDS = {
    "sentiment", "topic", "number_comparison", "option_position", "sycophancy", "copying", "induction",
    "negation", "pronoun", "answer_format", "refusal", "reversal_in_context", "reversal_known",
}  # fmt: skip


def definition_of(name: str) -> Definition:
    return load_behaviours([name])[0].definition


def inputs_of(name: str) -> tuple[Input, ...]:
    return make_inputs(definition_of(name), folder=FOLDER, seed=0)


def test_the_library_holds_what_it_promises() -> None:
    assert set(NAMES) >= KINDS
    assert len(NAMES) >= 14
    assert len(PLANTED) >= 2
    readouts = {definition_of(name).readout.kind for name in NAMES}
    assert readouts == {"choice", "logit_difference", "next_token", "refusal", "text"}


@pytest.mark.parametrize("name", NAMES)
def test_a_definition_has_the_name_of_its_file(name: str) -> None:
    text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    assert read_definition(text, source=name).name == name


@pytest.mark.parametrize("name", NAMES)
def test_there_is_enough_to_split(name: str) -> None:
    inputs = inputs_of(name)
    assert len({one.text for one in inputs}) == len(inputs) >= 150
    sources = Counter(one.source for one in inputs)
    assert len(sources) >= 16
    assert max(sources.values()) <= len(inputs) / 8, "no source is most of the behaviour"


@pytest.mark.parametrize("name", NAMES)
def test_every_split_has_many_inputs(name: str) -> None:
    counts = Counter(one.split for one in inputs_of(name))
    assert all(counts[split] >= 20 for split in SPLITS), counts


@pytest.mark.parametrize("name", NAMES)
def test_outcomes_are_plain_words_that_begin_differently(name: str) -> None:
    outcomes = definition_of(name).outcomes
    assert all(outcome.isalpha() for outcome in outcomes)
    assert len({outcome[:2].lower() for outcome in outcomes}) == len(outcomes) >= 2


@pytest.mark.parametrize("name", NAMES)
def test_inputs_are_short_and_all_slots_are_filled(name: str) -> None:
    for one in inputs_of(name):
        assert one.text == one.text.strip()
        assert len(one.text.split()) <= 50
        assert not set("{}") & set(one.text)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_simulator_is_told_names_no_slot_and_is_one_paragraph(name: str) -> None:
    about = definition_of(name).about
    assert about.endswith("?")
    assert not set("\n{}") & set(about)


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_rule_is_read_and_gives_every_outcome_often(name: str) -> None:
    definition = definition_of(name)
    policy = read_policy(definition.policy)
    counts = Counter(outcome_of(policy, one.text) for one in inputs_of(name))
    assert definition.kind
    assert set(counts) == set(definition.outcomes)
    assert min(counts.values()) >= 0.15 * sum(counts.values())


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_rule_decides_differently_within_a_source(name: str) -> None:
    policy = read_policy(definition_of(name).policy)
    outcomes: dict[str, set[str]] = {}
    for one in inputs_of(name):
        outcomes.setdefault(one.source, set()).add(outcome_of(policy, one.text))
    mixed = sum(len(found) > 1 for found in outcomes.values())
    assert mixed >= 0.75 * len(outcomes), "the template alone must not give the answer away"


def test_only_planted_behaviours_state_a_rule() -> None:
    assert [name for name in NAMES if definition_of(name).policy] == PLANTED


def test_the_example_of_the_manual_works() -> None:
    manual = (FOLDER.parent.parent / "docs" / "behaviours.md").read_text(encoding="utf-8")
    [example] = [block for block in re.findall(r"```yaml\n(.*?)```", manual, re.DOTALL) if "about:" in block]
    definition = read_definition(example, source="docs/behaviours.md")
    inputs = make_inputs(definition, folder=FOLDER, seed=0)
    assert len(inputs) == 90
    assert {one.split for one in inputs} == set(SPLITS)


def test_the_manual_speaks_of_every_behaviour() -> None:
    manual = (FOLDER.parent.parent / "docs" / "behaviours.md").read_text(encoding="utf-8")
    assert [name for name in NAMES if f"`{name}`" not in manual] == []
