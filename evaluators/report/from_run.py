"""What the report is written from, read from a run."""

from __future__ import annotations

from scrutable.evaluators.report.data import ReportData
from scrutable.pipeline.run import Run

NO_GATE = (
    "No known-answer gate has been passed in this run: nothing shows that this simulator can tell a true "
    "explanation from a false one. Read the excess over the null, not the value."
)


def report_data(run: Run) -> ReportData:
    """The tables, manifest and banner of a run."""
    return ReportData(
        title=run.config.name,
        manifest=run.manifest,
        config=run.config.model_dump(mode="json"),
        banner=NO_GATE,
        units=run.units,
        excerpts=run.excerpts,
        explanations=run.explanations,
        simulations=run.simulations,
        calibrations=run.calibrations,
        scores=run.scores,
        summary=run.summary,
        failures=run.failures,
    )
