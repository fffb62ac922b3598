"""Part files are whole or absent, and give back the records that they were made of."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrutable.pipeline.errors import RunFolderError
from scrutable.pipeline.records import Cost, Explanation, Failure, Score, Simulation, Unit
from scrutable.pipeline.store import RunFolder

TEXT = st.text(max_size=8).filter(lambda text: text.isprintable() or "\n" in text)
FLOATS32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(TEXT, TEXT, st.lists(TEXT, max_size=3), st.integers(0, 10**9))
def test_explanations_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, text: str, reply: str, shown: list[str], tokens: int
) -> None:
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    made = Explanation(
        "L0.N0.pos", "llm", "english", text, reply=reply, shown=tuple(shown), cost=Cost(tokens, 1, 2)
    )
    path = folder.part("explanations", "llm~0000")
    folder.write_records(path, Explanation, [made])
    assert folder.read_records(Explanation, path) == [made]


@given(st.lists(FLOATS32, max_size=5), st.lists(FLOATS32, max_size=5))
def test_simulations_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, expected: list[float], probabilities: list[float]
) -> None:
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    made = Simulation("u", "u/llm", "s", "d#0", tuple(expected), tuple(probabilities), (0.0, 1.0), 0.5)
    path = folder.part("simulations", "llm+s~0000")
    folder.write_records(path, Simulation, [made])
    assert folder.read_records(Simulation, path) == [made]


def test_an_undefined_score_stays_undefined(tmp_path: Path) -> None:
    folder, nan = RunFolder(tmp_path), math.nan
    score = Score(
        "u",
        "llm",
        "s",
        "simulation",
        "correlation",
        nan,
        nan,
        nan,
        0.1,
        nan,
        nan,
        nan,
        5,
        4,
        2,
        1,
        nan,
        "why",
    )
    path = folder.level / "scores.parquet"
    folder.write_records(path, Score, [score])
    [back] = folder.read_records(Score, path)
    assert math.isnan(back.value)
    assert (back.null, back.reason, back.n_asked) == (0.1, "why", 5)


def test_an_empty_part_is_a_part(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    path = folder.part("failures", "none")
    folder.write_records(path, Failure, [])
    assert path.exists()
    assert folder.read_records(Failure, path) == []


def test_the_same_records_are_the_same_bytes(tmp_path: Path) -> None:
    units = [Unit(f"L0.N{n}.pos", 0, n, "pos", 0.1, 2.0) for n in range(20)]
    for name in ("a", "b"):
        RunFolder(tmp_path / name).write_records(tmp_path / name / "units.parquet", Unit, units)
    assert (tmp_path / "a/units.parquet").read_bytes() == (tmp_path / "b/units.parquet").read_bytes()


def test_a_failed_write_leaves_the_old_file_and_no_partial_one(tmp_path: Path) -> None:
    folder, path = RunFolder(tmp_path), tmp_path / "table"
    folder.write(path, lambda partial: partial.write_text("old"))

    def fail(partial: Path) -> None:
        partial.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(RunFolderError, match="no space left on the disk while writing"):
        folder.write(path, fail)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["table"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = RunFolder(tmp_path / "file" / "runs")
    with pytest.raises(RunFolderError, match="cannot write"):
        folder.write(folder.path / "x", lambda partial: partial.write_text(""))
