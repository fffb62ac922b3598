"""Attributions of words: a planted sum over words is recovered, and what cannot be read is no number."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import save_tiny_model

from scrutable.pipeline.behaviours.config import AttributionAccount as AttributionConfig
from scrutable.pipeline.behaviours.definition import Definition
from scrutable.pipeline.behaviours.explainers.attribution import AttributionAccount
from scrutable.pipeline.behaviours.protocols import Attribution, BehaviourServices, Shown
from scrutable.pipeline.behaviours.records import Input, Reading
from scrutable.pipeline.behaviours.word_table import WordTable, read_word_table, words_of
from scrutable.pipeline.composition.models import Models
from scrutable.pipeline.errors import CapabilityError
from scrutable.pipeline.records import CallFailure, Cost, Explanation, Failure
from scrutable.pipeline.sections import ModelConfig
from scrutable.pipeline.subjects.behaving import BehavingModel
from scrutable.pipeline.subjects.following import FollowingSubject
from tests.toy_behaviours import definition, inputs, shown

PLANTED = {"please": 3.0, "thanks": 1.5, "now": -2.0, "tea": 0.0, "lamp": 0.0}


class Adding:
    """A subject whose log-odds of its first outcome are a sum over the words of a text, known exactly."""

    name = "adding"
    provenance: dict[str, str] = {}  # noqa: RUF012 - a protocol's property

    def __init__(self, weights: dict[str, float], *, needs: str = "") -> None:
        self._weights = weights
        self._needs = needs  # a word without which no answer can be read
        self.batches: list[int] = []

    def read(self, definition: Definition, inputs: Sequence[Input]) -> list[Reading | CallFailure]:
        self.batches.append(len(inputs))
        return [self._one(one.text, len(definition.outcomes)) for one in inputs]

    def _one(self, text: str, k: int) -> Reading | CallFailure:
        words = words_of(text)
        if self._needs and self._needs not in words:
            return CallFailure("malformed", f"no {self._needs}")
        odds = sum(self._weights.get(word, 0.0) for word in words)
        logs = np.array([odds, *[0.0] * (k - 1)])
        logs -= np.logaddexp.reduce(logs)
        return Reading(tuple(logs.tolist()), odds, 1.0, "", "", Cost(prompt_tokens=10))

    def gradients(self, definition: Definition, inputs: Sequence[Input]) -> list[Attribution | CallFailure]:
        raise CapabilityError(f"behaviour {definition.name}: none for {len(inputs)} inputs")


def texts(n: int = 40) -> tuple[Input, ...]:
    """Texts of the planted words, each of them in half of the texts, some of them twice."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(n):
        words = [word for word in PLANTED if rng.random() < 0.5] or ["tea"]
        words += [word for word in words if rng.random() < 0.3]
        rng.shuffle(words)
        found.append(Input(f"desk.{number}", "desk", f"source {number % 8}", "explain", " ".join(words)))
    return tuple(found)


def job(given: Sequence[Input] = (), weights: dict[str, float] = PLANTED) -> Shown:
    """What the sum over words decides of texts."""

    def rule(one: Input) -> str:
        return "grant" if sum(weights.get(word, 0) for word in words_of(one.text)) > 0 else "deny"

    return shown(given or texts(), rule=rule)


def attributed(
    method: str, subject: Any, what: Shown | None = None, *, samples: int = 64
) -> Explanation | Failure:
    services = BehaviourServices(
        locate=lambda _config: None,  # type: ignore[arg-type, return-value]
        ask=lambda _config: None,  # type: ignore[arg-type, return-value]
        is_chat=lambda _config: False,
        count_tokens=lambda _config, texts: [0 for _ in texts],
        seed=0,
        subject=lambda _definition: subject,
    )
    config = AttributionConfig.model_validate({"method": method, "inputs": 20, "samples": samples})
    (answer,) = AttributionAccount("local", config, services).explain([what or job()])
    return answer


def table(answer: Explanation | Failure) -> WordTable:
    assert isinstance(answer, Explanation), answer
    return read_word_table(answer.text)


PERTURBING = pytest.mark.parametrize("method", ["lime", "kernel_shap"])


