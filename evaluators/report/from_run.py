"""What the report is written from, read from a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scrutable.evaluators.behaviours import policy_gate
from scrutable.evaluators.behaviours.planted import TRUTH
from scrutable.evaluators.behaviours.predictors import PREDICTORS
from scrutable.evaluators.gate import TESTED
from scrutable.evaluators.report.data import ReportData, records
from scrutable.evaluators.simulators import SIMULATORS
from scrutable.pipeline.behaviours.config import BehavioursConfig, BehaviourSelftestConfig
from scrutable.pipeline.behaviours.records import PolicyResult
from scrutable.pipeline.config import RecurseConfig, RunConfig
from scrutable.pipeline.records import GateResult
from scrutable.pipeline.run import Run

NO_GATE = (
    "No known-answer gate has been passed in this run: nothing shows that its simulators can tell "
    "a true explanation from a false one. Read the excess over the null, not the value. "
    "`scrutable selftest` on this run folder tries them."
)
NO_POLICIES = (
    "No planted policies have been tried in this run: nothing shows that its simulators of behaviours can "
    "predict a subject from the rule that it follows. Read the gain over as many tokens of raw examples and "
    "over shuffled explanations. `scrutable selftest --behaviours` on this run folder tries them."
)


def report_data(run: Run) -> ReportData:
    """The tables, manifest and banner of a run."""
    return ReportData(
        title=run.config.name,
        manifest=run.manifest,
        config=_resolved(run),
        banner=" ".join(filter(None, [_unit_banner(run), _behaviour_banner(run)])) or None,
        units=run.units,
        excerpts=run.excerpts,
        explanations=run.explanations,
        simulations=run.simulations,
        calibrations=run.calibrations,
        scores=run.scores,
        summary=run.summary,
        failures=run.failures,
        gate=run.gate,
        gate_cases=run.gate_cases,
        attacks=run.attacks,
        rates=run.rates,
        assurance=run.assurance,
        comparisons=run.comparisons,
        behaviours=run.behaviours,
        recursion=run.recursion,
    )


def _resolved(run: Run) -> dict[str, Any]:
    """The config; of a ladder with the explainers that it makes for its first level."""
    config = run.config
    found = config.model_dump(mode="json")
    if isinstance(config, RecurseConfig):
        first = config.run_of_subject().model_dump(mode="json")
        found["explainers"] = first["explainers"]
    return found


def _unit_banner(run: Run) -> str:
    """Why the numbers of units are not results yet; empty if every simulator that can be tried has passed."""
    if isinstance(run.config, BehavioursConfig | BehaviourSelftestConfig):
        return ""
    wanted = [
        name
        for name, simulator in run.config.simulators.items()
        if SIMULATORS[simulator.kind].language in TESTED
    ]
    tried = {row.simulator: row for row in records(run.gate, GateResult) if not row.explainer}
    return _complaint(
        wanted,
        tried,
        untried=NO_GATE,
        some="Not every simulator of this run has passed the known-answer gate.",
    )


def _behaviour_banner(run: Run) -> str:
    """The same of behaviours."""
    results = records(run.behaviours.policies, PolicyResult)
    tried = {row.simulator: row for row in results if row.explainer == TRUTH}
    wanted = [
        name
        for name, simulator in _predictors(run).items()
        if PREDICTORS[simulator.kind].language in policy_gate.TESTED
    ]
    return _complaint(
        wanted,
        tried,
        untried=NO_POLICIES,
        some="Not every simulator of behaviours has passed the planted policies.",
    )


def _predictors(run: Run) -> Mapping[str, Any]:
    """The simulators of behaviours of a run, by name."""
    config = run.config
    if isinstance(config, BehavioursConfig | BehaviourSelftestConfig):
        return config.simulators
    if isinstance(config, RunConfig) and config.behaviours:
        return config.behaviours.simulators
    return {}


def _complaint(
    wanted: list[str], tried: Mapping[str, GateResult | PolicyResult], *, untried: str, some: str
) -> str:
    """What is said of simulators that have not passed their known answers; empty if all have."""
    if not tried:
        return untried if wanted else ""
    complaints = [
        f"{name}: {tried[name].reason}" if name in tried else f"{name} was not tried"
        for name in wanted
        if name not in tried or not tried[name].is_passed
    ]
    return f"{some} {'; '.join(complaints)}." if complaints else ""
