"""What a study will ask is told beforehand, and is what it then asks."""

from __future__ import annotations

from pathlib import Path

from scrutable.pipeline.behaviours.config import BehavioursConfig, BehaviourStudy
from scrutable.pipeline.behaviours.counting import StagePrompts, count_prompts
from scrutable.pipeline.behaviours.library import Defined
from scrutable.pipeline.records import Language
from tests.toy_behaviours import definition

LANGUAGES: dict[str, Language] = {"llm": "english", "rules": "policy"}
READS: dict[str, Language] = {"reader": "english", "checker": "policy"}


def study(**changes: object) -> BehaviourStudy:
    data = {
        "job": "behaviours",
        "name": "toy",
        "behaviours": ["a"],
        "inputs": 60,
        "explainers": {"llm": {"kind": "llm", "model": "m"}, "rules": {"kind": "rules"}},
        "simulators": {"reader": {"kind": "prompted", "model": "m"}, "checker": {"kind": "policy"}},
        "peers": {"twin": {"model": "m"}},
        "scoring": {"nulls": 2, "many_examples": 4, "example_draws": 2},
    }
    return BehavioursConfig.model_validate(data | changes)


def counted(config: BehaviourStudy, **policy: str) -> dict[str, StagePrompts]:
    defined = [Defined(definition(name, **policy), Path()) for name in ("desk", "shop")]
    stages = count_prompts(config, defined, writes=LANGUAGES, reads=READS, seed=0)
    return {stage.stage: stage for stage in stages}


def test_each_input_is_asked_once_of_every_model_and_once_under_every_condition() -> None:
    found = counted(study(), policy="")
    asked = 120 - found["simulate: reader"].prompts // 9
    assert found["observe"].prompts == found["ask: twin"].prompts == found["ask: reader"].prompts == 120
    # own and two nulls, the task, many examples, two draws of examples for each of two explanations
    assert found["simulate: reader"].prompts == 9 * (120 - asked)
    assert found["explain: llm"].prompts == 2
    assert "simulate: checker" not in found
    assert 40 <= asked <= 70  # the explain split


def test_a_planted_behaviour_asks_no_subject() -> None:
    assert counted(study())["observe"].prompts == 0


def test_edits_are_asked_of_the_editor_the_subject_and_the_simulators() -> None:
    found = counted(study(editor={"model": "m", "inputs": 5}))
    assert found["edit, and the subject on what was edited"].prompts == 2 * 2 * 5 * 2
    assert found["simulate edits: reader"].prompts == 2 * 2 * 5 * 2
