"""The marker of a cached folder: what it was made from, what it holds, and whether that still holds.

Knows no asset and no cache: it works on any folder. A marker keeps size, mtime and SHA-256 of each
file, so that a damaged folder is found at its next use without hashing gigabytes each time.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path

MARKER = "scrutable.json"

_NAMED_VERSIONS = ("scrutable", "transformers", "torch", "gguf", "safetensors")


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of one file."""

    size: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Marker:
    """What a cached folder was made from, and what it holds."""

    asset: str
    source_sha256: str
    note: str
    continuation: str  # what the converted model said when it was checked; empty if it was not
    versions: dict[str, str]
    files: dict[str, Kept]  # by path below the folder

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(kept.size for kept in self.files.values())


def mark(folder: Path, *, asset: str, source_sha256: str, note: str, continuation: str) -> None:
    """Writes the marker of a folder that was just made."""
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            stat = path.stat()
            kept = Kept(stat.st_size, stat.st_mtime_ns, sha256_of(path))
            files[path.relative_to(folder).as_posix()] = kept
    write_json(folder / MARKER, asdict(Marker(asset, source_sha256, note, continuation, _versions(), files)))


def read_marker(folder: Path) -> Marker | None:
    """None if there is none, or none that can be understood."""
    try:
        raw = json.loads((folder / MARKER).read_text("utf-8"))
        return Marker(**(raw | {"files": {name: Kept(**kept) for name, kept in raw["files"].items()}}))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def damage(folder: Path, source_sha256: str, *, thorough: bool = False) -> str:
    """What is wrong with a folder that should be made from that source; empty if nothing is.

    A file is hashed only if its size fits and its mtime does not, or if `thorough`.
    """
    if not folder.is_dir():
        return "not a folder" if folder.exists() else "not there"
    marker = read_marker(folder)
    if marker is None:
        return f"no readable {MARKER}"
    if marker.source_sha256 != source_sha256:
        return f"made from another file (SHA-256 {marker.source_sha256[:12]}, expected {source_sha256[:12]})"
    touched = {}
    for name, kept in marker.files.items():
        try:
            stat = (folder / name).stat()
        except OSError:
            return f"{name} is missing"
        if stat.st_size != kept.size:
            return f"{name} has {stat.st_size} bytes, expected {kept.size}"
        if thorough or stat.st_mtime_ns != kept.mtime_ns:
            found = sha256_of(folder / name)
            if found != kept.sha256:
                return f"{name} has SHA-256 {found}, expected {kept.sha256}"
        if stat.st_mtime_ns != kept.mtime_ns:
            touched[name] = replace(kept, mtime_ns=stat.st_mtime_ns)
    if touched:
        with suppress(OSError):  # a read-only cache is sound all the same, only slower to check
            write_json(folder / MARKER, asdict(replace(marker, files=marker.files | touched)))
    return ""


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, content: object) -> None:
    """Writes a JSON file, whole or not at all."""
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        partial.write_text(json.dumps(content, indent=1), "utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _versions() -> dict[str, str]:
    found = {}
    for package in _NAMED_VERSIONS:
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found
