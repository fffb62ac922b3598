"""Options and fixtures that several test files share."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import settings
from toy_assets import WHOLE, toy, toy_encoder

from scrutable.pipeline.asset_registry import ASSETS

# A shared machine is slow at times; how long an example takes is no property of the code.
settings.register_profile("any_machine", deadline=None)
settings.load_profile("any_machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden; review the diff")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--update-golden") and os.environ.get("CI") == "true":
        raise pytest.UsageError("--update-golden is for people who read the diff; not under CI=true")


@pytest.fixture
def updates_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be rewritten."""
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a registry of two toys and one that has the wrong hash."""
    sha256 = hashlib.sha256(WHOLE).hexdigest()
    for name in list(ASSETS):
        monkeypatch.delitem(ASSETS, name)
    for each in (
        toy("toy-corpus", "corpus", sha256),
        toy("toy-model", "model", sha256),
        toy("bad", "corpus", "0" * 64),
        toy_encoder(sha256),
    ):
        monkeypatch.setitem(ASSETS, each.name, each)
    monkeypatch.setenv("SCRUTABLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"
