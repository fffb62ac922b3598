"""Records that anyone made: what is usable is used, and what is not is named with its place."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scrutable.pipeline.activation_records import Imported, read_records, write_records
from scrutable.pipeline.errors import CorpusError
from scrutable.pipeline.records import Excerpt, Passage

GOOD = {"unit": "u", "tokens": ["a", " b"], "activations": [0.0, 2.0], "split": "test"}


def rows(n: int = 3, **changes: Any) -> list[dict[str, Any]]:
    return [GOOD | {"document": f"d{i}", "id": f"e{i}"} | changes for i in range(n)]


def read(tmp_path: Path, lines: list[Any], *, seed: int = 0) -> Imported:
    path = tmp_path / "records.jsonl"
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text(text, encoding="utf-8")
    return read_records(path, seed=seed)


def test_a_record_becomes_an_excerpt_with_all_that_was_said_of_it(tmp_path: Path) -> None:
    row = GOOD | {"document": "d", "id": "e", "weight": 2.5, "n_context": 1, "is_top": True}
    found = read(tmp_path, [row, *rows()])
    assert found.excerpts["u"][0] == Excerpt(Passage("e", ("a", " b"), 1), "d", "test", (0.0, 2.0), 2.5, True)
    (unit,) = found.units
    assert (unit.id, unit.max_activation, unit.layer, unit.sign) == ("u", 2.0, 0, "pos")
    assert found.problems == ()


def test_layer_and_index_come_from_the_name_or_from_the_record(tmp_path: Path) -> None:
    found = read(tmp_path, [*rows(unit="L8.N715.neg"), *rows(unit="x", layer=3, index=4)])
    assert [(u.layer, u.index, u.sign) for u in found.units] == [(8, 715, "neg"), (3, 4, "pos")]


def test_density_is_weighted_to_the_population_and_context_does_not_count(tmp_path: Path) -> None:
    lines = [
        GOOD | {"id": "e0", "tokens": ["x"] * 3, "activations": [9, 1, 1], "n_context": 1},
        GOOD | {"id": "e1", "tokens": ["x"] * 2, "activations": [0, 0], "weight": 3},
    ]
    (unit,) = read(tmp_path, lines).units
    assert unit.density == pytest.approx(2 / 8)  # fires at one level on 2 of 2 + 3 · 2 tokens


PROBLEMS = [
    ({"tokens": ["a"]}, "unequal_lengths", "1 tokens but 2 activations"),
    ({"activations": [0.0, float("nan")]}, "not_finite", "NaN or infinite"),
    ({"activations": [0.0, float("inf")]}, "not_finite", "NaN or infinite"),
    ({"activations": [0.0, "2"]}, "bad_activations", "must be a list of numbers"),
    ({"activations": 2.0}, "bad_activations", "must be a list of numbers"),
    ({"tokens": [], "activations": []}, "bad_tokens", "at least one string"),
    ({"split": "train"}, "bad_split", "no split 'train' (allowed: explain, calibrate, test)"),
    ({"weight": -1}, "bad_weight", "weight -1 is no number from 0"),
    ({"weight": "much"}, "bad_weight", "weight 'much'"),
    ({"weight": 1e308}, "bad_weight", "weight 1e+308 is no number from 0 to 1e+30"),
    ({"activations": [0.0, 1e308]}, "not_finite", "beyond 1e+30"),
    ({"activations": [0, 10**400]}, "not_finite", "beyond 1e+30"),
    ({"tokens": ["a", "\ud800"]}, "bad_tokens", "valid Unicode"),
    ({"document": "\ud800"}, "bad_name", "no valid Unicode"),
    ({"layer": "third"}, "bad_unit", "layer 'third' is no whole number"),
    ({"index": -1}, "bad_unit", "index -1 is no whole number"),
    ({"density": "high"}, "bad_unit", "density 'high' is no number from 0 to 1"),
    ({"n_context": True}, "bad_context", "n_context True leaves no token"),
    ({"n_context": 2}, "bad_context", "n_context 2 leaves no token of 2 to score"),
    ({"id": "e0"}, "duplicate_excerpt", "unit u has excerpt e0 at"),
    (
        {"split": "calibrate", "document": "d0"},
        "document_in_two_splits",
        "d0 of unit u is in calibrate and in test",
    ),
    ({"split": None}, "bad_split", "no split, though other records of unit u have one"),
]


@pytest.mark.parametrize(
    ("change", "kind", "says"), PROBLEMS, ids=[p[1] + str(i) for i, p in enumerate(PROBLEMS)]
)
def test_a_bad_record_is_named_with_its_line_and_the_rest_is_used(
    tmp_path: Path, change: dict[str, Any], kind: str, says: str
) -> None:
    bad = {k: v for k, v in (GOOD | {"document": "d9", "id": "e9"} | change).items() if v is not None}
    found = read(tmp_path, [*rows(), bad])
    assert len(found.excerpts["u"]) == 3
    (problem,) = found.problems
    assert (problem.unit, problem.stage, problem.kind) == ("u", "records", kind)
    assert says in problem.detail
    assert "records.jsonl:4" in problem.detail


def test_a_line_that_is_no_record_is_named_too(tmp_path: Path) -> None:
    found = read(tmp_path, [*rows(), "{not json", {"unit": "u"}, [1, 2]])
    assert [(p.kind, p.detail.split("records.jsonl:")[1][0]) for p in found.problems] == [
        ("bad_json", "4"),
        ("missing_key", "5"),
        ("missing_key", "6"),
    ]


def test_a_record_whose_unit_is_no_name_is_named_and_null_is_as_good_as_missing(tmp_path: Path) -> None:
    lines = [*rows(), GOOD | {"unit": None}, GOOD | {"unit": ""}]
    assert [p.kind for p in read(tmp_path, lines).problems] == ["bad_unit", "bad_unit"]
    found = read(tmp_path, rows(document=None, weight=None, n_context=None, is_top=None, layer=None))
    assert [e.document for e in found.excerpts["u"]] == ["e0", "e1", "e2"]
    assert found.problems == ()


def test_a_unit_without_a_test_excerpt_is_left_out_and_one_test_document_is_a_caution(tmp_path: Path) -> None:
    lines = [*rows(), *rows(unit="untested", split="calibrate"), GOOD | {"unit": "lonely", "id": "e"}]
    found = read(tmp_path, lines)
    assert [unit.id for unit in found.units] == ["u", "lonely"]
    assert {p.unit: p.kind for p in found.problems} == {"untested": "no_test_split", "lonely": "one_document"}


def test_documents_are_dealt_to_splits_where_none_are_given_and_the_user_is_told(tmp_path: Path) -> None:
    lines = [{k: v for k, v in row.items() if k != "split"} for row in rows(10)]
    found = read(tmp_path, lines)
    splits = [e.split for e in found.excerpts["u"]]
    assert [splits.count(s) for s in ("explain", "calibrate", "test")] == [4, 2, 4]
    assert any("no splits given" in note for note in found.notes)
    again = read(tmp_path, lines[::-1])
    assert {e.document: e.split for e in again.excerpts["u"]} == {
        e.document: e.split for e in found.excerpts["u"]
    }
    assert [e.split for e in read(tmp_path, lines, seed=1).excerpts["u"]] != splits
    assert [e.split for e in read(tmp_path, lines[:1]).excerpts["u"]] == ["test"]


def test_what_is_assumed_is_said_once(tmp_path: Path) -> None:
    lines = [{k: v for k, v in row.items() if k != "document"} | {"activations": [-1, 2]} for row in rows()]
    found = read(tmp_path, lines)
    assert [e.document for e in found.excerpts["u"]] == ["e0", "e1", "e2"]
    assert [e.activations for e in found.excerpts["u"]] == [(0.0, 2.0)] * 3
    assert len([n for n in found.notes if "document of its own" in n]) == 1
    assert len([n for n in found.notes if "half-wave rectified" in n]) == 1


def test_a_name_that_is_no_file_name_is_changed_and_a_clash_is_named(tmp_path: Path) -> None:
    found = read(tmp_path, [*rows(unit="mlp/8:3"), *rows(1, unit="mlp_8_3", id="e7", document="d7")])
    assert [unit.id for unit in found.units] == ["mlp_8_3"]
    assert any("no file name" in note for note in found.notes)
    assert [p.kind for p in found.problems] == ["duplicate_unit"]


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("r.jsonl", b"", "is empty"),
        ("r.jsonl", b"\xff\xfe\x00", "not a readable text file"),
        ("r.jsonl", b"{}", "no record can be used"),
        ("r.jsonl.gz", b"no gzip", "not a readable text file"),
    ],
)
def test_a_file_with_nothing_in_it_is_one_line(tmp_path: Path, name: str, data: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(CorpusError, match=says):
        read_records(tmp_path / name, seed=0)


def test_a_missing_file_and_an_empty_folder_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no records at"):
        read_records(tmp_path / "nowhere", seed=0)
    with pytest.raises(CorpusError, match=r"holds no .jsonl or .json file"):
        read_records(tmp_path, seed=0)


def test_a_folder_and_a_compressed_file_are_read_like_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(rows()[0]))
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(json.dumps(rows()[1]).encode()))
    (tmp_path / "c.json").write_text(json.dumps([rows()[2]]))
    assert [e.passage.id for e in read_records(tmp_path, seed=0).excerpts["u"]] == ["e0", "e1", "e2"]


NUMBERS = st.floats(0, 1e6, allow_nan=False)
TOKENS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=5)


@settings(max_examples=40)
@given(
    st.lists(st.lists(st.tuples(TOKENS, NUMBERS), min_size=2, max_size=5), min_size=2, max_size=4),
    st.floats(0.1, 100),
    st.data(),
)
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    texts: list[list[tuple[str, float]]],
    weight: float,
    data: st.DataObject,
) -> None:
    excerpts = tuple(
        Excerpt(
            Passage(f"e{i}", tuple(t for t, _ in text), data.draw(st.integers(0, len(text) - 1))),
            f"d{i}",
            "test" if i < 2 else "explain",
            tuple(a for _, a in text),
            weight,
            is_top=i == 0,
        )
        for i, text in enumerate(texts)
    )
    path = tmp_path_factory.mktemp("records") / "r.jsonl"
    first = read_records_of(path, excerpts)
    assert first.excerpts == {"L1.N2.pos": excerpts}
    write_records(path, first.units, first.excerpts)
    again = read_records(path, seed=0)
    assert (repr(again.units), again.excerpts) == (repr(first.units), first.excerpts)


def read_records_of(path: Path, excerpts: tuple[Excerpt, ...]) -> Imported:
    lines = [
        {
            "unit": "L1.N2.pos",
            "id": e.passage.id,
            "tokens": e.passage.tokens,
            "activations": e.activations,
            "document": e.document,
            "split": e.split,
            "weight": e.weight,
            "n_context": e.passage.n_context,
            "is_top": e.is_top,
        }
        for e in excerpts
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    return read_records(path, seed=0)
