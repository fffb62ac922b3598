"""Inputs of behaviours: made or read, no text twice, no source in two splits, errors that name the line."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrutable.pipeline.behaviours.definition import Definition
from scrutable.pipeline.behaviours.inputs import FEWEST_SOURCES, make_inputs, split_sources
from scrutable.pipeline.behaviours.records import Input
from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.records import SPLITS

THINGS = ["lamp", "river", "coat", "horse", "table", "garden", "bottle", "window"]


def behaviour(
    name: str = "toy", *, labels: Any = ("good", "bad"), prompt: str = "{input}", **inputs: Any
) -> Definition:
    made = {
        "templates": ["The {thing} costs {price}.", "{price} for the {thing}"],
        "slots": {"thing": THINGS, "price": {"least": 1, "most": 99}},
        "source": "thing",
        "count": 60,
    }
    data = {
        "name": name,
        "about": "Is it good?",
        "prompt": prompt,
        "readout": {"kind": "choice", "labels": labels},
        "inputs": inputs if "file" in inputs else {**made, **inputs},
    }
    return Definition.model_validate(data)


def made(
    definition: Definition, *, seed: int = 0, folder: Path = Path(), count: int | None = None
) -> tuple[Input, ...]:
    return make_inputs(definition, folder=folder, seed=seed, count=count)


def written(folder: Path, lines: list[Any]) -> Definition:
    """A behaviour of a file with these lines; texts stand as they are, all else as JSON."""
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    (folder / "texts.jsonl").write_text(text, encoding="utf-8")
    return behaviour(file="texts.jsonl")


def rows(count: int, **more: Any) -> list[Any]:
    return [{"text": f"Text {n}.", "source": f"page {n % 8}", **more} for n in range(count)]


def problem(definition: Definition, folder: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        made(definition, folder=folder)
    assert "\n" not in str(caught.value), "one line"
    return str(caught.value)


@given(st.lists(st.sampled_from(THINGS), min_size=6, max_size=8, unique=True), st.integers(0, 1_000))
def test_no_source_lies_in_two_splits_and_every_split_has_some(things: list[str], seed: int) -> None:
    inputs = made(behaviour(slots={"thing": things, "price": {"least": 1, "most": 99}}), seed=seed)
    homes = {(one.source, one.split) for one in inputs}
    assert len(homes) == len({source for source, _ in homes})
    assert {split for _, split in homes} == set(SPLITS)


@given(st.integers(FEWEST_SOURCES, 60), st.integers(0, 1_000))
def test_splits_have_their_shares_of_the_sources(count: int, seed: int) -> None:
    splits = split_sources([f"page {n}" for n in range(count)], random.Random(seed), behaviour="toy")
    sizes = [list(splits.values()).count(split) for split in SPLITS]
    assert sum(sizes) == count
    for size, share in zip(sizes, (0.45, 0.2, 0.35), strict=True):
        assert abs(size - share * count) <= 1.1


@given(st.integers(0, 1_000))
def test_the_same_seed_makes_the_same_inputs(seed: int) -> None:
    assert made(behaviour(), seed=seed) == made(behaviour(), seed=seed)


def test_another_seed_makes_others() -> None:
    assert [one.text for one in made(behaviour(), seed=1)] != [one.text for one in made(behaviour(), seed=2)]


def test_a_behaviour_changes_no_other() -> None:
    alone = made(behaviour("one"))
    made(behaviour("two"))
    assert made(behaviour("one")) == alone
    assert [one.text for one in made(behaviour("two"))] != [one.text for one in alone]


@given(st.integers(0, 1_000))
def test_no_text_comes_twice_and_ids_are_in_order(seed: int) -> None:
    inputs = made(behaviour(), seed=seed)
    assert len({one.text for one in inputs}) == len(inputs) == 60
    assert [one.id for one in inputs] == sorted({one.id for one in inputs})


def test_what_has_few_different_texts_gives_those() -> None:
    definition = behaviour(templates=["The {thing}."], count=60)
    assert sorted(one.text for one in made(definition)) == sorted(f"The {thing}." for thing in THINGS)


def test_fewer_can_be_asked_for_than_there_are() -> None:
    assert len(made(behaviour(), count=20)) == 20
    assert len(made(behaviour(), count=500)) == 60


def test_an_input_is_its_template_with_its_slots_filled() -> None:
    for one in made(behaviour()):
        thing, price = one.slots["thing"], one.slots["price"]
        assert one.text in (f"The {thing} costs {price}.", f"{price} for the {thing}")
        assert one.source == thing
        assert 1 <= int(price) <= 99


def test_rows_keep_together_what_belongs_together() -> None:
    pairs = {f"city {n}": f"land {n}" for n in range(8)}
    listed = [{"city": city, "land": land} for city, land in pairs.items()]
    definition = behaviour(
        templates=["{city} is in {land}.", "In {land} lies {city}."], rows=listed, source="row"
    )
    inputs = made(definition)
    assert all(pairs[one.slots["city"]] == one.slots["land"] for one in inputs)
    assert len({one.source for one in inputs}) == 8


def test_labels_are_never_alike() -> None:
    numbers = {"least": 1, "most": 4}
    definition = behaviour(
        labels={"first": "{a}", "second": "{b}"},
        templates=[f"{n}: {{a}} or {{b}}" for n in range(8)],
        slots={"a": numbers, "b": numbers},
        source="template",
        count=200,
    )
    inputs = made(definition)
    assert len(inputs) == 8 * 4 * 3, "all but the equal ones"
    assert all(one.slots["a"] != one.slots["b"] for one in inputs)


@pytest.mark.parametrize("count", [1, FEWEST_SOURCES - 1])
def test_too_few_sources_are_counted(count: int, tmp_path: Path) -> None:
    slots = {"thing": THINGS[:count], "price": {"least": 1, "most": 99}}
    assert f"toy: its inputs come from {count} sources" in problem(behaviour(slots=slots), tmp_path)


def test_a_file_gives_texts_sources_and_slots(tmp_path: Path) -> None:
    inputs = made(written(tmp_path, rows(16, year=1999)), folder=tmp_path)
    assert [one.text for one in inputs] == [f"Text {n}." for n in range(16)]
    assert {one.source for one in inputs} == {f"page {n}" for n in range(8)}
    assert inputs[0].slots["year"] == "1999"


def test_a_text_that_is_twice_in_a_file_is_read_once_and_empty_lines_are_none(tmp_path: Path) -> None:
    assert len(made(written(tmp_path, [*rows(8), "", *rows(8)]), folder=tmp_path)) == 8


def test_fields_can_have_other_names(tmp_path: Path) -> None:
    lines = [json.dumps({"review": f"Fine {n}", "film": f"film {n}"}) for n in range(8)]
    (tmp_path / "films.jsonl").write_text("\n".join(lines), encoding="utf-8")
    definition = behaviour(file="films.jsonl", text_field="review", source_field="film")
    assert made(definition, folder=tmp_path)[3].text == "Fine 3"


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("{not json", "no JSON"),
        ("[1, 2]", "no field text, source"),
        ({"source": "a"}, "no field text"),
        ({"text": "a"}, "no field source"),
        ({"text": "  ", "source": "a"}, "text is empty"),
        ({"text": ["a"], "source": "a"}, "text is empty"),
    ],
)
def test_a_bad_line_is_named_with_file_and_number(line: Any, what: str, tmp_path: Path) -> None:
    found = problem(written(tmp_path, [*rows(2), line, *rows(6)]), tmp_path)
    assert f"behaviour toy: {tmp_path / 'texts.jsonl'}, line 3: " in found
    assert what in found


@pytest.mark.parametrize(
    "changes", [{"prompt": "{input} {where}"}, {"labels": {"one": "{where}", "two": "b"}}]
)
def test_a_line_without_what_the_prompt_or_a_label_needs_is_named(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    written(tmp_path, [*rows(6, where="here"), *rows(1)])
    found = problem(behaviour(file="texts.jsonl", **changes), tmp_path)
    assert "line 7: no field where" in found


def test_a_line_with_two_equal_labels_is_named(tmp_path: Path) -> None:
    written(tmp_path, [*rows(6, a="x", b="y"), {"text": "new", "source": "z", "a": "x", "b": "x"}])
    definition = behaviour(file="texts.jsonl", labels={"one": "{a}", "two": "{b}"})
    assert "line 7: two outcomes have the same label" in problem(definition, tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert f"toy: cannot read {tmp_path / 'none.jsonl'}" in problem(behaviour(file="none.jsonl"), tmp_path)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "texts.jsonl").write_bytes(b"\xff\xfe\x00")
    assert "cannot read" in problem(behaviour(file="texts.jsonl"), tmp_path)


def test_an_empty_file_holds_no_input(tmp_path: Path) -> None:
    assert "holds no input" in problem(written(tmp_path, ["", ""]), tmp_path)
