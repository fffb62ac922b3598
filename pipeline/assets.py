"""Models and corpora by name: known ones out of the cache or of wheels, else a path, else a hub id.

A known name is always the pinned bytes of the registry; the full-precision model is had by its hub
id. Knows neither torch nor transformers: whoever calls hands in `convert` and `check`
(scrutable.pipeline.backends.conversion).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scrutable.pipeline.asset_cache import Say, cache_dir, ensure_folder
from scrutable.pipeline.asset_marker import MARKER, damage, read_marker
from scrutable.pipeline.asset_registry import ASSETS, Asset, Kind, did_you_mean, known, names
from scrutable.pipeline.errors import AssetError
from scrutable.pipeline.hub import hub_folder
from scrutable.pipeline.weights import file_digest, weights_digest
from scrutable.pipeline.wheels import Run, carry, run_captured

__all__ = [
    "ASSETS",
    "AssetState",
    "ModelFiles",
    "cache_dir",
    "fetch",
    "listing",
    "resolve_corpus",
    "resolve_encoder",
    "resolve_model",
    "verify",
]

Convert = Callable[[Path, Path], None]
"""Writes the model of a GGUF file (first) as safetensors into an empty folder (second)."""
Check = Callable[[Path, str, str], str]
"""Continues a prompt (second) with the model in a folder (first); gives the continuation back, and
raises AssetError if the regular expression (third) is not found in it."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model as a local folder in the format of transformers."""

    name: str
    path: Path
    digest: str  # SHA-256 of the one weight file, or of the `sha256sum` lines of several
    source: Literal["wheel", "path", "hub"]
    note: str = ""  # what every result with these weights must say; empty: nothing


@dataclass(frozen=True, slots=True)
class AssetState:
    """A line of `scrutable models list`."""

    name: str
    kind: Kind
    licence: str
    cached: bool
    bytes: int  # on disk if cached, else to download
    description: str


def resolve_model(
    name_path_or_hub_id: str,
    *,
    convert: Convert,
    check: Check | None = None,
    say: Say = _log.info,
    run: Run = run_captured,
) -> ModelFiles:
    """The files of a model: a known name, else a local folder or .gguf file, else a hub id "org/name".

    Raises:
        AssetError: nothing of that name can be found, fetched, converted or read.
    """
    name = name_path_or_hub_id
    asset = ASSETS.get(name)
    path = Path(name).expanduser().absolute()
    if asset is not None:
        if asset.kind != "model":
            raise AssetError(f"{name!r} is a {asset.kind}, not a model. Known models: {names('model')}.")
        folder = _known_model(asset, convert=convert, check=check, say=say, run=run)
        return ModelFiles(name, folder, weights_digest(folder), "wheel", asset.note)
    if path.is_dir():
        return _local_folder(path)
    if path.is_file():
        return _local_gguf(path, convert=convert, say=say)
    folder = hub_folder(name)
    return ModelFiles(name, folder, weights_digest(folder), "hub")


def resolve_corpus(name_or_path: str, *, say: Say = _log.info, run: Run = run_captured) -> Path:
    """The file of a known corpus (or the puzzles), else an existing file or folder.

    Raises:
        AssetError: nothing of that name can be found or fetched.
    """
    asset = ASSETS.get(name_or_path)
    kinds: tuple[Kind, ...] = ("corpus", "puzzles")
    if asset is not None:
        if asset.kind not in kinds:
            raise AssetError(f"{asset.name!r} is a {asset.kind}, not a corpus. Known: {names(*kinds)}.")
        return _known_corpus(asset, say=say, run=run)
    path = Path(name_or_path).expanduser()
    if path.exists():
        return path.absolute()
    raise AssetError(
        f"No corpus {name_or_path!r}: it is no known name ({names(*kinds)}), and no file or "
        f"folder here ({Path.cwd()}).{did_you_mean(name_or_path, *kinds)}"
    )


def resolve_encoder(name_or_path: str, *, say: Say = _log.info, run: Run = run_captured) -> Path:
    """The folder of a known sentence encoder, else an existing folder in the format of transformers.

    Raises:
        AssetError: nothing of that name can be found or fetched.
    """
    asset = ASSETS.get(name_or_path)
    if asset is not None and asset.kind == "encoder":
        return _known_encoder(asset, say=say, run=run)
    path = Path(name_or_path).expanduser()
    if asset is None and (path / "config.json").is_file():
        return path.absolute()
    raise AssetError(
        f"No sentence encoder {name_or_path!r}: it is no known name ({names('encoder')}), and no folder with "
        f"config.json and weights.{did_you_mean(name_or_path, 'encoder')}"
    )


