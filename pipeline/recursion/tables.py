"""The tables of a recursion study, as pandas frames."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from scrutable.pipeline.recursion.records import (
    Cause,
    Ceiling,
    Choice,
    Claim,
    Effect,
    Foretold,
    Gated,
    Job,
    KnownLadder,
    LedgerRow,
    MatrixCell,
    Node,
    Overlap,
    Patch,
    Procedure,
    Proxy,
    Replica,
    Ruling,
    SecondReading,
    Substitution,
    Transfer,
    WritingTrait,
)
from scrutable.pipeline.store import RunFolder, schema_of

if TYPE_CHECKING:
    import pandas as pd

    from scrutable.pipeline.run import Run

KINDS: dict[str, type] = {
    "jobs": Job,
    "patches": Patch,
    "causes": Cause,
    "nodes": Node,
    "substitutions": Substitution,
    "proxies": Proxy,
    "claims": Claim,
    "ledger": LedgerRow,
    "transfers": Transfer,
    "ceilings": Ceiling,
    "overlaps": Overlap,
    "gated": Gated,
    "rulings": Ruling,
    "known_ladders": KnownLadder,
    "replicas": Replica,
    "second_readings": SecondReading,
    "procedures": Procedure,
    "choices": Choice,
    "foretold": Foretold,
    "traits": WritingTrait,
    "matrix": MatrixCell,
    "matrix_effects": Effect,
}
"""The tables, and the record that each row of them is."""
LEVEL = "recursion"
"""Where they lie in a run folder; the units of level k lie in `level-K`, as those of a run in `level-0`."""


class RecursionTables:
    """The tables of a study. Each is read when it is first asked for; one that is not there is empty.

    The columns are the fields of the record named with each; `scrutable.pipeline.recursion.records` gives
    their units and ranges.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folder = RunFolder(path, level=LEVEL)

    @property
    def is_empty(self) -> bool:
        """True for a run that is no study of recursion, or one that has not come to a ledger."""
        return self.ledger.empty and self.gated.empty and self.matrix.empty

    def level(self, number: int) -> Run:
        """Units, excerpts, explanations and scores of one level: of the explainer's neurons from 1 on."""
        from scrutable.pipeline.config import RecurseConfig
        from scrutable.pipeline.errors import RunFolderError
        from scrutable.pipeline.run import Run

        folder = RunFolder(self._path, level=f"level-{number}")
        config = folder.config()
        if not isinstance(config, RecurseConfig):
            raise RunFolderError(f"{self._path} is no study of recursion, so it has no levels")
        return Run(folder, config)

    @property
    def levels(self) -> list[int]:
        """The levels that there are, 0 included."""
        numbers = [path.name.removeprefix("level-") for path in self._path.glob("level-*")]
        return sorted(int(number) for number in numbers if number.isdigit())

    @cached_property
    def jobs(self) -> pd.DataFrame:
        """`Job`, with its id in the column `job`."""
        return self._frame("jobs").rename(columns={"id": "job"})

    @cached_property
    def patches(self) -> pd.DataFrame:
        """`Patch`: every true patch."""
        return self._frame("patches")

    @cached_property
    def causes(self) -> pd.DataFrame:
        """`Cause`: the causal set of each job."""
        return self._frame("causes")

    @cached_property
    def nodes(self) -> pd.DataFrame:
        """`Node`: all nodes of the causal sets."""
        return self._frame("nodes")

    @cached_property
    def substitutions(self) -> pd.DataFrame:
        """`Substitution`: simulated activations in the running author."""
        return self._frame("substitutions")

    @cached_property
    def proxies(self) -> pd.DataFrame:
        """`Proxy`: what fidelity by attribution would have said of substitution, beside it."""
        return self._frame("proxies")

    @cached_property
    def claims(self) -> pd.DataFrame:
        """`Claim`, with its id in the column `claim`: the claim tree."""
        return self._frame("claims").rename(columns={"id": "claim"})

    @cached_property
    def ledger(self) -> pd.DataFrame:
        """`LedgerRow`: where the trust in each level went."""
        return self._frame("ledger")

    @cached_property
    def transfers(self) -> pd.DataFrame:
        """`Transfer`: working text against general text."""
        return self._frame("transfers")

    @cached_property
    def ceilings(self) -> pd.DataFrame:
        """`Ceiling`: what a short context can tell."""
        return self._frame("ceilings")

    @cached_property
    def overlaps(self) -> pd.DataFrame:
        """`Overlap`: how alike the causal sets of jobs are."""
        return self._frame("overlaps")

    @cached_property
    def gated(self) -> pd.DataFrame:
        """`Gated`: what was left out, and why."""
        return self._frame("gated")

    @cached_property
    def rulings(self) -> pd.DataFrame:
        """`Ruling`: the rule table's verdicts."""
        return self._frame("rulings")

    @cached_property
    def known_ladders(self) -> pd.DataFrame:
        """`KnownLadder`: planted explainers."""
        return self._frame("known_ladders")

    @cached_property
    def replicas(self) -> pd.DataFrame:
        """`Replica`: stand-ins for the explainer."""
        return self._frame("replicas")

    @cached_property
    def second_readings(self) -> pd.DataFrame:
        """`SecondReading`: the lenient tier, reader by reader and wording by wording."""
        return self._frame("second_readings")

    @cached_property
    def procedures(self) -> pd.DataFrame:
        """`Procedure`: how the first author writes, in the words of the next."""
        return self._frame("procedures")

    @cached_property
    def choices(self) -> pd.DataFrame:
        """`Choice`: which explanation is the author's, under each procedure and edit."""
        return self._frame("choices")

    @cached_property
    def foretold(self) -> pd.DataFrame:
        """`Foretold`: how often the author's own text is found, over units."""
        return self._frame("foretold")

    @cached_property
    def traits(self) -> pd.DataFrame:
        """`WritingTrait`: traits of explanations, foretold."""
        return self._frame("traits")

    @cached_property
    def matrix(self) -> pd.DataFrame:
        """`MatrixCell`: subject x explainer."""
        return self._frame("matrix")

    @cached_property
    def matrix_effects(self) -> pd.DataFrame:
        """`Effect`: the regression over the matrix."""
        return self._frame("matrix_effects")

    def _frame(self, table: str) -> pd.DataFrame:
        return self._folder.read_frame(table, schema_of(KINDS[table]))
