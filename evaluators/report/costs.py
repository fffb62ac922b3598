"""What explainers and simulators took, in tokens of language models, and what was paid."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scrutable.evaluators.report import wording
from scrutable.pipeline.amounts import in_dollars
from scrutable.pipeline.records import Cost, Explanation


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens of one explainer, or of one simulator on one explainer's explanations."""

    part: str
    model: str
    n: str
    prompt: str
    computed: str
    generated: str


@dataclass(frozen=True, slots=True)
class Account:
    """What one role has asked of one model, over all starts of a run."""

    role: str
    model: str
    calls: str
    failed: str
    replayed: str
    tokens: str
    dollars: str


def accounts(manifest: Mapping[str, Any]) -> tuple[Account, ...]:
    """The accounts of a run; a price that nobody gave is unknown, and a model on the same machine is free."""
    return tuple(
        Account(
            role=row["role"],
            model=row["model"],
            calls=wording.count(row["calls"]),
            failed=wording.count(row["failed"]),
            replayed=wording.count(row["replayed"]),
            tokens=wording.count(row["prompt_tokens"] + row["generated_tokens"]),
            dollars=in_dollars(math.nan if row["unpriced"] else row["dollars"]),
        )
        for row in manifest.get("spent", ())
    )


def spent(
    explanations: Sequence[Explanation], simulated: Mapping[str, tuple[int, Cost]]
) -> tuple[Spent, ...]:
    """A row for each explainer, then one for each name of what was simulated with count and cost."""
    by_explainer: dict[str, list[Explanation]] = {}
    for explanation in explanations:
        by_explainer.setdefault(explanation.explainer, []).append(explanation)
    written = [
        _row(
            f"explain: {explainer}",
            ", ".join(dict.fromkeys(e.model for e in group if e.model)) or "no model",
            len(group),
            sum((e.cost for e in group), start=Cost()),
        )
        for explainer, group in by_explainer.items()
    ]
    return (*written, *(_row(f"simulate: {name}", "", n, cost) for name, (n, cost) in simulated.items()))


def _row(part: str, model: str, n: int, cost: Cost) -> Spent:
    return Spent(
        part=part,
        model=model,
        n=wording.count(n),
        prompt=wording.count(cost.prompt_tokens),
        computed=wording.count(cost.computed_tokens),
        generated=wording.count(cost.generated_tokens),
    )
