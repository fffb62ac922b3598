"""The cache of assets: folders that appear whole or not at all, and are made again when damaged.

    CACHE/models/NAME/    config.json, model.safetensors, tokenizer, ..., scrutable.json (the marker)
    CACHE/corpora/NAME/   the file, scrutable.json
    CACHE/encoders/NAME/  config.json, tokenizer.json, model.safetensors, scrutable.json
    CACHE/tmp/            work in progress; a folder appears above by one rename
    CACHE/digests.json    SHA-256 of weights elsewhere (scrutable.pipeline.weights)

Knows neither where files come from nor how they are converted: whoever calls hands in `make`.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from scrutable.pipeline.asset_marker import damage, mark
from scrutable.pipeline.errors import AssetError

Say = Callable[[str], None]
"""Gets one line for the user."""
Make = Callable[[Path, Path], str]
"""Fills an empty folder (second), with another for work in progress (first); gives back what the
marker keeps as the continuation of a checked model, or ""."""

STALE_SECONDS = 2 * 24 * 3600


def cache_dir() -> Path:
    """SCRUTABLE_CACHE, else XDG_CACHE_HOME/scrutable, else ~/.cache/scrutable; it need not exist."""
    own = os.environ.get("SCRUTABLE_CACHE")
    if own:
        return Path(own).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base).expanduser() if base else Path.home() / ".cache").absolute() / "scrutable"


def ensure_folder(folder: Path, *, title: str, source_sha256: str, note: str, make: Make, say: Say) -> Path:
    """The folder, which is there and sound; what is missing or damaged is made again.

    Raises:
        AssetError: the disk is full, or the cache cannot be written; and what `make` raises.
    """
    problem = damage(folder, source_sha256)
    if not problem:
        return folder
    if folder.exists():
        say(f"{title}: {problem} in {folder}; making it again")
    with _workspace(title) as scratch:
        into = scratch / "made"
        into.mkdir()
        continuation = make(scratch, into)
        mark(into, asset=title, source_sha256=source_sha256, note=note, continuation=continuation)
        # Another process may have finished first; a sound folder is never pulled from under a reader.
        if damage(folder, source_sha256):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):
                folder.rename(scratch / "aside")
            into.rename(folder)
    say(f"{title}: ready in {folder}")
    return folder


def disk_full(title: str) -> AssetError:
    """The error of a disk that has no room for an asset."""
    return AssetError(
        f"{title}: the disk is full, at the cache {cache_dir()}. Make room, or set SCRUTABLE_CACHE to a "
        "folder on another disk."
    )


@contextmanager
def _workspace(title: str) -> Iterator[Path]:
    """A temporary folder beside the cache's content; every OSError inside becomes one clear line."""
    cache = cache_dir()
    temporary = cache / "tmp"
    try:
        temporary.mkdir(parents=True, exist_ok=True)
        _sweep(temporary)
        with tempfile.TemporaryDirectory(
            prefix=f"{title}-", dir=temporary, ignore_cleanup_errors=True
        ) as scratch:
            yield Path(scratch)
    except OSError as error:
        if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None)):  # Windows knows no quota
            raise disk_full(title) from error
        raise AssetError(
            f"{title}: the cache {cache} cannot be used: {error.strerror or error}. "
            "Set SCRUTABLE_CACHE to a folder that can be written."
        ) from error


def _sweep(temporary: Path) -> None:
    """Removes what a killed process left behind."""
    for left in temporary.iterdir():
        with suppress(FileNotFoundError):  # its owner may be removing it right now
            if time.time() - left.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
