"""Command-line shorthand says in full what a person means."""

from __future__ import annotations

from pathlib import Path

import pytest

from scrutable.pipeline.config import SHIPPED
from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.shorthand import records_config, selftest_config


def scoring(*simulators: str, **changes: object) -> object:
    arguments = {
        "name": "s",
        "records": "r.jsonl",
        "explanations": "e.jsonl",
        "nulls": 19,
        "population": None,
        "opponents": True,
    } | changes
    return records_config(simulators=simulators, **arguments)  # type: ignore[arg-type]


def test_without_a_simulator_the_trained_one_reads_english_and_what_is_transparent_is_there() -> None:
    config = scoring()
    assert config.simulators["trained"].adapter == SHIPPED  # type: ignore[attr-defined]
    assert {"table", "ngrams", "program"} < set(config.simulators)  # type: ignore[attr-defined]


def test_a_model_may_be_named_with_a_prompt_and_by_its_path() -> None:
    config = scoring("smollm2-135m:simulate_levels", "/models/My Model")
    simulators = config.simulators  # type: ignore[attr-defined]
    assert simulators["smollm2-135m-simulate_levels"].prompt == "simulate_levels"
    assert simulators["My-Model"].model == "/models/My Model"


def test_an_adapter_of_ones_own_may_be_named() -> None:
    simulators = scoring("trained:runs/mine/adapter").simulators  # type: ignore[attr-defined]
    assert simulators["trained-adapter"].adapter == "runs/mine/adapter"


def test_opponents_can_be_left_out() -> None:
    assert not scoring(opponents=False).explainers  # type: ignore[attr-defined]
    assert {"table", "tree", "rules", "template", "generic"} <= set(scoring().explainers)  # type: ignore[attr-defined]


def test_the_shipped_selftest_is_the_default() -> None:
    config = selftest_config(None, (), simulators=(), explainers=())
    assert config.name == "selftest"
    assert config.simulators["trained"].kind == "trained"
    assert config.gate.placebos >= 20


def test_naming_a_simulator_leaves_out_the_shipped_explainers() -> None:
    config = selftest_config(None, (), simulators=("program",), explainers=())
    assert list(config.simulators) == ["program"]
    assert not config.explainers


def test_a_selftest_of_another_job_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "score.yaml"
    path.write_text(
        "job: score\nname: s\nrecords: r\nexplanations: e\nsimulators: {program: {kind: program}}\n"
    )
    with pytest.raises(ConfigError, match="job: selftest"):
        selftest_config(path, (), simulators=(), explainers=())
