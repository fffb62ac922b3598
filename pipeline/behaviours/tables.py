"""The tables of a study of behaviours, as pandas frames."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from scrutable.pipeline.behaviours.records import (
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
    Prediction,
)
from scrutable.pipeline.records import Explanation, Failure
from scrutable.pipeline.store import RunFolder, schema_of

if TYPE_CHECKING:
    import pandas as pd

KINDS: dict[str, type] = {
    "behaviours": Behaviour,
    "inputs": Input,
    "observations": Observation,
    "explanations": Explanation,
    "predictions": Prediction,
    "edits": Edit,
    "predicted_edits": Edit,
    "losses": Loss,
    "gains": Gain,
    "gain_summary": GainSummary,
    "forecasts": Forecast,
    "counterfactuals": CounterfactualScore,
    "policies": PolicyResult,
    "policy_cases": PolicyCase,
    "failures": Failure,
}
"""The tables, and the record that each row of them is."""
LEVEL = "level-0/behaviours"
"""Where they lie in a run folder."""


class BehaviourTables:
    """The tables of a study. Each is read when it is first asked for; one that is not there yet is empty.

    The columns are the fields of the record named with each; `scrutable.pipeline.behaviours.records` gives
    their shapes, units and ranges.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder

    @cached_property
    def behaviours(self) -> pd.DataFrame:
        """`Behaviour`, with its id in the column `behaviour`: as they were found in the subject."""
        return self._frame("behaviours").rename(columns={"id": "behaviour"})

    @cached_property
    def inputs(self) -> pd.DataFrame:
        """`Input`, with its id in the column `input`."""
        return self._frame("inputs").rename(columns={"id": "input"})

    @cached_property
    def observations(self) -> pd.DataFrame:
        """`Observation`: what the subject and other models did."""
        return self._frame("observations")

    @cached_property
    def explanations(self) -> pd.DataFrame:
        """`Explanation`; `unit` is the behaviour."""
        return self._frame("explanations")

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """`Prediction`: before calibration."""
        return self._frame("predictions")

    @cached_property
    def forecasts(self) -> pd.DataFrame:
        """`Forecast`: calibrated predictions of test inputs."""
        return self._frame("forecasts")

    @cached_property
    def losses(self) -> pd.DataFrame:
        """`Loss`: bits and accuracy under each condition."""
        return self._frame("losses")

    @cached_property
    def gains(self) -> pd.DataFrame:
        """`Gain`: what each explanation saves over each baseline."""
        return self._frame("gains")

    @cached_property
    def gain_summary(self) -> pd.DataFrame:
        """`GainSummary`: gains over behaviours."""
        return self._frame("gain_summary")

    @cached_property
    def edits(self) -> pd.DataFrame:
        """`Edit`, with calibrated predictions."""
        return self._frame("predicted_edits")

    @cached_property
    def counterfactuals(self) -> pd.DataFrame:
        """`CounterfactualScore`: precision and coverage on edits."""
        return self._frame("counterfactuals")

    @cached_property
    def policies(self) -> pd.DataFrame:
        """`PolicyResult`: what the simulators do on planted policies; empty if they were not tried."""
        return self._frame("policies")

    @cached_property
    def policy_cases(self) -> pd.DataFrame:
        """`PolicyCase`: each planted policy."""
        return self._frame("policy_cases")

    @cached_property
    def failures(self) -> pd.DataFrame:
        """`Failure`: everything that gave no usable answer; `unit` is the behaviour."""
        return self._frame("failures")

    def _frame(self, table: str) -> pd.DataFrame:
        return self._folder.read_frame(table, schema_of(KINDS[table]))
