"""Models and rules as subjects of behaviours; gradients against finite differences; local attributions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import save_tiny_model

from scrutable.pipeline.behaviours.config import AttributionAccount as AttributionConfig
from scrutable.pipeline.behaviours.definition import Definition
from scrutable.pipeline.behaviours.explainers.attribution import AttributionAccount
from scrutable.pipeline.behaviours.protocols import Attribution, BehaviourServices
from scrutable.pipeline.behaviours.records import Input, Reading
from scrutable.pipeline.behaviours.word_table import read_word_table
from scrutable.pipeline.composition.models import Models
from scrutable.pipeline.errors import CapabilityError, ConfigError
from scrutable.pipeline.records import CallFailure, Explanation, Failure
from scrutable.pipeline.sections import ModelConfig
from scrutable.pipeline.subjects.behaving import BehavingModel
from scrutable.pipeline.subjects.following import FollowingSubject
from tests.toy_behaviours import definition, inputs, polite, shown

ONE = Input("desk.0", "desk", "s", "test", "tea, please")


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> BehaviourServices:
    models = Models(lambda _line: None)
    folder = save_tiny_model("llama", tmp_path_factory.mktemp("llama"))
    config = ModelConfig(model=str(folder), dtype="float32")
    return BehaviourServices(
        locate=lambda _config: models.locate(config),
        ask=lambda _config: models.ask(config),
        is_chat=lambda _config: False,
        count_tokens=lambda _config, texts: models.count_tokens(config, texts),
        seed=0,
    )


def model(services: BehaviourServices) -> BehavingModel:
    return BehavingModel("subject", ModelConfig(model="tiny", dtype="float32"), services)


@pytest.mark.parametrize("labels", [["a", "b"], ["yes", "nay", "perhaps"]])
def test_a_model_is_asked_once_for_each_input(services: BehaviourServices, labels: list[str]) -> None:
    made = definition(readout={"kind": "choice", "labels": labels}, policy="", style="completion")
    readings = model(services).read(made, [ONE, *inputs(3)])
    assert len(readings) == 4
    for reading in readings:
        assert isinstance(reading, Reading)
        assert np.exp(reading.scores).sum() == pytest.approx(1)
        assert 0 < reading.label_mass <= 1


def test_labels_that_cannot_be_told_apart_are_refused(services: BehaviourServices) -> None:
    made = definition(readout={"kind": "choice", "labels": {"x": "a", "y": "a"}}, policy="")
    with pytest.raises(CapabilityError, match="not different"):
        model(services).read(made, [ONE])


def test_gradients_are_those_of_the_log_odds(services: BehaviourServices) -> None:
    """Against a finite difference: every embedding of the text's tokens made a little longer."""
    labels = {"kind": "choice", "labels": ["a", "b", "c"]}
    made = definition(readout=labels, policy="", style="completion", prompt="Say: {input} So ")
    subject = model(services)
    (found,) = subject.gradients(made, [ONE])
    assert isinstance(found, Attribution)
    assert "".join(found.pieces) == ONE.text
    loaded = subject._loaded
    ids = loaded.tokenizer(f"Say: {ONE.text} So ")["input_ids"]
    firsts = [loaded.ids(label)[0] for label in "abc"]
    embedded = loaded.model.get_input_embeddings()(torch.tensor([ids]))

    def log_odds(factor: float, place: int) -> Any:
        moved = embedded.clone()
        moved[0, place] *= factor
        logs = loaded.model(inputs_embeds=moved).logits[0, -1].log_softmax(-1)[firsts]
        return (logs - logs.mean()).detach().double().numpy()

    start, step = len("Say: "), 1e-2
    for t in (0, 4, len(ONE.text) - 1):
        slope = (log_odds(1 + step, start + t) - log_odds(1 - step, start + t)) / (2 * step)
        assert found.values[t] == pytest.approx(slope, abs=2e-3, rel=0.05)


def test_what_has_no_gradient_says_so(services: BehaviourServices) -> None:
    refusal = definition(readout={"kind": "refusal"}, policy="")
    with pytest.raises(CapabilityError, match="read from text, which has no gradient"):
        model(services).gradients(refusal, [ONE])
    with pytest.raises(CapabilityError, match="a stated rule has no gradient"):
        FollowingSubject(definition()).gradients(definition(), [ONE])


def test_a_rule_is_followed_and_one_with_strange_outcomes_is_refused() -> None:
    readings = FollowingSubject(definition()).read(definition(), inputs())
    for one, reading in zip(inputs(), readings, strict=True):
        assert isinstance(reading, Reading)
        assert (reading.scores[0] > reading.scores[1]) == (polite(one) == "grant")
    with pytest.raises(ConfigError, match="no outcome 'allow'"):
        FollowingSubject(definition(policy="allow otherwise"))


class Adding:
    """A subject whose log-odds are a sum over words, known exactly."""

    name = "adding"
    provenance: dict[str, str] = {}  # noqa: RUF012 - a protocol's property

    def read(self, definition: Definition, inputs: Sequence[Input]) -> list[Reading | CallFailure]:
        del definition
        found: list[Reading | CallFailure] = []
        for one in inputs:
            words = one.text.split()
            odds = 2.0 * ("please" in words) - 1.0 * ("now" in words)
            logs = np.array([odds / 2, -odds / 2])
            logs -= np.logaddexp.reduce(logs)
            found.append(Reading(tuple(logs.tolist()), odds, 1.0, "", ""))
        return found

    def gradients(self, definition: Definition, inputs: Sequence[Input]) -> list[Attribution | CallFailure]:
        raise CapabilityError(f"behaviour {definition.name}: none for {len(inputs)} inputs")


def attributed(method: str, subject: Any) -> Explanation | Failure:
    services = BehaviourServices(
        locate=lambda _config: None,  # type: ignore[arg-type, return-value]
        ask=lambda _config: None,  # type: ignore[arg-type, return-value]
        is_chat=lambda _config: False,
        count_tokens=lambda _config, texts: [0 for _ in texts],
        seed=0,
        subject=lambda _definition: subject,
    )
    config = AttributionConfig.model_validate({"method": method, "inputs": 20, "samples": 40})
    (answer,) = AttributionAccount("local", config, services).explain([shown()])
    return answer


@pytest.mark.parametrize("method", ["lime", "kernel_shap"])
def test_local_attributions_add_up_to_the_words_that_decide(method: str) -> None:
    answer = attributed(method, Adding())
    assert isinstance(answer, Explanation)
    weights = read_word_table(answer.text).weights
    assert weights["please"][0] > 0 > weights["please"][1]
    assert weights["now"][0] < 0
    assert abs(weights["please"][0]) > abs(weights.get("text", (0.0, 0.0))[0])
    assert attributed(method, Adding()) == answer  # seeded


def test_a_subject_without_gradients_is_a_failure_and_no_number() -> None:
    answer = attributed("gradient", Adding())
    assert isinstance(answer, Failure)
    assert answer.kind == "no_gradient"


def test_a_gradient_table_of_a_model_is_written(services: BehaviourServices) -> None:
    made = definition(readout={"kind": "choice", "labels": ["grant", "deny"]}, policy="", style="completion")
    subject = model(services)
    with_subject = services._replace(subject=lambda _definition: subject)
    config = AttributionConfig(method="gradient", inputs=6)
    (answer,) = AttributionAccount("g", config, with_subject).explain([shown()._replace(definition=made)])
    assert isinstance(answer, Explanation)
    assert set(read_word_table(answer.text).outcomes) == {"grant", "deny"}
