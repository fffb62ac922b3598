"""Precision follows the hardware."""

from __future__ import annotations

from pathlib import Path

import pytest

from scrutable.pipeline.placement import Placement, cpu_has_bfloat16, place


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("fpu avx2 amx_bf16", True), ("avx512_bf16", True), ("fpu avx2 avx512f", False), ("", False)],
)
def test_bfloat16_is_fast_only_where_the_cpu_computes_in_it(
    flags: str, expected: bool, tmp_path: Path
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor : 0\nflags : {flags}\n")
    assert cpu_has_bfloat16(cpuinfo) is expected


def test_a_system_without_cpuinfo_is_taken_to_have_none(tmp_path: Path) -> None:
    assert not cpu_has_bfloat16(tmp_path / "missing")


def test_what_is_asked_for_is_taken() -> None:
    assert place(device="cpu", dtype="bfloat16") == Placement("cpu", "bfloat16")
    assert place(device="cpu").dtype in {"float32", "bfloat16"}
