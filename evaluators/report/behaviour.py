"""The page of one behaviour as records: explanations and gains, losses, single inputs, edits.

It arranges what the run computed. Shape key: C columns of predictions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from scrutable.evaluators.report import colour, wording
from scrutable.evaluators.report.accounts import Account, readable_account
from scrutable.evaluators.report.behaviours import gain_figure, outcome_rates
from scrutable.evaluators.report.edits import Edited, edited
from scrutable.evaluators.report.failures import FailureTable, failure_table
from scrutable.evaluators.report.findings import Findings
from scrutable.evaluators.report.visible import legible
from scrutable.evaluators.report.wording import Figure
from scrutable.evaluators.report.written import Written, english_first, written
from scrutable.pipeline.behaviours.records import Forecast, Gain, Inputs, Loss
from scrutable.pipeline.records import Explanation

INPUTS_LISTED = 60
SHOWN_LISTED = 40
LONGEST_REPLY = 120  # characters
LONGEST_INPUT = 1_200

ALONE = ("nothing", "task")
"""Conditions without an explanation that have a column in the table of inputs."""
BESIDE = ("examples", "shuffled")
"""Conditions in the place of one explanation that have a column there."""


@dataclass(frozen=True, slots=True)
class GainLine:
    """What an explanation saves over each baseline, as one simulator reads it."""

    simulator: str
    inputs: str
    cells: tuple[tuple[Figure | None, str], ...]  # with the numbers of inputs and sources


@dataclass(frozen=True, slots=True)
class Explained:
    """An explanation, as it reads, and what it saves."""

    written: Written
    account: Account
    baselines: tuple[str, ...]
    gains: tuple[GainLine, ...]


@dataclass(frozen=True, slots=True)
class LossCell:
    """How well the subject was predicted, on some inputs."""

    bits: Figure
    accuracy: str
    n: str


@dataclass(frozen=True, slots=True)
class LossLine:
    """How well the subject was predicted under one condition."""

    condition: str
    of: str  # the explainer; empty where there is none
    simulator: str
    is_own: bool  # an explanation of this behaviour
    all: LossCell
    surprising: LossCell | None
    label_mass: str


@dataclass(frozen=True, slots=True)
class ColumnGroup:
    """Columns of predictions under one condition."""

    condition: str
    is_own: bool  # explanations of this behaviour
    columns: tuple[tuple[str, str], ...]  # explainer (empty where there is none) and simulator


@dataclass(frozen=True, slots=True)
class Cell:
    """The probability that one prediction gave to what the subject did."""

    text: str
    shade: int
    title: str


@dataclass(frozen=True, slots=True)
class InputRow:
    """A test input, what the subject did with it, and what was expected."""

    id: str
    source: str
    text: str
    outcome: str
    reply: str
    is_surprising: bool
    cells: tuple[Cell | None, ...]  # (C,)


@dataclass(frozen=True, slots=True)
class ShownRow:
    """An input of the explain split."""

    text: str
    outcome: str
    readers: str  # explainers that saw it


@dataclass(frozen=True, slots=True)
class BehaviourPage:
    """All that the template of a behaviour prints."""

    title: str
    banner: str | None
    id: str
    task: str
    is_planted: bool
    facts: tuple[tuple[str, str], ...]
    outcomes: tuple[tuple[str, str], ...]
    truth: Account | None
    reason: str
    weight_notes: tuple[str, ...]
    previous: str
    next: str
    explained: tuple[Explained, ...]
    leak: str  # a warning for what must never happen
    losses: tuple[LossLine, ...]
    columns: tuple[ColumnGroup, ...]
    inputs: tuple[InputRow, ...]
    inputs_note: str
    shown: tuple[ShownRow, ...]
    shown_note: str
    edited: tuple[Edited, ...]
    failures: FailureTable


@dataclass(frozen=True, slots=True)
class Frame:
    """What is the same on all pages, and where this page is among them."""

    title: str
    banner: str | None
    subject: str  # the model whose behaviours they are
    weight_notes: tuple[str, ...]
    previous: str = ""
    next: str = ""


def behaviour_page(found: Findings, frame: Frame) -> BehaviourPage:
    """The page of one behaviour."""
    behaviour = found.behaviour
    explanations = english_first(found.explanations)
    columns = _columns(found.forecasts, explanations)
    rows = _input_rows(found, columns)
    shown, n_shown = _shown(found)
    return BehaviourPage(
        title=frame.title,
        banner=frame.banner,
        id=behaviour.id,
        task=behaviour.about,
        is_planted=behaviour.is_planted,
        facts=_facts(found, frame),
        outcomes=outcome_rates(found),
        truth=readable_account(behaviour.truth, "policy") if behaviour.truth else None,
        reason=behaviour.reason,
        weight_notes=frame.weight_notes,
        previous=frame.previous,
        next=frame.next,
        explained=tuple(_explained(one, found.gains) for one in explanations),
        leak=_leak(found),
        losses=_losses(found.losses, [explanation.author for explanation in explanations]),
        columns=_grouped(columns),
        inputs=rows[:INPUTS_LISTED],
        inputs_note=_listed(len(rows), INPUTS_LISTED, "test input"),
        shown=shown,
        shown_note=_listed(n_shown, SHOWN_LISTED, "input"),
        edited=edited(found, explanations),
        failures=failure_table(found.failures, ()),
    )


def _facts(found: Findings, frame: Frame) -> tuple[tuple[str, str], ...]:
    behaviour = found.behaviour
    counts = {split: sum(one.split == split for one in found.inputs) for split in _SPLITS}
    splits = ", ".join(f"{wording.count(n)} {split}" for split, n in counts.items())
    return (
        ("Subject", "a stated rule, in place of a model" if behaviour.is_planted else frame.subject),
        ("Readout", wording.READOUTS.get(behaviour.readout, behaviour.readout)),
        (
            "Inputs",
            f"{wording.count(behaviour.n_inputs)} from {wording.counted(behaviour.n_sources, 'source')}"
            + (f" ({splits})" if found.inputs else ""),
        ),
        ("Unreadable", wording.counted(behaviour.n_unreadable, "input")),
        ("Label mass", _mass(behaviour.label_mass)),
    )


_SPLITS = ("explain", "calibrate", "test")


def _mass(mass: float) -> str:
    text = wording.percent(mass)
    return "no labels are read" if text == wording.NO_NUMBER else text


def _explained(explanation: Explanation, gains: Sequence[Gain]) -> Explained:
    own = [gain for gain in gains if gain.explainer == explanation.author]
    found = {(gain.simulator, gain.inputs, gain.baseline): gain for gain in own}
    baselines = [name for name in wording.BASELINES if any(gain.baseline == name for gain in own)]
    lines = tuple(
        GainLine(
            simulator=simulator,
            inputs=name,
            cells=tuple(_gain(found.get((simulator, inputs, baseline))) for baseline in baselines),
        )
        for simulator in dict.fromkeys(gain.simulator for gain in own)
        for inputs, name in wording.INPUTS.items()
    )
    return Explained(
        written=written(explanation),
        account=readable_account(explanation.text, explanation.language),
        baselines=tuple(wording.CONDITIONS[name] for name in baselines),
        gains=lines,
    )


def _gain(one: Gain | None) -> tuple[Figure | None, str]:
    return gain_figure(one), f"n = {one.n_inputs} from {one.n_sources}" if one else ""


def _leak(found: Findings) -> str:
    """A warning for what must never happen: an input that an explainer saw and that is judged on."""
    split = {one.id: one.split for one in found.inputs}
    shown = {id for explanation in found.explanations for id in explanation.shown}
    n = sum(split.get(id, "explain") != "explain" for id in shown)
    return f"Explainers saw {wording.counted(n, 'input')} of other splits: the scores are void." if n else ""


def _losses(losses: Sequence[Loss], authors: Sequence[str]) -> tuple[LossLine, ...]:
    conditions, explainers = list(wording.CONDITIONS), ["", *authors]
    found: dict[tuple[str, str, str], dict[Inputs, Loss]] = {}
    for loss in losses:
        found.setdefault((loss.condition, loss.explainer, loss.simulator), {})[loss.inputs] = loss
    keys = sorted(found, key=lambda key: (_place(key[0], conditions), _place(key[1], explainers)))
    return tuple(_loss(found[key]) for key in keys if "all" in found[key])


def _place(name: str, order: Sequence[str]) -> int:
    return order.index(name) if name in order else len(order)


def _loss(by_inputs: Mapping[Inputs, Loss]) -> LossLine:
    one = by_inputs["all"]
    return LossLine(
        condition=wording.CONDITIONS.get(one.condition, one.condition),
        of=one.explainer,
        simulator=one.simulator,
        is_own=one.condition == "explained",
        all=_loss_cell(one),
        surprising=_loss_cell(by_inputs["surprising"]) if "surprising" in by_inputs else None,
        label_mass=wording.percent(one.label_mass),
    )


def _loss_cell(one: Loss) -> LossCell:
    nowhere = float("nan")
    return LossCell(
        bits=wording.figure(one.bits, nowhere, nowhere, reason=one.reason),
        accuracy=wording.percent(one.accuracy),
        n=f"{one.n_inputs} of {one.n_asked}",
    )


Key = tuple[str, str, str]
"""Condition, explainer (empty where there is none) and simulator of a column."""


def _columns(forecasts: Iterable[Forecast], explanations: Sequence[Explanation]) -> tuple[Key, ...]:
    """Predictions without an explanation, in the place of the first one, and from each explanation."""
    keys = dict.fromkeys(_key(forecast) for forecast in forecasts)
    authors = [explanation.author for explanation in explanations]
    conditions = [*ALONE, *BESIDE, "explained"]
    found = [
        key for key in keys if key[0] in (*ALONE, "explained") or (key[0] in BESIDE and key[1] in authors[:1])
    ]
    return tuple(sorted(found, key=lambda key: (_place(key[0], conditions), _place(key[1], authors))))


def _grouped(keys: Sequence[Key]) -> tuple[ColumnGroup, ...]:
    return tuple(
        ColumnGroup(
            condition=wording.CONDITIONS.get(condition, condition),
            is_own=condition == "explained",
            columns=tuple((of, simulator) for _, of, simulator in group),
        )
        for condition, group in groupby(keys, key=lambda key: key[0])
    )


def _key(forecast: Forecast) -> Key:
    return forecast.condition, forecast.explanation.rpartition("/")[2], forecast.simulator


def _input_rows(found: Findings, columns: Sequence[Key]) -> tuple[InputRow, ...]:
    """Test inputs that could be read, surprising ones first."""
    by_input: dict[str, dict[Key, Forecast]] = {}
    for forecast in found.forecasts:
        by_input.setdefault(forecast.input, {})[_key(forecast)] = forecast
    rows = []
    for one in found.inputs:
        seen = found.seen.get(one.id)
        if one.split != "test" or seen is None:
            continue
        told = by_input.get(one.id, {})
        rows.append(
            InputRow(
                id=one.id,
                source=one.source,
                text=_shortened(one.text),
                outcome=seen.outcome,
                reply=legible(wording.clipped(seen.reply, LONGEST_REPLY)),
                is_surprising=any(forecast.is_surprising for forecast in told.values()),
                cells=tuple(_cell(told.get(key), seen.outcome, found) for key in columns),
            )
        )
    return tuple(sorted(rows, key=lambda row: not row.is_surprising))


def _cell(forecast: Forecast | None, outcome: str, found: Findings) -> Cell | None:
    if forecast is None:
        return None
    pairs = dict(zip(found.behaviour.outcomes, forecast.probabilities, strict=True))
    return Cell(
        text=wording.share(pairs[outcome]),
        shade=colour.shade(pairs[outcome], scale_max=1.0),
        title="; ".join(f"{name} {wording.share(p)}" for name, p in pairs.items())
        + f"; {wording.score(forecast.bits)} bits",
    )


def _shown(found: Findings) -> tuple[tuple[ShownRow, ...], int]:
    """The first inputs of the explain split, those that were shown first; and how many there are."""
    readers: dict[str, dict[str, None]] = {}
    for explanation in found.explanations:
        for id in explanation.shown:
            readers.setdefault(id, {})[explanation.author] = None
    own = [one for one in found.inputs if one.split == "explain" and one.id in found.seen]
    own.sort(key=lambda one: -len(readers.get(one.id, {})))
    rows = tuple(
        ShownRow(
            _shortened(one.text), found.seen[one.id].outcome, ", ".join(readers.get(one.id, {})) or "none"
        )
        for one in own[:SHOWN_LISTED]
    )
    return rows, len(own)


def _shortened(text: str) -> str:
    return legible(text if len(text) <= LONGEST_INPUT else text[: LONGEST_INPUT - 1] + "…")


def _listed(n: int, most: int, noun: str) -> str:
    return f"The first {most} of {wording.counted(n, noun)}." if n > most else wording.counted(n, noun) + "."
