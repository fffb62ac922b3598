"""Follows a policy: nobody has to trust it."""

from __future__ import annotations

from collections.abc import Sequence

from scrutable.pipeline.behaviours.config import PolicyPredictor as PolicyConfig
from scrutable.pipeline.behaviours.policies import outcome_of
from scrutable.pipeline.behaviours.policy_text import read_policy
from scrutable.pipeline.behaviours.protocols import BehaviourServices, PredictionJob
from scrutable.pipeline.behaviours.readouts import certain
from scrutable.pipeline.behaviours.records import Prediction
from scrutable.pipeline.errors import ParseError
from scrutable.pipeline.records import Failure, Language


class PolicyPredictor:
    """Gives nearly all probability to the outcome of the rule."""

    language: Language = "policy"
    reads_examples = False

    def __init__(self, name: str, config: PolicyConfig, services: BehaviourServices) -> None:
        del config, services
        self.name = name

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Words of each text: a policy has no tokens of its own."""
        return [len(text.split()) for text in texts]

    def predict(self, jobs: Sequence[PredictionJob]) -> list[Prediction | Failure]:
        """One prediction for each input of each job; a policy that cannot be read is a Failure for each."""
        return [answer for job in jobs for answer in self._of(job)]

    def _of(self, job: PredictionJob) -> list[Prediction | Failure]:
        assert job.explanation is not None
        behaviour, ours = job.definition.name, job.definition.outcomes
        try:
            policy = read_policy(job.explanation.text)
        except ParseError as error:
            detail = f"{job.explanation.id}: {error}"
            return [Failure(behaviour, "predict", "parse", detail, self.name) for _ in job.inputs]
        # A policy names only the outcomes that it gives; one of another behaviour stands for ours in order.
        strange = [name for name in policy.outcomes if name not in ours]
        if strange and (job.explanation.unit == behaviour or len(policy.outcomes) > len(ours)):
            detail = f"{job.explanation.id}: the behaviour has no outcome {strange[0]!r}"
            return [Failure(behaviour, "predict", "unknown_outcome", detail, self.name) for _ in job.inputs]
        stands = dict(zip(policy.outcomes, ours, strict=False)) if strange else {name: name for name in ours}
        return [
            Prediction(
                behaviour=behaviour,
                input=one.id,
                simulator=self.name,
                condition=job.condition,
                explanation=job.explanation.id,
                probabilities=certain(ours, stands[outcome_of(policy, one.text)]),
            )
            for one in job.inputs
        ]
