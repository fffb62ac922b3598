"""Studies of recursion from the command line: planted authors, tiny models, interruptions, bad input."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import yaml
from tiny_models import save_tiny_model
from toy_ladders import ladder_config, write_words
from toy_run import Done, in_this_environment, scrutable, write_config
from toy_server import MODEL, ToyServer
from transformers import AutoModelForCausalLM

from scrutable.pipeline.run import load_run


class Study(NamedTuple):
    config: Path
    run: Path
    done: Done


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_words(tmp_path_factory.mktemp("words") / "words.jsonl")


def study(tmp_path: Path, words: Path, **changes: Any) -> Study:
    config = ladder_config(tmp_path / "ladder.yaml", words, **changes)
    done = scrutable("recurse", config, "--runs", tmp_path / "runs")
    return Study(config, tmp_path / "runs" / "toy", done)


@pytest.fixture(scope="module")
def explained(tmp_path_factory: pytest.TempPathFactory, words: Path) -> Study:
    return study(tmp_path_factory.mktemp("explained"), words)


def files(run: Path) -> dict[str, bytes]:
    """Every file of the levels and of the ledger."""
    return {
        str(path.relative_to(run)): path.read_bytes()
        for folder in ("level-0", "level-1", "recursion")
        for path in sorted((run / folder).rglob("*"))
        if path.is_file()
    }


def test_a_planted_author_that_is_explained_exactly_passes_everything_up(explained: Study) -> None:
    assert explained.done.returncode == 0, explained.done.stderr
    rows = load_run(explained.run).recursion.ledger
    row = rows[rows["ladder"] == "authors"].iloc[0]
    assert (row["discharged"], row["open"], row["unresolved"]) == (0, 0, 1)
    assert row["passed_up"] == pytest.approx(1, abs=0.1)
    assert row["substitution_shuffled"] == pytest.approx(0, abs=0.1)
    assert row["end"] == "foundation"


def test_a_ladder_of_readable_surrogates_terminates_at_once(explained: Study) -> None:
    rows = load_run(explained.run).recursion.ledger
    assert set(rows["ladder"]) == {"authors", "tree"}
    tree = rows[rows["ladder"] == "tree"]
    assert tree.iloc[-1]["unresolved"] == pytest.approx(0)


def test_the_tables_of_a_study_hang_together(explained: Study) -> None:
    tables = load_run(explained.run).recursion
    assert tables.levels == [0, 1]
    assert set(tables.causes["job"]) <= set(tables.jobs["job"])
    assert set(tables.substitutions["job"]) == set(tables.causes["job"])
    assert (tables.causes["coverage"] >= 0.8).all()
    assert (tables.causes["random"] <= tables.causes["coverage"]).all()
    roots = tables.claims[(tables.claims["level"] == 1) & (tables.claims["ladder"] == "authors")]
    assert len(roots) == 6
    assert set(tables.level(1).explanations["unit"]) <= set(tables.nodes["unit"])
    assert {"H1", "H2", "H3", "H4", "H5"} == set(tables.rulings["hypothesis"])


def test_what_a_neuron_is_explained_from_never_holds_the_job_that_it_was_drawn_from(explained: Study) -> None:
    tables = load_run(explained.run).recursion
    excerpts = tables.level(1).excerpts
    splits = excerpts.groupby(["unit", "document"])["split"].nunique()
    assert (splits == 1).all()
    drawn = {  # every job whose claim was substituted has the nodes that stand in its place
        (row.unit, row.job.partition("/")[2])
        for row in tables.nodes.itertuples()
        if row.job in set(tables.substitutions["job"])
    }
    shown = {(row.unit, row.document) for row in excerpts[excerpts["split"] != "test"].itertuples()}
    substituted = {(u, j) for u, j in drawn if u in set(excerpts["unit"])}
    assert substituted
    own = {pair for pair in substituted & shown if _was_drawn(explained.run, *pair)}
    assert not own


def _was_drawn(run: Path, unit: str, job: str) -> bool:
    """Whether a node of a causal set is among those that were drawn: in the tree of claims, or silent."""
    excerpts = load_run(run).recursion.level(1).excerpts
    splits = excerpts[(excerpts["unit"] == unit) & (excerpts["document"] == job)]["split"]
    return bool(len(splits)) and set(splits) == {"test"}


def test_running_again_changes_nothing(explained: Study) -> None:
    before = files(explained.run)
    again = scrutable("recurse", explained.config, "--runs", explained.run.parent)
    assert again.returncode == 0
    assert files(explained.run) == before


def test_a_study_goes_on_to_more_depth_in_its_folder(explained: Study, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "toy"
    shutil.copytree(explained.run, run)
    deeper = scrutable("recurse", explained.config, "--depth", "2", "--runs", run.parent)
    assert deeper.returncode == 0, deeper.stderr
    assert {1, 2} == set(load_run(run).recursion.ledger["level"])
    assert "depth: 2" in (run / "config.yaml").read_text()
    before, after = files(explained.run), files(run)
    levels = [name for name in before if name.startswith("level-")]
    assert levels
    assert {name: after[name] for name in levels} == {name: before[name] for name in levels}


@pytest.mark.parametrize("kill_at", [41, 110, 150, 170, 190])
def test_a_study_that_was_killed_goes_on_to_the_same_bytes(
    kill_at: int, explained: Study, words: Path, tmp_path: Path
) -> None:
    config = ladder_config(tmp_path / "ladder.yaml", words)
    command = ("recurse", config, "--runs", tmp_path / "runs")
    killed = scrutable(*command, kill_at=kill_at)
    assert killed.returncode == -9
    assert scrutable(*command).returncode == 0
    assert files(tmp_path / "runs" / "toy") == files(explained.run)


def test_a_report_and_figures_are_written(explained: Study) -> None:
    assert "Explaining the explainer" in (explained.run / "report" / "index.html").read_text()
    done = scrutable("report", explained.run, "--figures")
    assert done.returncode == 0, done.stderr
    figures = [Path(line) for line in done.stdout.splitlines() if line.endswith(".svg")]
    assert figures
    assert all(path.read_text().startswith("<svg") for path in figures)


def test_an_author_that_does_not_look_is_gated_out_and_the_ledger_is_honestly_empty(
    words: Path, tmp_path: Path
) -> None:
    found = study(tmp_path, words, author={"blind": True})
    assert found.done.returncode == 3
    assert "the ledger is empty" in found.done.stderr
    tables = load_run(found.run).recursion
    assert tables.ledger.empty
    assert tables.gated["share"].sum() == pytest.approx(1)
    assert (found.run / "report" / "index.html").exists()


def _loud(path: Path) -> Path:
    """The same model with larger weights, so that what stands in a prompt decides what comes out."""
    model = AutoModelForCausalLM.from_pretrained(path)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    model.save_pretrained(path)
    return path


def tiny_study(words: Path, tmp_path: Path, **changes: Any) -> Path:
    """Tiny random models in all roles: nothing is understood, but every stage runs."""
    model = str(_loud(save_tiny_model("qwen2", tmp_path / "model")))
    config = yaml.safe_load(ladder_config(tmp_path / "ladder.yaml", words).read_text())
    author = {"kind": "llm", "model": model, "max_tokens": 24, "excerpts": 2, "temperature": 1.5}
    config |= {
        "subject": {"model": model},
        "authors": [author],
        "units": {"sample": 24},
        "corpus": config["corpus"] | {"max_tokens": 6000},
        "explainers": {
            "template": {"kind": "template"},
            "follower": {"kind": "follower", "model": model, "procedure": "copy", "temperature": 1.5},
        },
        "simulators": {
            "prompted": {"kind": "prompted", "model": model},
            "checker": {"kind": "program"},
        },
        "candidates": 1,
    }
    config["recursion"] |= {
        "depth": 2,
        "simulator": "prompted",
        "checker": "checker",
        "lenient": {"simulators": ["levels"], "paraphrasers": [{"model": model, "temperature": 1.5}]},
        "gate": 0.01,
        "gap": 0.0,
        "jobs": [2, 1],
        "children": 2,
        "singles": 3,
        "contexts": [4],
        "random_weights": True,
        "general": True,
        "writing": {"units": 4, "simulator": {"model": model}},
    } | changes
    if config["recursion"]["lenient"]:
        config["simulators"]["levels"] = {"kind": "prompted", "model": model, "prompt": "simulate_levels"}
    config["shifted"] = config["corpus"] | {"source": str(write_words(tmp_path / "other.jsonl", seed=1))}
    (tmp_path / "ladder.yaml").write_text(yaml.safe_dump(config))
    return tmp_path / "ladder.yaml"


def test_a_language_model_is_followed_into_its_own_neurons(words: Path, tmp_path: Path) -> None:
    config = tiny_study(words, tmp_path)
    done = scrutable("recurse", config, "--runs", tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    tables = load_run(tmp_path / "runs" / "toy").recursion
    assert {1, 2} == set(tables.jobs["level"])
    assert tables.causes["job"].str[0].value_counts().to_dict() == {"1": 2, "2": 1}
    assert {"strict", "lenient"} == set(tables.ledger["tier"])
    readings = tables.second_readings[tables.second_readings["level"] == 1]
    assert set(zip(readings["wording"], readings["simulator"], strict=True)) == {
        ("author", "levels"),
        ("paraphrase-1", "prompted"),
        ("paraphrase-1", "levels"),
    }
    assert set(tables.level(0).scores["simulator"]) == {"prompted"}  # the others read what is in the tree
    first = tables.ledger[tables.ledger["ladder"] == "authors"]
    shares = first[["discharged", "stranded", "passed_up", "open"]].sum(axis=1)
    assert shares.to_list() == pytest.approx([1] * len(first))
    assert set(first["end"]) == {"", "loop"}
    assert tables.jobs["random_gap"].notna().any()
    assert not tables.ceilings.empty
    assert set(tables.proxies["explainer"]) >= {"author", "template"}
    assert "shifted" in set(tables.ledger["corpus"])
    followers = {"follower-own", "follower-shuffled"}  # of the procedures that were written
    assert {"template", "follower"} | followers == set(tables.replicas["replica"])
    assert "follower" not in set(tables.ledger["ladder"])
    assert set(tables.foretold["edit"]) == {"none", "swap_top", "permute", "drop_one"}
    assert len(tables.procedures) == 2
    assert set(tables.traits["predictor"]) == {"template"} | followers
    assert len(tables.transfers[tables.transfers["level"] == 1]) == 4


def test_an_author_with_text_only_access_strands_what_is_not_checked(words: Path, tmp_path: Path) -> None:
    config = tiny_study(words, tmp_path, text_only=[str(tmp_path / "model")], lenient=None)
    done = scrutable("recurse", config, "--runs", tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    tables = load_run(tmp_path / "runs" / "toy").recursion
    row = tables.ledger[tables.ledger["ladder"] == "authors"].iloc[0]
    assert (row["r"], row["end"]) == (1, "text_only")
    assert row["stranded"] == pytest.approx(1 - row["discharged"])
    assert tables.jobs.empty
    assert "opaque by access" in (tmp_path / "runs" / "toy" / "report" / "index.html").read_text()


def test_a_served_author_is_text_only_by_access(words: Path, tmp_path: Path) -> None:
    config = tiny_study(words, tmp_path, lenient=None, writing=None)
    data = yaml.safe_load(config.read_text())
    with ToyServer() as server:
        served = {"model": MODEL, "backend": server.url, "temperature": 0.0}
        data["authors"] = [data["authors"][0] | served]
        config.write_text(yaml.safe_dump(data))
        done = in_this_environment(
            "recurse", config, "--runs", tmp_path / "runs", SCRUTABLE_CACHE=str(tmp_path / "cache")
        )
    assert done.returncode in (0, 3), done.stderr
    tables = load_run(tmp_path / "runs" / "toy").recursion
    assert tables.jobs.empty
    assert set(tables.ledger.loc[tables.ledger["ladder"] == "authors", "end"]) <= {"text_only"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"then": "cut_off", "depth": 3}, "depth 3 needs 3 authors, but authors has 2"),
        ({"simulator": "trained"}, "no simulator 'trained' among simulators (there are checker)"),
        ({"lenient": {}}, "recursion.lenient: give simulators, paraphrasers, or both"),
        ({"lenient": {"simulators": ["checker"]}}, "lenient.simulators: 'checker' reads the claims already"),
        ({"lenient": {"paraphrasers": [{"model": "m"}]}}, "only what language models write is said again"),
        ({"coverge": 0.5}, "recursion.coverge: unknown key. Did you mean coverage?"),
        ({"working": {"window": 4, "skip": 4}}, "working.skip must be smaller than working.window"),
    ],
)
def test_a_ladder_that_cannot_work_is_refused_in_one_line(
    changes: dict[str, Any], message: str, words: Path, tmp_path: Path
) -> None:
    found = study(tmp_path, words, **changes)
    assert found.done.returncode == 2
    assert message in found.done.stderr
    assert "Traceback" not in found.done.stderr


def test_a_run_is_no_ladder_and_has_no_figures_of_one(words: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path / "run.yaml", words)
    refused = scrutable("recurse", config)
    assert refused.returncode == 2
    assert "a ladder needs job: recurse, but its job is 'run'" in refused.stderr


def test_a_ladder_cannot_stop_after_a_stage_of_one_of_its_runs(words: Path, tmp_path: Path) -> None:
    refused = scrutable("explain", ladder_config(tmp_path / "ladder.yaml", words))
    assert refused.returncode == 2
    assert "made of several runs" in refused.stderr


def test_names_that_the_ladder_makes_itself_are_kept(words: Path, tmp_path: Path) -> None:
    config = yaml.safe_load(ladder_config(tmp_path / "ladder.yaml", words).read_text())
    config["explainers"] = {"author": {"kind": "template"}}
    (tmp_path / "ladder.yaml").write_text(yaml.safe_dump(config))
    refused = scrutable("recurse", tmp_path / "ladder.yaml")
    assert refused.returncode == 2
    assert "explainers.author: this name is kept for what `authors` makes" in refused.stderr


def test_a_dry_run_counts_every_level_and_writes_nothing(words: Path, tmp_path: Path) -> None:
    config = ladder_config(tmp_path / "ladder.yaml", words)
    done = scrutable("recurse", config, "--dry-run", "--runs", tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    for stage in ("level 0: capture", "level 1: causes, at most", "level 1: explain: author"):
        assert stage in done.stdout
    assert not (tmp_path / "runs").exists()


def test_a_dry_run_foretells_every_stage_that_a_study_of_a_model_can_have(
    words: Path, tmp_path: Path
) -> None:
    config = tiny_study(words, tmp_path)
    done = scrutable("recurse", config, "--dry-run", "--runs", tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    for stage in (
        "level 0, read again: explain: paraphrase-1, at most",
        "level 0, other text: capture",
        "level 1: working text, at most",
        "level 1, general text: simulate: author+prompted, at most",
        "level-1-general-on-working: simulate: author+prompted, at most",
        "level 0, followed: explain: follower-own, at most",
    ):
        assert stage in done.stdout
    lines = {line.split("  ")[0]: line.split() for line in done.stdout.splitlines()}
    assert lines["procedures"][2] == "2"
    assert lines["choices"][2] == str(4 * 4 * (1 + 3))  # units, edits, the author and each kind of guide
