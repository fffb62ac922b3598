"""Where a model runs and in which precision, decided once and recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

DtypeName = Literal["auto", "float32", "bfloat16", "float16"]

_FAST_BFLOAT16_FLAGS = {"amx_bf16", "avx512_bf16"}


class Placement(NamedTuple):
    """A device and a precision as torch names them, for example ("cuda", "bfloat16")."""

    device: str
    dtype: str


def place(*, device: str = "auto", dtype: DtypeName = "auto") -> Placement:
    """Resolves "auto": a GPU if there is one; bfloat16 wherever the hardware computes in it.

    A CPU without bfloat16 instructions emulates it several times slower than float32, so there
    "auto" means float32.
    """
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if dtype == "auto":
        is_fast = cpu_has_bfloat16() if device == "cpu" else torch.cuda.is_bf16_supported()
        dtype = "bfloat16" if is_fast else ("float32" if device == "cpu" else "float16")
    return Placement(device, dtype)


def cpu_has_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor has bfloat16 instructions (AMX or AVX512-BF16)."""
    try:
        text = cpuinfo.read_text()
    except OSError:  # no such file outside Linux: the safe answer is the slower-to-be-wrong one
        return False
    return bool(_FAST_BFLOAT16_FLAGS & set(text.split()))
