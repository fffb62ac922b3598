"""Labels an input with the concepts of a bottleneck, as its source of labels says, and applies its head."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scrutable.evaluators.behaviours.explanation_reader import ExplanationReader
from scrutable.pipeline.behaviours.concepts import Bottleneck, keyword_labels, read_bottleneck
from scrutable.pipeline.behaviours.config import ConceptsPredictor as ConceptsConfig
from scrutable.pipeline.behaviours.heads import log_softmax
from scrutable.pipeline.behaviours.labelling import model_labels, moved
from scrutable.pipeline.behaviours.outcomes import matched
from scrutable.pipeline.behaviours.protocols import BehaviourServices, PredictionJob
from scrutable.pipeline.behaviours.records import Prediction
from scrutable.pipeline.errors import ParseError
from scrutable.pipeline.records import Cost, Explanation, Failure, Language


class ConceptsPredictor(ExplanationReader):
    """Softmax of the head."""

    language: Language = "concepts"

    def __init__(self, name: str, config: ConceptsConfig, services: BehaviourServices) -> None:
        super().__init__(name, config, services)
        self._config = config
        self._services = services
        self._ask = services.ask(config)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, as the labelling model cuts it."""
        return self._services.count_tokens(self._config, texts)

    def predict_from(self, explanation: Explanation, job: PredictionJob) -> list[Prediction | Failure]:
        """What the head makes of the labels of each input; one that cannot be labelled is a Failure."""
        try:
            bottleneck = read_bottleneck(explanation.text)
        except ParseError as error:
            return self.failed(job, "parse", str(error))
        places = matched(bottleneck.outcomes, job.definition.outcomes)
        if places is None:
            return self.failed(job, "other_outcomes", "another number of outcomes")
        if bottleneck.labels == "shuffled" and len(job.inputs) < 2:
            return self.failed(job, "nothing_to_shuffle", "one input alone")
        labels, cost = self._labels(bottleneck, [one.text for one in job.inputs])
        logits = bottleneck.head.logits(labels)[:, list(places)]
        found: list[Prediction | Failure] = []
        for number, (one, row) in enumerate(zip(job.inputs, logits, strict=True)):
            if np.isnan(row).any():
                detail = f"{explanation.id} on {one.id}: a concept could not be labelled"
                found.append(Failure(job.definition.name, "predict", "no_labels", detail, self.name))
            else:
                own = cost if number == 0 else Cost()  # of the whole job, once
                found.append(self.predicted(job, one, np.exp(log_softmax(row)).tolist(), own))
        return found

    def _labels(self, bottleneck: Bottleneck, texts: Sequence[str]) -> tuple[NDArray[np.float64], Cost]:
        if bottleneck.labels == "keywords":
            return keyword_labels(bottleneck.concepts, texts), Cost()
        labels, cost = model_labels(self._ask, bottleneck.concepts, texts, prompt=self._config.prompt)
        if bottleneck.labels == "shuffled":
            labels = moved(labels, seed=self._services.seed)
        return labels, cost
