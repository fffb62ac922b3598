"""A finished (or half-finished) run as pandas frames."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from scrutable.pipeline.behaviours.tables import BehaviourTables
    from scrutable.pipeline.config import ReportedConfig
    from scrutable.pipeline.recursion.tables import RecursionTables
    from scrutable.pipeline.store import RunFolder


def load_run(path: str | Path) -> Run:
    """The run in a folder such as `runs/demo`. Raises RunFolderError if it is none."""
    from scrutable.pipeline.config import TrainConfig
    from scrutable.pipeline.errors import RunFolderError
    from scrutable.pipeline.store import RunFolder

    folder = RunFolder(Path(path))
    config = folder.config()
    if isinstance(config, TrainConfig):
        raise RunFolderError(f"{path} is a training, which has no tables; its curve is in curve.jsonl")
    return Run(folder, config)


class Run:
    """The tables of a run. Each is read when it is first asked for; one that is not there yet is empty.

    The columns are the fields of the record named with each table; `scrutable.pipeline.records`
    gives their shapes, units and ranges.
    """

    def __init__(self, folder: RunFolder, config: ReportedConfig) -> None:
        self._folder = folder
        self.path = folder.path
        self.config = config

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What ran on what: one entry for each start, and the provenance of every part."""
        return self._folder.manifest()

    @cached_property
    def behaviours(self) -> BehaviourTables:
        """The tables of the behaviours; all are empty in a run without any."""
        from scrutable.pipeline.behaviours.tables import LEVEL, BehaviourTables
        from scrutable.pipeline.store import RunFolder

        return BehaviourTables(RunFolder(self.path, level=LEVEL))

    @cached_property
    def recursion(self) -> RecursionTables:
        """The tables of a study of recursion; all are empty in a run that is none."""
        from scrutable.pipeline.recursion.tables import RecursionTables

        return RecursionTables(self.path)

    @cached_property
    def units(self) -> pd.DataFrame:
        """`Unit`, with its id in the column `unit`: the selected units."""
        return self._frame("units").rename(columns={"id": "unit"})

    @cached_property
    def all_units(self) -> pd.DataFrame:
        """`Unit`, with its id in the column `unit`: every unit of the subject."""
        return self._frame("all_units").rename(columns={"id": "unit"})

    @cached_property
    def excerpts(self) -> pd.DataFrame:
        """Excerpts of the units that fire.

        unit, excerpt (id), document, split, tokens (list of T str), activations (list of T floats in
        the subject's raw units, >= 0), n_context (leading tokens that are not scored), weight
        (1 / inclusion probability), is_top, shown (some explainer saw it).
        """
        import pandas as pd

        frame = self._frame("excerpts")
        if frame.empty:
            return frame.assign(shown=False)
        shown = {
            (unit, excerpt)
            for unit, ids in zip(self.explanations["unit"], self.explanations["shown"], strict=True)
            for excerpt in ids
        }
        pairs = pd.MultiIndex.from_frame(frame[["unit", "excerpt"]])
        return frame.assign(shown=[pair in shown for pair in pairs])

    @cached_property
    def explanations(self) -> pd.DataFrame:
        """`Explanation`: one row for each unit and explainer that gave a usable one."""
        return self._frame("explanations")

    @cached_property
    def simulations(self) -> pd.DataFrame:
        """`Simulation`, with explainer and is_null beside: one row for each passage simulated."""
        frame = self._frame("simulations")
        if frame.empty:
            return frame.assign(explainer="", is_null=False)
        writer = frame["explanation"].str.rpartition("/")
        return frame.assign(explainer=writer[2], is_null=writer[0] != frame["unit"])

    @cached_property
    def calibrations(self) -> pd.DataFrame:
        """`Calibration`: from simulated values to the subject's raw units."""
        return self._frame("calibrations")

    @cached_property
    def scores(self) -> pd.DataFrame:
        """`Score`: one row for each unit, explainer, simulator and metric."""
        return self._frame("scores")

    @cached_property
    def summary(self) -> pd.DataFrame:
        """`Summary`: one row for each explainer, simulator and metric."""
        return self._frame("summary")

    @cached_property
    def verdicts(self) -> pd.DataFrame:
        """`Verdict`: every answer of a judge."""
        return self._frame("verdicts")

    @cached_property
    def rates(self) -> pd.DataFrame:
        """`RatePoint`: what surrogates are worth within budgets of bits."""
        return self._frame("rates")

    @cached_property
    def gate(self) -> pd.DataFrame:
        """`GateResult`: what the instrument did with known answers; empty if it was not tried."""
        return self._frame("gate")

    @cached_property
    def gate_cases(self) -> pd.DataFrame:
        """`GateCase`: each known answer."""
        return self._frame("gate_cases")

    @cached_property
    def attacks(self) -> pd.DataFrame:
        """`AttackResult`: how often each scripted attack on the score succeeds."""
        return self._frame("attacks")

    @cached_property
    def attack_cases(self) -> pd.DataFrame:
        """`AttackCase`: each attack on each unit."""
        return self._frame("attack_cases")

    @cached_property
    def assurance(self) -> pd.DataFrame:
        """`Assurance`: the share of texts' gains that programs keep."""
        return self._frame("assurance")

    @cached_property
    def differences(self) -> pd.DataFrame:
        """`Difference`: every two explanations or simulators of one unit, resampled together."""
        return self._frame("differences")

    @cached_property
    def comparisons(self) -> pd.DataFrame:
        """`Comparison`: the differences over units."""
        return self._frame("comparisons")

    @cached_property
    def failures(self) -> pd.DataFrame:
        """`Failure`: everything that gave no usable answer."""
        return self._frame("failures")

    def _frame(self, table: str) -> pd.DataFrame:
        from scrutable.pipeline.store import TABLES

        return self._folder.read_frame(table, TABLES[table])
