"""The probe explainer: ridge regression from a model's input embeddings, a byte for each weight."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from scrutable.pipeline.config import ProbeExplainer as ProbeConfig
from scrutable.pipeline.probes import Embeddings, fit_probe
from scrutable.pipeline.protocols import Explanatory, Services
from scrutable.pipeline.records import Explanation, Failure, Language, Prompt
from scrutable.pipeline.sections import ModelConfig


class ProbeExplainer:
    """Fits a linear probe to everything that the explain split offers, weighted to the population."""

    language: Language = "probe"

    def __init__(self, name: str, config: ProbeConfig, services: Services) -> None:
        self.name = name
        self._model = services.locate(ModelConfig(model=config.model))

    @cached_property
    def _embeddings(self) -> Embeddings:
        return Embeddings(self._model.path, name=self._model.name)

    def prompts(self, jobs: Sequence[Explanatory]) -> list[Prompt]:
        """None: no model is asked."""
        del jobs
        return []

    def explain(self, jobs: Sequence[Explanatory]) -> list[Explanation | Failure]:
        """One probe for each job; a failure where the activation does not depend on the token."""
        return [self._explain(job) for job in jobs]

    def _explain(self, job: Explanatory) -> Explanation | Failure:
        probe = fit_probe(job.shown, self._embeddings)
        if probe is None:
            detail = "the activation is the same for every token of the explain excerpts"
            return Failure(job.unit, "explain", "no_probe", detail, self.name)
        return Explanation(
            unit=job.unit,
            explainer=self.name,
            language=self.language,
            text=probe.write(),
            shown=tuple(excerpt.passage.id for excerpt in job.shown),
        )
