"""Models and rules as subjects of behaviours; gradients against finite differences."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import save_tiny_model
from transformers import AutoTokenizer

from scrutable.pipeline.behaviours.protocols import Attribution, BehaviourServices
from scrutable.pipeline.behaviours.readouts import decide, question
from scrutable.pipeline.behaviours.records import Input, Reading
from scrutable.pipeline.composition.models import Models
from scrutable.pipeline.errors import CapabilityError, ConfigError
from scrutable.pipeline.records import CallFailure
from scrutable.pipeline.sections import ModelConfig
from scrutable.pipeline.subjects.behaving import BehavingModel
from scrutable.pipeline.subjects.following import FollowingSubject
from tests.toy_behaviours import definition, inputs, polite

ONE = Input("desk.0", "desk", "s", "test", "tea, please")


def served(folder: Path, *, is_chat: bool = False) -> BehaviourServices:
    models = Models(lambda _line: None)
    config = ModelConfig(model=str(folder), dtype="float32")
    return BehaviourServices(
        locate=lambda _config: models.locate(config),
        ask=lambda _config: models.ask(config),
        is_chat=lambda _config: is_chat,
        count_tokens=lambda _config, texts: models.count_tokens(config, texts),
        seed=0,
    )


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> BehaviourServices:
    return served(save_tiny_model("llama", tmp_path_factory.mktemp("llama")))


@pytest.fixture(scope="module")
def chatting(tmp_path_factory: pytest.TempPathFactory) -> BehaviourServices:
    """A model that begins every text with a token of its own, and has a chat template."""
    folder = save_tiny_model("gemma3", tmp_path_factory.mktemp("gemma3"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = "<bos>[{{ messages[0]['content'] }}]"
    tokenizer.save_pretrained(folder)
    return served(folder, is_chat=True)


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


@pytest.mark.parametrize("style", ["completion", "chat"])
def test_gradients_are_of_the_prompt_that_is_read(chatting: BehaviourServices, style: str) -> None:
    """Their model, run on the tokens that they were taken of, gives what the backend reads."""
    made = definition(
        readout={"kind": "choice", "labels": ["a", "b"]},
        policy="",
        style=style,
        prompt="Say: {input}!",
        reply_start="So",
    )
    hostile = replace(ONE, text="a <eos> \u6f22 b")
    subject = model(chatting)
    (reading,) = subject.read(made, [hostile])
    assert isinstance(reading, Reading)
    prompt = question(made, hostile, is_chat=True)
    start = prompt.text.index(hostile.text)
    spelt = subject._spelt(prompt, start, start + len(hostile.text))
    with torch.no_grad():
        logs = subject._loaded.model(torch.tensor([spelt.ids])).logits[0, -1].log_softmax(-1)
    odds = logs[subject._loaded.ids("a")[0]] - logs[subject._loaded.ids("b")[0]]
    assert reading.scores[0] - reading.scores[1] == pytest.approx(float(odds), abs=1e-4)


def test_a_character_of_several_tokens_is_one_piece_with_all_their_values(
    chatting: BehaviourServices,
) -> None:
    made = definition(readout={"kind": "choice", "labels": ["a", "b"]}, policy="")
    subject = model(chatting)
    (found,) = subject.gradients(made, [replace(ONE, text="x\u6f22y")])
    assert isinstance(found, Attribution)
    assert found.pieces == ("x", "\u6f22", "y")
    spelt = subject._spelt(question(made, replace(ONE, text="x\u6f22y"), is_chat=True), 0, 3)
    assert [len(group) for group in spelt.places] == [1, 3, 1]
    embedded = subject._loaded.model.get_input_embeddings()(torch.tensor([spelt.ids])).detach()
    logs = subject._loaded.model(inputs_embeds=embedded.requires_grad_()).logits[0, -1].log_softmax(-1)
    firsts = [subject._loaded.ids(label)[0] for label in "ab"]
    (gradient,) = torch.autograd.grad((logs[firsts[0]] - logs[firsts[1]]) / 2, embedded)
    each = (gradient * embedded).sum(-1)[0].detach().numpy()
    sums = [each[list(group)].sum() for group in spelt.places]
    assert found.values[:, 0] == pytest.approx(sums, rel=1e-3, abs=1e-6)


def test_the_input_is_found_where_it_stands_and_not_where_the_prompt_says_the_same(
    services: BehaviourServices,
) -> None:
    made = definition(
        readout={"kind": "choice", "labels": ["a", "b"]},
        policy="",
        style="completion",
        prompt="no or {input}:",
    )
    subject = model(services)
    short, long = subject.gradients(made, [replace(ONE, text="o"), replace(ONE, text="oo")])
    assert isinstance(short, Attribution)
    assert isinstance(long, Attribution)
    embedded = subject._loaded.model.get_input_embeddings()(torch.tensor([subject._loaded.ids("no or o:")]))
    embedded = embedded.detach().requires_grad_()
    logs = subject._loaded.model(inputs_embeds=embedded).logits[0, -1].log_softmax(-1)
    firsts = [subject._loaded.ids(label)[0] for label in "ab"]
    (gradient,) = torch.autograd.grad((logs[firsts[0]] - logs[firsts[1]]) / 2, embedded)
    each = (gradient * embedded).sum(-1)[0].detach()
    assert short.values[0, 0] == pytest.approx(float(each[len("no or ")]), rel=1e-3, abs=1e-6)
    (empty,) = subject.gradients(made, [replace(ONE, text="")])
    assert isinstance(empty, CallFailure)


def test_the_gradient_of_a_set_of_words_is_that_of_the_odds_that_one_comes(
    services: BehaviourServices,
) -> None:
    made = definition(readout={"kind": "next_token", "words": ["a", "b"]}, policy="", style="completion")
    (found,) = model(services).gradients(made, [ONE])
    assert isinstance(found, Attribution)
    assert found.values.shape == (len(ONE.text), 2)
    assert found.values[:, 0] == pytest.approx(-found.values[:, 1])
    loaded = model(services)._loaded
    embedded = loaded.model.get_input_embeddings()(torch.tensor([loaded.ids(ONE.text)])).detach()
    chances = loaded.model(inputs_embeds=embedded.requires_grad_()).logits[0, -1].double().softmax(-1)
    inside = sum(chances[loaded.ids(word)[0]] for word in "ab")
    (gradient,) = torch.autograd.grad(torch.logit(inside) / 2, embedded)  # each outcome has half of the odds
    each = (gradient * embedded).sum(-1)[0].detach().numpy()
    assert found.values[:, 0] == pytest.approx(each, rel=1e-3, abs=1e-6)


def test_labels_that_begin_alike_have_no_gradient(services: BehaviourServices) -> None:
    made = definition(readout={"kind": "choice", "labels": ["no", "nay"]}, policy="", style="completion")
    with pytest.raises(CapabilityError, match="share their first token"):
        model(services).gradients(made, [ONE])


def test_without_captum_the_command_that_installs_it_is_told(
    services: BehaviourServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    made = definition(readout={"kind": "choice", "labels": ["a", "b"]}, policy="", style="completion")
    with pytest.raises(CapabilityError, match=r"pip install 'scrutable\[attribution\]'"):
        model(services).gradients(made, [ONE])


def test_an_input_that_is_too_long_fails_alone(services: BehaviourServices) -> None:
    made = definition(readout={"kind": "choice", "labels": ["a", "b"]}, policy="", style="completion")
    long, short = model(services).read(made, [replace(ONE, text="tea " * 3000), ONE])
    assert isinstance(long, CallFailure)
    assert long.kind == "too_long"
    assert isinstance(short, Reading)


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


RULED = 'deny if mentions(word("please")); grant otherwise'


@pytest.mark.parametrize("rule", [definition().policy, RULED])
@pytest.mark.parametrize(
    "readout",
    [
        {"kind": "choice", "labels": ["grant", "deny"]},
        {"kind": "choice", "labels": ["perhaps", "grant", "deny"]},
        {"kind": "logit_difference", "labels": ["grant", "deny"], "threshold": 1.0},
        {"kind": "next_token", "words": ["x"], "names": ["grant", "deny"], "threshold": 0.5},
        {"kind": "text", "parse": {"grant": "g", "deny": "d"}},
    ],
)
def test_a_rule_decides_whatever_the_readout_and_whatever_is_usual(
    readout: dict[str, Any], rule: str
) -> None:
    made = definition(readout=readout, policy=rule)
    seen = decide(made, inputs(), FollowingSubject(made).read(made, inputs()), model="subject")
    politely = "grant" if rule != RULED else "deny"
    for one, observed in zip(inputs(), seen, strict=True):
        assert observed
        assert (observed.outcome == politely) == ("please" in one.text)
        assert sum(observed.probabilities) == pytest.approx(1)


@pytest.mark.parametrize(
    ("readout", "what"),
    [
        ({"kind": "choice", "labels": ["grant", "deny"], "decide": "typical"}, "typical"),
        ({"kind": "logit_difference", "labels": ["grant", "deny"]}, "typical"),
        ({"kind": "next_token", "words": ["x"], "names": ["grant", "deny"]}, "typical"),
        ({"kind": "logit_difference", "labels": ["grant", "deny"], "threshold": 9.0}, "cannot give 'grant'"),
    ],
)
def test_a_readout_that_would_decide_otherwise_than_the_rule_is_refused(
    readout: dict[str, Any], what: str
) -> None:
    with pytest.raises(ConfigError, match=what):
        FollowingSubject(definition(readout=readout))


def test_a_rule_that_cannot_be_read_is_refused_and_one_that_can_is_recorded() -> None:
    with pytest.raises(ConfigError, match="behaviour desk: policy: "):
        FollowingSubject(definition(policy="grant if"))
    assert FollowingSubject(definition()).provenance["policy"] == definition().policy
