"""Anybody's explanations on anybody's records, from the command line."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pandas.testing
import pytest
from toy_run import Done, Finished, scrutable, write_config, write_corpus

from scrutable.pipeline import load_run

WORDS = ["house", "tree", "water", "long", "green", "paper", "table", "slow", "under", "river"]


def record(unit: str, word: str, number: int, rng: random.Random, **changes: Any) -> dict[str, Any]:
    """Ten words; the unit fires on one word, and a little on nothing at all."""
    words = [rng.choice([*WORDS, word]) for _ in range(10)]
    split = ("explain", "calibrate", "test", "test")[number % 4]
    made = {
        "unit": unit,
        "tokens": [f" {w}" for w in words],
        "activations": [4.0 * (w == word) for w in words],
        "document": f"d{number}",
        "split": split,
        "weight": 1 + number % 3,
    }
    return made | changes


def write_lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


UNITS = {"a": "red", "b": "dog", "c": "2007", "d": "of"}


def good_records() -> list[Any]:
    rng = random.Random(0)
    return [record(unit, word, number, rng) for unit, word in UNITS.items() for number in range(40)]


def explanation(unit: str, text: str, **fields: str) -> dict[str, str]:
    return {"unit": unit, "explanation": text, "explainer": "mine", "language": "program", **fields}


TRUTHS = [explanation(unit, f'word("{word}")') for unit, word in UNITS.items()]


def score(folder: Path, records: list[Any], explanations: list[Any], *more: str) -> Done:
    return scrutable(
        "score",
        "--records",
        write_lines(folder / "records.jsonl", records),
        "--explanations",
        write_lines(folder / "explanations.jsonl", explanations),
        "--simulator",
        "program",
        "--nulls",
        "3",
        "--no-opponents",
        "--runs",
        folder,
        *more,
    )


def values(folder: Path, explainer: str = "mine") -> dict[str, float]:
    scores = load_run(folder / "score").scores
    scores = scores[(scores["metric"] == "correlation") & (scores["explainer"] == explainer)]
    return dict(zip(scores["unit"], scores["value"], strict=True))


def test_true_explanations_are_scored_without_a_subject(tmp_path: Path) -> None:
    done = score(tmp_path, good_records(), TRUTHS)
    assert done.returncode == 0, done.stderr
    assert values(tmp_path) == pytest.approx(dict.fromkeys(UNITS, 1.0))
    assert "mine + program" in done.stdout
    assert (tmp_path / "score" / "report" / "index.html").exists()


def test_the_best_of_several_is_chosen_on_calibrate_and_reported_on_test(tmp_path: Path) -> None:
    candidates = [
        explanation("a", 'word("house")'),
        explanation("a", 'word("red") or word("tree")'),
        explanation("a", 'word("red")'),
        *TRUTHS[1:],
    ]
    assert score(tmp_path, good_records(), candidates).returncode == 0
    first, second, third = (values(tmp_path, name)["a"] for name in ("mine", "mine.2", "mine.3"))
    assert first < second < third == pytest.approx(1.0)
    assert values(tmp_path, "mine.best") == pytest.approx(dict.fromkeys(UNITS, 1.0))


def test_opponents_are_fitted_and_stand_in_every_table(tmp_path: Path) -> None:
    arguments = ["--records", write_lines(tmp_path / "r.jsonl", good_records()), "--explanations"]
    arguments += [write_lines(tmp_path / "e.jsonl", TRUTHS), "--simulator", "program", "--runs", tmp_path]
    done = scrutable("score", *arguments)
    assert done.returncode == 0, done.stderr
    summary = load_run(tmp_path / "score").summary
    assert {"mine", "table", "ngrams", "program", "tree", "rules"} <= set(summary["explainer"])


BAD_RECORDS: dict[str, tuple[dict[str, Any], str]] = {
    "unequal lengths": ({"activations": [1.0]}, "10 tokens"),
    "NaN": ({"activations": [math.nan] * 10}, "finite"),
    "infinite": ({"activations": [math.inf] * 10}, "finite"),
    "no tokens": ({"tokens": [], "activations": []}, "at least one string"),
    "bad split": ({"split": "train"}, "train"),
    "bad weight": ({"weight": -1}, "weight"),
}


@pytest.mark.parametrize("name", BAD_RECORDS)
def test_a_bad_record_is_one_line_and_the_rest_is_scored(name: str, tmp_path: Path) -> None:
    changes, words = BAD_RECORDS[name]
    records = good_records()
    records[2] |= changes
    done = score(tmp_path, records, TRUTHS)
    assert done.returncode == 0, done.stderr
    [line] = [line for line in done.stderr.splitlines() if "records.jsonl:3" in line]
    assert words in line
    assert "left out" in line
    assert values(tmp_path) == pytest.approx(dict.fromkeys(UNITS, 1.0))
    assert len(load_run(tmp_path / "score").failures.query("stage == 'records'")) == 1


def test_a_line_that_is_no_json_is_named_by_its_number(tmp_path: Path) -> None:
    done = score(tmp_path, [*good_records(), "{broken"], TRUTHS)
    assert done.returncode == 0
    assert "records.jsonl:161" in done.stderr
    assert len(values(tmp_path)) == 4


def test_a_unit_without_a_test_split_is_named_and_the_others_are_scored(tmp_path: Path) -> None:
    records = [r for r in good_records() if not (r["unit"] == "a" and r["split"] == "test")]
    done = score(tmp_path, records, TRUTHS)
    assert done.returncode == 0
    assert "unit a: no usable record is in the test split" in done.stderr
    assert set(values(tmp_path)) == {"b", "c", "d"}


def test_one_test_document_only_has_a_value_and_no_interval(tmp_path: Path) -> None:
    records = good_records()
    for row in records:
        if row["unit"] == "a" and row["split"] == "test":
            row["document"] = "only"
    done = score(tmp_path, records, TRUTHS)
    assert done.returncode == 0
    assert "unit a: one test document only" in done.stderr
    scores = load_run(tmp_path / "score").scores.query("metric == 'correlation'").set_index("unit")
    assert scores.loc["a", "value"] == pytest.approx(1.0)
    assert math.isnan(scores.loc["a", "low"])
    assert not math.isnan(scores.loc["b", "low"])


def test_a_unit_given_twice_in_other_words_is_named(tmp_path: Path) -> None:
    records = good_records()
    records += [r | {"unit": "a/1"} for r in records[:8]] + [r | {"unit": "a 1"} for r in records[:1]]
    done = score(tmp_path, records, TRUTHS)
    assert done.returncode == 0
    assert "both become a_1" in done.stderr


BAD_EXPLANATIONS: dict[str, tuple[Any, str]] = {
    "unknown unit": (explanation("nobody", "digit"), "no usable records of unit 'nobody'"),
    "empty": (explanation("a", "  "), "the explanation of unit a is empty"),
    "not json": ("{", "bad_json"),
    "without a text": ({"unit": "a"}, "missing_key"),
    "bad language": (explanation("a", "x", language="klingon"), "klingon"),
    "twice": (TRUTHS[0], "the same explanation of unit a"),
}


@pytest.mark.parametrize("name", BAD_EXPLANATIONS)
def test_a_bad_explanation_is_one_line_and_the_rest_is_scored(name: str, tmp_path: Path) -> None:
    bad, words = BAD_EXPLANATIONS[name]
    done = score(tmp_path, good_records(), [*TRUTHS, bad])
    assert done.returncode == 0, done.stderr
    [line] = [line for line in done.stderr.splitlines() if "explanations.jsonl:5" in line]
    assert words in line
    assert values(tmp_path) == pytest.approx(dict.fromkeys(UNITS, 1.0))


def test_an_explanation_that_cannot_be_used_counts_as_failed_for_its_explainer_alone(tmp_path: Path) -> None:
    records = [*good_records(), *(r | {"unit": "untested"} for r in good_records()[:1])]  # none in test
    given = [
        *TRUTHS,
        explanation("untested", "digit"),
        explanation("a", 'word("tree")'),
        *(explanation(unit, "digit", explainer="other") for unit in ("a", "b")),
        explanation("c", " ", explainer="other"),
        {"unit": "d"},
    ]
    assert score(tmp_path, [*records, "{"], given).returncode == 0
    summary = load_run(tmp_path / "score").summary.query("metric == 'correlation'").set_index("explainer")
    assert summary["n_units"].to_dict() == {"mine": 5, "mine.2": 1, "mine.best": 5, "other": 3}
    assert summary["n_failed"].to_dict() == {"mine": 1, "mine.2": 0, "mine.best": 1, "other": 1}


def test_a_program_that_cannot_be_read_is_a_counted_failure(tmp_path: Path) -> None:
    done = score(tmp_path, good_records(), [*TRUTHS[1:], explanation("a", "digit or")])
    assert done.returncode == 0, done.stderr
    run = load_run(tmp_path / "score")
    assert set(run.failures.query("stage == 'simulate'")["unit"]) >= {"a"}
    assert run.scores.query("unit == 'a' and metric == 'correlation'")["value"].isna().all()
    assert run.summary.query("metric == 'correlation'")["n_undefined"].tolist() == [1]


def test_records_without_splits_or_documents_are_dealt_out_and_it_is_said(tmp_path: Path) -> None:
    bare = [{key: r[key] for key in ("unit", "tokens", "activations")} for r in good_records()]
    done = score(tmp_path, bare, TRUTHS)
    assert done.returncode == 0, done.stderr
    assert "no splits given" in done.stderr
    assert "no document ids given" in done.stderr
    assert values(tmp_path) == pytest.approx(dict.fromkeys(UNITS, 1.0))


@pytest.mark.parametrize(
    ("records", "explanations", "words"),
    [
        ([], TRUTHS, "is empty"),
        (["{"], TRUTHS, "no record can be used"),
        ("good", [], "no explanation can be used"),
        ("good", [explanation("nobody", "digit")], "no explanation can be used"),
        ("good", [*TRUTHS, explanation("a", "x", language="english")], "writes program and english"),
    ],
)
def test_where_nothing_can_be_scored_it_is_one_line(
    records: Any, explanations: list[Any], words: str, tmp_path: Path
) -> None:
    done = score(tmp_path, good_records() if records == "good" else records, explanations)
    assert done.returncode == 2
    [line] = [line for line in done.stderr.splitlines() if line.startswith("scrutable: ")]
    assert words in line
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["score"], "--records and --explanations"),
        (["score", "--records", "x"], "--records and --explanations"),
        (
            ["score", "--records", "no.jsonl", "--explanations", "no.jsonl", "--simulator", "program"],
            "no.jsonl",
        ),
        (["export", "no-such-run", "--to", "x"], "no-such-run"),
    ],
)
def test_arguments_that_cannot_work_are_one_line(arguments: list[str], words: str, tmp_path: Path) -> None:
    done = scrutable(*arguments, *(["--runs", tmp_path] if arguments[0] == "score" else []))
    assert done.returncode == 2
    [line] = [line for line in done.stderr.splitlines() if line.startswith("scrutable: ")]
    assert words in line


def test_explanations_that_nobody_reads_are_named_and_alone_they_are_an_error(tmp_path: Path) -> None:
    english = [explanation(unit, "red things", language="english", explainer="prose") for unit in UNITS]
    done = score(tmp_path, good_records(), english)
    assert done.returncode == 2
    [line] = [line for line in done.stderr.splitlines() if line.startswith("scrutable: ")]
    assert "by prose are written in english, which no simulator of this job reads" in line
    assert "--simulator trained" in line

    done = score(tmp_path, good_records(), [*TRUTHS, *english], "--name", "both")
    assert done.returncode == 0, done.stderr
    assert "by prose are written in english" in done.stderr
    assert set(load_run(tmp_path / "both").summary["explainer"]) == {"mine"}


@pytest.mark.parametrize("changed", ["records", "explanations"])
def test_a_folder_made_from_other_contents_of_the_files_is_not_continued(
    changed: str, tmp_path: Path
) -> None:
    assert score(tmp_path, good_records(), TRUTHS).returncode == 0
    if changed == "records":
        done = score(tmp_path, good_records()[:-1], TRUTHS)
    else:
        done = score(tmp_path, good_records(), [explanation("a", "digit"), *TRUTHS[1:]])
    assert done.returncode == 2
    [line] = [line for line in done.stderr.splitlines() if line.startswith("scrutable: ")]
    assert "other contents" in line
    assert values(tmp_path) == pytest.approx(dict.fromkeys(UNITS, 1.0))


def test_scoring_again_gives_the_same_bytes(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
        assert score(folder, good_records(), TRUTHS).returncode == 0
    first, second = ((f / "score" / "level-0" / "scores.parquet").read_bytes() for f in folders)
    assert first == second


# a run, exported and scored again


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("planted")
    config = write_config(folder / "toy.yaml", write_corpus(folder / "corpus.jsonl"))
    done = scrutable("run", config, "--runs", folder / "runs")
    assert done.returncode == 0, done.stderr
    return Finished(config, folder / "runs" / "toy")


def test_a_run_exported_and_scored_again_has_the_same_scores(planted: Finished, tmp_path: Path) -> None:
    done = scrutable("export", planted.run, "--to", tmp_path)
    assert done.returncode == 0, done.stderr
    records, explanations = done.stdout.split()
    arguments = ["--records", records, "--explanations", explanations, "--simulator", "program"]
    done = scrutable("score", *arguments, "--nulls", "2", "--no-opponents", "--runs", tmp_path)
    assert done.returncode == 0, done.stderr
    columns = ["unit", "explainer", "metric", "value", "null", "excess", "p"]
    before, after = (
        load_run(path)
        .scores.query("explainer == 'program'")[columns]
        .sort_values(columns[:3])
        .reset_index(drop=True)
        for path in (planted.run, tmp_path / "score")
    )
    assert len(before) == 4 * 5
    pandas.testing.assert_frame_equal(after, before, rtol=1e-9)


def test_a_run_goes_out_as_neuron_records_and_comes_back(planted: Finished, tmp_path: Path) -> None:
    done = scrutable("export", planted.run, "--to", tmp_path, "--neuron-records")
    assert done.returncode == 0, done.stderr
    records, explanations = done.stdout.split()
    arguments = ["--records", records, "--explanations", explanations, "--simulator", "program"]
    done = scrutable("score", *arguments, "--nulls", "2", "--no-opponents", "--runs", tmp_path)
    assert done.returncode == 0, done.stderr
    scores = load_run(tmp_path / "score").scores.query("explainer == 'program' and metric == 'correlation'")
    assert (scores["value"] > 0.9).all()
