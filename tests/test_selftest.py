"""The self-test from the command line, and what a report says of a gate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from tiny_models import save_tiny_model
from toy_gate import write_text
from toy_run import Done, scrutable, write_config, write_corpus

from scrutable.pipeline import load_run


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text(tmp_path_factory.mktemp("text") / "text.jsonl")


def sizes(text: Path) -> list[str]:
    gate = {"source": str(text), "max_tokens": 15_000, "test_windows": 80, "placebos": 10, "attacked": 4}
    return [f"gate.{key}={value}" for key, value in gate.items()] + ["gate.puzzles=''"]


def selftest(folder: Path, text: Path, *more: str) -> Done:
    return scrutable("selftest", *sizes(text), *more, "--runs", folder)


def config_file(folder: Path) -> Path:
    path = folder / "own.yaml"
    path.write_text(
        yaml.safe_dump({"job": "selftest", "name": "own", "simulators": {"c": {"kind": "program"}}})
    )
    return path


def test_it_prints_the_table_and_the_run_records_it(text: Path, tmp_path: Path) -> None:
    done = scrutable("selftest", config_file(tmp_path), *sizes(text), "--runs", tmp_path)
    assert done.returncode == 0, done.stderr
    head, row, *_ = done.stdout.splitlines()
    assert head.split()[:2] == ["simulator", "explainer"]
    assert row.startswith("c ")
    assert row.endswith("passed")
    assert "over-broad" in done.stdout
    run = load_run(tmp_path / "own")
    assert run.gate["is_passed"].tolist() == [True]
    assert len(run.gate_cases) == 53 + 10
    assert set(run.attacks["n"] + run.attacks["n_true"]) == {4}
    page = (tmp_path / "own" / "report" / "index.html").read_text(encoding="utf-8")
    assert "Scripted attacks" in page
    assert 'class="banner"' not in page


def test_a_second_call_tries_nothing_again_and_says_the_same(text: Path, tmp_path: Path) -> None:
    arguments = ["selftest", config_file(tmp_path), *sizes(text), "--runs", tmp_path]
    first = scrutable(*arguments)
    written = (tmp_path / "own" / "level-0" / "gate.parquet").stat().st_mtime_ns
    again = scrutable(*arguments)
    assert again.stdout.splitlines()[0] == first.stdout.splitlines()[0]
    assert (tmp_path / "own" / "level-0" / "gate.parquet").stat().st_mtime_ns == written


def test_the_parts_of_a_run_folder_without_a_gate_are_tried_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the report of such a run tells its reader to do. The corpus is a stand-in for Wikipedia."""
    from scrutable.pipeline.composition import jobs
    from scrutable.pipeline.config import GateConfig

    text = write_text(tmp_path / "text.jsonl")
    small = {"source": str(text), "max_tokens": 15_000, "test_windows": 80, "placebos": 10, "attacked": 0}
    monkeypatch.setattr(jobs, "GateConfig", lambda: GateConfig(**small, puzzles=""))
    arguments = ["score", *files_to_score(tmp_path), "--runs", str(tmp_path)]
    main(arguments, monkeypatch)
    main(["selftest", str(tmp_path / "score")], monkeypatch)
    run = load_run(tmp_path / "score")
    assert dict(zip(run.gate["simulator"], run.gate["is_passed"], strict=True)) == {"program": True}
    page = (tmp_path / "score" / "report" / "index.html").read_text(encoding="utf-8")
    assert "No known-answer gate" not in page


def files_to_score(folder: Path) -> list[str]:
    rows = [
        {"unit": unit, "tokens": [unit, f"x{n}"], "activations": [1, 0], "document": f"d{n}", "split": split}
        for unit in "ab"
        for n, split in enumerate(("calibrate", "test", "test"))
    ]
    texts = [{"unit": unit, "explanation": f'word("{unit}")', "language": "program"} for unit in "ab"]
    for name, lines in (("r", rows), ("e", texts)):
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    files = ["--records", str(folder / "r.jsonl"), "--explanations", str(folder / "e.jsonl")]
    return [*files, "--simulator", "program", "--nulls", "1", "--no-opponents"]


