"""The behaviours of a run on its index page: what explanations save, over what, and of which behaviours.

It arranges what the run computed; the only arithmetic is counting.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scrutable.evaluators.report import charts, wording
from scrutable.evaluators.report.costs import Spent, spent
from scrutable.evaluators.report.data import Pairing
from scrutable.evaluators.report.failures import FailureTable, failure_table
from scrutable.evaluators.report.findings import Findings, Study
from scrutable.evaluators.report.wording import Figure
from scrutable.pipeline.behaviours.records import Gain, GainSummary, Inputs
from scrutable.pipeline.records import Explanation

LISTED = 400  # behaviours in the table
LONGEST_TASK = 140  # characters


@dataclass(frozen=True, slots=True)
class Reader:
    """An explainer whose explanations a simulator reads."""

    pairing: Pairing
    language: str
    is_written: bool  # by a language model


@dataclass(frozen=True, slots=True)
class HeadlineRow:
    """The gain of one reader over the baseline of the headline."""

    reader: Reader
    strip: charts.Strip
    gain: Figure
    n: str
    above: str  # how many behaviours' own intervals lie above 0, and below
    surprising: Figure
    n_surprising: str


@dataclass(frozen=True, slots=True)
class GainCell:
    """One gain of the table of all baselines; None of it where there is none."""

    gain: Figure | None
    n: str


@dataclass(frozen=True, slots=True)
class BehaviourRow:
    """A row of the table of behaviours."""

    id: str
    task: str
    is_planted: bool
    outcomes: tuple[tuple[str, str], ...]  # with their rates
    inputs: str
    sources: str
    unreadable: str
    best: Reader | None
    over: tuple[Figure | None, ...]  # gains of the best, for each of BEST_OVER
    reason: str  # why it is not explained


BEST_OVER = ("nothing", "examples", "shuffled")
"""Baselines in the table of behaviours; the best explanation is the one that saves most over the first."""


@dataclass(frozen=True, slots=True)
class BehaviourSection:
    """All that the index prints of behaviours."""

    counted: str
    headline_over: str  # baseline of the chart; empty where there is no gain
    headline: tuple[HeadlineRow, ...]
    ticks: tuple[charts.Tick, ...]
    baselines: tuple[tuple[str, str], ...]  # those of the run: name and definition
    gains: tuple[tuple[str, tuple[tuple[Reader, tuple[GainCell, ...]], ...]], ...]  # by inputs
    rows: tuple[BehaviourRow, ...]
    note: str
    failures: FailureTable
    spent: tuple[Spent, ...]


def behaviour_section(study: Study) -> BehaviourSection | None:
    """What the index page tells of behaviours; None where there are only planted policies."""
    if not study.findings:
        return None
    baselines = [name for name in wording.BASELINES if any(one.baseline == name for one in study.summary)]
    readers = _readers(study)
    over = baselines[0] if baselines else ""
    headline, ticks = _headline(study.summary, over, readers)
    n_explained = sum(not one.behaviour.reason for one in study.findings)
    explanations = [explanation for one in study.findings for explanation in one.explanations]
    return BehaviourSection(
        counted=f"{wording.counted(len(study.findings), 'behaviour')}, {n_explained} of them explained",
        headline_over=wording.CONDITIONS.get(over, over),
        headline=headline,
        ticks=ticks,
        baselines=tuple((wording.CONDITIONS[name], wording.BASELINES[name]) for name in baselines),
        gains=tuple(
            (wording.INPUTS[inputs], _matrix(study.summary, readers, baselines, inputs))
            for inputs in wording.INPUTS
        )
        if baselines
        else (),
        rows=tuple(_row(one, readers) for one in study.findings[:LISTED]),
        note=_note(len(study.findings)),
        failures=failure_table(study.failures, {one.behaviour.id for one in study.findings}),
        spent=spent(explanations, study.predicted),
    )


def _readers(study: Study) -> dict[Pairing, Reader]:
    """Everyone whose explanations were read, those that a model wrote in English first."""
    wrote = {e.author: e for one in study.findings for e in one.explanations}
    pairings = dict.fromkeys(Pairing(one.explainer, one.simulator) for one in study.summary)
    readers = [_reader(pairing, wrote.get(pairing.explainer)) for pairing in pairings]
    readers.sort(key=lambda reader: (not reader.is_written, reader.language != "english"))
    return {reader.pairing: reader for reader in readers}


def _reader(pairing: Pairing, wrote: Explanation | None) -> Reader:
    return Reader(pairing, wrote.language if wrote else "", bool(wrote and wrote.model))


def _headline(
    summary: Sequence[GainSummary], over: str, readers: Mapping[Pairing, Reader]
) -> tuple[tuple[HeadlineRow, ...], tuple[charts.Tick, ...]]:
    found = _by_reader(summary, over, "all")
    surprising = _by_reader(summary, over, "surprising")
    axis = charts.score_range([x for one in found.values() for x in (one.bits, one.low, one.high)])
    rows = tuple(
        HeadlineRow(
            reader=reader,
            strip=charts.strip(
                one.bits,
                one.low,
                one.high,
                axis=axis,
                title=f"{pairing.label}: {_summed(one).text} {_summed(one).interval}",
            ),
            gain=_summed(one),
            n=_n(one),
            above=f"{one.n_above} above 0, {one.n_below} below",
            surprising=_summed(surprising.get(pairing)),
            n_surprising=_n(surprising[pairing]) if pairing in surprising else wording.NO_NUMBER,
        )
        for pairing, reader in readers.items()
        if (one := found.get(pairing))
    )
    return rows, charts.strip_ticks(axis)


def _by_reader(summary: Sequence[GainSummary], baseline: str, inputs: Inputs) -> dict[Pairing, GainSummary]:
    return {
        Pairing(one.explainer, one.simulator): one
        for one in summary
        if one.baseline == baseline and one.inputs == inputs
    }


def _summed(one: GainSummary | None) -> Figure:
    if one is None:
        return Figure("undefined", reason="not computed")
    reason = f"not defined for any of {wording.counted(one.n_behaviours, 'behaviour')}"
    return wording.bits(one.bits, one.low, one.high, reason=reason)


def _n(one: GainSummary) -> str:
    parts = [f"{n} {word}" for n, word in ((one.n_undefined, "undefined"), (one.n_failed, "failed")) if n]
    return f"{one.n_defined} of {one.n_behaviours}" + (f" ({', '.join(parts)})" if parts else "")


def _matrix(
    summary: Sequence[GainSummary],
    readers: Mapping[Pairing, Reader],
    baselines: Sequence[str],
    inputs: Inputs,
) -> tuple[tuple[Reader, tuple[GainCell, ...]], ...]:
    found = {name: _by_reader(summary, name, inputs) for name in baselines}
    return tuple(
        (
            reader,
            tuple(
                GainCell(_summed(one), f"n = {one.n_defined} of {one.n_behaviours}")
                if (one := found[name].get(pairing))
                else GainCell(None, "")
                for name in baselines
            ),
        )
        for pairing, reader in readers.items()
    )


def _row(one: Findings, readers: Mapping[Pairing, Reader]) -> BehaviourRow:
    behaviour = one.behaviour
    gains = {(g.baseline, Pairing(g.explainer, g.simulator)): g for g in one.gains if g.inputs == "all"}
    best = _best(one, readers)
    return BehaviourRow(
        id=behaviour.id,
        task=wording.clipped(behaviour.about, LONGEST_TASK),
        is_planted=behaviour.is_planted,
        outcomes=outcome_rates(one),
        inputs=wording.count(behaviour.n_inputs),
        sources=wording.count(behaviour.n_sources),
        unreadable=wording.count(behaviour.n_unreadable),
        best=best,
        over=tuple(gain_figure(gains.get((name, best.pairing))) for name in BEST_OVER) if best else (),
        reason=behaviour.reason or ("" if best else "no explanation was read by a simulator"),
    )


def outcome_rates(one: Findings) -> tuple[tuple[str, str], ...]:
    """Each outcome of a behaviour with its rate; a dash where nothing could be read."""
    behaviour = one.behaviour
    is_read = behaviour.n_inputs > behaviour.n_unreadable
    pairs = zip(behaviour.outcomes, behaviour.rates, strict=True)
    return tuple((name, wording.percent(rate) if is_read else wording.NO_NUMBER) for name, rate in pairs)


def gain_figure(gain: Gain | None) -> Figure | None:
    """A gain of one behaviour; None where the run has none over that baseline."""
    return wording.bits(gain.bits, gain.low, gain.high, reason=gain.reason) if gain else None


def _best(one: Findings, readers: Mapping[Pairing, Reader]) -> Reader | None:
    over = [
        gain
        for gain in one.gains
        if gain.baseline == BEST_OVER[0] and gain.inputs == "all" and math.isfinite(gain.bits)
    ]
    if not over:
        return None
    best = max(over, key=lambda gain: gain.bits)
    pairing = Pairing(best.explainer, best.simulator)
    return readers.get(pairing) or _reader(pairing, None)


def _note(n_behaviours: int) -> str:
    if n_behaviours <= LISTED:
        return ""
    return f"The first {LISTED} of {wording.count(n_behaviours)}; every one has its page in behaviours/."
