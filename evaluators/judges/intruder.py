"""Intruder: can the excerpt on which a unit is silent be told from those on which it fires?

No explanation is read: it asks how interpretable the unit is at all (Paulo et al. 2025).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from scrutable.evaluators.asking import Question, answers, too_few, verdict
from scrutable.evaluators.firing import Classes, classes
from scrutable.evaluators.statistics import generator
from scrutable.pipeline.config import IntruderJudge as IntruderConfig
from scrutable.pipeline.prompting import template
from scrutable.pipeline.protocols import Examination, Services
from scrutable.pipeline.records import Failure, Metric, Verdict


class IntruderJudge:
    """Asks which of several excerpts is the odd one out; value is P(right) - P(likeliest wrong one).

    The value is above 0 exactly if the right answer is the likeliest, so that accuracy is the share of such
    values; chance is 1 / excerpts.
    """

    metric: Metric = "accuracy"
    reads_explanations = False

    def __init__(self, name: str, config: IntruderConfig, services: Services) -> None:
        self.name = name
        self._config = config
        self._ask = services.ask(config)
        self._seed = services.seed
        self._template = template(config.prompt)

    def judge(self, jobs: Sequence[Examination]) -> list[Verdict | Failure]:
        """`trials` verdicts for each unit; a Failure for one without enough excerpts of a class."""
        found: list[Verdict | Failure] = []
        questions: list[Question] = []
        places: list[int] = []
        for job in jobs:
            of_unit = classes(job.unit, job.excerpts, seed=self._seed)
            if len(of_unit.firing) < self._config.excerpts - 1 or not of_unit.silent:
                detail = f"{len(of_unit.firing)} firing and {len(of_unit.silent)} silent test excerpts"
                found.append(too_few(job.unit, self.name, detail))
                continue
            for question, place in self._questions(job.unit, of_unit):
                questions.append(question)
                places.append(place)
        read = answers(self._ask, questions, judge=self.name)
        for question, place, answer in zip(questions, places, read, strict=True):
            if isinstance(answer, Failure):
                found.append(answer)
            else:
                p = answer.probabilities[: self._config.excerpts]
                value = p[place] - max(p[:place] + p[place + 1 :])
                found.append(verdict(question, answer, judge=self.name, value=value))
        return found

    def _questions(self, unit: str, of_unit: Classes) -> Iterator[tuple[Question, int]]:
        """Questions with the place of the intruder, which takes every place in turn."""
        rng = generator(self._seed, "intruder", unit)
        n = self._config.excerpts
        for trial in range(self._config.trials):
            intruder = of_unit.silent[int(rng.integers(len(of_unit.silent)))]
            firing = [of_unit.firing[i] for i in rng.permutation(len(of_unit.firing))[: n - 1]]
            place = trial % n
            shown = [*firing[:place], intruder, *firing[place:]]
            texts = [excerpt.passage.text.strip() for excerpt in shown]
            prompt = self._template.read_labels(texts=texts)
            yield Question(unit, "", f"trial-{trial}", intruder.document, True, prompt), place
