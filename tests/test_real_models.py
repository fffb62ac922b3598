"""The main job on real weights and real text: SmolLM2-135M explains two of its own neurons."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from toy_run import scrutable, tables

from scrutable.pipeline import load_run

CONFIG = Path(__file__).parent.parent / "configs" / "demo.yaml"


@pytest.mark.real
def test_a_real_model_is_explained_scored_and_reported_and_nothing_is_asked_twice(tmp_path: Path) -> None:
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    config["explainers"]["llm"]["model"] = "smollm2-135m"
    config["corpus"] |= {"max_tokens": 6000, "max_document_tokens": 400}
    config["units"] = {"ids": ["L0.N1221.pos", "L8.N715.neg"]}
    config["scoring"] = {"nulls": 1, "draws": 200}
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")

    done = scrutable("run", path, "--runs", tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "demo"
    run = load_run(folder)
    assert len(run.all_units) == 30 * 1536 * 2
    answered = {(row.unit, row.explainer) for row in run.explanations.itertuples()}
    failed = {(row.unit, row.part) for row in run.failures.query("stage == 'explain'").itertuples()}
    assert answered | failed == {
        (unit, explainer) for unit in config["units"]["ids"] for explainer in config["explainers"]
    }
    written = run.explanations.query("explainer == 'llm'")
    assert written["text"].str.contains("[A-Za-z]").all()
    correlations = run.scores.query("metric == 'correlation'")
    assert (correlations["value"].dropna().abs() <= 1).all()
    assert (correlations.loc[correlations["value"].isna(), "reason"] != "").all()
    table = correlations.query("explainer == 'table'")
    assert (table["value"] > table["null"]).any()  # a lookup table beats another unit's on some unit
    page = (folder / "report" / "index.html").read_text(encoding="utf-8")
    assert "4-bit quantisation" in page
    assert "No known-answer gate" in page

    before = tables(folder)
    assert scrutable("run", path, "--runs", tmp_path / "runs").returncode == 0
    assert tables(folder) == before
