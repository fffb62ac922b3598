"""A subject that follows a stated rule: what it does is known exactly."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from scrutable.pipeline.behaviours.definition import Definition
from scrutable.pipeline.behaviours.library import check_policy
from scrutable.pipeline.behaviours.policies import outcome_of
from scrutable.pipeline.behaviours.policy_text import read_policy
from scrutable.pipeline.behaviours.protocols import Attribution
from scrutable.pipeline.behaviours.readouts import certain
from scrutable.pipeline.behaviours.records import Input, Reading
from scrutable.pipeline.errors import CapabilityError
from scrutable.pipeline.records import CallFailure


class FollowingSubject:
    """Follows the policy of a definition. Raises ConfigError for one that cannot be followed."""

    def __init__(self, definition: Definition) -> None:
        check_policy(definition, source=f"behaviour {definition.name}")
        self.name = f"policy of {definition.name}"
        self._policy = read_policy(definition.policy)
        self._rule = definition.policy

    @property
    def provenance(self) -> Mapping[str, Any]:
        """The rule."""
        return {"name": self.name, "policy": self._rule}

    def read(self, definition: Definition, inputs: Sequence[Input]) -> list[Reading | CallFailure]:
        """(N,) what the rule gives, nearly certain, so that no log-probability is infinite."""
        found: list[Reading | CallFailure] = []
        for one in inputs:
            probabilities = certain(definition.outcomes, outcome_of(self._policy, one.text))
            scores = tuple(math.log(p) for p in probabilities)
            found.append(Reading(scores, scores[0] - scores[1], 1.0, "", ""))
        return found

    def gradients(self, definition: Definition, inputs: Sequence[Input]) -> list[Attribution | CallFailure]:
        """Raises CapabilityError: a rule has none."""
        del inputs
        raise CapabilityError(f"behaviour {definition.name}: a stated rule has no gradient")
