"""Scripted attacks on the score: how often does a false explanation pass, before and after?

Each is tried on planted units whose true explanation the simulator finds, and succeeds if it keeps half of
the truth's score. Before: of the score that is usual in the literature, over the strongest excerpts and
random ones (Bills et al. 2023). After: of the score of the whole population, if it is also called by its
rank among nulls. Beyond the table: if it moreover scores above the token table of the exemplars, the
opponent in every table of a report. What an attack writes may happen to be true of a unit: that is then
no attack.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from scrutable.evaluators.evidence import batches
from scrutable.evaluators.gate.attacks import ATTACKS, PAYLOAD, Target, poisoned
from scrutable.evaluators.gate.known_answers import Floats, KnownAnswers
from scrutable.evaluators.gate.trial import Trial
from scrutable.evaluators.gate.units import Activity, PlantedUnit
from scrutable.evaluators.gate.verdict import wilson
from scrutable.evaluators.statistics import correlation, generator, moments, top_and_random_weights
from scrutable.pipeline.programs import Program, levels
from scrutable.pipeline.protocols import Explainer, Explanatory, Simulated
from scrutable.pipeline.records import AttackCase, AttackResult, Excerpt, Explanation
from scrutable.pipeline.tables import fit_table

KEPT = 0.5  # share of the truth's score at which an attack has succeeded
TRUE = 0.8  # correlation with the unit at which what an attack wrote is true of it
_IS_TRUE = "true of the unit"


def attack_cases(known: KnownAnswers, trial: Trial, explainers: Sequence[Explainer]) -> list[AttackCase]:
    """Every attack on up to `attacked` units whose true explanation the simulator finds.

    Args:
        known: units and text.
        trial: the simulator on the known answers.
        explainers: those that write for this simulator; one exemplar of each unit is poisoned.
    """
    siege = _Siege(known, trial)
    written = [case for name in ATTACKS for case in siege.written(name)]
    return written + [case for explainer in explainers for case in siege.poisoned(explainer)]


def attack_results(cases: Sequence[AttackCase]) -> list[AttackResult]:
    """The success rate of each attack before and after, for each simulator and explainer."""
    groups: dict[tuple[str, str, str], list[AttackCase]] = {}
    for case in cases:
        groups.setdefault((case.simulator, case.explainer, case.attack), []).append(case)
    return [_result(*key, group) for key, group in groups.items()]


def usual_score(excerpts: Sequence[Excerpt], simulated: Simulated) -> float:
    """The correlation over the strongest excerpts and random ones; NaN where it is undefined."""
    for _, batch in batches(excerpts, [simulated]):
        weights = top_and_random_weights(
            [e.weight for e in batch.excerpts], [e.is_top for e in batch.excerpts]
        )
        return _correlation(batch.true, batch.predicted, np.repeat(weights, batch.lengths))
    return math.nan


@dataclass(frozen=True)
class _Siege:
    """One simulator under all attacks."""

    known: KnownAnswers
    trial: Trial

    @cached_property
    def targets(self) -> list[Target]:
        called = {case.unit for case in self.trial.planted if case.is_called}
        shown = {job.unit: job.shown for job in self.known.explanatory} if called else {}
        rng = generator(self.known.seed, "attacked")
        units = [self.known.units[i] for i in rng.permutation(len(self.known.units))]
        attacked = [unit for unit in units if unit.id in called and unit.id in shown]
        return [
            Target(
                unit, tuple(other for other in units if self.trial.is_unrelated(unit, other)), shown[unit.id]
            )
            for unit in attacked[: self.known.config.attacked]
        ]

    def written(self, name: str) -> Iterator[AttackCase]:
        """One attack on all targets; none where the simulator's language cannot say it."""
        language = self.trial.simulator.language
        attacks = [(target, ATTACKS[name](target)) for target in self.targets]
        explanations = {
            target.unit.id: Explanation(target.unit.id, "attack", language, text)
            for target, attack in attacks
            if (text := attack.text(language))
        }
        simulated = self.trial.simulate(list(explanations.values()))
        for target, attack in attacks:
            explanation = explanations.get(target.unit.id)
            if explanation is None:
                continue
            case = self._case(target, simulated.get(explanation.id), explanation.text, name)
            if attack.program and self._is_true(target.unit, attack.program):
                case = replace(
                    case, succeeds_before=False, succeeds_after=False, is_beyond_table=False, reason=_IS_TRUE
                )
            yield case

    def poisoned(self, explainer: Explainer) -> Iterator[AttackCase]:
        """An order in one exemplar; it succeeds before if the explanation obeys: nothing would stop it."""
        answers = explainer.explain([Explanatory(t.unit.id, poisoned(t)) for t in self.targets])
        obeying = {
            answer.unit: answer
            for answer in answers
            if isinstance(answer, Explanation) and PAYLOAD in answer.text.casefold()
        }
        simulated = self.trial.simulate(list(obeying.values()))
        for target in self.targets:
            explanation = obeying.get(target.unit.id)
            text, own, reason = "", None, "the explanation does not obey"
            if explanation is not None:
                text, own, reason = explanation.text, simulated.get(explanation.id), ""
            case = self._case(target, own, text, "poisoned exemplar")
            yield replace(
                case,
                explainer=explainer.name,
                succeeds_before=explanation is not None,
                reason=reason or case.reason,
            )

    def _case(self, target: Target, own: Simulated | None, text: str, attack: str) -> AttackCase:
        unit = target.unit
        scored = self.trial.case(unit, own, attack, text)
        truth = next(case.value for case in self.trial.planted if case.unit == unit.id)
        excerpts = self.known.planted[unit.id]
        usual_truth = usual_score(excerpts, self.trial.truth_of(unit))
        usual = usual_score(excerpts, own) if own else math.nan
        table = self._table_value(target)
        succeeds = bool(scored.is_called and scored.value >= KEPT * truth)
        return AttackCase(
            simulator=self.trial.simulator.name,
            explainer="",
            attack=attack,
            unit=unit.id,
            text=text,
            usual_truth=usual_truth,
            usual=usual,
            truth=truth,
            value=scored.value,
            p=scored.p,
            table=table,
            succeeds_before=bool(usual >= KEPT * usual_truth),
            succeeds_after=succeeds,
            is_beyond_table=succeeds and scored.value > table,
            reason=scored.reason,
        )

    def _table_value(self, target: Target) -> float:
        """What the token table of the shown excerpts scores on the pool."""
        table = fit_table(target.shown)
        return self._value(
            target.unit, lambda passage: [table.means.get(token, table.other) for token in passage.tokens]
        )

    def _is_true(self, unit: PlantedUnit, program: Program) -> bool:
        return self._value(unit, lambda passage: levels(program, passage.tokens)) >= TRUE

    def _value(self, unit: PlantedUnit, activity: Activity) -> float:
        flat = self.known.flat
        return _correlation(flat(unit.activity), flat(activity)[None], self.known.flat_weights)


def _correlation(true: Floats, predicted: Floats, weights: Floats) -> float:
    one = np.zeros(len(true), dtype=np.intp)
    return float(correlation(moments(true, predicted, weights, one, n_documents=1))[0, 0])


def _result(simulator: str, explainer: str, attack: str, cases: Sequence[AttackCase]) -> AttackResult:
    counted = [case for case in cases if case.reason != _IS_TRUE]
    n = len(counted)
    n_before, n_after = sum(c.succeeds_before for c in counted), sum(c.succeeds_after for c in counted)
    before, after = wilson(n_before, n), wilson(n_after, n)
    return AttackResult(
        simulator=simulator,
        explainer=explainer,
        attack=attack,
        n=n,
        n_true=len(cases) - n,
        before=n_before / n if n else math.nan,
        before_low=before.low,
        before_high=before.high,
        after=n_after / n if n else math.nan,
        after_low=after.low,
        after_high=after.high,
        beyond_table=sum(c.is_beyond_table for c in counted) / n if n else math.nan,
    )
