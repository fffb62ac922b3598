"""What the report is written from, read from a run."""

from __future__ import annotations

from scrutable.evaluators.gate import TESTED
from scrutable.evaluators.report.data import ReportData
from scrutable.evaluators.simulators import SIMULATORS
from scrutable.pipeline.run import Run

NO_GATE = (
    "No known-answer gate has been passed in this run: nothing shows that its simulators can tell "
    "a true explanation from a false one. Read the excess over the null, not the value. "
    "`scrutable selftest` on this run folder tries them."
)


def report_data(run: Run) -> ReportData:
    """The tables, manifest and banner of a run."""
    return ReportData(
        title=run.config.name,
        manifest=run.manifest,
        config=run.config.model_dump(mode="json"),
        banner=_banner(run),
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
    )


def _banner(run: Run) -> str | None:
    """Why the numbers are not results yet; None if every simulator that can be tried has passed."""
    tried = {row.simulator: row for row in run.gate.itertuples() if not row.explainer}
    wanted = [
        name
        for name, simulator in run.config.simulators.items()
        if SIMULATORS[simulator.kind].language in TESTED
    ]
    if not tried:
        return NO_GATE if wanted else None
    complaints = [
        f"{name}: {tried[name].reason}" if name in tried else f"{name} was not tried"
        for name in wanted
        if name not in tried or not tried[name].is_passed
    ]
    if not complaints:
        return None
    return "Not every simulator of this run has passed the known-answer gate. " + "; ".join(complaints) + "."
