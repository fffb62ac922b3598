"""The main job from the command line: its results, its interruptions, and what it says to bad input."""

from __future__ import annotations

import json
import math
import signal
from pathlib import Path

import pytest
from tiny_models import save_tiny_model
from toy_run import Done, Finished, model_sections, scrutable, tables, write_config, write_corpus

from scrutable.pipeline import load_run


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "toy.jsonl")


@pytest.fixture(scope="module")
def planted(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A config and the folder of its finished run."""
    folder = tmp_path_factory.mktemp("planted")
    config = write_config(folder / "toy.yaml", corpus)
    done = scrutable("run", config, "--runs", folder / "runs")
    assert done.returncode == 0, done.stderr
    return Finished(config, folder / "runs" / "toy")


@pytest.fixture(scope="module")
def with_models(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The same for a run in which a tiny random model explains itself."""
    folder = tmp_path_factory.mktemp("models")
    sections = model_sections(save_tiny_model("llama", folder / "tiny"))
    tokens = sections.pop("corpus_tokens")
    settings = {"source": str(corpus), "max_tokens": tokens, "window": 24, "skip": 2}
    config = write_config(folder / "toy.yaml", corpus, corpus=settings, **sections)
    done = scrutable("run", config, "--runs", folder / "runs")
    assert done.returncode == 0, done.stderr
    return Finished(config, folder / "runs" / "toy")


def test_true_explanations_of_planted_units_score_near_one_and_others_near_nothing(planted: Finished) -> None:
    run = load_run(planted.run)
    rules = run.explanations.query("explainer == 'program'").set_index("unit")["text"].to_dict()
    assert rules["L0.N0.pos"] == "digit"
    scores = run.scores.query("explainer == 'program' and metric == 'correlation'").set_index("unit")
    assert (scores["value"] > 0.95).all()
    assert (scores["null"].abs() < 0.25).all()
    assert (scores["low"] <= scores["value"]).all()


def test_the_explainer_never_saw_a_document_that_is_scored(planted: Finished) -> None:
    excerpts = load_run(planted.run).excerpts
    documents = excerpts.groupby("split")["document"].agg(set)
    assert not documents["explain"] & documents["test"]
    assert not documents["explain"] & documents["calibrate"]
    assert set(excerpts.loc[excerpts["shown"], "split"]) == {"explain"}


def test_every_table_can_be_read_as_a_frame_with_its_columns(with_models: Finished) -> None:
    run = load_run(with_models.run)
    assert len(run.units) == 4
    assert len(run.all_units) == 2 * 24 * 2
    explained = run.explanations
    n_failed = len(run.failures.query("stage == 'explain'"))
    assert len(explained) + n_failed == 4 * len(run.config.explainers)
    assert set(run.scores["metric"]) == {
        "correlation",
        "explained_variance",
        "auprc",
        "gain_bits",
        "top_and_random",
    }
    prompts = explained.query("explainer == 'llm'")
    assert (prompts["prompt"].str.len() > 500).all()
    assert (prompts["generated_tokens"] <= 8).all()
    simulated = run.simulations
    rows = zip(simulated["probabilities"], simulated["expected"], strict=True)
    assert all(len(p) == 2 * len(expected) for p, expected in rows)
    assert run.manifest["subject"]["digest"]
    assert len(run.manifest["starts"]) == 1


def test_weights_of_the_test_excerpts_sum_to_the_windows_of_the_split(with_models: Finished) -> None:
    excerpts = load_run(with_models.run).excerpts.query("split == 'test'")
    totals = excerpts.groupby("unit")["weight"].sum()
    assert totals.max() == pytest.approx(totals.min())


@pytest.mark.parametrize(
    ("kind", "kills"), [("planted", (1, 2, 4, 5, 8, 7, 4, 6, 3, 2)), ("with_models", (2, 5, 8))]
)
def test_kills_change_no_byte(
    kind: str, kills: tuple[int, ...], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    config, whole = request.getfixturevalue(kind)
    run = tmp_path / "toy"
    for kill_at in kills:
        killed = scrutable("run", config, "--runs", tmp_path, kill_at=kill_at)
        assert killed.returncode == -signal.SIGKILL
    done = scrutable("run", config, "--runs", tmp_path)
    assert done.returncode == 0, done.stderr
    assert tables(run) == tables(whole)
    assert (run / "report" / "index.html").exists()
    assert len(load_run(run).manifest["starts"]) >= 2


def test_an_interrupt_says_how_to_go_on_and_changes_no_byte(planted: Finished, tmp_path: Path) -> None:
    done = scrutable("run", planted.config, "--runs", tmp_path, kill_at=9, with_signal=signal.SIGINT)
    assert done.returncode == 130
    assert "run the same command again" in done.stderr
    assert scrutable("run", planted.config, "--runs", tmp_path).returncode == 0
    assert tables(tmp_path / "toy") == tables(planted.run)


def test_a_finished_run_asks_nothing_again(with_models: Finished) -> None:
    config, run = with_models
    before = tables(run)
    done = scrutable("run", config, "--runs", run.parent)
    assert done.returncode == 0
    assert "explain:" not in done.stderr
    assert tables(run) == before


def test_explain_stops_after_explaining_and_score_goes_on_from_there(
    planted: Finished, tmp_path: Path
) -> None:
    config, whole = planted
    assert scrutable("explain", config, "--runs", tmp_path).returncode == 0
    assert load_run(tmp_path / "toy").scores.empty
    assert not load_run(tmp_path / "toy").explanations.empty
    assert scrutable("score", tmp_path / "toy").returncode == 0
    assert tables(tmp_path / "toy") == tables(whole)
    (tmp_path / "toy" / "report" / "index.html").unlink()
    assert scrutable("report", tmp_path / "toy").returncode == 0
    assert (tmp_path / "toy" / "report" / "index.html").exists()


def test_a_limit_runs_the_first_units_in_a_folder_of_its_own(planted: Finished, tmp_path: Path) -> None:
    config, whole = planted
    assert scrutable("run", config, "--runs", tmp_path, "--limit", "2").returncode == 0
    limited = load_run(tmp_path / "toy-limit2")
    assert limited.units["unit"].tolist() == load_run(whole).units["unit"].tolist()[:2]


def test_a_dry_run_counts_and_writes_nothing(with_models: Finished, tmp_path: Path) -> None:
    done = scrutable("run", with_models.config, "--runs", tmp_path, "--dry-run")
    assert done.returncode == 0, done.stderr
    lines = {line.split("  ")[0].strip(): line.split() for line in done.stdout.splitlines()}
    assert lines["explain: llm"][3] == "4"  # one prompt for each unit
    # 4 units, own explanation and 2 nulls, on 1 + 8 calibrate and 2 + 8 test excerpts at most
    assert lines["simulate: template+prompted"][3] == str(4 * 3 * 19)
    assert not list(tmp_path.iterdir())


def test_a_unit_that_never_fires_is_counted_and_the_others_are_scored(corpus: Path, tmp_path: Path) -> None:
    rules = ["digit", 'word("no-such-word")', 'word("the")', 'word("of")']
    config = write_config(tmp_path / "toy.yaml", corpus, subject={"kind": "planted", "rules": rules})
    assert scrutable("run", config, "--runs", tmp_path).returncode == 0
    run = load_run(tmp_path / "toy")
    assert run.failures[["unit", "kind"]].values.tolist() == [["L0.N1.pos", "never_fires"]]
    assert set(run.scores["unit"]) == {"L0.N0.pos", "L0.N2.pos", "L0.N3.pos"}
    assert (run.summary["n_failed"] == 1).all()
    assert math.isnan(run.units.set_index("unit").loc["L0.N1.pos", "density"])


def refused(done: Done, *words: str) -> None:
    """One line on stderr that holds the words, and exit code 2."""
    assert done.returncode == 2, done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("scrutable: ")]
    assert len(said) == 1, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in said[0]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("units.sampel=3", ("units.sampel", "sample")),
        ("subject.rules=3", ("subject.rules",)),
        ("corpus.source=no/such/file", ("no/such/file",)),
        ("corpus.max_tokens=100", ("split", "corpus")),
        ("units.ids=[L0.N77.pos]", ("L0.N77.pos",)),
        ("units.layers=[5]", ("layer 5",)),
        ("nonsense", ("nonsense", "key.sub=value")),
        ("subject={kind: planted, rules: ['digit or']}", ("digit or",)),
    ],
)
def test_bad_settings_are_one_clear_line(
    override: str, words: tuple[str, ...], planted: Finished, tmp_path: Path
) -> None:
    refused(scrutable("run", planted.config, override, "--runs", tmp_path), *words)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("subject.model=no-such-model", ("no-such-model", "hub id")),
        ("explainers.llm.prompt=explain_compleshun", ("explain_compleshun", "explain_completion")),
        ("explainers.llm.prompt=explain_chat", ("chat template",)),
        ("simulators.prompted.prompt=explain_chat", ("labels",)),
    ],
)
def test_models_and_prompts_that_cannot_work_are_one_clear_line(
    override: str, words: tuple[str, ...], with_models: Finished, tmp_path: Path
) -> None:
    refused(scrutable("run", with_models.config, override, "--runs", tmp_path), *words)


