"""The index page as records: headline, tables, charts and provenance of a run.

It arranges what the run computed; the only arithmetic is counting, totals and the means that charts draw.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

from scrutable.evaluators.report import charts, provenance, wording, worth
from scrutable.evaluators.report.behaviours import BehaviourSection, behaviour_section
from scrutable.evaluators.report.costs import Account, Spent, accounts, spent
from scrutable.evaluators.report.data import (
    Pairing,
    ReportData,
    read_assurance,
    read_attacks,
    read_comparisons,
    read_explanations,
    read_failures,
    read_gate,
    read_gate_cases,
    read_pairings,
    read_rates,
    read_scores,
    read_simulation_costs,
    read_summary,
    read_units,
)
from scrutable.evaluators.report.failures import FailureTable, failure_table
from scrutable.evaluators.report.findings import Study
from scrutable.evaluators.report.ladder import LadderSection, ladder_section
from scrutable.evaluators.report.policies import PolicyCaseRow, PolicyRow, policy_case_rows, policy_rows
from scrutable.evaluators.report.recursion import Recursion
from scrutable.evaluators.report.wording import Figure
from scrutable.pipeline.records import Comparison, Explanation, Score, Summary, Unit

HEADLINE_METRIC = "correlation"

METRICS = {
    "correlation": "Correlation, weighted to the population of tokens",
    "explained_variance": "Explained variance, weighted; calibrated on other documents; not clipped at 0",
    "auprc": "Average precision of firing tokens, weighted; its chance level is the share that fires",
    "gain_bits": "Gain, bits a token over the code that knows no explanation; calibrated on other documents",
    "auroc": "AUROC of judges: detection, fuzzing and generation on the input side; chance is 0.5",
    "accuracy": "Accuracy of judges: causal on the output side (chance 0.5); intruder reads no text",
    "top_and_random": "Top-and-random: half strongest, half random excerpts; to compare with the literature",
}

TABLE_BYTES = 450_000  # what the table of units may take, so that the page stays below 1 MB
REASONS_LISTED = 60
SHORTEST, LONGEST = 48, 260  # characters of an explanation in the table of units


@dataclass(frozen=True, slots=True)
class HeadlineRow:
    """The headline of one pairing, with its row of the interval chart."""

    pairing: Pairing
    is_explained: bool  # false for a baseline
    excess: Figure
    n: str
    strip: charts.Strip


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """All figures of one pairing and one metric."""

    explainer: str
    simulator: str
    is_explained: bool  # false for a baseline
    value: str
    null: str
    excess: Figure
    median: str
    p: str
    found: str
    n: str


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """How much better one pairing does than another on the same units."""

    first: Pairing
    other: Pairing
    difference: Figure
    above: str
    below: str
    n: str


@dataclass(frozen=True, slots=True)
class Panels:
    """The charts of one pairing."""

    pairing: Pairing
    panels: tuple[charts.Panel, ...]
    note: str


@dataclass(frozen=True, slots=True)
class ScoreCell:
    """The score of a unit in the table of units."""

    excess: Figure
    parts: str  # "0.47 − 0.06": value and null


@dataclass(frozen=True, slots=True)
class UnitRow:
    """A row of the table of units."""

    id: str
    layer: int
    density: str
    cells: tuple[ScoreCell, ...]
    explanations: tuple[tuple[str, str, bool], ...]  # explainer, clipped text, True if it is prose


@dataclass(frozen=True, slots=True)
class Answers:
    """How many excerpts of a pairing were answered, and how well labels were read."""

    pairing: Pairing
    asked: str
    answered: str
    share: str
    mass_mean: str
    mass_lowest: str
    undefined: str


@dataclass(frozen=True, slots=True)
class IndexPage:
    """All that the index template prints."""

    title: str
    banner: str | None
    facts: tuple[tuple[str, str], ...]  # what ran on what
    weight_notes: tuple[str, ...]
    headline: tuple[HeadlineRow, ...]
    headline_ticks: tuple[charts.Tick, ...]
    metrics: tuple[tuple[str, tuple[SummaryRow, ...]], ...]
    comparisons: tuple[ComparisonRow, ...]
    gate: tuple[worth.GateRow, ...]
    gate_cases: tuple[worth.CaseRow, ...]
    policies: tuple[PolicyRow, ...]
    policy_cases: tuple[PolicyCaseRow, ...]
    attacks: tuple[worth.AttackRow, ...]
    rates: charts.Curves | None
    assurance: tuple[worth.AssuranceRow, ...]
    panels: tuple[Panels, ...]
    pairings: tuple[Pairing, ...]
    units: tuple[UnitRow, ...]
    units_note: str
    failures: FailureTable
    undefined: tuple[tuple[str, str, str, str], ...]  # pairing, metric, reason, units
    answers: tuple[Answers, ...]
    accounts: tuple[Account, ...]
    spent: tuple[Spent, ...]
    behaviours: BehaviourSection | None
    ladder: LadderSection | None
    manifest: tuple[provenance.Entry, ...]
    config: str


def index_page(data: ReportData, study: Study | None = None, recursion: Recursion | None = None) -> IndexPage:
    """The index page of a run; `study` is what it knows of behaviours, `recursion` of its explainers."""
    units, scores, summary = read_units(data), read_scores(data), read_summary(data)
    explanations, everyone = read_explanations(data), read_pairings(data)
    summary = tuple(row for row in summary if not _is_further_candidate(row.explainer))
    with_headline = {(s.explainer, s.simulator) for s in scores if s.metric == HEADLINE_METRIC}
    pairings = tuple(p for p in everyone if p in with_headline and not _is_further_candidate(p.explainer))
    explained = _imported(explanations, data.config) or _explained(explanations)
    headline = [row for row in _ordered(summary, everyone) if row.metric == HEADLINE_METRIC]
    axis = _headline_axis(headline)
    behaviours = behaviour_section(study) if study else None
    table, note = _unit_table(units, scores, explanations, pairings)
    return IndexPage(
        title=data.title,
        banner=data.banner,
        facts=_facts(data, behaviours, n_units=len(units) if units or not (study or recursion) else None),
        weight_notes=provenance.weight_notes(data.manifest),
        headline=tuple(_headline_row(row, axis, explained) for row in headline),
        headline_ticks=charts.strip_ticks(axis),
        metrics=_metrics(_ordered(summary, everyone), explained),
        comparisons=_comparisons(read_comparisons(data), explained),
        gate=worth.gate_rows(read_gate(data)),
        gate_cases=worth.case_rows(read_gate_cases(data)),
        policies=policy_rows(study.policies if study else ()),
        policy_cases=policy_case_rows(study.policy_cases if study else ()),
        attacks=worth.attack_rows(read_attacks(data)),
        rates=worth.rate_curves(read_rates(data), explanations, scores),
        assurance=worth.assurance_rows(read_assurance(data)),
        panels=_panels(units, scores, pairings),
        pairings=pairings,
        units=table,
        units_note=note,
        failures=failure_table(read_failures(data), {unit.id for unit in units}),
        undefined=_undefined(scores),
        answers=tuple(_answers(pairing, scores) for pairing in pairings),
        accounts=accounts(data.manifest),
        spent=spent(explanations, {p.label: took for p, took in read_simulation_costs(data).items()}),
        behaviours=behaviours,
        ladder=ladder_section(recursion, data) if recursion else None,
        manifest=provenance.entries(_without_table(data.manifest)),
        config=provenance.config_yaml(data.config),
    )


def _is_further_candidate(explainer: str) -> bool:
    """True for `llm.2`, `llm.3`, ...: a unit's own page lists them, the tables show the best alone."""
    return explainer.rpartition(".")[2].isdigit() and "." in explainer