def fetch(
    name: str,
    *,
    convert: Convert,
    check: Check | None = None,
    say: Say = _log.info,
    run: Run = run_captured,
) -> Path:
    """The folder (model, encoder) or file (corpus, puzzles) of a known asset, downloaded if need be.

    With a sound cache nothing is run and nothing is asked of the network. What is missing or
    damaged is made again, and `say` gets a line about it.

    Raises:
        AssetError: the name is unknown, or the file cannot be downloaded, verified, converted or kept.
    """
    asset = known(name)
    if asset.kind == "model":
        return _known_model(asset, convert=convert, check=check, say=say, run=run)
    if asset.kind == "encoder":
        return _known_encoder(asset, say=say, run=run)
    return _known_corpus(asset, say=say, run=run)


def verify(name: str) -> None:
    """Hashes every cached file of a known asset; a damaged one is fetched again at its next use.

    Raises:
        AssetError: the name is unknown, the asset is not in the cache, or a file is damaged.
    """
    asset = known(name)
    folder = _folder(asset)
    if not folder.exists():
        raise AssetError(f"{name}: not in the cache {cache_dir()}; it is fetched at its first use.")
    problem = damage(folder, asset.sha256, thorough=True)
    if problem:
        (folder / MARKER).unlink(missing_ok=True)
        raise AssetError(f"{name}: {problem} in {folder}; it will be fetched again at its next use.")


def listing() -> list[AssetState]:
    """The state of each known asset, as its next use would find it; see `verify` for more."""
    states = []
    for asset in ASSETS.values():
        folder = _folder(asset)
        marker = None if damage(folder, asset.sha256) else read_marker(folder)
        states.append(
            AssetState(
                name=asset.name,
                kind=asset.kind,
                licence=asset.licence,
                cached=marker is not None,
                bytes=marker.size if marker else asset.download,
                description=asset.description,
            )
        )
    return states


_FOLDERS: dict[Kind, str] = {"model": "models", "encoder": "encoders"}


def _folder(asset: Asset) -> Path:
    return cache_dir() / _FOLDERS.get(asset.kind, "corpora") / asset.name


def _known_model(asset: Asset, *, convert: Convert, check: Check | None, say: Say, run: Run) -> Path:
    def make(scratch: Path, into: Path) -> str:
        gguf = scratch / asset.file
        carry(asset, gguf, scratch=scratch, say=say, run=run)
        say(f"{asset.name}: converting to safetensors, once; this takes up to a minute or two")
        convert(gguf, into)
        return check(into, asset.prompt, asset.expected) if check else ""

    return ensure_folder(
        _folder(asset), title=asset.name, source_sha256=asset.sha256, note=asset.note, make=make, say=say
    )


def _known_corpus(asset: Asset, *, say: Say, run: Run) -> Path:
    def make(scratch: Path, into: Path) -> str:
        carry(asset, into / asset.file, scratch=scratch, say=say, run=run)
        return ""

    folder = ensure_folder(
        _folder(asset), title=asset.name, source_sha256=asset.sha256, note=asset.note, make=make, say=say
    )
    return folder / asset.file


def _known_encoder(asset: Asset, *, say: Say, run: Run) -> Path:
    def make(scratch: Path, into: Path) -> str:
        joined = scratch / asset.file
        carry(asset, joined, scratch=scratch, say=say, run=run)
        with joined.open("rb") as file:
            for name, size in asset.parts:
                (into / name).write_bytes(file.read(size))
        return ""

    return ensure_folder(
        _folder(asset), title=asset.name, source_sha256=asset.sha256, note=asset.note, make=make, say=say
    )


def _local_folder(path: Path) -> ModelFiles:
    if not (path / "config.json").is_file():
        raise AssetError(
            f"The folder {path} has no config.json, so it is no model in the format of transformers. "
            "Give the folder that holds config.json and the weights, or a .gguf file."
        )
    marker = read_marker(path)
    return ModelFiles(path.name, path, weights_digest(path), "path", marker.note if marker else "")


def _local_gguf(path: Path, *, convert: Convert, say: Say) -> ModelFiles:
    if path.suffix != ".gguf":
        raise AssetError(
            f"The model {path} is a file that does not end in .gguf. Give a .gguf file, or the folder "
            "that holds config.json and the weights."
        )

    def make(_scratch: Path, into: Path) -> str:
        say(f"{path.name}: converting to safetensors, once; this takes up to a minute or two")
        convert(path, into)
        return ""

    sha256 = file_digest(path)
    folder = cache_dir() / "models" / f"gguf-{sha256[:16]}"
    note = f"weights of {path.name} dequantised to bfloat16"
    ensure_folder(folder, title=path.name, source_sha256=sha256, note=note, make=make, say=say)
    return ModelFiles(path.stem, folder, weights_digest(folder), "path", note)