@pytest.mark.parametrize(
    ("content", "words"), [(b"", ("empty",)), (b"\x00\x01\xff" * 50, ("binary",))], ids=["empty", "binary"]
)
def test_a_corpus_that_is_no_text_is_one_clear_line(
    content: bytes, words: tuple[str, ...], planted: Finished, tmp_path: Path
) -> None:
    path = tmp_path / "corpus.txt"
    path.write_bytes(content)
    refused(scrutable("run", planted.config, f"corpus.source={path}", "--runs", tmp_path), *words)


def test_a_run_folder_of_another_config_is_refused_and_untouched(planted: Finished) -> None:
    config, run = planted
    before = tables(run)
    refused(
        scrutable("run", config, "seed=1", "scoring.nulls=1", "--runs", run.parent), "scoring.nulls, seed"
    )
    assert tables(run) == before


def test_a_full_disk_is_one_clear_line_and_loses_nothing(planted: Finished, tmp_path: Path) -> None:
    config, whole = planted
    refused(scrutable("run", config, "--runs", tmp_path, fail_at=6), "no space left")
    assert not list(tmp_path.rglob(".partial-*"))
    assert scrutable("run", config, "--runs", tmp_path).returncode == 0
    assert tables(tmp_path / "toy") == tables(whole)


def test_a_damaged_part_is_named(planted: Finished, tmp_path: Path) -> None:
    config, _ = planted
    assert scrutable("run", config, "--runs", tmp_path).returncode == 0
    part = next((tmp_path / "toy" / "level-0" / "simulations").glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:100])
    refused(scrutable("score", tmp_path / "toy"), part.name, "delete this file")


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    refused(scrutable("report", tmp_path), "no run folder")


def test_two_processes_do_not_work_in_one_folder(planted: Finished, tmp_path: Path) -> None:
    import fcntl

    run = tmp_path / "toy"
    run.mkdir()
    with (run / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused(scrutable("run", planted.config, "--runs", tmp_path), "another process")


def test_the_manifest_says_what_ran(planted: Finished) -> None:
    manifest = json.loads((planted.run / "manifest.json").read_text())
    assert manifest["corpus"]["n_documents"] > 10
    assert manifest["starts"][0]["versions"]["scrutable"]
    assert set(manifest["explainers"]) == {"program", "table"}
