"""The rules explainer: a rule list over readable features of tokens, written as a program."""

from __future__ import annotations

from collections.abc import Sequence

from scrutable.pipeline.config import RulesExplainer as RulesConfig
from scrutable.pipeline.features import readable_features
from scrutable.pipeline.program_text import write_program
from scrutable.pipeline.protocols import Explanatory, Services
from scrutable.pipeline.records import Explanation, Failure, Language, Prompt
from scrutable.pipeline.rule_lists import best_rule_list, rule_lists
from scrutable.pipeline.surrogates import allowed_bits


class RulesExplainer:
    """Finds rules one after the other while the program stays within the budget."""

    language: Language = "program"

    def __init__(self, name: str, config: RulesConfig, services: Services) -> None:
        del services
        self.name = name
        self._config = config

    def prompts(self, jobs: Sequence[Explanatory]) -> list[Prompt]:
        """None: no model is asked."""
        del jobs
        return []

    def explain(self, jobs: Sequence[Explanatory]) -> list[Explanation | Failure]:
        """The program of each job; a failure where none fits, or there is no source to match."""
        return [self._explain(job) for job in jobs]

    def _explain(self, job: Explanatory) -> Explanation | Failure:
        bits = allowed_bits(self._config, job)
        if bits is None:
            detail = f"no explanation of the unit by {self._config.of} whose length could be matched"
            return Failure(job.unit, "explain", "no_source", detail, self.name)
        lists = rule_lists(readable_features(job.shown), bits=bits)
        sized = best_rule_list(lists, bits=bits)
        if sized is None:
            detail = f"no rule list within {bits:.0f} bits tells tokens apart by activation"
            return Failure(job.unit, "explain", "no_program", detail, self.name)
        return Explanation(
            unit=job.unit,
            explainer=self.name,
            language=self.language,
            text=write_program(sized.program),
            shown=tuple(excerpt.passage.id for excerpt in job.shown),
        )
