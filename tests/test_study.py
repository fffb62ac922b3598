"""A whole study on planted behaviours: resumed where it stopped, and going on where one behaviour cannot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from scrutable.pipeline import load_run
from tests.toy_behaviours import definition
from tests.toy_run import scrutable, tables


def write_behaviour(folder: Path, name: str, **changes: Any) -> str:
    data = definition(name, **changes).model_dump(mode="json", exclude_defaults=True)
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return str(path)


def write_study(folder: Path, behaviours: Sequence[str], **changes: Any) -> Path:
    """A study of planted behaviours that asks no model; the subject is never loaded."""
    config = {
        "job": "behaviours",
        "name": "toy",
        "behaviours": list(behaviours),
        "explainers": {"rules": {"kind": "rules"}, "tree": {"kind": "tree"}, "words": {"kind": "words"}},
        "simulators": {"checker": {"kind": "policy"}, "table": {"kind": "words"}},
        "scoring": {"draws": 100},
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(config | changes, sort_keys=False), encoding="utf-8")
    return path


RULES = {
    "polite": 'grant if mentions(word("please")); deny otherwise',
    "early": 'grant if begins(word("give")); deny otherwise',
    "tea": 'grant if mentions(word("tea")) or mentions(word("tickets")); deny otherwise',
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config of a study of three behaviours, beside a finished run of it."""
    folder = tmp_path_factory.mktemp("study")
    names = [write_behaviour(folder, name, policy=rule) for name, rule in RULES.items()]
    config = write_study(folder, names)
    done = scrutable("run", config, "--runs", folder)
    assert done.returncode == 0, done.stderr
    return config


def test_a_study_finds_the_rules_and_says_what_they_are_worth(study: Path) -> None:
    found = load_run(study.parent / "toy").behaviours
    assert sorted(found.behaviours["behaviour"]) == sorted(RULES)
    assert set(found.behaviours["reason"]) == {""}
    gains = found.gains[(found.gains["baseline"] == "nothing") & (found.gains["inputs"] == "all")]
    assert (gains[gains["explainer"] == "rules"]["bits"] > 0.4).all()
    shuffled = found.losses[(found.losses["condition"] == "shuffled") & (found.losses["inputs"] == "all")]
    nothing = found.losses[(found.losses["condition"] == "nothing") & (found.losses["inputs"] == "all")]
    assert shuffled["bits"].mean() == pytest.approx(nothing["bits"].mean(), abs=0.25)
    assert found.failures.empty


def test_no_explainer_sees_an_input_that_calibrates_or_tests(study: Path) -> None:
    found = load_run(study.parent / "toy").behaviours
    split = dict(zip(found.inputs["input"], found.inputs["split"], strict=True))
    assert {split[id] for shown in found.explanations["shown"] for id in shown} == {"explain"}
    assert {split[id] for id in found.predictions["input"]} == {"calibrate", "test"}
    sources = found.inputs.groupby("behaviour")["source"].nunique()
    by_split = found.inputs.groupby(["behaviour", "source"])["split"].nunique()
    assert (sources >= 6).all()
    assert (by_split == 1).all()


def test_the_same_command_again_changes_nothing(study: Path) -> None:
    before = tables(study.parent / "toy")
    assert scrutable("run", study, "--runs", study.parent).returncode == 0
    assert tables(study.parent / "toy") == before


@pytest.mark.parametrize("kill_at", [3, 10, 21, 30, 41])
def test_a_study_that_was_killed_ends_with_the_same_bytes(study: Path, tmp_path: Path, kill_at: int) -> None:
    killed = scrutable("run", study, "--runs", tmp_path, kill_at=kill_at)
    assert killed.returncode < 0
    assert scrutable("run", study, "--runs", tmp_path).returncode == 0
    assert tables(tmp_path / "toy") == tables(study.parent / "toy")


def test_a_behaviour_that_cannot_be_explained_is_kept_with_the_reason_and_the_rest_goes_on(
    tmp_path: Path,
) -> None:
    names = [
        write_behaviour(tmp_path, "good", policy=RULES["polite"]),
        write_behaviour(tmp_path, "other", policy=RULES["early"]),
        write_behaviour(tmp_path, "always", policy="grant otherwise"),
        write_behaviour(
            tmp_path, "few", policy=RULES["polite"], inputs={"templates": ["{a}"], "slots": {"a": ["x", "y"]}}
        ),
        write_behaviour(tmp_path, "missing", policy=RULES["polite"], inputs={"file": "none.jsonl"}),
    ]
    done = scrutable("run", write_study(tmp_path, names), "--runs", tmp_path)
    assert done.returncode == 0, done.stderr
    found = load_run(tmp_path / "toy").behaviours
    reasons = dict(zip(found.behaviours["behaviour"], found.behaviours["reason"], strict=True))
    assert (reasons["good"], reasons["other"]) == ("", "")
    assert "one outcome only: 'grant' on all" in reasons["always"]
    assert "too few to split" in reasons["few"]
    assert "none.jsonl" in reasons["missing"]
    assert sorted(found.failures["unit"]) == ["always", "few", "missing"]
    assert set(found.gains["behaviour"]) == {"good", "other"}


def test_a_definition_that_was_changed_is_not_mixed_with_what_was_made_of_it(tmp_path: Path) -> None:
    config = write_study(tmp_path, [write_behaviour(tmp_path, "polite", policy=RULES["polite"])])
    assert scrutable("run", config, "--runs", tmp_path).returncode == 0
    write_behaviour(tmp_path, "polite", policy=RULES["early"])
    done = scrutable("run", config, "--runs", tmp_path)
    assert done.returncode == 2
    assert "another definition of the behaviour polite" in done.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"behaviours": ["sentimnt"]}, "Did you mean sentiment"),
        ({"behaviours": ["sentiment"]}, "subject: no model is given that shows the behaviour sentiment"),
        ({"explainers": {"rules": {"kind": "rule"}}}, "explainers"),
        ({"peers": {"checker": {"model": "smollm2-135m"}}}, "peers.checker: the name is taken"),
        ({"simulators": {}}, "simulators"),
    ],
)
def test_a_study_that_cannot_be_run_is_one_line(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    polite = write_behaviour(tmp_path, "polite", policy=RULES["polite"])
    config = write_study(tmp_path, **{"behaviours": [polite], **change})
    done = scrutable("run", config, "--runs", tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
