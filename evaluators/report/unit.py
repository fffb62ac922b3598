"""The page of one unit as records: its explanations, their scores, and heatmaps of its excerpts.

All heatmaps of a page share one colour scale, from zero to the unit's largest drawn activation, in the
subject's raw units: a simulation is drawn only after its calibration.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scrutable.evaluators.report import colour, wording
from scrutable.evaluators.report.data import Pairing, Viewed
from scrutable.evaluators.report.visible import Run, readable, visible
from scrutable.evaluators.report.wording import Figure
from scrutable.evaluators.report.written import Written, english_first, written
from scrutable.pipeline.records import (
    Calibration,
    Excerpt,
    Explanation,
    Failure,
    Score,
    Simulation,
    Unit,
)

METRICS = {
    "correlation": "correlation",
    "explained_variance": "explained variance",
    "auprc": "average precision",
    "gain_bits": "gain, bits per token",
    "top_and_random": "top-and-random",
    "auroc": "AUROC",
    "accuracy": "accuracy",
}

TABLES_FOR_FIRST = 3  # held-out excerpts whose values are also given as a table

Simulations = Mapping[tuple[Pairing, str], Simulation]


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One score of an explanation."""

    simulator: str
    metric: str
    value: Figure
    null: str
    excess: Figure
    answered: str
    label_mass: str


