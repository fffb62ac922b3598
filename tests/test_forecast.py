"""What the dry run counts: at most as many excerpts and explanations as the config allows."""

from __future__ import annotations

from typing import Any

import pytest

from scrutable.pipeline.config import RunConfig, SamplesConfig
from scrutable.pipeline.forecast import candidates_of, excerpts_in

EXPLAINERS: dict[str, Any] = {
    "llm": {"kind": "llm", "model": "tiny"},
    "compiled": {"kind": "compiled", "model": "tiny", "of": "llm", "candidates": 3},
    "tree": {"kind": "tree", "of": "llm"},
}


@pytest.mark.parametrize(("explainer", "n"), [("llm", 1), ("compiled", 3), ("tree", 1)])
def test_every_candidate_is_simulated(explainer: str, n: int) -> None:
    config = RunConfig.model_validate(
        {
            "name": "toy",
            "subject": {"model": "tiny"},
            "corpus": {"source": "corpus.jsonl"},
            "explainers": EXPLAINERS,
            "simulators": {"lookup": {"kind": "table"}},
        }
    )
    assert candidates_of(config, explainer) == n


def test_a_unit_has_its_strongest_excerpts_and_some_of_each_stratum() -> None:
    samples = SamplesConfig(
        top={"explain": 5, "calibrate": 1, "test": 2}, per_stratum={"explain": 3, "calibrate": 1, "test": 2}
    )
    assert [excerpts_in(samples, split) for split in ("explain", "calibrate", "test")] == [29, 9, 18]
