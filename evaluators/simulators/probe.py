"""Applies the weights of a probe to the input embeddings of the model that it was fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from scrutable.evaluators.transparent import Predict, TransparentSimulator
from scrutable.pipeline.config import ProbeSimulator as ProbeConfig
from scrutable.pipeline.errors import ParseError
from scrutable.pipeline.probes import Embeddings, read_probe
from scrutable.pipeline.protocols import Services
from scrutable.pipeline.records import Language
from scrutable.pipeline.sections import ModelConfig


class ProbeSimulator(TransparentSimulator):
    """Predicts the probe's value for each token, in the subject's raw units."""

    language: Language = "probe"

    def __init__(self, name: str, config: ProbeConfig, services: Services) -> None:
        super().__init__(name, config, services)
        self._model = services.locate(ModelConfig(model=config.model))

    @cached_property
    def _embeddings(self) -> Embeddings:
        return Embeddings(self._model.path, name=self._model.name)

    def read(self, text: str) -> Predict:
        """The values of the probe that a text writes. Raises ParseError for one of another width."""
        probe, embeddings = read_probe(text), self._embeddings
        if probe.weights.size != embeddings.width:
            raise ParseError(
                f"not a probe of {self._model.name}: {probe.weights.size} weights, "
                f"but its embeddings are {embeddings.width} wide"
            )

        def predict(tokens: Sequence[str]) -> list[float]:
            values: list[float] = probe.predict(embeddings.of(tokens)).tolist()
            return values

        return predict
