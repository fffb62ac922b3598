"""What was found of a behaviour in the subject, and whether there is anything to explain: pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from scrutable.pipeline.behaviours.definition import Definition
from scrutable.pipeline.behaviours.records import Behaviour, Input, Observation


def found_behaviour(
    definition: Definition, inputs: Sequence[Input], seen: Sequence[Observation], *, problem: str = ""
) -> Behaviour:
    """The behaviour as the subject shows it; `reason` says why it cannot be explained, if it cannot.

    Args:
        definition: of the behaviour.
        inputs: all that were asked.
        seen: what the subject did, where an outcome could be read.
        problem: why there are no inputs, if there are none.
    """
    counts = Counter(observation.outcome for observation in seen)
    masses = [observation.label_mass for observation in seen if not math.isnan(observation.label_mass)]
    return Behaviour(
        id=definition.name,
        about=definition.about,
        readout=definition.readout.kind,
        outcomes=definition.outcomes,
        is_planted=bool(definition.policy),
        n_inputs=len(inputs),
        n_sources=len({one.source for one in inputs}),
        n_unreadable=len(inputs) - len(seen),
        rates=tuple(counts[name] / max(len(seen), 1) for name in definition.outcomes),
        label_mass=sum(masses) / len(masses) if masses else math.nan,
        truth=definition.policy,
        reason=problem or _why_not(inputs, seen),
    )


def _why_not(inputs: Sequence[Input], seen: Sequence[Observation]) -> str:
    split = {one.id: one.split for one in inputs}
    outcomes: dict[str, set[str]] = {"explain": set(), "calibrate": set(), "test": set()}
    for observation in seen:
        outcomes[split[observation.input]].add(observation.outcome)
    different = set.union(*outcomes.values())
    if not seen:
        return "no outcome could be read on any input"
    if len(different) == 1:
        return f"one outcome only: {next(iter(different))!r} on all {len(seen)} inputs that could be read"
    if len(outcomes["explain"]) < 2:
        return "one outcome only on the explain split: nothing there tells what decides"
    if not outcomes["calibrate"] or not outcomes["test"]:
        return "no outcome could be read on the calibrate or the test split"
    return ""