@PERTURBING
def test_the_weights_of_planted_words_come_back_in_sign_order_and_proportion(method: str) -> None:
    answer = attributed(method, Adding(PLANTED))
    weights = table(answer).weights
    found = {word: weights.get(word, (0.0, 0.0))[0] for word in PLANTED}
    ratios = {word: value / found["please"] for word, value in found.items()}
    assert ratios == pytest.approx({word: value / 3.0 for word, value in PLANTED.items()}, abs=0.05)
    for row in weights.values():
        assert row[0] == pytest.approx(-row[1], abs=1e-3)
    assert attributed(method, Adding(PLANTED)) == answer  # seeded


@PERTURBING
def test_a_table_predicts_what_it_was_made_of_and_is_no_surer_than_its_pairs_allow(method: str) -> None:
    what = job()
    found = table(attributed(method, Adding(PLANTED), what))
    right, sizes = 0, []
    for pair in what.pairs:
        sums = np.array(found.bias) + sum(
            (np.array(found.weights[w]) for w in words_of(pair.input.text) if w in found.weights), np.zeros(2)
        )
        right += found.outcomes[int(sums.argmax())] == pair.observation.outcome
        sizes.append(abs(sums[0] - sums[1]))
    assert right >= 0.9 * len(what.pairs)
    assert np.median(sizes) < np.log(len(what.pairs) + 2)  # a rule of forty pairs is not certain


@PERTURBING
def test_three_outcomes_have_a_weight_each(method: str) -> None:
    made = definition(readout={"kind": "choice", "labels": ["grant", "deny", "wait"]}, policy="")
    row = table(attributed(method, Adding(PLANTED), job()._replace(definition=made))).weights["please"]
    assert row[0] == pytest.approx(-2 * row[1], rel=0.05)
    assert row[1] == pytest.approx(row[2], abs=1e-3)


@PERTURBING
def test_an_input_is_put_to_the_subject_in_one_batch_without_a_text_twice_and_its_cost_is_kept(
    method: str,
) -> None:
    subject = Adding(PLANTED)
    answer = attributed(method, subject)
    assert isinstance(answer, Explanation)
    asked = [size for size in subject.batches if size]
    assert len(asked) == 20
    assert max(asked) <= 2 ** len(PLANTED)  # different texts, though 64 samples were drawn twice
    assert answer.cost.prompt_tokens == 10 * sum(asked)


@PERTURBING
def test_a_text_of_one_word_gives_that_word_all(method: str) -> None:
    given = [replace(one, text=word) for one, word in zip(texts(6), ["please", "now"] * 3, strict=True)]
    weights = table(attributed(method, Adding(PLANTED), job(given))).weights
    assert weights["please"][0] / -weights["now"][0] == pytest.approx(1.5, abs=0.05)


def local(method: str, text: str, subject: Any, *, samples: int = 64) -> dict[str, float]:
    """The table of two inputs with one text, beside two of another that has none of its words."""
    others = ["granted", "granted"]
    given = [replace(one, text=now) for one, now in zip(texts(4), [text, text, *others], strict=True)]
    found = table(attributed(method, subject, job(given, {"granted": 1.0}), samples=samples))
    return {word: row[0] for word, row in found.weights.items()}


@PERTURBING
def test_a_word_that_stands_twice_has_the_weight_of_the_word(method: str) -> None:
    once = local(method, "now bring tea or thanks", Adding(PLANTED))
    twice = local(method, "Now bring now or thanks NOW, tea", Adding(PLANTED))
    for found in (once, twice):
        assert found["thanks"] / found["now"] == pytest.approx(1.5 / -2.0, abs=0.02)


@PERTURBING
def test_texts_that_cannot_be_read_are_left_out_and_not_taken_for_even_odds(method: str) -> None:
    """Where "bring" is missing there is no answer: it has no weight, and the others keep theirs."""
    found = local(method, "now bring tea or thanks", Adding(PLANTED | {"granted": 1.0}, needs="bring"))
    assert found["thanks"] / found["now"] == pytest.approx(1.5 / -2.0, abs=0.05)
    assert found.get("bring", 0.0) == pytest.approx(0.0, abs=1e-3)


