"""How an answer becomes an outcome, for every kind of readout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from scrutable.pipeline.behaviours.readouts import certain, decide, question, read_answer, recalled
from scrutable.pipeline.behaviours.records import Input, Reading
from scrutable.pipeline.records import CallFailure, Completion, Generate, ReadChoice
from tests.toy_behaviours import definition

ONE = Input("desk.0", "desk", "s", "explain", "Tea or milk?", ("a", "b"), ("tea", "milk"))


def read(readout: dict[str, Any], *logs: float, text: str = "") -> Reading | CallFailure:
    answer = Completion(text=text, label_logprobs=(tuple(logs),) if logs else ())
    return read_answer(definition(readout=readout, policy=""), answer)


def outcomes(readout: dict[str, Any], rows: Sequence[Sequence[float]]) -> list[str]:
    made = definition(readout=readout, policy="")
    inputs = [Input(f"desk.{i}", "desk", "s", "explain", str(i)) for i in range(len(rows))]
    readings = [read(readout, *row) for row in rows]
    assert all(isinstance(reading, Reading) for reading in readings)
    known = [reading if isinstance(reading, Reading) else None for reading in readings]
    return [seen.outcome for seen in decide(made, inputs, known, model="subject") if seen]


CHOICE = {"kind": "choice", "labels": ["yes", "no"]}


def test_the_likeliest_label_is_the_outcome_and_the_mass_of_all_is_kept() -> None:
    reading = read(CHOICE, math.log(0.3), math.log(0.1))
    assert isinstance(reading, Reading)
    assert reading.label_mass == pytest.approx(0.4)
    assert [math.exp(s) for s in reading.scores] == pytest.approx([0.75, 0.25])
    assert outcomes(CHOICE, [[-1, -2], [-2, -1]]) == ["yes", "no"]


def test_a_model_that_favours_one_label_still_has_what_is_typical_of_it() -> None:
    rows = [[-0.1, -5], [-0.1, -4], [-0.1, -3], [-0.1, -2]]
    assert outcomes(CHOICE, rows) == ["yes"] * 4
    assert outcomes(CHOICE | {"decide": "typical"}, rows) == ["yes", "yes", "no", "no"]
    difference = {"kind": "logit_difference", "labels": ["he", "she"]}
    assert outcomes(difference, rows) == ["he", "he", "she", "she"]
    assert outcomes(difference | {"threshold": 0.0}, rows) == ["he"] * 4


def test_the_probability_of_a_set_of_words_is_their_sum() -> None:
    readout = {"kind": "next_token", "words": ["a", "b"], "names": ["in", "out"], "threshold": 0.5}
    reading = read(readout, math.log(0.4), math.log(0.3))
    assert isinstance(reading, Reading)
    assert reading.value == pytest.approx(0.7)
    assert outcomes(readout, [[math.log(0.4), math.log(0.3)], [-4, -4]]) == ["in", "out"]


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("I'm sorry, but no.", "refuses"),
        ("I cannot help with that", "refuses"),
        ("Sure, here it is", "answers"),
    ],
)
def test_a_refusal_is_told_by_its_phrases(text: str, outcome: str) -> None:
    reading = read({"kind": "refusal"}, text=text)
    assert isinstance(reading, Reading)
    assert reading.outcome == outcome


def test_a_text_has_the_outcome_that_is_found_first() -> None:
    readout = {"kind": "text", "parse": {"red": r"\bred\b", "blue": r"\bblue\b"}}
    reading = read(readout, text="a BLUE and red one")
    assert isinstance(reading, Reading)
    assert reading.outcome == "blue"
    lost = read(readout, text="a green one")
    assert isinstance(lost, CallFailure)
    assert "no outcome in the answer 'a green one'" in lost.detail
    other = read(readout | {"otherwise": "none"}, text="a green one")
    assert isinstance(other, Reading)
    assert other.outcome == "none"


def test_an_answer_without_numbers_or_text_is_a_failure() -> None:
    assert isinstance(read(CHOICE), CallFailure)
    assert isinstance(read(CHOICE, math.nan, -1.0), CallFailure)
    assert isinstance(read({"kind": "refusal"}, text=" "), CallFailure)


def test_labels_are_filled_in_for_each_input() -> None:
    made = definition(
        readout={"kind": "choice", "labels": {"first": "{a}", "second": "{b}"}},
        inputs={"templates": ["{a} or {b}?"], "slots": {"a": ["tea"], "b": ["milk"]}},
        policy="",
    )
    prompt = question(made, ONE, is_chat=True)
    assert prompt.read == ReadChoice(("tea", "milk"))
    assert (prompt.text, prompt.is_chat) == ("Tea or milk?", True)


def test_a_model_without_a_chat_template_is_asked_for_a_completion() -> None:
    prompt = question(definition(policy=""), ONE, is_chat=False)
    assert prompt.text.endswith("\nAnswer:")
    assert prompt.read == ReadChoice((" grant", " deny"))
    raw = definition(policy="", style="completion")
    assert question(raw, ONE, is_chat=True).text == ONE.text
    assert isinstance(
        question(definition(readout={"kind": "refusal"}, policy=""), ONE, is_chat=True).read, Generate
    )


def test_an_observation_gives_back_its_reading() -> None:
    made = definition(policy="")
    reading = read(CHOICE, -0.2, -1.7)
    assert isinstance(reading, Reading)
    (seen,) = decide(made, [ONE], [reading], model="subject")
    assert seen
    again = recalled(seen)
    assert again.scores == pytest.approx(reading.scores)
    assert sum(certain(("a", "b", "c"), "b")) == pytest.approx(1)
