"""Detection: does an explanation tell excerpts on which the unit fires from those on which it is silent?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from scrutable.evaluators.asking import Question, answers, too_few, verdict
from scrutable.evaluators.firing import classes
from scrutable.pipeline.config import DetectionJudge as DetectionConfig
from scrutable.pipeline.prompting import template
from scrutable.pipeline.protocols import Examination, Services
from scrutable.pipeline.records import Failure, Metric, Verdict


class DetectionJudge:
    """Asks of as many firing excerpts as silent ones whether the explanation fits; value is P(yes)."""

    metric: Metric = "auroc"
    reads_explanations = True

    def __init__(self, name: str, config: DetectionConfig, services: Services) -> None:
        self.name = name
        self._config = config
        self._ask = services.ask(config)
        self._seed = services.seed
        self._template = template(config.prompt)

    def judge(self, jobs: Sequence[Examination]) -> list[Verdict | Failure]:
        """One verdict for each excerpt and explanation; a Failure for a unit with no excerpt of a class."""
        asked = [self._questions(job) for job in jobs]
        questions = [
            question for of_unit in asked if not isinstance(of_unit, Failure) for question in of_unit
        ]
        found: list[Verdict | Failure] = [one for one in asked if isinstance(one, Failure)]
        read = answers(self._ask, questions, judge=self.name)
        for question, answer in zip(questions, read, strict=True):
            if isinstance(answer, Failure):
                found.append(answer)
            else:
                value = answer.probabilities[0]
                found.append(verdict(question, answer, judge=self.name, value=value))
        return found

    def _questions(self, job: Examination) -> list[Question] | Failure:
        of_unit = classes(job.unit, job.excerpts, seed=self._seed)
        n = min(self._config.per_class, len(of_unit.firing), len(of_unit.silent))
        if not n:
            detail = f"{len(of_unit.firing)} firing and {len(of_unit.silent)} silent test excerpts"
            return too_few(job.unit, self.name, detail)
        chosen = [(e, True) for e in of_unit.firing[:n]] + [(e, False) for e in of_unit.silent[:n]]

        def questions() -> Iterator[Question]:
            for explanation in job.explanations:
                for excerpt, fires in chosen:
                    prompt = self._template.read_labels(
                        explanation=explanation.text, text=excerpt.passage.text.strip()
                    )
                    trial = excerpt.passage.id
                    yield Question(job.unit, explanation.id, trial, excerpt.document, fires, prompt)

        return list(questions())
