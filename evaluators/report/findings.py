"""What a run knows of its behaviours: the records of a study, gathered behaviour by behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from scrutable.evaluators.report.data import records
from scrutable.pipeline.behaviours.records import (
    SUBJECT,
    Behaviour,
    CounterfactualScore,
    Edit,
    Forecast,
    Gain,
    GainSummary,
    Input,
    Loss,
    Observation,
    PolicyCase,
    PolicyResult,
)
from scrutable.pipeline.behaviours.tables import BehaviourTables
from scrutable.pipeline.records import Cost, Explanation, Failure

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Findings:
    """All that is known of one behaviour."""

    behaviour: Behaviour
    inputs: tuple[Input, ...] = ()
    seen: Mapping[str, Observation] = field(default_factory=dict)  # input → what the subject did
    explanations: tuple[Explanation, ...] = ()
    forecasts: tuple[Forecast, ...] = ()
    losses: tuple[Loss, ...] = ()
    gains: tuple[Gain, ...] = ()
    edits: tuple[Edit, ...] = ()
    counterfactuals: tuple[CounterfactualScore, ...] = ()
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True)
class Study:
    """All that a run knows of behaviours."""

    findings: tuple[Findings, ...]
    summary: tuple[GainSummary, ...]
    policies: tuple[PolicyResult, ...]  # known answers; empty if they were not tried
    policy_cases: tuple[PolicyCase, ...]
    failures: tuple[Failure, ...]
    predicted: Mapping[str, tuple[int, Cost]]  # simulator → how many predictions, and what they took


def read_study(tables: BehaviourTables | None) -> Study | None:
    """The study of a run; None for a run without behaviours and without planted policies."""
    if tables is None:
        return None
    behaviours = records(tables.behaviours, Behaviour, id="behaviour")
    policies = records(tables.policies, PolicyResult)
    if not behaviours and not policies:
        return None
    inputs = _by_behaviour(tables.inputs, Input, id="input")
    seen = _by_behaviour(_of_subject(tables.observations), Observation)
    explanations = _by_behaviour(tables.explanations, Explanation, "unit")
    forecasts = _by_behaviour(tables.forecasts, Forecast)
    losses, gains = _by_behaviour(tables.losses, Loss), _by_behaviour(tables.gains, Gain)
    edits = _by_behaviour(tables.edits, Edit)
    scores = _by_behaviour(tables.counterfactuals, CounterfactualScore)
    failures = _by_behaviour(tables.failures, Failure, "unit")
    return Study(
        findings=tuple(
            Findings(
                behaviour=behaviour,
                inputs=inputs.get(behaviour.id, ()),
                seen={one.input: one for one in seen.get(behaviour.id, ())},
                explanations=explanations.get(behaviour.id, ()),
                forecasts=forecasts.get(behaviour.id, ()),
                losses=losses.get(behaviour.id, ()),
                gains=gains.get(behaviour.id, ()),
                edits=edits.get(behaviour.id, ()),
                counterfactuals=scores.get(behaviour.id, ()),
                failures=failures.get(behaviour.id, ()),
            )
            for behaviour in behaviours
        ),
        summary=records(tables.gain_summary, GainSummary),
        policies=policies,
        policy_cases=records(tables.policy_cases, PolicyCase),
        failures=records(tables.failures, Failure),
        predicted=_predicted(tables.predictions),
    )


def _of_subject(observations: pd.DataFrame) -> pd.DataFrame:
    return observations[observations["model"] == SUBJECT]


def _by_behaviour(
    frame: pd.DataFrame, kind: type[T], by: str = "behaviour", **columns: str
) -> dict[str, tuple[T, ...]]:
    """Behaviour → its records; `by` is the field that names it."""
    groups: dict[str, list[T]] = {}
    for one in records(frame, kind, **columns):
        groups.setdefault(str(getattr(one, by)), []).append(one)
    return {name: tuple(group) for name, group in groups.items()}


def _predicted(predictions: pd.DataFrame) -> dict[str, tuple[int, Cost]]:
    counts = ["prompt_tokens", "computed_tokens", "generated_tokens"]
    groups = predictions.groupby("simulator", sort=False)[counts]
    sizes, totals = groups.size().to_dict(), groups.sum().to_dict("index")
    return {
        str(name): (int(n), Cost(*(int(totals[name][column]) for column in counts)))
        for name, n in sizes.items()
    }
