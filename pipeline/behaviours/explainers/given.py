"""Explanations that someone else wrote, from a file: docs/records.md has its format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from scrutable.pipeline.behaviours.config import GivenAccount as GivenConfig
from scrutable.pipeline.behaviours.protocols import BehaviourServices, Shown
from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.explanation_files import read_explanations
from scrutable.pipeline.records import Explanation, Failure


class GivenAccount:
    """Gives the first explanation of each behaviour that the file has in one language."""

    def __init__(self, name: str, config: GivenConfig, services: BehaviourServices) -> None:
        del services
        self.name = name
        self.language = config.language
        self._config = config

    def explain(self, jobs: Sequence[Shown]) -> list[Explanation | Failure]:
        """One explanation for each job; a behaviour that the file does not explain is a Failure.

        Raises ConfigError where there is no such file.
        """
        path = Path(self._config.file)
        if not path.is_file():
            raise ConfigError(f"explainers.{self.name}.file: there is no file {path}")
        try:
            found, problems = read_explanations(path, {job.definition.name for job in jobs})
        except ConfigError as error:  # nothing in it is of these behaviours
            detail = str(error)
            return [Failure(job.definition.name, "explain", "not_given", detail, self.name) for job in jobs]
        fitting = [
            explanation
            for explanation in found
            if explanation.language == self.language and self._config.explainer in ("", explanation.explainer)
        ]
        answers: list[Explanation | Failure] = []
        for job in jobs:
            behaviour = job.definition.name
            own = next((explanation for explanation in fitting if explanation.unit == behaviour), None)
            why = next((problem.detail for problem in problems if problem.unit == behaviour), "")
            detail = why or f"{path} has no explanation of it in the language {self.language}"
            answers.append(
                replace(own, explainer=self.name, candidate=1)
                if own
                else Failure(behaviour, "explain", "not_given", detail, self.name)
            )
        return answers
