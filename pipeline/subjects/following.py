"""A subject that follows a stated rule: what it does is known exactly."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from scrutable.pipeline.behaviours.definition import (
    Choice,
    Definition,
    LogitDifference,
    NextToken,
    Refusal,
    Text,
)
from scrutable.pipeline.behaviours.library import check_policy
from scrutable.pipeline.behaviours.policies import outcome_of
from scrutable.pipeline.behaviours.policy_text import read_policy
from scrutable.pipeline.behaviours.protocols import Attribution
from scrutable.pipeline.behaviours.readouts import certain, decision
from scrutable.pipeline.behaviours.records import Input, Reading
from scrutable.pipeline.errors import CapabilityError, ConfigError
from scrutable.pipeline.records import CallFailure


class FollowingSubject:
    """Follows the policy of a definition. Raises ConfigError for one that cannot be followed."""

    def __init__(self, definition: Definition) -> None:
        check_policy(definition, source=f"behaviour {definition.name}")
        _check_readout(definition)
        self.name = f"policy of {definition.name}"
        self._policy = read_policy(definition.policy)
        self._rule = definition.policy

    @property
    def provenance(self) -> Mapping[str, Any]:
        """The rule."""
        return {"name": self.name, "policy": self._rule}

    def read(self, definition: Definition, inputs: Sequence[Input]) -> list[Reading | CallFailure]:
        """(N,) what the rule gives, nearly certain, so that no log-probability is infinite."""
        return [_reading(definition, outcome_of(self._policy, one.text)) for one in inputs]

    def gradients(self, definition: Definition, inputs: Sequence[Input]) -> list[Attribution | CallFailure]:
        """Raises CapabilityError: a rule has none."""
        del inputs
        raise CapabilityError(f"behaviour {definition.name}: a stated rule has no gradient")


def _reading(definition: Definition, outcome: str) -> Reading:
    """What a model would give that is nearly certain of an outcome."""
    if isinstance(definition.readout, Refusal | Text):
        return Reading((), math.nan, math.nan, outcome, "")
    probabilities = certain(definition.outcomes, outcome)
    first = probabilities[0]
    value = first if isinstance(definition.readout, NextToken) else math.log(first) - math.log1p(-first)
    return Reading(tuple(math.log(p) for p in probabilities), value, 1.0, "", "")


def _check_readout(definition: Definition) -> None:
    """Raises ConfigError for a readout that would decide otherwise than the rule does."""
    match definition.readout:
        case Choice(decide="typical") | LogitDifference(threshold="typical") | NextToken(threshold="typical"):
            raise ConfigError(
                f"behaviour {definition.name}: a stated rule decides each input by itself, so its readout "
                "cannot compare with what is typical: set decide to highest, or threshold to a number"
            )
    decide = decision(definition, ())
    lost = [o for o in definition.outcomes if decide(_reading(definition, o)) != o]
    if lost:
        raise ConfigError(
            f"behaviour {definition.name}: with this threshold of its readout a rule cannot give {lost[0]!r}"
        )
