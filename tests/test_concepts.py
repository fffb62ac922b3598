"""Concept bottlenecks: proposed, labelled, fitted, read; a planted concept weighs most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrutable.evaluators.behaviours.predictors.concepts import ConceptsPredictor
from scrutable.pipeline.backends.scripted import ScriptedBackend
from scrutable.pipeline.behaviours.concepts import (
    Bottleneck,
    Concept,
    keyword_labels,
    parse_concepts,
    read_bottleneck,
    write_bottleneck,
)
from scrutable.pipeline.behaviours.config import ConceptsAccount as ConceptsConfig
from scrutable.pipeline.behaviours.config import ConceptsPredictor as PredictorConfig
from scrutable.pipeline.behaviours.explainers.concepts import ConceptsAccount
from scrutable.pipeline.behaviours.labelling import moved
from scrutable.pipeline.behaviours.protocols import BehaviourServices, PredictionJob
from scrutable.pipeline.behaviours.records import Prediction
from scrutable.pipeline.errors import ParseError
from scrutable.pipeline.records import CallFailure, Explanation, Failure, Prompt, ReadChoice
from tests.toy_behaviours import definition, inputs, shown

PROPOSED = "- it is polite: please, thanks\n- the time is named: now, later\n"
NUMBERS = st.integers(-5000, 5000).map(lambda n: n / 1000)
CONCEPTS = st.builds(Concept, st.text(max_size=6), st.lists(st.text(max_size=4), max_size=3).map(tuple))
BOTTLENECKS = st.lists(st.tuples(CONCEPTS, st.tuples(NUMBERS, NUMBERS)), min_size=1, max_size=3).map(
    lambda rows: Bottleneck(
        ("yes", "no"), "llm", tuple(c for c, _ in rows), (0.5, -0.5), tuple(w for _, w in rows)
    )
)


def answer(prompt: Prompt) -> str | CallFailure | list[list[float]]:
    """Proposes two concepts; says yes where the text has the word of the one that is asked for."""
    if not isinstance(prompt.read, ReadChoice):
        return PROPOSED
    word = "please" if "it is polite" in prompt.shared[-1] else "now"
    return [[-0.05, -3.0] if word in prompt.text else [-3.0, -0.05]]


def services(script: Any = answer) -> BehaviourServices:
    backend = ScriptedBackend(script)
    return BehaviourServices(
        locate=lambda _config: None,  # type: ignore[arg-type, return-value]
        ask=lambda _config: backend,
        is_chat=lambda _config: False,
        count_tokens=lambda _config, texts: [len(text.split()) for text in texts],
        seed=0,
    )


def explained(labels: str, script: Any = answer) -> Explanation | Failure:
    config = ConceptsConfig.model_validate({"model": "scripted", "labels": labels})
    (found,) = ConceptsAccount("concepts", config, services(script)).explain([shown()])
    return found


def predicted(explanation: Explanation, *, n: int = 90, script: Any = answer) -> list[Prediction | Failure]:
    asked = tuple(one for one in inputs() if one.split == "test")[:n]
    job = PredictionJob(definition(), "explained", explanation, (), asked)
    return ConceptsPredictor("b", PredictorConfig(model="scripted"), services(script)).predict([job])


@given(BOTTLENECKS)
def test_a_bottleneck_that_was_written_is_read_back(bottleneck: Bottleneck) -> None:
    assert read_bottleneck(write_bottleneck(bottleneck)) == bottleneck


@given(st.text(max_size=40))
def test_what_is_no_bottleneck_is_a_parse_error(text: str) -> None:
    with pytest.raises(ParseError):
        read_bottleneck(text)


@pytest.mark.parametrize("labels", ["llm", "keywords"])
def test_a_planted_concept_weighs_most_and_predicts_new_inputs(labels: str) -> None:
    explanation = explained(labels)
    assert isinstance(explanation, Explanation)
    bottleneck = read_bottleneck(explanation.text)
    assert [c.phrase for c in bottleneck.concepts] == ["it is polite", "the time is named"]
    assert bottleneck.weights[0][0] > 1  # speaks for "grant"
    answers = predicted(explanation)
    for one, said in zip([i for i in inputs() if i.split == "test"], answers, strict=True):
        assert isinstance(said, Prediction)
        assert (said.probabilities[0] > 0.5) == ("please" in one.text)


def test_labels_of_other_texts_say_nothing() -> None:
    own, shuffled = explained("llm"), explained("shuffled")
    assert isinstance(own, Explanation)
    assert isinstance(shuffled, Explanation)
    sizes = [np.abs(read_bottleneck(e.text).weights).max() for e in (own, shuffled)]
    assert sizes[1] < 0.3 * sizes[0]
    (alone,) = predicted(shuffled, n=1)
    assert isinstance(alone, Failure)
    assert alone.kind == "nothing_to_shuffle"


def test_a_reply_without_a_concept_and_labels_that_cannot_be_read_are_failures() -> None:
    nothing = explained("llm", lambda _prompt: "I do not know")
    assert isinstance(nothing, Failure)
    assert nothing.kind == "parse"

    def unreadable(prompt: Prompt) -> Any:
        return CallFailure("refused", "no") if isinstance(prompt.read, ReadChoice) else PROPOSED

    lost = explained("llm", unreadable)
    assert isinstance(lost, Failure)
    assert lost.kind == "no_labels"
    known = explained("llm")
    assert isinstance(known, Explanation)
    assert {a.kind for a in predicted(known, script=unreadable) if isinstance(a, Failure)} == {"no_labels"}


@pytest.mark.parametrize(
    ("reply", "phrases"),
    [
        (PROPOSED, ["it is polite", "the time is named"]),
        ("* a: b\n* A: c\n* d: e", ["a", "d"]),
        ("one\ntwo: \n: three\nfour: 4", ["four"]),
    ],
)
def test_concepts_are_lines_with_words_each_once(reply: str, phrases: Sequence[str]) -> None:
    assert [concept.phrase for concept in parse_concepts(reply, count=6)] == list(phrases)


def test_a_keyword_is_a_word_and_not_a_part_of_one() -> None:
    labels = keyword_labels([Concept("tea", ("tea",))], ["A cup of Tea.", "a team"])
    assert labels.tolist() == [[1.0], [0.0]]


@given(st.integers(2, 30), st.integers(0, 99))
def test_no_text_keeps_its_labels_when_they_are_moved(n: int, seed: int) -> None:
    labels = np.arange(float(n)).reshape(n, 1)
    found = moved(labels, seed=seed)
    assert sorted(found[:, 0]) == sorted(labels[:, 0])
    assert (found != labels).all()
