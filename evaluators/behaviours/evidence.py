"""What was predicted of one behaviour, as columns: each condition calibrated, beside what the subject did.

Shape key: N test inputs, K outcomes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scrutable.evaluators.behaviours.calibration import Calibrator, Floats, fit_calibrator, log_rates
from scrutable.pipeline.behaviours.records import SUBJECT, Input, Observation, Prediction


class Key(NamedTuple):
    """One set of predictions."""

    simulator: str
    condition: str
    explanation: str
    draw: int


@dataclass(frozen=True)
class Evidence:
    """Everything that is known of one behaviour."""

    behaviour: str
    outcomes: tuple[str, ...]  # (K,)
    inputs: tuple[Input, ...]  # all, readable by the subject or not
    observations: Mapping[str, Mapping[str, Observation]]  # model → input → what it did
    predictions: Mapping[Key, Mapping[str, Prediction]]  # → input → prediction

    @cached_property
    def done(self) -> dict[str, int]:
        """Input → number of the outcome that the subject chose, where it could be read."""
        number = {name: k for k, name in enumerate(self.outcomes)}
        return {id: number[seen.outcome] for id, seen in self.observations.get(SUBJECT, {}).items()}

    @cached_property
    def test(self) -> tuple[Input, ...]:
        """(N,) test inputs on which the subject's outcome could be read."""
        return tuple(one for one in self.inputs if one.split == "test" and one.id in self.done)

    @cached_property
    def truth(self) -> NDArray[np.intp]:
        """(N,) what the subject did with them."""
        return np.array([self.done[one.id] for one in self.test], dtype=np.intp)

    @cached_property
    def sources(self) -> NDArray[np.intp]:
        """(N,) number of each one's source."""
        number = {name: i for i, name in enumerate(sorted({one.source for one in self.test}))}
        return np.array([number[one.source] for one in self.test], dtype=np.intp)

    @cached_property
    def prior(self) -> Floats:
        """(K,) log rates of the outcomes on what may be seen: the explain and calibrate splits."""
        seen = [self.done[one.id] for one in self.inputs if one.split != "test" and one.id in self.done]
        return log_rates(np.array(seen, dtype=np.intp), n_outcomes=len(self.outcomes))

    def calibrator(self, probabilities: Mapping[str, tuple[float, ...]]) -> Calibrator:
        """The map for predictions (input → (K,) probabilities), fitted on those of the calibrate split."""
        known = [
            one.id
            for one in self.inputs
            if one.split == "calibrate" and one.id in self.done and one.id in probabilities
        ]
        raw = np.array([probabilities[id] for id in known]).reshape(-1, len(self.outcomes))
        return fit_calibrator(raw, np.array([self.done[id] for id in known], dtype=np.intp), self.prior)

    def logs(self, probabilities: Mapping[str, tuple[float, ...]]) -> Floats:
        """(N, K) calibrated natural-log probabilities of test inputs; NaN where there is no prediction."""
        found = np.full((len(self.test), len(self.outcomes)), np.nan)
        places = [i for i, one in enumerate(self.test) if one.id in probabilities]
        if places:
            raw = np.array([probabilities[self.test[i].id] for i in places])
            found[places] = self.calibrator(probabilities).logs(raw)
        return found

    def predicted(self, key: Key) -> dict[str, tuple[float, ...]]:
        """Input → raw probabilities."""
        return {id: one.probabilities for id, one in self.predictions[key].items()}

    def answers_of(self, models: Sequence[str]) -> dict[str, tuple[float, ...]]:
        """Input → mean probabilities of what these models do, where all of them could be read."""
        seen = [self.observations[model] for model in models if model in self.observations]
        common = set.intersection(*(set(one) for one in seen)) if seen else set()
        return {
            id: tuple(np.mean([one[id].probabilities for one in seen], axis=0).tolist())
            for id in sorted(common)
        }


def bits(logs: Floats, truth: NDArray[np.intp]) -> Floats:
    """(N,) -log2 of the probability given to what was done, from natural logs (N, K)."""
    if not len(truth):
        return np.zeros(0)
    cost: Floats = -logs[np.arange(len(truth)), truth] / math.log(2)
    return cost
