"""Known answers of behaviours: does a simulator that is told the true rule predict the subject?

The true rule of each planted policy should gain nearly all that can be gained, and rules of other policies
next to nothing. What an explainer wrote is put beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from scrutable.evaluators.behaviours.evidence import Evidence
from scrutable.evaluators.behaviours.gains import Worth, worth
from scrutable.evaluators.behaviours.judging import by_key
from scrutable.evaluators.behaviours.planted import TRUTH, planted_policies, true_explanation, unrelated
from scrutable.pipeline.behaviours.conditions import prediction_jobs
from scrutable.pipeline.behaviours.config import PolicyTestConfig
from scrutable.pipeline.behaviours.definition import Definition
from scrutable.pipeline.behaviours.inputs import make_inputs
from scrutable.pipeline.behaviours.protocols import (
    BehavingSubject,
    BehaviourExplainer,
    BehaviourSimulator,
    Pair,
    Shown,
)
from scrutable.pipeline.behaviours.readouts import decide
from scrutable.pipeline.behaviours.records import (
    SUBJECT,
    Gain,
    Input,
    Loss,
    Observation,
    PolicyCase,
    Prediction,
    Reading,
)
from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.protocols import Progress
from scrutable.pipeline.records import Explanation, Failure, Language

TESTED: tuple[Language, ...] = ("english", "policy")  # languages in which a rule can be said


@dataclass(frozen=True)
class PolicyTrial:
    """The policies of one self-test: made once, put to every simulator."""

    config: PolicyTestConfig
    subject: Callable[[Definition], BehavingSubject]
    seed: int

    @cached_property
    def definitions(self) -> list[Definition]:
        """The policies."""
        return planted_policies(self.config.policies)

    @cached_property
    def pool(self) -> tuple[Input, ...]:
        """The inputs that all policies share."""
        first = self.definitions[0]
        if any(one.inputs != first.inputs or one.outcomes != first.outcomes for one in self.definitions):
            raise ConfigError("planted policies share their inputs and outcomes, so that each is a null")
        return make_inputs(first, folder=Path(), count=self.config.inputs, seed=self.seed)

    def inputs(self, definition: Definition) -> tuple[Input, ...]:
        """The pool under the name of a policy."""
        numbered = enumerate(self.pool)
        name = definition.name
        return tuple(replace(one, id=f"{name}.{number}", behaviour=name) for number, one in numbered)

    @cached_property
    def observed(self) -> dict[str, dict[str, Observation]]:
        """Policy → input → what the subject does with it."""
        return {one.name: self._observed(one) for one in self.definitions}

    def _observed(self, definition: Definition) -> dict[str, Observation]:
        inputs = self.inputs(definition)
        answers = self.subject(definition).read(definition, inputs)
        readings = [answer if isinstance(answer, Reading) else None for answer in answers]
        seen = decide(definition, inputs, readings, model=SUBJECT)
        return {one.input: one for one in seen if one}

    def shown(self, definition: Definition) -> Shown:
        """What an explainer sees of a policy."""
        seen = self.observed[definition.name]
        inputs = self.inputs(definition)
        return Shown(definition, tuple(Pair(one, seen[one.id]) for one in inputs if one.split == "explain"))

    def explain(self, explainer: BehaviourExplainer) -> dict[str, Explanation | Failure]:
        """Policy → what an explainer wrote of it."""
        answers = explainer.explain([self.shown(one) for one in self.definitions])
        return {one.name: answer for one, answer in zip(self.definitions, answers, strict=True)}

    def cases(
        self,
        simulator: BehaviourSimulator,
        written: Sequence[tuple[str, dict[str, Explanation | Failure]]],
        progress: Progress,
    ) -> list[PolicyCase]:
        """Each policy with its true rule, and with what each explainer wrote in the simulator's language.

        Args:
            simulator: of a language in which a rule can be said.
            written: (explainer, policy → what it wrote).
            progress: told after each policy.
        """
        truths = {one.name: true_explanation(one, simulator.language) for one in self.definitions}
        nulls = unrelated(self.definitions, self.pool, count=self.config.scoring.nulls)
        writes = {
            name: next((a.language for a in answers.values() if isinstance(a, Explanation)), None)
            for name, answers in written
        }
        found: list[PolicyCase] = []
        for number, definition in enumerate(self.definitions, 1):
            own = [truths[definition.name]]
            for _, answers in written:
                answer = answers[definition.name]
                if isinstance(answer, Explanation) and answer.language == simulator.language:
                    own.append(answer)
            others = [truths[other] for other in nulls[definition.name]]
            result = self._worth(simulator, definition, own, others)
            found += [_case(simulator.name, definition, explanation, result) for explanation in own]
            for name, answers in written:
                answer = answers[definition.name]
                if isinstance(answer, Failure) and writes[name] == simulator.language:
                    found.append(_failed(simulator.name, definition, name, answer))
            progress(number, len(self.definitions))
        return found

    def _worth(
        self,
        simulator: BehaviourSimulator,
        definition: Definition,
        own: Sequence[Explanation],
        nulls: Sequence[Explanation],
    ) -> Worth:
        inputs = self.inputs(definition)
        asked = [one for one in inputs if one.split != "explain"]
        jobs = prediction_jobs(
            simulator,
            self.shown(definition),
            asked,
            own,
            nulls,
            scoring=self.config.scoring,
            seed=self.seed,
        )
        answers = [answer for answer in simulator.predict(jobs) if isinstance(answer, Prediction)]
        evidence = Evidence(
            behaviour=definition.name,
            outcomes=definition.outcomes,
            inputs=inputs,
            observations={SUBJECT: self.observed[definition.name]},
            predictions=by_key(answers),
        )
        return worth(evidence, peers=(), seed=self.seed, draws=self.config.scoring.draws)


_NAN = (math.nan,) * 10  # all numbers of a case


def _failed(simulator: str, definition: Definition, explainer: str, failure: Failure) -> PolicyCase:
    reason = f"{failure.kind}: {failure.detail}"
    return PolicyCase(simulator, explainer, definition.name, definition.kind, "", *_NAN, reason=reason)


def _case(simulator: str, definition: Definition, explanation: Explanation, result: Worth) -> PolicyCase:
    author = explanation.author

    def gain(baseline: str) -> Gain | None:
        return next(
            (
                one
                for one in result.gains
                if (one.explainer, one.baseline, one.inputs) == (author, baseline, "all")
            ),
            None,
        )

    def loss(condition: str, by: str = "") -> Loss | None:
        return next(
            (
                one
                for one in result.losses
                if (one.condition, one.explainer, one.inputs) == (condition, by, "all")
            ),
            None,
        )

    over, examples = gain("nothing"), gain("examples")
    rates, own, null = loss("nothing"), loss("explained", author), loss("shuffled", TRUTH)
    ceiling = rates.bits if rates else math.nan
    return PolicyCase(
        simulator=simulator,
        explainer=author,
        policy=definition.name,
        kind=definition.kind,
        text=explanation.text,
        bits=over.bits if over else math.nan,
        low=over.low if over else math.nan,
        high=over.high if over else math.nan,
        over_examples=examples.bits if examples else math.nan,
        over_examples_low=examples.low if examples else math.nan,
        over_examples_high=examples.high if examples else math.nan,
        over_shuffled=null.bits - own.bits if null and own else math.nan,
        shuffled=ceiling - null.bits if null else math.nan,
        ceiling=ceiling,
        accuracy=own.accuracy if own else math.nan,
        reason="" if over and not math.isnan(over.bits) else "no prediction could be read",
    )
