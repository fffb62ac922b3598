"""Behaviours on real weights: SmolLM2-135M answers, explains and predicts itself, beside its neurons."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from toy_run import scrutable

from scrutable.pipeline import load_run

DEMO = Path(__file__).parent.parent / "configs" / "demo.yaml"


@pytest.mark.real
def test_neurons_and_behaviours_of_a_real_model_share_one_run_and_one_report(tmp_path: Path) -> None:
    model = {"model": "smollm2-135m"}
    config = yaml.safe_load(DEMO.read_text(encoding="utf-8"))
    config["corpus"] |= {"max_tokens": 6000, "max_document_tokens": 400}
    config["units"] = {"ids": ["L0.N1221.pos", "L8.N715.neg"]}
    config["explainers"] = {"table": {"kind": "table"}}
    config["simulators"] = {"lookup": {"kind": "table"}}
    config["scoring"] = {"nulls": 1, "draws": 100, "budgets": []}
    config["random_subject"] = 0
    config["behaviours"] = {
        "behaviours": ["sentiment", "planted_complaint"],
        "inputs": 24,
        "explainers": {
            "llm": {"kind": "llm", **model},
            "rules": {"kind": "rules"},
            "lime": {"kind": "attribution", "method": "lime", "inputs": 3, "samples": 8},
            "keywords": {"kind": "concepts", "labels": "keywords", **model},
        },
        "simulators": {
            "reader": {"kind": "prompted", **model},
            "checker": {"kind": "policy"},
            "table": {"kind": "words"},
            "bottleneck": {"kind": "concepts", **model},
        },
        "editor": {"inputs": 2, "max_tokens": 24, **model},
        "scoring": {"nulls": 1, "many_examples": 0, "example_draws": 1, "draws": 100},
    }
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    done = scrutable("run", path, "--runs", tmp_path)
    assert done.returncode == 0, done.stderr
    run = load_run(tmp_path / "demo")
    assert len(run.scores)
    found = run.behaviours
    assert set(found.behaviours["behaviour"]) == {"sentiment", "planted_complaint"}
    explained = set(found.behaviours.query("reason == ''")["behaviour"])
    assert "planted_complaint" in explained
    told = {(row.unit, row.explainer) for row in found.explanations.itertuples()}
    lost = {(row.unit, row.part) for row in found.failures.query("stage == 'explain'").itertuples()}
    names = config["behaviours"]["explainers"]
    assert told | lost == {(behaviour, name) for behaviour in explained for name in names}
    reads = found.losses.query("simulator == 'reader' and condition == 'task' and inputs == 'all'")
    assert (reads["bits"] > 0).all()
    assert (reads["label_mass"] > 0).all()
    pages = tmp_path / "demo" / "report"
    index = (pages / "index.html").read_text(encoding="utf-8")
    assert "behaviours/sentiment.html" in index
    assert "units/L8.N715.neg.html" in index
    assert "positive" in (pages / "behaviours" / "sentiment.html").read_text(encoding="utf-8")
