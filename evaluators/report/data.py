"""What a report is written from: the tables of one run, and readers that turn rows into records.

The tables come from parquet, where a list column is an array and a missing text is NaN; past this
module there are only records. It knows neither HTML nor the layout of a run folder.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from scrutable.pipeline.records import (
    Assurance,
    AttackResult,
    Calibration,
    Comparison,
    Cost,
    Excerpt,
    Explanation,
    Failure,
    GateCase,
    GateResult,
    Passage,
    RatePoint,
    Score,
    Simulation,
    Split,
    Summary,
    Unit,
)

if TYPE_CHECKING:
    import pandas as pd

    from scrutable.pipeline.behaviours.tables import BehaviourTables
    from scrutable.pipeline.recursion.tables import RecursionTables


@dataclass(frozen=True)
class ReportData:
    """The tables of one run, one row for each record; column names are those of the records.

    Beyond the records: `excerpts` has `unit`, `excerpt` (its id), flat `tokens` and `n_context`, and
    `shown` (the explainer saw it); `simulations` and `scores` name their `explainer`; `calibrations`
    map a simulator's own scale to the subject's raw units; `summary` is the mean over units.
    """

    title: str
    manifest: Mapping[str, Any]
    config: Mapping[str, Any]
    banner: str | None  # shown on top of every page: why these numbers are not results
    units: pd.DataFrame
    excerpts: pd.DataFrame
    explanations: pd.DataFrame
    simulations: pd.DataFrame
    calibrations: pd.DataFrame
    scores: pd.DataFrame
    summary: pd.DataFrame
    failures: pd.DataFrame
    gate: pd.DataFrame | None = None  # None is an empty table, here and below
    gate_cases: pd.DataFrame | None = None
    attacks: pd.DataFrame | None = None
    rates: pd.DataFrame | None = None
    assurance: pd.DataFrame | None = None
    comparisons: pd.DataFrame | None = None
    behaviours: BehaviourTables | None = None  # all are empty in a run without any
    recursion: RecursionTables | None = None  # the same


class Pairing(NamedTuple):
    """Who explained and who simulated: what a score is a score of."""

    explainer: str
    simulator: str

    @property
    def label(self) -> str:
        """One short text for legends and table heads."""
        return f"{self.explainer} / {self.simulator}"


class Viewed(NamedTuple):
    """An excerpt, and whether the explainer saw it."""

    excerpt: Excerpt
    is_shown: bool


T = TypeVar("T")


def number(cell: Any) -> float:
    """The cell as a float; NaN for a missing one."""
    return math.nan if cell is None else float(cell)


def text(cell: Any) -> str:
    """The cell as a text; empty for a missing one."""
    is_missing = cell is None or (isinstance(cell, float) and math.isnan(cell))
    return "" if is_missing else str(cell)


def records(frame: pd.DataFrame | None, kind: type[T], **columns: str) -> tuple[T, ...]:
    """The rows of a table as records, in the run's order.

    Args:
        frame: with the fields of the record as columns, and the counts of its cost where it has one.
        kind: of record.
        columns: field → column, where a column has another name.
    """
    make: Callable[..., T] = kind
    fields = dataclasses.fields(cast(Any, kind))
    readers = {f.name: (_reader(str(f.type)), columns.get(f.name, f.name)) for f in fields}
    return tuple(
        make(
            **{
                name: _cost(row) if column == "cost" else reader(row[column])
                for name, (reader, column) in readers.items()
            }
        )
        for row in _rows(frame)
    )


def read_units(data: ReportData) -> tuple[Unit, ...]:
    """The units in order of layer, index and sign."""
    units = records(data.units, Unit, id="unit")
    return tuple(sorted(units, key=lambda unit: (unit.layer, unit.index, unit.sign, unit.id)))


def read_scores(data: ReportData) -> tuple[Score, ...]:
    """The scores in the run's order."""
    return records(data.scores, Score)


def read_summary(data: ReportData) -> tuple[Summary, ...]:
    """The summary rows in the run's order."""
    return records(data.summary, Summary)


def read_gate(data: ReportData) -> tuple[GateResult, ...]:
    """What the instrument did with known answers; empty if it was not tried."""
    return records(data.gate, GateResult)


def read_gate_cases(data: ReportData) -> tuple[GateCase, ...]:
    """Each known answer."""
    return records(data.gate_cases, GateCase)


def read_attacks(data: ReportData) -> tuple[AttackResult, ...]:
    """How often scripted attacks on the score succeed."""
    return records(data.attacks, AttackResult)


def read_rates(data: ReportData) -> tuple[RatePoint, ...]:
    """Points of the rate-distortion curves."""
    return records(data.rates, RatePoint)


def read_assurance(data: ReportData) -> tuple[Assurance, ...]:
    """Shares of texts' gains that programs keep."""
    return records(data.assurance, Assurance)


