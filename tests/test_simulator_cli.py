"""A simulator is trained, used, exported and asked for from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny_models import save_tiny_model
from toy_curriculum import write_toy_corpus, write_wordnet
from toy_run import scrutable, write_config, write_corpus

from scrutable.evaluators.trained.training import points
from scrutable.pipeline import load_run


def write_training(folder: Path, **changes: Any) -> Path:
    """A training of a tiny model that takes a second or two."""
    config = {
        "job": "train",
        "name": "toy",
        "base": {"model": str(folder / "base"), "dtype": "float32", "device": "cpu"},
        "curriculum": {
            "source": str(folder / "corpus.jsonl"),
            "wordnet": str(folder / "wordnet"),
            "puzzles": "",
        },
        "rank": 2,
        "steps": 3,
        "rules": 1,
        "measure_every": 2,
        "measured_rules": 2,
    }
    path = folder / "training.yaml"
    path.write_text(yaml.safe_dump(config | changes), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base, a corpus, a WordNet, and a finished training in runs/toy."""
    folder = tmp_path_factory.mktemp("simulator")
    save_tiny_model("qwen2", folder / "base")
    write_toy_corpus(folder / "corpus.jsonl")
    write_wordnet(folder / "wordnet")
    done = scrutable("simulator", "train", write_training(folder), "--runs", folder / "runs")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"adapter: {folder / 'runs' / 'toy' / 'adapter'}"
    return folder


def test_a_training_leaves_an_adapter_a_curve_and_a_manifest(place: Path) -> None:
    run = place / "runs" / "toy"
    assert [point.step for point in points(run)] == [2, 3]
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["base"]["dtype"] == "float32"
    assert manifest["adapter"]["adapter_bytes"] == (run / "adapter" / "adapter.safetensors").stat().st_size
    assert manifest["curriculum"]["n_excluded_descriptions"] > 40
    assert set(manifest["curve"]) == {"2", "3"}
    assert manifest["adapter"]["layers"] == 2, "all that the base has"


def test_only_documents_of_the_explain_split_are_taught(place: Path) -> None:
    from scrutable.evaluators.trained.texts import SHARES
    from scrutable.pipeline.corpus import split_of

    manifest = json.loads((place / "runs" / "toy" / "manifest.json").read_text())
    taught = manifest["curriculum"]["documents"]
    assert 5 < len(taught) < 40
    assert {split_of(name, shares=SHARES, seed=0) for name in taught} == {"explain"}


def test_what_was_trained_simulates_in_a_run(place: Path, tmp_path: Path) -> None:
    simulator = {
        "kind": "trained",
        "model": str(place / "base"),
        "adapter": str(place / "runs" / "toy" / "adapter"),
        "dtype": "float32",
    }
    config = write_config(
        tmp_path / "toy.yaml",
        write_corpus(tmp_path / "corpus.jsonl"),
        explainers={"template": {"kind": "template"}},
        simulators={"trained": simulator},
        scoring={"nulls": 1, "draws": 50},
    )
    done = scrutable("run", config, "--runs", tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    run = load_run(tmp_path / "runs" / "toy")
    assert len(run.simulations)
    assert not len(run.failures.query("stage == 'simulate'"))
    assert {"correlation", "gain_bits"} <= set(run.scores["metric"])
    facts = run.manifest["simulators"]["trained"]
    assert len(facts["adapter_digest"]) == 64
    assert "digest" in facts


def test_the_same_command_continues_and_another_config_is_refused(place: Path) -> None:
    again = scrutable("simulator", "train", place / "training.yaml", "--runs", place / "runs")
    assert again.returncode == 0
    other = scrutable("simulator", "train", place / "training.yaml", "steps=9", "--runs", place / "runs")
    assert other.returncode == 2
    assert "these keys differ: steps" in other.stderr


def test_a_training_begins_with_an_adapter_if_one_is_given(place: Path, tmp_path: Path) -> None:
    start = place / "runs" / "toy" / "adapter"
    command = ("simulator", "train", place / "training.yaml", "--runs", tmp_path, f"start={start}")
    done = scrutable(*command, "steps=1", "learning_rate=1.0e-12")
    assert done.returncode == 0, done.stderr
    kept = (tmp_path / "toy" / "adapter" / "adapter.safetensors").read_bytes()
    assert kept == (start / "adapter.safetensors").read_bytes(), "one step of no length changes nothing"
    facts = [json.loads((p / "toy" / "manifest.json").read_text()) for p in (tmp_path, place / "runs")]
    assert facts[0]["start"]["adapter_digest"] == facts[1]["adapter"]["adapter_digest"]


def test_it_is_exported_as_a_token_classifier(place: Path, tmp_path: Path) -> None:
    adapter = place / "runs" / "toy" / "adapter"
    done = scrutable(
        "simulator", "export", "--model", place / "base", "--adapter", adapter, "--to", tmp_path / "out"
    )
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["architectures"] == ["Qwen2ForTokenClassification"]
    assert len(config["id2label"]) == 10


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("curriculum.wordnet=/nowhere", "install Debian's wordnet-base"),
        ("layers=0", "layers"),
        ("start=nowhere", "nowhere holds no adapter.safetensors"),
        ("start=shipped", "no adapter for"),
        ("layers=7", "has 2 layers, and the adapter of base needs 7"),
        ("objective=best", "objective"),
        ("curriculum.leave_out=[nouns]", "no family 'nouns' is taught"),
        ("curriculum.sorce=x", "Did you mean source?"),
    ],
)
def test_what_cannot_be_trained_is_one_line_with_a_way_out(
    place: Path, tmp_path: Path, change: str, complaint: str
) -> None:
    done = scrutable("simulator", "train", place / "training.yaml", change, "--runs", tmp_path)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_an_adapter_of_another_shape_is_no_start(place: Path, tmp_path: Path) -> None:
    start = place / "runs" / "toy" / "adapter"
    command = ("simulator", "train", place / "training.yaml", "--runs", tmp_path, f"start={start}")
    done = scrutable(*command, "rank=3")
    assert done.returncode == 2
    assert "has rank 2, and this training 3" in done.stderr


def test_a_full_disk_is_one_line_and_the_same_command_goes_on(place: Path, tmp_path: Path) -> None:
    command = ("simulator", "train", place / "training.yaml", "--runs", tmp_path)
    full = [scrutable(*command, fail_at=n) for n in (4, 6)]
    for done in full:
        assert done.returncode == 2
        assert "no space left on the disk" in done.stderr
        assert "Traceback" not in done.stderr
    assert scrutable(*command).returncode == 0
    whole, continued = (
        path / "toy" / "adapter" / "adapter.safetensors" for path in (place / "runs", tmp_path)
    )
    assert continued.read_bytes() == whole.read_bytes()


def test_a_job_of_another_kind_is_pointed_to_its_command(place: Path, tmp_path: Path) -> None:
    run = scrutable("run", place / "training.yaml", "--runs", tmp_path)
    assert (run.returncode, "scrutable simulator train" in run.stderr) == (2, True)
    config = write_config(tmp_path / "toy.yaml", place / "corpus.jsonl")
    train = scrutable("simulator", "train", config, "--runs", tmp_path)
    assert (train.returncode, "job: train" in train.stderr) == (2, True)
    report = scrutable("report", place / "runs" / "toy")
    assert (report.returncode, "is a training" in report.stderr) == (2, True)
