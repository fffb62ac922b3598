"""The opponents as explainers and simulators: what each writes is read by its own simulator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_models import save_tiny_model
from toy_excerpts import excerpt, services

from scrutable.evaluators.simulators import SIMULATORS
from scrutable.pipeline import config
from scrutable.pipeline.backends.scripted import ScriptedBackend
from scrutable.pipeline.description import description_bits
from scrutable.pipeline.explainers import EXPLAINERS
from scrutable.pipeline.protocols import Explanatory, LocatedModel, Services, SimulationJob
from scrutable.pipeline.records import Explanation, Failure, Prompt, Simulation
from scrutable.pipeline.sections import ModelConfig

TOKENS = [" the", " cat", " sat", " on", " a", " cat", ",", " the", " dog", " ran"]
SHOWN = tuple(
    excerpt(TOKENS, [4.0 * (token == " cat") for token in TOKENS], id=f"e{i}", n_context=1) for i in range(4)
)
JOB = Explanatory("L0.N0.pos", SHOWN)
SILENT = Explanatory("L0.N1.pos", (excerpt(TOKENS, [0.0] * len(TOKENS), id="silent"),))
KINDS = ("ngrams", "tree", "rules", "probe")
CONFIGS: dict[str, Any] = {
    "generic": config.GenericExplainer(),
    "ngrams": config.NgramsExplainer(),
    "tree": config.TreeExplainer(),
    "rules": config.RulesExplainer(),
    "probe": config.ProbeExplainer(model="tiny"),
}


def refuse(prompt: Prompt) -> str:
    raise AssertionError(f"no model is to be asked, but was: {prompt}")


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Services:
    """Services whose only model is a tiny one."""
    path: Path = save_tiny_model("llama", tmp_path_factory.mktemp("tiny"))

    def locate(wanted: ModelConfig) -> LocatedModel:
        assert wanted.model == "tiny"
        return LocatedModel("tiny", str(path), {})

    return services(ScriptedBackend(refuse))._replace(locate=locate)


def explainer(kind: str, local: Services, **fields: Any) -> Any:
    return EXPLAINERS[kind]("own", CONFIGS[kind].model_copy(update=fields), local)


def simulated(explanation: Explanation, local: Services) -> Simulation | Failure:
    kind = explanation.language
    settings = config.ProbeSimulator(model="tiny") if kind == "probe" else None
    (made,) = SIMULATORS[kind]("sim", settings, local).simulate(
        [SimulationJob(JOB.unit, explanation, (SHOWN[0].passage,))]
    )
    assert isinstance(made, Simulation | Failure)
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_what_an_opponent_writes_its_simulator_reads(kind: str, local: Services) -> None:
    made = explainer(kind, local)
    (explanation,) = made.explain([JOB])
    assert isinstance(explanation, Explanation), explanation
    assert (explanation.id, explanation.language) == ("L0.N0.pos/own", made.language)
    assert explanation.shown == ("e0", "e1", "e2", "e3")
    assert made.prompts([JOB]) == []
    answer = simulated(explanation, local)
    assert isinstance(answer, Simulation), answer
    scored = TOKENS[1:]
    at_cats = [x for x, token in zip(answer.expected, scored, strict=True) if token == " cat"]
    others = [x for x, token in zip(answer.expected, scored, strict=True) if token != " cat"]
    assert min(at_cats) > max(others)


def test_the_generic_explainer_says_the_same_of_every_unit(local: Services) -> None:
    first, second = explainer("generic", local, text="words").explain([JOB, SILENT])
    assert (first.text, second.text) == ("words", "words")
    assert (first.unit, second.unit, first.language, first.candidate) == (JOB.unit, SILENT.unit, "english", 1)


@pytest.mark.parametrize("kind", ["tree", "rules"])
def test_a_budget_may_be_the_length_of_another_explanation(kind: str, local: Services) -> None:
    source = Explanation(JOB.unit, "llm", "english", "cats and other words about cats")
    made = explainer(kind, local, of="llm")
    (explanation,) = made.explain([JOB._replace(source=source)])
    assert isinstance(explanation, Explanation)
    assert description_bits(explanation) <= description_bits(source)
    (failure,) = made.explain([JOB])
    assert (failure.kind, failure.stage, failure.part) == ("no_source", "explain", "own")


@pytest.mark.parametrize("kind", ["tree", "rules"])
def test_a_unit_that_no_program_within_the_budget_tells_apart_is_a_failure(
    kind: str, local: Services
) -> None:
    too_short, silent = (
        explainer(kind, local, bits=8).explain([JOB]),
        explainer(kind, local).explain([SILENT]),
    )
    assert [failure.kind for failure in (*too_short, *silent)] == ["no_program", "no_program"]


def test_a_silent_unit_has_no_probe(local: Services) -> None:
    (failure,) = explainer("probe", local).explain([SILENT])
    assert (failure.kind, failure.unit) == ("no_probe", SILENT.unit)


@pytest.mark.parametrize("language", ["ngrams", "probe"])
def test_a_text_that_is_not_in_the_language_is_a_parse_failure(language: Any, local: Services) -> None:
    answer = simulated(Explanation(JOB.unit, "own", language, "cats"), local)
    assert isinstance(answer, Failure)
    assert (answer.kind, answer.stage) == ("parse", "simulate")


def test_a_probe_of_another_width_is_a_parse_failure(local: Services) -> None:
    text = '{"scale": 1.0, "intercept": 0.0, "weights": "AAAA"}'
    answer = simulated(Explanation(JOB.unit, "own", "probe", text), local)
    assert isinstance(answer, Failure)
    assert "3 weights, but its embeddings are 16 wide" in answer.detail