def main(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line in this process, so that what is patched stays patched."""
    from scrutable.pipeline import cli

    monkeypatch.setattr("sys.argv", ["scrutable", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code


def test_simulators_and_explainers_named_on_the_command_line_take_the_place_of_the_configs(
    text: Path, tmp_path: Path
) -> None:
    done = selftest(tmp_path, text, "--simulator", "program", "--explainer", "generic")
    assert done.returncode == 0, done.stderr
    config = load_run(tmp_path / "selftest").config
    assert list(config.simulators) == ["program"]
    assert list(config.explainers) == ["generic"]


def run_with_gate(folder: Path, text: Path, source: Path) -> Path:
    """A run whose explainers are not tried: the search for programs takes its time."""
    gate = {"source": str(text), "max_tokens": 15_000, "test_windows": 80, "placebos": 10, "puzzles": ""}
    return write_config(
        folder / "toy.yaml", source, gate=gate | {"attacked": 0}, explainers={"table": {"kind": "table"}}
    )


def test_a_run_without_a_gate_says_so_on_top_and_one_with_a_passed_gate_does_not(
    text: Path, tmp_path: Path
) -> None:
    source = write_corpus(tmp_path / "corpus.jsonl")
    plain = write_config(tmp_path / "plain.yaml", source)
    assert scrutable("run", plain, "--runs", tmp_path / "plain").returncode == 0
    page = (tmp_path / "plain" / "toy" / "report" / "index.html").read_text(encoding="utf-8")
    assert page.index("No known-answer gate has been passed") < page.index("<main>")

    done = scrutable("run", run_with_gate(tmp_path, text, source), "--runs", tmp_path / "gated")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "gated" / "toy" / "report" / "index.html").read_text(encoding="utf-8")
    assert "No known-answer gate" not in page
    assert load_run(tmp_path / "gated" / "toy").gate["is_passed"].all()


def test_puzzles_scored_as_records_reproduce_the_gates_figures(text: Path, tmp_path: Path) -> None:
    """Exported, and scored with the same simulator: the same correlation for each explanation."""
    puzzles, model = tmp_path / "puzzles.json", save_tiny_model("llama", tmp_path / "tiny")
    sentences = [["A", [" red", 9], f" w{i}", " car"] for i in range(6)] + [["No", " hue"]] * 2
    facts = {"explanation": "colors", "false_explanations": ["cars", "words"], "sentences": sentences}
    puzzles.write_text(json.dumps({name: {"name": name, **facts} for name in ("one", "two")}))
    small = ["gate.test_windows=5", "gate.placebos=1", "gate.attacked=0", f"gate.puzzles={puzzles}"]
    done = selftest(tmp_path, text, *small, "--simulator", str(model))
    assert done.returncode == 0, done.stderr
    cases = load_run(tmp_path / "selftest").gate_cases.query("kind == 'puzzle'")

    done = scrutable("export", puzzles, "--to", tmp_path / "files")
    assert done.returncode == 0, done.stderr
    records, explanations = done.stdout.split()
    arguments = ["--records", records, "--explanations", explanations, "--simulator", model]
    done = scrutable("score", *arguments, "--nulls", "1", "--no-opponents", "--runs", tmp_path)
    assert done.returncode == 0, done.stderr
    scores = load_run(tmp_path / "score").scores.query("metric == 'correlation'")
    scores = scores[scores["explainer"] != "puzzle.best"].sort_values(["unit", "explainer"])
    assert len(scores) == len(cases) == 6
    assert cases["value"].tolist() == pytest.approx(scores["value"].tolist(), abs=1e-5)
    assert cases["value"].nunique() > 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--simulator", "no-such-model"], "no-such-model"),
        (["gate.placebo=3"], "placebos"),
        (["--simulator", "program", "--simulator", "program"], "named twice"),
    ],
)
def test_what_cannot_work_is_one_line(arguments: list[str], words: str, text: Path, tmp_path: Path) -> None:
    done = selftest(tmp_path, text, *arguments)
    assert done.returncode == 2, done.stderr
    [line] = [line for line in done.stderr.splitlines() if line.startswith("scrutable: ")]
    assert words in line
    assert "Traceback" not in done.stderr


def test_a_config_of_another_job_is_refused(text: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path / "toy.yaml", text)
    done = scrutable("selftest", config, "--runs", tmp_path)
    assert done.returncode == 2
    assert "job: selftest" in done.stderr