def read_comparisons(data: ReportData) -> tuple[Comparison, ...]:
    """Paired differences between explainers or simulators, over units."""
    return records(data.comparisons, Comparison)


def read_failures(data: ReportData) -> tuple[Failure, ...]:
    """The failures in the run's order."""
    return records(data.failures, Failure)


def read_explanations(data: ReportData) -> tuple[Explanation, ...]:
    """The explanations in the run's order."""
    return records(data.explanations, Explanation)


def read_excerpts(data: ReportData) -> dict[str, tuple[Viewed, ...]]:
    """The excerpts of each unit, in the run's order."""
    by_unit: dict[str, list[Viewed]] = {}
    for row in _rows(data.excerpts):
        excerpt = Excerpt(
            passage=Passage(
                id=text(row["excerpt"]),
                tokens=tuple(str(token) for token in _listed(row["tokens"])),
                n_context=int(row["n_context"]),
            ),
            document=text(row["document"]),
            split=cast(Split, text(row["split"])),
            activations=tuple(float(a) for a in _listed(row["activations"])),
            weight=number(row["weight"]),
            is_top=bool(row["is_top"]),
        )
        by_unit.setdefault(text(row["unit"]), []).append(Viewed(excerpt, bool(row["shown"])))
    return {unit: tuple(excerpts) for unit, excerpts in by_unit.items()}


def read_simulations(data: ReportData) -> dict[str, dict[tuple[Pairing, str], Simulation]]:
    """For each unit, the simulations from its own explanations by pairing and excerpt."""
    frame = data.simulations
    own = frame[~frame["is_null"].astype(bool)] if len(frame) else frame
    by_unit: dict[str, dict[tuple[Pairing, str], Simulation]] = {}
    for row in _rows(own):
        simulation = Simulation(
            unit=text(row["unit"]),
            explanation=text(row["explanation"]),
            simulator=text(row["simulator"]),
            excerpt=text(row["excerpt"]),
            expected=tuple(float(e) for e in _listed(row["expected"])),
            label_mass=number(row["label_mass"]),
        )
        key = (Pairing(text(row["explainer"]), simulation.simulator), simulation.excerpt)
        by_unit.setdefault(simulation.unit, {})[key] = simulation
    return by_unit


def read_simulation_costs(data: ReportData) -> dict[Pairing, tuple[int, Cost]]:
    """For each pairing, how many simulations there are, own and null, and what they took together."""
    totals: dict[Pairing, tuple[int, Cost]] = {}
    columns = ["explainer", "simulator", "prompt_tokens", "computed_tokens", "generated_tokens"]
    for row in _rows(data.simulations[columns]):
        pairing = Pairing(text(row["explainer"]), text(row["simulator"]))
        n, total = totals.get(pairing, (0, Cost()))
        totals[pairing] = (n + 1, total + Cost(*(int(row[name]) for name in columns[2:])))
    return totals


def read_calibrations(data: ReportData) -> dict[tuple[str, Pairing], Calibration]:
    """The calibration of each unit and pairing."""
    return {(c.unit, Pairing(c.explainer, c.simulator)): c for c in records(data.calibrations, Calibration)}


def read_pairings(data: ReportData) -> tuple[Pairing, ...]:
    """All pairings of the run: those that read English first, then in the run's order."""
    languages = {text(row["explainer"]): text(row["language"]) for row in _rows(data.explanations)}
    found: dict[Pairing, None] = {}
    for frame in (data.summary, data.scores, data.simulations):
        if len(frame):
            names = frame[["explainer", "simulator"]].drop_duplicates()
            found |= {Pairing(text(r["explainer"]), text(r["simulator"])): None for r in _rows(names)}
    return tuple(sorted(found, key=lambda pairing: languages.get(pairing.explainer) != "english"))


def _rows(frame: pd.DataFrame | None) -> list[dict[str, Any]]:
    if frame is None:
        return []
    return cast("list[dict[str, Any]]", frame.to_dict("records"))


def _listed(cell: Any) -> Sequence[Any]:
    return [] if cell is None or isinstance(cell, float) else list(cell)


def _cost(row: Mapping[str, Any]) -> Cost:
    return Cost(**{count.name: int(row[count.name]) for count in dataclasses.fields(Cost)})


def _reader(annotation: str) -> Callable[[Any], Any]:
    """How a cell becomes a field; every annotation but a number's is some kind of text."""
    readers: dict[str, Callable[[Any], Any]] = {
        "float": number,
        "int": int,
        "bool": bool,
        "tuple[float, ...]": lambda cell: tuple(map(float, _listed(cell))),
        "tuple[int, ...]": lambda cell: tuple(map(int, _listed(cell))),
        "tuple[str, ...]": lambda cell: tuple(map(str, _listed(cell))),
    }
    return readers.get(annotation, text)
