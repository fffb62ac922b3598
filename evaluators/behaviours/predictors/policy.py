"""Follows a policy: nobody has to trust it."""

from __future__ import annotations

from scrutable.evaluators.behaviours.explanation_reader import ExplanationReader
from scrutable.pipeline.behaviours.policies import outcome_of
from scrutable.pipeline.behaviours.policy_text import read_policy
from scrutable.pipeline.behaviours.protocols import PredictionJob
from scrutable.pipeline.behaviours.readouts import certain
from scrutable.pipeline.behaviours.records import Prediction
from scrutable.pipeline.errors import ParseError
from scrutable.pipeline.records import Explanation, Failure, Language


class PolicyPredictor(ExplanationReader):
    """Gives nearly all probability to the outcome of the rule."""

    language: Language = "policy"

    def predict_from(self, explanation: Explanation, job: PredictionJob) -> list[Prediction | Failure]:
        """What the rule gives on each input."""
        ours = job.definition.outcomes
        try:
            policy = read_policy(explanation.text)
        except ParseError as error:
            return self.failed(job, "parse", str(error))
        if unknown := self.unknown_outcome(job, policy.outcomes):
            return unknown
        # A policy names only the outcomes that it gives; one of another behaviour stands for ours in order.
        strange = [name for name in policy.outcomes if name not in ours]
        if strange and len(policy.outcomes) > len(ours):
            return self.failed(job, "unknown_outcome", f"the behaviour has no outcome {strange[0]!r}")
        stands = dict(zip(policy.outcomes, ours, strict=False)) if strange else {name: name for name in ours}
        return [
            self.predicted(job, one, certain(ours, stands[outcome_of(policy, one.text)]))
            for one in job.inputs
        ]
