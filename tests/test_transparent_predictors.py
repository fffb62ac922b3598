"""Simulators that nobody has to trust: they follow a policy, or add up the weights of words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scrutable.evaluators.behaviours.predictors import PREDICTORS
from scrutable.pipeline.behaviours.definition import Definition
from scrutable.pipeline.behaviours.protocols import PredictionJob
from scrutable.pipeline.behaviours.readouts import certain
from scrutable.pipeline.behaviours.records import Prediction
from scrutable.pipeline.behaviours.word_table import WordTable, write_word_table
from scrutable.pipeline.records import Failure, Language
from tests.toy_behaviours import OUTCOMES, RULE, definition, explanation, inputs, polite

GIVEN = inputs(12)
THREE = definition(readout={"kind": "choice", "labels": ["grant", "deny", "delay"]})
Answers = list[Prediction | Failure]


def predicted(kind: Language, *texts: str, unit: str = "desk", of: Definition | None = None) -> Answers:
    """What the simulator of a language says of twelve inputs from each explanation."""
    said = [explanation(text, unit=unit, language=kind) for text in texts]
    jobs = [PredictionJob(of or definition(), "explained", one, (), GIVEN) for one in said]
    answers: Answers = PREDICTORS[kind]("checker", None, None).predict(jobs)
    assert len(answers) == len(GIVEN) * len(texts)
    return answers


def table(*outcomes: str, **weights: tuple[float, ...]) -> str:
    return write_word_table(WordTable(outcomes, (0.0,) * len(outcomes), weights))


def likeliest(answers: Answers, outcomes: tuple[str, ...] = OUTCOMES) -> list[str]:
    found = [answer for answer in answers if isinstance(answer, Prediction)]
    assert len(found) == len(answers), answers
    return [outcomes[int(np.argmax(answer.probabilities))] for answer in found]


def failed(answers: Answers) -> set[tuple[str, str, str, str]]:
    found = [answer for answer in answers if isinstance(answer, Failure)]
    assert len(found) == len(answers), answers
    return {(answer.unit, answer.stage, answer.kind, answer.part) for answer in found}


def test_a_policy_is_followed_on_every_input() -> None:
    for one, answer in zip(GIVEN, predicted("policy", RULE), strict=True):
        assert isinstance(answer, Prediction)
        assert answer.probabilities == certain(OUTCOMES, polite(one))
        assert (answer.input, answer.simulator, answer.explanation) == (one.id, "checker", "desk/llm")


def test_weights_of_words_become_probabilities() -> None:
    answers = predicted("words", table(*OUTCOMES, please=(1.0, -1.0)))
    for one, answer in zip(GIVEN, answers, strict=True):
        assert isinstance(answer, Prediction)
        expected = 1 / (1 + np.exp(-2.0)) if "please" in one.text else 0.5  # sums of 1 and -1: odds e²
        assert answer.probabilities == pytest.approx((expected, 1 - expected))
        assert (answer.input, answer.simulator, answer.explanation) == (one.id, "checker", "desk/llm")


def test_the_outcomes_of_a_table_are_matched_by_name() -> None:
    ours, turned = table(*OUTCOMES, please=(1.0, -1.0)), table("deny", "grant", please=(-1.0, 1.0))
    assert predicted("words", turned) == predicted("words", ours)


@pytest.mark.parametrize("text", ["", "be polite", "{}"])
@pytest.mark.parametrize("kind", ["policy", "words"])
def test_what_cannot_be_read_is_a_failure_for_each_input(kind: Any, text: str) -> None:
    assert failed(predicted(kind, text)) == {("desk", "predict", "parse", "checker")}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("policy", 'refuse if mentions(word("please")); grant otherwise'),
        ("words", table("grant", "refuse", please=(1.0, -1.0))),
    ],
)
def test_an_outcome_that_the_behaviour_does_not_have_is_a_failure(kind: Any, text: str) -> None:
    assert failed(predicted(kind, text)) == {("desk", "predict", "unknown_outcome", "checker")}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("policy", 'yes if mentions(word("please")); no otherwise'),
        ("words", table("yes", "no", please=(1.0, 0.0), now=(0.0, 1.0))),
    ],
)
def test_the_outcomes_of_another_behaviour_stand_for_ours_in_order(kind: Any, text: str) -> None:
    assert likeliest(predicted(kind, text, unit="other")) == [polite(one) for one in GIVEN]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("policy", 'deny if mentions(word("please")); grant otherwise'),
        ("words", table("deny", "grant", please=(1.0, 0.0), now=(0.0, 1.0))),
    ],
)
def test_another_behaviour_with_outcomes_of_the_same_names_is_read_by_name(kind: Any, text: str) -> None:
    turned = ["deny" if polite(one) == "grant" else "grant" for one in GIVEN]
    assert likeliest(predicted(kind, text, unit="other")) == turned


def test_a_policy_of_another_behaviour_with_fewer_outcomes_is_read_and_one_with_more_is_not() -> None:
    fewer = predicted("policy", "yes otherwise", unit="other", of=THREE)
    assert likeliest(fewer, THREE.outcomes) == ["grant"] * len(GIVEN)
    more = predicted("policy", "a if mentions(digit); b if longer(3); c otherwise", unit="other")
    assert failed(more) == {("desk", "predict", "unknown_outcome", "checker")}


def test_a_table_of_another_number_of_outcomes_is_not_read() -> None:
    three = predicted("words", table("a", "b", "c", please=(1.0, 0.0, 0.0)), unit="other")
    assert failed(three) == {("desk", "predict", "other_outcomes", "checker")}


@pytest.mark.parametrize(("kind", "good"), [("policy", RULE), ("words", table(*OUTCOMES, please=(1.0, 0.0)))])
def test_a_job_that_fails_leaves_the_next_alone(kind: Any, good: str) -> None:
    answers = predicted(kind, "be polite", good)
    assert [isinstance(answer, Failure) for answer in answers] == [True] * 12 + [False] * 12


@pytest.mark.parametrize("kind", ["policy", "words"])
def test_neither_can_be_told_raw_examples(kind: str) -> None:
    made = PREDICTORS[kind]("x", None, None)
    assert (made.name, made.language, made.reads_examples) == ("x", kind, False)
    assert made.count_tokens(["two words", ""]) == [2, 0]