@PERTURBING
def test_a_subject_that_cannot_be_read_is_a_failure_with_counts(method: str) -> None:
    answer = attributed(method, Adding(PLANTED, needs="unheard"))
    assert isinstance(answer, Failure)
    assert (answer.stage, answer.kind) == ("explain", "malformed")
    assert answer.detail.startswith("20 of 20 inputs have no attribution: 0 of ")
    assert answer.detail.endswith("texts could be read: no unheard")


def test_a_rule_is_told_by_the_word_that_it_asks_for() -> None:
    weights = table(attributed("kernel_shap", FollowingSubject(definition()), shown())).weights
    assert max(weights, key=lambda word: weights[word][0]) == "please"
    # the table tells all pairs apart, and is still no surer than so many pairs allow
    assert 1 < weights["please"][0] < np.log(len(shown().pairs) + 2)


def test_words_of_one_input_alone_are_left_out() -> None:
    given = [
        replace(one, text=f"{word} tea{number}")
        for number, (one, word) in enumerate(zip(texts(4), ["please", "now"] * 2, strict=True))
    ]
    assert set(table(attributed("lime", Adding(PLANTED), job(given))).weights) == {"please", "now"}
    lone = [replace(one, text=f"word{number}") for number, one in enumerate(texts(4))]
    answer = attributed("lime", Adding(PLANTED), job(lone))
    assert isinstance(answer, Failure)
    assert answer.kind == "nothing_attributed"


def test_a_subject_without_gradients_is_a_failure_and_no_number() -> None:
    answer = attributed("gradient", Adding(PLANTED))
    assert isinstance(answer, Failure)
    assert answer.kind == "no_gradient"


@PERTURBING
def test_without_captum_the_command_that_installs_it_is_told(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    answer = attributed(method, Adding(PLANTED))
    assert isinstance(answer, Failure)
    assert answer.kind == "not_installed"
    assert "pip install 'scrutable[attribution]'" in answer.detail


class Sloping(Adding):
    """Gradients of three tokens of "please now": a part of a word, its rest with a space, and a word."""

    def gradients(self, definition: Definition, inputs: Sequence[Input]) -> list[Attribution | CallFailure]:
        del definition
        values = np.array([[1.0, -1.0], [2.0, -2.0], [-4.0, 4.0]])
        found: list[Attribution | CallFailure] = []
        for number, one in enumerate(inputs):
            if number == 0:
                found.append(CallFailure("malformed", "no such text"))
            elif one.text == "please now":
                found.append(Attribution(("ple", "ase ", "now"), values))
            else:
                found.append(Attribution((one.text,), -values[2:]))
        return found


def test_values_of_tokens_are_shared_out_to_words_by_characters() -> None:
    words = ["please now", "granted"] * 4
    given = [replace(one, text=text) for one, text in zip(texts(8), words, strict=True)]
    weights = table(attributed("gradient", Sloping(PLANTED), job(given, {"granted": 1.0}))).weights
    please, now, granted = (weights[word][0] for word in ("please", "now", "granted"))
    # a quarter of "ase " is the space before the next word, which is the word's
    assert (please / granted, now / granted) == pytest.approx((2.5 / 4, -3.5 / 4), abs=0.01)


def test_a_gradient_table_of_a_model_is_written(tmp_path: Path) -> None:
    models = Models(lambda _line: None)
    config = ModelConfig(model=str(save_tiny_model("llama", tmp_path)), dtype="float32")
    services = BehaviourServices(
        locate=models.locate,
        ask=models.ask,
        is_chat=lambda _config: False,
        count_tokens=models.count_tokens,
        seed=0,
    )
    subject = BehavingModel("subject", config, services)
    made = definition(readout={"kind": "choice", "labels": ["grant", "deny"]}, policy="", style="completion")
    account = AttributionAccount(
        "g",
        AttributionConfig(method="gradient", inputs=6),
        services._replace(subject=lambda _definition: subject),
    )
    (answer,) = account.explain([shown(inputs())._replace(definition=made)])
    assert isinstance(answer, Explanation)
    assert set(read_word_table(answer.text).outcomes) == {"grant", "deny"}