def _without_table(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest without the gate's table as text, which the page has as a table."""
    gate = {key: value for key, value in dict(manifest.get("gate") or {}).items() if key != "table"}
    return {**manifest, **({"gate": gate} if gate else {})}


def _imported(explanations: Sequence[Explanation], config: Mapping[str, Any]) -> set[str]:
    """The explainers of explanations that were given as a file, in whatever language; else none.

    They are what such a job is about, and the explainers of its config are their opponents.
    """
    if config.get("job") != "score":
        return set()
    imported = {e.explainer for e in explanations} - set(config["explainers"])
    return imported | {f"{explainer}.best" for explainer in imported}


def _explained(explanations: Sequence[Explanation]) -> set[str]:
    """The explainers whose rows are no baselines: of English by a model, or else of any English."""
    english = {e.explainer for e in explanations if e.language == "english"}
    written = {e.explainer for e in explanations if e.explainer in english and e.model} or english
    return written | {f"{explainer}.best" for explainer in written}


def _facts(
    data: ReportData, behaviours: BehaviourSection | None, *, n_units: int | None
) -> tuple[tuple[str, str], ...]:
    rows = [
        (role[:1].upper() + role[1:], provenance.described(model))
        for role, model in provenance.models(data.manifest)
    ]
    if "corpus" in data.manifest:
        rows.append(("Corpus", provenance.corpus_described(data.manifest["corpus"])))
    if n_units is not None:
        rows.append(("Units", wording.counted(n_units, "unit")))
    if behaviours:
        rows.append(("Behaviours", behaviours.counted))
    return tuple(rows)


def _pairing(row: Summary) -> Pairing:
    return Pairing(row.explainer, row.simulator)


def _ordered(summary: Sequence[Summary], pairings: Sequence[Pairing]) -> list[Summary]:
    return sorted(summary, key=lambda row: pairings.index(_pairing(row)))


def _headline_axis(rows: Sequence[Summary]) -> charts.Range:
    return charts.score_range([x for row in rows for x in (row.excess, row.excess_low, row.excess_high)])


def _headline_row(row: Summary, axis: charts.Range, explained: set[str]) -> HeadlineRow:
    excess = _excess(row)
    return HeadlineRow(
        pairing=_pairing(row),
        is_explained=row.explainer in explained,
        excess=excess,
        n=_n(row),
        strip=charts.strip(
            row.excess,
            row.excess_low,
            row.excess_high,
            axis=axis,
            title=f"{_pairing(row).label}: {excess.text} {excess.interval}",
        ),
    )


def _excess(row: Summary) -> Figure:
    reason = f"not defined for any of {wording.counted(row.n_units, 'unit')}"
    return wording.figure(row.excess, row.excess_low, row.excess_high, reason=reason, signed=True)


def _n(row: Summary) -> str:
    parts = [f"{n} {word}" for n, word in ((row.n_undefined, "undefined"), (row.n_failed, "failed")) if n]
    return f"{row.n_defined} of {row.n_units}" + (f" ({', '.join(parts)})" if parts else "")


def _metrics(rows: Sequence[Summary], explained: set[str]) -> tuple[tuple[str, tuple[SummaryRow, ...]], ...]:
    found = sorted({row.metric for row in rows}, key=lambda metric: (metric not in METRICS, metric))
    order = [metric for metric in METRICS if metric in found]
    order += [metric for metric in found if metric not in METRICS]
    return tuple(
        (
            METRICS.get(metric, metric),
            tuple(_summary_row(row, explained) for row in rows if row.metric == metric),
        )
        for metric in order
    )


def _summary_row(row: Summary, explained: set[str]) -> SummaryRow:
    return SummaryRow(
        explainer=row.explainer,
        simulator=row.simulator,
        is_explained=row.explainer in explained,
        value=wording.score(row.value),
        null=wording.score(row.null),
        excess=_excess(row),
        median=wording.score(row.median),
        p=_p(row.p),
        found=f"{row.n_found} of {row.n_defined}" if math.isfinite(row.p) else wording.NO_NUMBER,
        n=_n(row),
    )


def _comparisons(found: Sequence[Comparison], explained: set[str]) -> tuple[ComparisonRow, ...]:
    """Explainers before the baselines that they are compared with; of baselines alone, nothing."""
    rows = [one if one.explainer in explained else _turned(one) for one in found]
    return tuple(
        ComparisonRow(
            first=Pairing(one.explainer, one.simulator),
            other=Pairing(one.other, one.other_simulator),
            difference=wording.figure(
                one.difference, one.low, one.high, reason="not defined for any unit", signed=True
            ),
            above=str(one.n_above),
            below=str(one.n_below),
            n=f"{one.n_units} of {one.n_units + one.n_undefined}",
        )
        for one in sorted(rows, key=lambda one: (one.explainer, one.simulator))
        if one.explainer in explained
    )


def _turned(one: Comparison) -> Comparison:
    return replace(
        one,
        explainer=one.other,
        simulator=one.other_simulator,
        other=one.explainer,
        other_simulator=one.simulator,
        difference=-one.difference,
        low=-one.high,
        high=-one.low,
        n_above=one.n_below,
        n_below=one.n_above,
    )


def _p(p: float) -> str:
    return f"{p:.4f}" if math.isfinite(p) else wording.NO_NUMBER


def _headline_scores(scores: Sequence[Score], pairing: Pairing) -> list[Score]:
    return [
        score
        for score in scores
        if score.metric == HEADLINE_METRIC and (score.explainer, score.simulator) == pairing
    ]


def _panels(
    units: Sequence[Unit], scores: Sequence[Score], pairings: Sequence[Pairing]
) -> tuple[Panels, ...]:
    by_id = {unit.id: unit for unit in units}
    of = {
        pairing: [score for score in _headline_scores(scores, pairing) if score.unit in by_id]
        for pairing in pairings
    }
    defined = {p: [score for score in of[p] if math.isfinite(score.excess)] for p in pairings}
    axis = charts.score_range([score.excess for group in defined.values() for score in group])
    tallest = max(
        (max(charts.bin_counts([s.excess for s in group], axis)) for group in defined.values()), default=1
    )
    span = charts.decades([unit.density for unit in units])
    layers = sorted({unit.layer for unit in units})
    return tuple(
        Panels(
            pairing,
            _three(defined[pairing], by_id, layers, axis=axis, span=span, tallest=tallest),
            _undefined_note(len(of[pairing]) - len(defined[pairing])),
        )
        for pairing in pairings
    )


def _three(
    scores: Sequence[Score],
    units: dict[str, Unit],
    layers: Sequence[int],
    *,
    axis: charts.Range,
    span: charts.Range,
    tallest: int,
) -> tuple[charts.Panel, ...]:
    """Distribution, by layer, and against density, of the units for which the excess is defined."""
    excesses = [score.excess for score in scores]
    in_layer = {
        layer: [score.excess for score in scores if units[score.unit].layer == layer] for layer in layers
    }
    against = [(units[score.unit].density, score.excess) for score in scores]
    return (
        charts.histogram(excesses, axis=axis, tallest=tallest, x_label="excess correlation"),
        charts.by_layer(in_layer, axis=axis, y_label="excess correlation"),
        charts.by_density(against, axis=axis, span=span, y_label="excess correlation"),
    )


def _undefined_note(n_undefined: int) -> str:
    return f"{wording.counted(n_undefined, 'undefined score')} not drawn" if n_undefined else ""


def _unit_table(
    units: Sequence[Unit],
    scores: Sequence[Score],
    explanations: Sequence[Explanation],
    pairings: Sequence[Pairing],
) -> tuple[tuple[UnitRow, ...], str]:
    """The rows that fit into the page, and what the reader is told of those that do not."""
    n_explainers = len({explanation.explainer for explanation in explanations})
    fixed = 200 + 150 * len(pairings) + 60 * n_explainers  # bytes of markup of a row, generously
    fitting = max(1, TABLE_BYTES // (fixed + n_explainers * SHORTEST))
    listed = units[:fitting]
    spare = TABLE_BYTES // max(1, len(listed)) - fixed
    length = max(SHORTEST, min(LONGEST, spare // max(1, n_explainers)))
    found = {(s.unit, s.explainer, s.simulator): s for s in scores if s.metric == HEADLINE_METRIC}
    texts: dict[str, list[tuple[str, str, bool]]] = {}
    for explanation in explanations:
        is_prose = explanation.language == "english"
        entry = (explanation.author, _fitted(explanation.text, length), is_prose)
        texts.setdefault(explanation.unit, []).append(entry)
    rows = tuple(
        UnitRow(
            id=unit.id,
            layer=unit.layer,
            density=wording.percent(unit.density),
            cells=tuple(_score_cell(found.get((unit.id, *pairing))) for pairing in pairings),
            explanations=tuple(texts.get(unit.id, ())),
        )
        for unit in listed
    )
    return rows, _table_note(len(listed), len(units))


def _fitted(text: str, n_bytes: int) -> str:
    """The text cut so that its escaped form takes about `n_bytes`: CJK and quotes take more."""
    line = wording.clipped(text, n_bytes)
    cost = len(escape(line).encode("utf-8", "replace"))
    return line if cost <= n_bytes + 2 else wording.clipped(text, n_bytes * len(line) // cost)


def _table_note(n_listed: int, n_units: int) -> str:
    if n_listed == n_units:
        return ""
    return (
        f"The table holds the first {wording.count(n_listed)} of {wording.count(n_units)} units, in order "
        "of layer and index, to keep this page small. Every unit has its page in the folder units/."
    )


def _score_cell(score: Score | None) -> ScoreCell:
    if score is None:
        return ScoreCell(Figure("undefined", reason="not scored"), "")
    excess = wording.figure(
        score.excess,
        score.excess_low,
        score.excess_high,
        reason=score.reason or ("null is not defined" if math.isfinite(score.value) else ""),
        signed=True,
    )
    parts = f"{wording.score(score.value)} {wording.MINUS} {wording.score(score.null)}"
    return ScoreCell(excess, parts if excess.is_defined else "")


def _undefined(scores: Sequence[Score]) -> tuple[tuple[str, str, str, str], ...]:
    counts = Counter(
        (Pairing(s.explainer, s.simulator).label, s.metric, s.reason or "null is not defined")
        for s in scores
        if not math.isfinite(s.excess)
    )
    # A reason may hold figures of its unit, so there may be as many reasons as units.
    listed = counts.most_common(REASONS_LISTED)
    n_others = sum(counts.values()) - sum(n for _, n in listed)
    rows = [(*key, wording.counted(n, "unit")) for key, n in listed]
    others = [("all", "all", "other reasons, told on the units' pages", wording.counted(n_others, "score"))]
    return tuple(rows + others if n_others else rows)


def _answers(pairing: Pairing, scores: Sequence[Score]) -> Answers:
    group = _headline_scores(scores, pairing)
    n_asked, n_answered = sum(s.n_asked for s in group), sum(s.n_answered for s in group)
    masses = [s.label_mass for s in group if math.isfinite(s.label_mass)]
    n_undefined = sum(not math.isfinite(s.excess) for s in group)
    return Answers(
        pairing=pairing,
        asked=wording.count(n_asked),
        answered=wording.count(n_answered),
        share=wording.percent(n_answered / n_asked) if n_asked else wording.NO_NUMBER,
        mass_mean=wording.percent(math.fsum(masses) / len(masses)) if masses else "reads no labels",
        mass_lowest=wording.percent(min(masses)) if masses else wording.NO_NUMBER,
        undefined=f"{n_undefined} of {len(group)}",
    )
