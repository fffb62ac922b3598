"""Causal: does an explanation tell the words that a unit promotes from those that another unit promotes?

Output side: the unit is steered and ablated in the subject, and the words whose probability moves most are
put beside those of a matched unit. Every question is asked in both orders, so that a judge that
always gives the same letter is right half of the time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scrutable.evaluators.asking import Answer, Question, answers, verdict
from scrutable.evaluators.firing import classes
from scrutable.evaluators.statistics import generator
from scrutable.pipeline.config import CausalJudge as CausalConfig
from scrutable.pipeline.density import density_of
from scrutable.pipeline.errors import CapabilityError
from scrutable.pipeline.prompting import template
from scrutable.pipeline.protocols import Effects, Examination, Services
from scrutable.pipeline.records import Cost, Failure, Metric, Verdict

_TEXTS = 8  # firing test excerpts on which the unit is changed
_POOL = 3  # times `words`: each trial draws its words from so many of the most moved
_WORD = re.compile(r"[^\W\d_]{2,}")


class Moved(NamedTuple):
    """The words that a unit moves most, strongest first."""

    promoted: tuple[str, ...]  # by steering
    suppressed: tuple[str, ...]  # by ablation


class CausalJudge:
    """Asks which of two lists of words belongs to an explanation; P(right) - P(wrong), in [-1, 1]."""

    metric: Metric = "accuracy"
    reads_explanations = True

    def __init__(self, name: str, config: CausalConfig, services: Services) -> None:
        self.name = name
        self._config = config
        self._services = services
        self._ask = services.ask(config)
        self._template = template(config.prompt)

    def judge(self, jobs: Sequence[Examination]) -> list[Verdict | Failure]:
        """`trials` verdicts for each job and explanation; the matched unit is the nearest in density."""
        found: list[Verdict | Failure] = []
        moved: dict[str, Moved] = {}
        for job in jobs:
            effects = self._moved(job)
            if isinstance(effects, Failure):
                found.append(effects)
            else:
                moved[job.unit] = effects
        matched = nearest({job.unit: density_of(job.excerpts) for job in jobs if job.unit in moved})
        asked = [
            pair
            for job in jobs
            if job.unit in matched
            for pair in self._pairs(job, moved[job.unit], moved[matched[job.unit]])
        ]
        if len(moved) == 1:
            detail = "no other unit beside it whose outputs could be compared"
            found.append(Failure(next(iter(moved)), "judge", "no_matched_unit", detail, self.name))
        flat = [question for pair in asked for question in pair]
        read = iter(answers(self._ask, flat, judge=self.name))
        for question, _ in asked:
            found.append(self._verdict(question, next(read), next(read)))
        return found

    def _moved(self, job: Examination) -> Moved | Failure:
        of_unit = classes(job.unit, job.excerpts, seed=self._services.seed)
        texts = [excerpt.passage.text for excerpt in of_unit.firing[:_TEXTS]]
        if not texts:
            return Failure(job.unit, "judge", "too_few_excerpts", "no firing test excerpt", self.name)
        try:
            effects = self._services.subject().effects(
                job.unit, texts, level=self._config.scale * of_unit.largest
            )
        except CapabilityError as error:
            return Failure(job.unit, "judge", "no_outputs", str(error), self.name)
        return most_moved(effects, n=_POOL * self._config.words)

    def _pairs(self, job: Examination, own: Moved, other: Moved) -> Iterator[tuple[Question, Question]]:
        """Each question in both orders; the right list comes first in the first of the two."""
        for explanation in job.explanations:
            for trial in range(self._config.trials):
                lists = self._lists(job.unit, own, other, trial=trial)
                first, second = (
                    Question(
                        job.unit,
                        explanation.id,
                        f"trial-{trial}",
                        f"trial-{trial}",
                        True,
                        self._template.read_labels(explanation=explanation.text, lists=shown),
                    )
                    for shown in (lists, lists[::-1])
                )
                yield first, second

    def _lists(self, unit: str, own: Moved, other: Moved, *, trial: int) -> list[list[str]]:
        """The words of the unit and of the other; steering and ablation take turns."""
        rng = generator(self._services.seed, "causal", unit, str(trial))
        pools = [moved.suppressed if trial % 2 else moved.promoted for moved in (own, other)]
        return [[pool[i] for i in sorted(rng.permutation(len(pool))[: self._config.words])] for pool in pools]

    def _verdict(self, question: Question, one: Answer | Failure, two: Answer | Failure) -> Verdict | Failure:
        for answer in (one, two):
            if isinstance(answer, Failure):
                return answer
        assert isinstance(one, Answer)
        assert isinstance(two, Answer)
        margin = (
            one.probabilities[0] - one.probabilities[1] + two.probabilities[1] - two.probabilities[0]
        ) / 2
        both = Answer((), (one.label_mass + two.label_mass) / 2, sum((one.cost, two.cost), start=Cost()))
        return verdict(question, both, judge=self.name, value=margin)


def nearest(densities: Mapping[str, float]) -> dict[str, str]:
    """Unit → the other unit whose density is nearest, in proportion; empty for a single unit."""
    return {
        unit: min(
            (other for other in densities if other != unit),
            key=lambda other: (abs(math.log(densities[unit] / densities[other])), other),
        )
        for unit in densities
        if len(densities) > 1
    }


def most_moved(effects: Effects, *, n: int) -> Moved:
    """The n words that steering raises most, the n that ablation lowers most; each once, in any case."""
    return Moved(
        promoted=tuple(_words(effects.words, -effects.steered, n)),
        suppressed=tuple(_words(effects.words, effects.ablated, n)),
    )


def _words(words: Sequence[str], keys: NDArray[np.float32], n: int) -> Iterator[str]:
    seen: set[str] = set()
    for place in np.argsort(keys, kind="stable"):
        word = words[place].strip()
        if _WORD.fullmatch(word) and word.casefold() not in seen:
            seen.add(word.casefold())
            yield word
            if len(seen) == n:
                return
