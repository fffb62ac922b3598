"""Claims whose shares are known."""

from __future__ import annotations

import math

from scrutable.pipeline.recursion.ledger import Party
from scrutable.pipeline.recursion.records import Claim, Stop

LOST = 10.0  # nats of every followed claim


def claim(
    unit: str,
    *,
    parent: Claim | None = None,
    gain: float = 1.0,
    v: float = 0.0,
    kept: float = 0.0,
    share: float = 1.0,
    stop: Stop = "",
) -> Claim:
    """A claim of which a share v is checked, and a share `kept` of its author's writing explained."""
    level = parent.level + 1 if parent else 1
    id = f"{parent.id}>{level}/{unit}" if parent else f"{level}/{unit}"
    return Claim(
        id=id,
        ladder="toy",
        level=level,
        root=parent.root if parent else id,
        parent=parent.id if parent else "",
        unit=unit,
        author=f"model {level}",
        text="words",
        share=share,
        gain=gain,
        gain_strict=v * gain,
        gain_lenient=math.nan,
        gain_shifted=math.nan,
        gain_strict_shifted=math.nan,
        gap=LOST,
        effect=LOST,
        lost=LOST,
        restored=kept * LOST,
        restored_null=0.0,
        restored_shuffled=0.0,
        stop=stop,
    )


def planted_tree(*, v: list[float], kept: list[float], roots: int, children: int) -> list[Claim]:
    """A full tree with the same shares for every claim of a level."""
    found = above = [claim(f"u{n}", gain=1.0 + n, v=v[0], kept=kept[0]) for n in range(roots)]
    for one, other in zip(v[1:], kept[1:], strict=True):
        above = [
            claim(f"n{n}", parent=parent, share=1 / children, v=one, kept=other)
            for parent in above
            for n in range(children)
        ]
        found = [*found, *above]
    return found


def parties(levels: int) -> dict[int, Party]:
    """One author above the other."""
    return {n: Party(f"model {n}", f"model {n + 1}", 10.0**n) for n in range(1, levels + 1)}
