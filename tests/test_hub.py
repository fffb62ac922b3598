"""The hub, which is asked last and, here, cannot be reached."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from toy_assets import no_convert, no_pip

from scrutable.pipeline import assets
from scrutable.pipeline.errors import AssetError
from scrutable.pipeline.hub import hub_folder


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


class FakeHub:
    """Puts the files that the patterns allow into a folder; keeps the patterns."""

    def __init__(self, folder: Path, *, files: Sequence[str]) -> None:
        self.folder = folder
        self.files = files
        self.asked: list[list[str]] = []

    def __call__(self, _hub_id: str, *, allow_patterns: list[str]) -> str:
        self.asked.append(allow_patterns)
        for name in self.files:
            if any(Path(name).match(pattern) for pattern in allow_patterns):
                (self.folder / name).write_text("{}")
        return str(self.folder)


def test_weights_as_bin_are_downloaded_only_where_there_are_no_safetensors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = FakeHub(tmp_path, files=("config.json", "pytorch_model.bin"))
    monkeypatch.setattr("huggingface_hub.snapshot_download", old)
    assert (hub_folder("org/old") / "pytorch_model.bin").is_file()

    new = FakeHub(tmp_path, files=("config.json", "model.safetensors", "pytorch_model.bin"))
    monkeypatch.setattr("huggingface_hub.snapshot_download", new)
    hub_folder("org/new")
    assert len(new.asked) == 1
    assert "*.bin" not in new.asked[0]


def test_a_hub_repository_without_config_is_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.snapshot_download", FakeHub(tmp_path, files=("README.txt",)))
    with pytest.raises(AssetError, match=r"'org/dataset' has no config\.json"):
        hub_folder("org/dataset")


def test_a_full_disk_below_the_hubs_cache_names_the_variable_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_hub_id: str, **_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("huggingface_hub.snapshot_download", full)
    with pytest.raises(AssetError, match=r"the disk is full.*HF_HOME"):
        hub_folder("org/large")
