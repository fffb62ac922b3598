"""The subject x explainer matrix: planted coefficients come out, and what cannot be told apart is named."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from toy_ladders import ladder_config, write_words
from toy_run import scrutable, write_corpus

from scrutable.evaluators.matrix import (
    EXPLAINER_SIZE,
    FAMILY,
    LEVEL,
    READABLE,
    SAME,
    SUBJECT_SIZE,
    MatrixScore,
    effects,
)
from scrutable.pipeline.recursion.records import Effect
from scrutable.pipeline.run import load_run

SUBJECTS = {"tiny": 1e8, "small": 3e8, "middle": 1e9}
FAMILIES = {"tiny": "llama", "small": "llama", "middle": "qwen", "large": "qwen", "huge": "qwen"}
WRITERS = {"small": 3e8, "middle": 1e9, "large": 8e9, "tree": 0.0}


def scores(
    *,
    same: float = 0.0,
    per_decade: float = 0.0,
    readable: float = 0.0,
    related: float = 0.0,
    explainers: Mapping[str, float] = WRITERS,
) -> list[MatrixScore]:
    """A full matrix of three subjects, three models and a program, 30 units each; middle is of a family."""
    rng = np.random.default_rng(0)
    found = []
    for subject, size in SUBJECTS.items():
        for unit in range(30):
            own = rng.normal(scale=0.05)  # what all scores of a unit share
            for explainer, parameters in explainers.items():
                value = 0.3 + own + 0.05 * rng.normal()
                value += same * (explainer == subject) + readable * (parameters == 0)
                value += related * (FAMILIES[subject] == FAMILIES.get(explainer))
                value += per_decade * (math.log10(parameters) - 9) if parameters else 0.0
                found.append(
                    MatrixScore(
                        subject,
                        f"u{unit}",
                        explainer,
                        value,
                        size,
                        parameters,
                        FAMILIES[subject],
                        FAMILIES.get(explainer, ""),
                        is_same=explainer == subject,
                    )
                )
    return found


def by_term(rows: list[MatrixScore]) -> dict[str, Effect]:
    return {effect.term: effect for effect in effects(rows, draws=400, seed=0)}


@pytest.mark.parametrize(
    ("planted", "term"),
    [({"same": 0.1}, SAME), ({"per_decade": 0.08}, EXPLAINER_SIZE), ({"per_decade": -0.08}, EXPLAINER_SIZE)],
)
def test_a_planted_coefficient_is_recovered_within_its_interval(planted: dict[str, float], term: str) -> None:
    found = by_term(scores(**planted))
    truth = next(iter(planted.values()))
    assert found[term].low < truth < found[term].high
    others = [found[name] for name in (SUBJECT_SIZE, SAME, EXPLAINER_SIZE) if name != term]
    assert all(abs(other.value) < 0.03 for other in others)


def test_what_a_program_has_over_the_mean_model_is_a_term_of_its_own() -> None:
    assert by_term(scores(readable=0.2))[READABLE].value == pytest.approx(0.2, abs=0.03)


def ladder(*, per_level: float = 0.0) -> list[MatrixScore]:
    """tiny <- small <- middle <- large, 30 units at each level."""
    path = ("tiny", "small", "middle", "large")
    sizes, rng = SUBJECTS | WRITERS, np.random.default_rng(1)
    return [
        MatrixScore(
            f"ladder, level {level}",
            f"n{unit}",
            f"ladder: {above}",
            0.3 + per_level * (level - 1) + 0.07 * rng.normal(),
            sizes[below],
            sizes[above],
            FAMILIES[below],
            FAMILIES[above],
            is_same=False,
            level=level,
        )
        for level, (below, above) in enumerate(pairwise(path), 1)
        for unit in range(30)
    ]


def test_level_and_size_of_a_single_ladder_cannot_be_told_apart() -> None:
    rows = [replace(row, explainer_family="", subject_family="") for row in ladder() if row.level < 3]
    found = by_term(rows)
    assert math.isnan(found[LEVEL].value)
    assert found[LEVEL].reason == f"confounded with {SUBJECT_SIZE}"


@pytest.mark.parametrize("per_level", [-0.1, 0.0])
def test_beside_a_matrix_the_slope_over_the_levels_of_a_ladder_is_found(per_level: float) -> None:
    found = by_term([*scores(), *ladder(per_level=per_level)])[LEVEL]
    assert found.low < per_level < found.high
    assert found.high - found.low < 0.1


def test_what_a_family_has_in_common_is_a_term_of_its_own() -> None:
    found = by_term(scores(related=0.1))
    assert found[FAMILY].low < 0.1 < found[FAMILY].high
    assert abs(found[SAME].value) < 0.04


def test_a_family_that_is_not_known_is_named() -> None:
    rows = [
        replace(row, explainer_family="" if row.explainer == "large" else row.explainer_family)
        for row in scores()
    ]
    assert by_term(rows)[FAMILY].reason == "the family of large is not known"


def test_a_term_that_does_not_vary_says_so() -> None:
    found = by_term(scores(explainers={"large": 8e9, "huge": 8e10}))
    assert found[READABLE].reason == found[SAME].reason == "it is the same in all scores"
    assert found[LEVEL].reason == "all scores are of one level: give ladders"


def test_a_constant_moves_the_intercept_alone() -> None:
    rows = scores(same=0.1)
    before, after = by_term(rows), by_term([row.__class__(**_moved(row, 0.5)) for row in rows])
    for term, effect in after.items():
        moved = 0.5 if term == "intercept" else 0.0
        assert effect.value == pytest.approx(before[term].value + moved, nan_ok=True)


def _moved(row: MatrixScore, by: float) -> dict[str, Any]:
    names = MatrixScore.__dataclass_fields__
    return {name: getattr(row, name) for name in names} | {"value": row.value + by}


def test_two_units_are_too_few() -> None:
    few = [row for row in scores() if row.unit == "u0" and row.subject != "middle"]
    assert {effect.reason for effect in effects(few, draws=10, seed=0)} == {
        "2 units with a score, fewer than 3"
    }


def matrix_config(path: Path, **changes: Any) -> Path:
    corpus = write_corpus(path.parent / "corpus.jsonl")
    rules = [["digit", 'word("the")', 'ends("ing")'], ["digit", 'word("of")', 'after(word("a"))']]
    config = {
        "job": "matrix",
        "name": "toy",
        "subjects": {
            name: {"kind": "planted", "rules": some} for name, some in zip("ab", rules, strict=True)
        },
        "corpus": {"source": str(corpus), "max_tokens": 4000, "window": 16, "skip": 2},
        "units": {"sample": 3},
        "samples": {"per_stratum": {"explain": 12, "calibrate": 8, "test": 12}},
        "explainers": {"program": {"kind": "program"}, "tree": {"kind": "tree"}},
        "simulators": {"checker": {"kind": "program"}},
        "simulator": "checker",
        "scoring": {"nulls": 1, "draws": 100, "budgets": []},
    }
    path.write_text(yaml.safe_dump(config | changes))
    return path


def test_a_matrix_runs_every_explainer_on_every_subject_and_goes_on_where_it_was(tmp_path: Path) -> None:
    config = matrix_config(tmp_path / "matrix.yaml")
    done = scrutable("run", config, "--runs", tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    run = tmp_path / "runs" / "toy"
    cells = load_run(run).recursion.matrix
    assert set(zip(cells["subject"], cells["explainer"], strict=True)) == {
        (subject, explainer) for subject in "ab" for explainer in ("program", "tree")
    }
    assert (cells["explainer_parameters"] == 0).all()
    assert "Subject by explainer" in (run / "report" / "index.html").read_text()
    before = {p: p.read_bytes() for p in sorted(run.rglob("*.parquet"))}
    assert scrutable("run", config, "--runs", tmp_path / "runs").returncode == 0
    assert {p: p.read_bytes() for p in sorted(run.rglob("*.parquet"))} == before


def test_the_levels_of_a_ladder_are_rows_of_the_regression_and_the_third_hypothesis_is_ruled_on(
    tmp_path: Path,
) -> None:
    words = write_words(tmp_path / "words.jsonl")
    assert scrutable("recurse", ladder_config(tmp_path / "l.yaml", words), "--runs", tmp_path).returncode == 0
    ladder_run = (tmp_path / "toy").rename(tmp_path / "ladder")
    config = matrix_config(tmp_path / "matrix.yaml", ladders=[str(ladder_run)])
    done = scrutable("run", config, "--runs", tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    tables = load_run(tmp_path / "runs" / "toy").recursion
    ladder_tables = load_run(ladder_run).recursion
    rows = sum(
        len(scores[(scores["metric"] == "correlation") & scores["excess"].notna()])
        for scores in (ladder_tables.level(0).scores, ladder_tables.level(1).scores)
    )
    cells = int(tables.matrix["n_units"].sum())
    assert set(tables.matrix_effects["n"]) == {cells + rows}
    level = tables.matrix_effects.set_index("term").loc[LEVEL]
    assert level["reason"] == ""
    [ruling] = tables.rulings.itertuples()
    assert (ruling.hypothesis, ruling.ladder) == ("H3", "toy")
    assert "a level" in ruling.why
    tables_only = {"explainers": {"t": {"kind": "table"}}, "simulators": {"checker": {"kind": "table"}}}
    other = matrix_config(tmp_path / "other.yaml", ladders=[str(ladder_run)], **tables_only)
    refused = scrutable("run", other, "--runs", tmp_path / "others")
    assert refused.returncode == 2
    assert "is scored by another simulator (checker) than the matrix (checker)" in refused.stderr


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"simulator": "trained"}, "simulator: no simulator 'trained' among simulators"),
        ({"ladders": ["nowhere"]}, "nowhere"),
        (
            {"explainers": {"table": {"kind": "table"}}},
            "table: what it writes is not read by checker",
        ),
    ],
)
def test_a_matrix_that_cannot_work_is_refused_in_one_line(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    refused = scrutable("run", matrix_config(tmp_path / "m.yaml", **changes), "--runs", tmp_path / "runs")
    assert refused.returncode == 2
    assert message in refused.stderr
