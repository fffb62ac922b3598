"""The neuron puzzles as records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scrutable.pipeline.errors import CorpusError
from scrutable.pipeline.puzzles import puzzle_explanations, read_puzzles

PUZZLES = {
    name: {
        "name": name,
        "explanation": f"true of {name}",
        "false_explanations": ["wrong", "also wrong"],
        "sentences": [["A", [" red", 9], " car"]] * 6 + [["No", " hue"]] * 2,
    }
    for name in ("colors", "more")
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "puzzles.json").write_text(json.dumps(PUZZLES))
    return tmp_path


def test_every_sentence_is_a_document_and_one_in_four_of_either_kind_calibrates(file: Path) -> None:
    first, _ = read_puzzles(file)
    assert first.unit.id == "puzzle-colors"
    assert len({e.document for e in first.excerpts}) == 8
    splits = [e.split for e in first.excerpts]
    assert splits == ["test", "calibrate", "test", "test", "test", "calibrate", "test", "calibrate"]
    assert first.excerpts[0].activations == (0.0, 9.0, 0.0)
    assert first.excerpts[0].passage.text == "A red car"
    assert first.unit.max_activation == 9.0
    assert first.unit.density == pytest.approx(6 / 22)  # one level on 6 of 22 tokens


def test_the_true_explanation_is_the_first_candidate(file: Path) -> None:
    found = puzzle_explanations(read_puzzles(file))
    assert [(e.id, e.text) for e in found[:3]] == [
        ("puzzle-colors/puzzle", "true of colors"),
        ("puzzle-colors/puzzle.2", "wrong"),
        ("puzzle-colors/puzzle.3", "also wrong"),
    ]
    assert len(found) == 6


@pytest.mark.parametrize("text", ["", "[]", '{"a": {}}', '{"a": 3}'])
def test_a_file_that_holds_none_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "puzzles.json").write_text(text)
    with pytest.raises(CorpusError, match="no file of neuron puzzles"):
        read_puzzles(tmp_path)
