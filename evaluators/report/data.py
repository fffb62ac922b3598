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
    Language,
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


Flat = TypeVar(
    "Flat",
    Unit,
    Score,
    Summary,
    Failure,
    Calibration,
    GateResult,
    GateCase,
    AttackResult,
    RatePoint,
    Assurance,
    Comparison,
)


def number(cell: Any) -> float:
    """The cell as a float; NaN for a missing one."""
    return math.nan if cell is None else float(cell)


def text(cell: Any) -> str:
    """The cell as a text; empty for a missing one."""
    is_missing = cell is None or (isinstance(cell, float) and math.isnan(cell))
    return "" if is_missing else str(cell)


def read_units(data: ReportData) -> tuple[Unit, ...]:
    """The units in order of layer, index and sign."""
    units = [_flat(Unit, {**row, "id": row["unit"]}) for row in _rows(data.units)]
    return tuple(sorted(units, key=lambda unit: (unit.layer, unit.index, unit.sign, unit.id)))


def read_scores(data: ReportData) -> tuple[Score, ...]:
    """The scores in the run's order."""
    return tuple(_flat(Score, row) for row in _rows(data.scores))


def read_summary(data: ReportData) -> tuple[Summary, ...]:
    """The summary rows in the run's order."""
    return tuple(_flat(Summary, row) for row in _rows(data.summary))


def read_gate(data: ReportData) -> tuple[GateResult, ...]:
    """What the instrument did with known answers; empty if it was not tried."""
    return tuple(_flat(GateResult, row) for row in _rows(data.gate))


def read_gate_cases(data: ReportData) -> tuple[GateCase, ...]:
    """Each known answer."""
    return tuple(_flat(GateCase, row) for row in _rows(data.gate_cases))


def read_attacks(data: ReportData) -> tuple[AttackResult, ...]:
    """How often scripted attacks on the score succeed."""
    return tuple(_flat(AttackResult, row) for row in _rows(data.attacks))


def read_rates(data: ReportData) -> tuple[RatePoint, ...]:
    """Points of the rate-distortion curves."""
    return tuple(_flat(RatePoint, row) for row in _rows(data.rates))


def read_assurance(data: ReportData) -> tuple[Assurance, ...]:
    """Shares of texts' gains that programs keep."""
    return tuple(_flat(Assurance, row) for row in _rows(data.assurance))


def read_comparisons(data: ReportData) -> tuple[Comparison, ...]:
    """Paired differences between explainers or simulators, over units."""
    return tuple(_flat(Comparison, row) for row in _rows(data.comparisons))


def read_failures(data: ReportData) -> tuple[Failure, ...]:
    """The failures in the run's order."""
    return tuple(_flat(Failure, row) for row in _rows(data.failures))


def read_explanations(data: ReportData) -> tuple[Explanation, ...]:
    """The explanations in the run's order."""
    return tuple(
        Explanation(
            unit=text(row["unit"]),
            explainer=text(row["explainer"]),
            language=cast(Language, text(row["language"])),
            text=text(row["text"]),
            model=text(row["model"]),
            prompt=text(row["prompt"]),
            prompt_digest=text(row["prompt_digest"]),
            reply=text(row["reply"]),
            is_cut=bool(row["is_cut"]),
            shown=tuple(str(excerpt) for excerpt in _listed(row["shown"])),
            cost=Cost(int(row["prompt_tokens"]), int(row["computed_tokens"]), int(row["generated_tokens"])),
            candidate=int(row["candidate"]),
        )
        for row in _rows(data.explanations)
    )


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
    return {
        (c.unit, Pairing(c.explainer, c.simulator)): c
        for c in (_flat(Calibration, row) for row in _rows(data.calibrations))
    }


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


def _flat(cls: type[Flat], row: Mapping[str, Any]) -> Flat:
    """A record whose fields are all numbers and texts, from a row with columns of the same names."""
    make: Callable[..., Flat] = cls
    return make(**{f.name: _reader(str(f.type))(row[f.name]) for f in dataclasses.fields(cls)})


def _reader(annotation: str) -> Callable[[Any], Any]:
    """How a cell becomes a field; every annotation but a number's is some kind of text."""
    readers: dict[str, Callable[[Any], Any]] = {
        "float": number,
        "int": int,
        "bool": bool,
        "tuple[float, ...]": lambda cell: tuple(map(float, _listed(cell))),
    }
    return readers.get(annotation, text)
