"""The digest of a model's weights: computed once, then remembered by size and mtime."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from scrutable.pipeline.asset_cache import cache_dir
from scrutable.pipeline.asset_marker import Kept, read_marker, sha256_of, write_json
from scrutable.pipeline.errors import AssetError


def weights_digest(folder: Path) -> str:
    """SHA-256 of the one weight file of a model, or of the `sha256sum` lines of several.

    Raises:
        AssetError: the folder holds no weights, or they cannot be read.
    """
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))
    if not files:
        raise AssetError(f"The model folder {folder} holds neither *.safetensors nor *.bin weights.")
    try:
        digests = [file_digest(path) for path in files]
    except OSError as error:
        raise AssetError(
            f"The weights in {folder} cannot be read: {error.strerror} ({error.filename}). "
            "Check its links and permissions."
        ) from error
    if len(digests) == 1:
        return digests[0]
    lines = "".join(f"{digest}  {path.name}\n" for digest, path in zip(digests, files, strict=True))
    return hashlib.sha256(lines.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file; a known one is looked up in the marker beside it or in the cache."""
    stat = path.stat()
    marker = read_marker(path.parent)
    book = cache_dir() / "digests.json"
    remembered = _read_digests(book)
    for kept in (marker.files.get(path.name) if marker else None, remembered.get(str(path))):
        if kept is not None and (kept.size, kept.mtime_ns) == (stat.st_size, stat.st_mtime_ns):
            return kept.sha256
    digest = sha256_of(path)
    remembered[str(path)] = Kept(stat.st_size, stat.st_mtime_ns, digest)
    with suppress(OSError):  # no room or no right to remember it: it is computed again next time
        book.parent.mkdir(parents=True, exist_ok=True)
        write_json(book, {name: asdict(kept) for name, kept in remembered.items()})
    return digest


def _read_digests(book: Path) -> dict[str, Kept]:
    try:
        return {name: Kept(**kept) for name, kept in json.loads(book.read_text("utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