@dataclass(frozen=True, slots=True)
class Explained:
    """An explanation with its scores."""

    written: Written
    scores: tuple[ScoreRow, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """One token of a heatmap: the true shade above one simulated shade for each pairing."""

    runs: tuple[Run, ...]
    title: str
    is_context: bool
    shade: int
    simulated: tuple[str, ...]  # a CSS class each: " c7", " m" (missing), or none for silence


@dataclass(frozen=True, slots=True)
class ValueRow:
    """The same token as text."""

    token: str
    true: str
    simulated: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """The heatmap of one excerpt."""

    anchor: str
    id: str
    document: str
    max_activation: str
    badges: tuple[str, ...]
    warning: str
    missing: tuple[str, ...]  # for each pairing: why nothing is drawn; empty if something is
    columns: tuple[Column, ...]
    values: tuple[ValueRow, ...]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A pairing that the reader can choose, and how it was brought to raw units."""

    pairing: Pairing
    calibration: str


@dataclass(frozen=True, slots=True)
class UnitPage:
    """All that the template of a unit prints."""

    title: str
    banner: str | None
    id: str
    facts: tuple[tuple[str, str], ...]
    weight_notes: tuple[str, ...]
    previous: str
    next: str
    explained: tuple[Explained, ...]
    failures: tuple[Failure, ...]
    drawn: tuple[Drawn, ...]
    legend: tuple[str, str, str]  # raw units at the start, the middle and the end of the scale
    test: tuple[Block, ...]
    shown: tuple[Block, ...]
    calibrate: tuple[Block, ...]
    is_held_out: bool  # false if an explainer saw one of the test excerpts, which must never happen
    split_counts: tuple[str, str, str]  # test, explain, calibrate


@dataclass(frozen=True, slots=True)
class Material:
    """What belongs to one unit."""

    unit: Unit
    excerpts: tuple[Viewed, ...]
    explanations: tuple[Explanation, ...]
    scores: tuple[Score, ...]
    failures: tuple[Failure, ...]
    simulations: Simulations
    calibrations: Mapping[Pairing, Calibration]
    pairings: tuple[Pairing, ...]  # of the whole run, those that read English first


@dataclass(frozen=True, slots=True)
class Frame:
    """What is the same on all pages, and where this page is among them."""

    title: str
    banner: str | None
    weight_notes: tuple[str, ...]
    previous: str = ""
    next: str = ""


def unit_page(material: Material, frame: Frame) -> UnitPage:
    """The page of one unit."""
    simulated = {pairing for pairing, _ in material.simulations}
    pairings = tuple(pairing for pairing in material.pairings if pairing in simulated)
    maxima = [viewed.excerpt.max_activation for viewed in material.excerpts]
    scale_max = max(maxima, default=0.0)
    writer = _Writer(material, pairings, scale_max)
    test, shown, calibrate = (
        tuple(writer.block(viewed, rank) for rank, viewed in enumerate(_of_split(material, split)))
        for split in ("test", "explain", "calibrate")
    )
    return UnitPage(
        title=frame.title,
        banner=frame.banner,
        id=material.unit.id,
        facts=_facts(material.unit),
        weight_notes=frame.weight_notes,
        previous=frame.previous,
        next=frame.next,
        explained=tuple(_explained(e, material) for e in english_first(material.explanations)),
        failures=material.failures,
        drawn=tuple(
            Drawn(pairing, _calibration_text(material.calibrations.get(pairing))) for pairing in pairings
        ),
        legend=(wording.raw(0.0), wording.raw(scale_max / 2), wording.raw(scale_max)),
        test=test,
        shown=shown,
        calibrate=calibrate,
        is_held_out=not any(block.warning for block in test),
        split_counts=(
            wording.counted(len(test), "excerpt"),
            wording.counted(len(shown), "excerpt"),
            wording.counted(len(calibrate), "excerpt"),
        ),
    )


def _of_split(material: Material, split: str) -> list[Viewed]:
    """The excerpts of a split: what was shown first, then the strongest."""
    excerpts = [viewed for viewed in material.excerpts if viewed.excerpt.split == split]
    return sorted(
        excerpts,
        key=lambda v: (
            split == "explain" and not v.is_shown,
            not v.excerpt.is_top,
            -v.excerpt.max_activation,
            v.excerpt.passage.id,
        ),
    )


def _facts(unit: Unit) -> tuple[tuple[str, str], ...]:
    side = {"pos": "positive: max(a, 0)", "neg": "negative: max(−a, 0)"}
    return (
        ("Layer", str(unit.layer)),
        ("Index", str(unit.index)),
        ("Sign", side.get(unit.sign, unit.sign)),
        ("Density", wording.percent(unit.density)),
        ("Max activation", f"{wording.raw(unit.max_activation)} raw units"),
    )


def _explained(explanation: Explanation, material: Material) -> Explained:
    order = list(METRICS)
    scores = [score for score in material.scores if score.explainer == explanation.author]
    scores.sort(key=lambda s: (s.simulator, order.index(s.metric) if s.metric in METRICS else len(order)))
    return Explained(written(explanation), tuple(_score_row(score) for score in scores))


def _score_row(score: Score) -> ScoreRow:
    reason = score.reason or ("null is not defined" if math.isfinite(score.value) else "")
    nulls = wording.counted(score.n_nulls, "explanation")
    return ScoreRow(
        simulator=score.simulator,
        metric=METRICS.get(score.metric, score.metric),
        value=wording.figure(score.value, score.low, score.high, reason=score.reason),
        null=f"{wording.score(score.null)} ({nulls})",
        excess=wording.figure(score.excess, score.excess_low, score.excess_high, reason=reason, signed=True),
        answered=f"{score.n_answered} of {wording.counted(score.n_asked, 'excerpt')}, "
        f"{wording.counted(score.n_documents, 'document')}",
        label_mass=wording.percent(score.label_mass),
    )


def _calibration_text(calibration: Calibration | None) -> str:
    if calibration is None or not calibration.is_defined:
        return "Its calibration is not defined, so its values cannot be drawn in raw units."
    sign = wording.MINUS if calibration.intercept < 0 else "+"
    return (
        f"Simulated, in raw units = {wording.raw(calibration.slope)} × expected {sign} "
        f"{wording.raw(abs(calibration.intercept))}, fitted on the calibrate split."
    )


@dataclass(frozen=True, slots=True)
class _Row:
    """A simulated row in raw units, or why there is none."""

    values: tuple[float, ...]  # (T - n_context,); empty where `problem` is not
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Writer:
    """Draws the excerpts of one unit on the page's one scale."""

    material: Material
    pairings: tuple[Pairing, ...]
    scale_max: float

    def block(self, viewed: Viewed, rank: int) -> Block:
        """The heatmap of one excerpt; `rank` counts within its split."""
        excerpt = viewed.excerpt
        pairings = () if excerpt.split == "explain" else self.pairings
        rows = [self.simulated(pairing, excerpt) for pairing in pairings]
        has_values = excerpt.split == "test" and rank < TABLES_FOR_FIRST
        return Block(
            anchor=f"{excerpt.split}-{rank + 1}",
            id=excerpt.passage.id,
            document=excerpt.document,
            max_activation=wording.raw(excerpt.max_activation),
            badges=self.badges(viewed),
            warning=_leak(viewed),
            missing=tuple(row.problem for row in rows),
            columns=tuple(
                self.column(excerpt, position, pairings, rows)
                for position in range(len(excerpt.passage.tokens))
            ),
            values=self.values(excerpt, rows) if has_values else (),
        )

    def simulated(self, pairing: Pairing, excerpt: Excerpt) -> _Row:
        """The simulation of an excerpt in the subject's raw units."""
        simulation = self.material.simulations.get((pairing, excerpt.passage.id))
        if simulation is None:
            return _Row((), "not simulated")
        n_scored = len(excerpt.passage.tokens) - excerpt.passage.n_context
        if len(simulation.expected) != n_scored:
            return _Row((), f"{len(simulation.expected)} values for {n_scored} tokens")
        calibration = self.material.calibrations.get(pairing)
        if calibration is None or not calibration.is_defined:
            return _Row((), "calibration not defined")
        return _Row(tuple(calibration.raw(expected) for expected in simulation.expected))

    def column(
        self, excerpt: Excerpt, position: int, pairings: Sequence[Pairing], rows: Sequence[_Row]
    ) -> Column:
        """One token with its true and simulated shades."""
        token = excerpt.passage.tokens[position]
        scored = position - excerpt.passage.n_context
        if scored < 0:
            title = f"{readable(token)} — context, not scored"
            return Column(visible(token), title, True, 0, tuple("" for _ in rows))
        true = excerpt.activations[position]
        told = [f"true {self.printed(true)}"]
        told += [
            f"{pairing.label} {self.told(row, scored)}" for pairing, row in zip(pairings, rows, strict=True)
        ]
        return Column(
            runs=visible(token),
            title=f"{readable(token)} — " + "; ".join(told),
            is_context=False,
            shade=colour.shade(true, scale_max=self.scale_max),
            simulated=tuple(self.simulated_class(row, scored) for row in rows),
        )

    def simulated_class(self, row: _Row, scored: int) -> str:
        """The CSS class of a simulated cell, after a space; most cells are silent and need none."""
        if row.problem:
            return " m"
        shade = colour.shade(row.values[scored], scale_max=self.scale_max)
        return f" c{shade}" if shade else ""

    def values(self, excerpt: Excerpt, rows: Sequence[_Row]) -> tuple[ValueRow, ...]:
        """The scored tokens of an excerpt as text."""
        n_context = excerpt.passage.n_context
        return tuple(
            ValueRow(
                readable(excerpt.passage.tokens[n_context + scored]),
                self.printed(excerpt.activations[n_context + scored]),
                tuple(self.told(row, scored) for row in rows),
            )
            for scored in range(len(excerpt.passage.tokens) - n_context)
        )

    def told(self, row: _Row, scored: int) -> str:
        """A simulated value as text, or why there is none."""
        return row.problem or self.printed(row.values[scored])

    def printed(self, value: float) -> str:
        """A value with the decimals of the page's scale, so that columns align."""
        return wording.on_scale(value, scale_max=self.scale_max)

    def badges(self, viewed: Viewed) -> tuple[str, ...]:
        """How the excerpt came to be here."""
        excerpt = viewed.excerpt
        weight = f"{excerpt.weight:,.3g}" if excerpt.weight < 1000 else f"{excerpt.weight:,.0f}"
        origin = "top" if excerpt.is_top else f"sampled, weight {weight}"
        if excerpt.split != "explain":
            return (origin,)
        readers = [e.author for e in self.material.explanations if excerpt.passage.id in e.shown]
        if not viewed.is_shown and not readers:
            return ("not shown", origin)
        return (f"shown to {', '.join(dict.fromkeys(readers)) or 'the explainer'}", origin)


def _leak(viewed: Viewed) -> str:
    """A warning for what must never happen: a judging excerpt that the explainer saw."""
    if viewed.is_shown and viewed.excerpt.split != "explain":
        return f"The explainer saw this excerpt of the {viewed.excerpt.split} split: its score is void."
    return ""
