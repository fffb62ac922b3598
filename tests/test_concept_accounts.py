"""Concept bottlenecks explain and predict: a planted concept weighs most, labels of others nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from scrutable.evaluators.behaviours.predictors.concepts import ConceptsPredictor
from scrutable.pipeline.backends.scripted import ScriptedBackend
from scrutable.pipeline.behaviours.concepts import Bottleneck, Concept, read_bottleneck, write_bottleneck
from scrutable.pipeline.behaviours.config import ConceptsAccount as ConceptsConfig
from scrutable.pipeline.behaviours.config import ConceptsPredictor as PredictorConfig
from scrutable.pipeline.behaviours.explainers.concepts import ConceptsAccount
from scrutable.pipeline.behaviours.labelling import model_labels
from scrutable.pipeline.behaviours.protocols import BehaviourServices, PredictionJob, Shown
from scrutable.pipeline.behaviours.records import Prediction
from scrutable.pipeline.records import CallFailure, Explanation, Failure, Generate, Prompt, ReadChoice
from tests.toy_behaviours import coin, definition, inputs, shown

PROPOSED = "- it is polite: please, thanks\n- the time is named: now, later\n"
Script = Callable[[Prompt], str | CallFailure | list[list[float]]]


def answer(prompt: Prompt) -> str | CallFailure | list[list[float]]:
    """Proposes two concepts; says yes where the text has the word of the one that is asked for."""
    if not isinstance(prompt.read, ReadChoice):
        return PROPOSED
    word = "please" if "it is polite" in prompt.shared[-1] else "now"
    return [[-0.05, -3.0] if word in prompt.text else [-3.0, -0.05]]


def without(*lost: str) -> Script:
    """As `answer`, but the toy texts with some numbers get no label."""
    return lambda prompt: (
        CallFailure("refused", "no")
        if isinstance(prompt.read, ReadChoice) and any(f"text {number} " in prompt.text for number in lost)
        else answer(prompt)
    )


def services(script: Script = answer) -> tuple[BehaviourServices, list[Prompt]]:
    """What a leaf is given, and the prompts that it then sends."""
    sent: list[Prompt] = []

    def noted(prompt: Prompt) -> Any:
        sent.append(prompt)
        return script(prompt)

    backend = ScriptedBackend(noted)
    made = BehaviourServices(
        locate=lambda _config: None,  # type: ignore[arg-type, return-value]
        ask=lambda _config: backend,
        is_chat=lambda _config: False,
        count_tokens=lambda _config, texts: [len(text.split()) for text in texts],
        seed=0,
    )
    return made, sent


def explained(labels: str, script: Script = answer, what: Shown | None = None) -> Explanation | Failure:
    config = ConceptsConfig.model_validate({"model": "scripted", "labels": labels})
    (found,) = ConceptsAccount("concepts", config, services(script)[0]).explain([what or shown()])
    return found


def bottleneck(labels: str, script: Script = answer, what: Shown | None = None) -> Bottleneck:
    found = explained(labels, script, what)
    assert isinstance(found, Explanation), found
    return read_bottleneck(found.text)


def written(labels: str, outcomes: tuple[str, ...] = ("grant", "deny"), weight: float = 4.0) -> Explanation:
    """A bottleneck whose one concept speaks for the first outcome."""
    row = (weight, *(-weight for _ in outcomes[1:]))
    made = Bottleneck(
        outcomes,
        labels,  # type: ignore[arg-type]
        (Concept("it is polite", ("please",)),),
        tuple(-value / 2 for value in row),
        (row,),
    )
    return Explanation("desk", "concepts", "concepts", write_bottleneck(made))


def predicted(
    explanation: Explanation, *, n: int = 90, script: Script = answer, **changes: Any
) -> list[Prediction | Failure]:
    asked = tuple(one for one in inputs() if one.split == "test")[:n]
    job = PredictionJob(definition(**changes), "explained", explanation, (), asked)
    return ConceptsPredictor("b", PredictorConfig(model="scripted"), services(script)[0]).predict([job])


def likeliest(answers: list[Prediction | Failure]) -> list[int]:
    assert all(isinstance(one, Prediction) for one in answers)
    return [int(np.argmax(one.probabilities)) for one in answers if isinstance(one, Prediction)]


def polite_ones() -> list[bool]:
    return ["please" in one.text for one in inputs() if one.split == "test"]


@pytest.mark.parametrize("labels", ["llm", "keywords"])
def test_a_planted_concept_weighs_most_and_predicts_new_inputs(labels: str) -> None:
    given = [
        replace(one, text=one.text + (" later" if number % 2 else ""))
        for number, one in enumerate(inputs(120))
    ]
    what = shown(given)

    def script(prompt: Prompt) -> Any:
        if not isinstance(prompt.read, ReadChoice):
            return "- it is polite: please\n- the time is named: later\n"
        word = "please" if "it is polite" in prompt.shared[-1] else "later"
        return [[-0.05, -3.0] if word in prompt.text else [-3.0, -0.05]]

    found = bottleneck(labels, script, what)
    assert [concept.phrase for concept in found.concepts] == ["it is polite", "the time is named"]
    assert found.weights[0][0] > 1 > -1 > found.weights[0][1]
    assert abs(found.weights[1][0]) < 0.1 * found.weights[0][0]
    said = likeliest(predicted(Explanation("desk", "c", "concepts", write_bottleneck(found)), script=script))
    assert [place == 0 for place in said] == polite_ones()


def test_what_it_was_written_from_and_what_it_took_is_kept() -> None:
    found = explained("llm")
    assert isinstance(found, Explanation)
    assert (found.language, found.model, found.reply) == ("concepts", "scripted", PROPOSED)
    assert found.shown == tuple(pair.input.id for pair in shown().pairs)
    assert "Is the request granted or denied?" in found.prompt


def test_a_model_is_asked_for_concepts_once_and_for_labels_of_every_input() -> None:
    made, sent = services()
    config = ConceptsConfig(model="scripted", labels="llm")
    ConceptsAccount("concepts", config, made).explain([shown()])
    assert sum(isinstance(prompt.read, Generate) for prompt in sent) == 1
    assert sum(isinstance(prompt.read, ReadChoice) for prompt in sent) == 2 * len(shown().pairs)
    made, sent = services()
    keywords = ConceptsConfig(model="scripted", labels="keywords")
    ConceptsAccount("concepts", keywords, made).explain([shown()])
    assert len(sent) == 1


def test_labels_of_other_texts_weigh_next_to_nothing_and_predict_the_rates() -> None:
    own, shuffled = bottleneck("llm"), bottleneck("shuffled")
    sizes = [np.abs(found.weights).max() for found in (own, shuffled)]
    assert sizes[1] < 0.3 * sizes[0]
    rate = np.mean([pair.observation.outcome == "grant" for pair in shown().pairs])
    explanation = Explanation("desk", "c", "concepts", write_bottleneck(shuffled))
    for one in predicted(explanation):
        assert isinstance(one, Prediction)
        assert one.probabilities[0] == pytest.approx(rate, abs=0.15)


def test_outcomes_that_follow_no_concept_give_their_rates() -> None:
    """The head sees labels that say nothing of what a coin decides."""
    what = shown(inputs(400), rule=coin(3))
    found = bottleneck("keywords", what=what)
    rate = np.mean([pair.observation.outcome == "grant" for pair in what.pairs])
    for labels in (np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])):
        logits = found.head.logits(labels)[0]
        assert 1 / (1 + math.exp(logits[1] - logits[0])) == pytest.approx(rate, abs=0.1)


def test_shuffled_labels_are_of_another_input_of_the_job_and_one_input_has_none() -> None:
    twice = [likeliest(predicted(written("shuffled"))) for _ in range(2)]
    assert twice[0] == twice[1]
    said = [place == 0 for place in twice[0]]
    assert said != polite_ones()
    assert sorted(said) == sorted(polite_ones())
    (alone,) = predicted(written("shuffled"), n=1)
    assert isinstance(alone, Failure)
    assert (alone.stage, alone.kind) == ("predict", "nothing_to_shuffle")


def test_keywords_are_found_without_asking_a_model() -> None:
    def silent(_prompt: Prompt) -> CallFailure:
        return CallFailure("refused", "no")

    said = likeliest(predicted(written("keywords"), script=silent))
    assert [place == 0 for place in said] == polite_ones()


def test_an_explanation_of_another_behaviour_is_read_by_position_and_its_own_by_name() -> None:
    turned = likeliest(predicted(written("llm", ("deny", "grant"))))
    assert [place == 1 for place in turned] == polite_ones()
    by_position = likeliest(predicted(written("llm", ("red", "blue"))))
    assert [place == 0 for place in by_position] == polite_ones()
    for one in predicted(written("llm", ("red", "blue", "green"))):
        assert isinstance(one, Failure)
        assert (one.stage, one.kind) == ("predict", "other_outcomes")


def test_what_is_no_bottleneck_is_a_failure_for_each_input() -> None:
    answers = predicted(Explanation("desk", "llm", "concepts", "polite requests are granted"))
    assert len(answers) == len(polite_ones())
    assert {one.kind for one in answers if isinstance(one, Failure)} == {"parse"}


def test_a_reply_without_a_concept_is_a_failure() -> None:
    nothing = explained("llm", lambda _prompt: "I do not know")
    assert isinstance(nothing, Failure)
    assert nothing.kind == "parse"
    refused = explained("llm", lambda _prompt: CallFailure("refused", "no"))
    assert isinstance(refused, Failure)
    assert (refused.kind, refused.detail) == ("refused", "no")


def test_an_input_without_labels_fails_alone_when_it_is_predicted() -> None:
    lost = [one for one in inputs() if one.split == "test"][3]
    answers = predicted(written("llm"), script=without(lost.id.removeprefix("desk.")))
    assert [isinstance(one, Failure) for one in answers].count(True) == 1
    assert isinstance(answers[3], Failure)
    assert answers[3].kind == "no_labels"
    assert lost.id in answers[3].detail


def test_a_head_is_fitted_on_what_was_labelled_if_that_is_the_larger_part() -> None:
    numbers = [pair.input.id.removeprefix("desk.") for pair in shown().pairs]
    some = bottleneck("llm", without(*numbers[:5]))
    assert some.weights[0][0] > 1
    most = explained("llm", without(*numbers[:-5]))
    assert isinstance(most, Failure)
    assert (most.stage, most.kind) == ("explain", "no_labels")
    assert f"labelled 5 of {len(numbers)} inputs" in most.detail


@pytest.mark.parametrize(
    ("logprobs", "expected"),
    [((math.log(0.6), math.log(0.2)), 0.75), ((-300.0, -1.0), 0.0), ((math.nan, -1.0), math.nan)],
)
def test_a_label_is_the_probability_of_yes_against_no(logprobs: tuple[float, float], expected: float) -> None:
    made, _ = services(lambda _prompt: [list(logprobs)])
    ask = made.ask(ConceptsConfig(model="scripted"))
    labels, _ = model_labels(ask, [Concept("a", ("b",))], ["x", "y"], prompt="label_concept")
    assert labels.shape == (2, 1)
    assert labels[0, 0] == pytest.approx(expected, abs=1e-9, nan_ok=True)
