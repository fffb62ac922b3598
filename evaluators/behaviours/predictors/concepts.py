"""Labels an input with the concepts of a bottleneck, as its source of labels says, and applies its head."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scrutable.pipeline.behaviours.concepts import Bottleneck, keyword_labels, read_bottleneck
from scrutable.pipeline.behaviours.config import ConceptsPredictor as ConceptsConfig
from scrutable.pipeline.behaviours.labelling import model_labels, moved
from scrutable.pipeline.behaviours.outcomes import matched
from scrutable.pipeline.behaviours.protocols import BehaviourServices, PredictionJob
from scrutable.pipeline.behaviours.records import Prediction
from scrutable.pipeline.errors import ParseError
from scrutable.pipeline.records import Cost, Failure, Language


class ConceptsPredictor:
    """Softmax of the head."""

    language: Language = "concepts"
    reads_examples = False

    def __init__(self, name: str, config: ConceptsConfig, services: BehaviourServices) -> None:
        self.name = name
        self._config = config
        self._services = services
        self._ask = services.ask(config)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, as the labelling model cuts it."""
        return self._services.count_tokens(self._config, texts)

    def predict(self, jobs: Sequence[PredictionJob]) -> list[Prediction | Failure]:
        """One prediction for each input of each job; what cannot be labelled is a Failure."""
        return [answer for job in jobs for answer in self._of(job)]

    def _of(self, job: PredictionJob) -> list[Prediction | Failure]:
        assert job.explanation is not None
        id = job.explanation.id
        try:
            bottleneck = read_bottleneck(job.explanation.text)
        except ParseError as error:
            return self._failed(job, "parse", f"{id}: {error}")
        places = matched(bottleneck.outcomes, job.definition.outcomes)
        if places is None:
            return self._failed(job, "other_outcomes", f"{id}: another number of outcomes")
        if bottleneck.labels == "shuffled" and len(job.inputs) < 2:
            return self._failed(job, "nothing_to_shuffle", f"{id}: one input alone")
        labels, cost = self._labels(bottleneck, [one.text for one in job.inputs])
        logits = bottleneck.head.logits(labels)[:, list(places)]
        found: list[Prediction | Failure] = []
        for number, (one, row) in enumerate(zip(job.inputs, logits, strict=True)):
            if np.isnan(row).any():
                detail = f"{id} on {one.id}: a concept could not be labelled"
                found.append(Failure(job.definition.name, "predict", "no_labels", detail, self.name))
                continue
            p = np.exp(row - np.logaddexp.reduce(row))
            found.append(
                Prediction(
                    behaviour=job.definition.name,
                    input=one.id,
                    simulator=self.name,
                    condition=job.condition,
                    explanation=id,
                    probabilities=tuple(p.tolist()),
                    cost=cost if number == 0 else Cost(),  # of the whole job, once
                )
            )
        return found

    def _labels(self, bottleneck: Bottleneck, texts: Sequence[str]) -> tuple[NDArray[np.float64], Cost]:
        if bottleneck.labels == "keywords":
            return keyword_labels(bottleneck.concepts, texts), Cost()
        labels, cost = model_labels(self._ask, bottleneck.concepts, texts, prompt=self._config.prompt)
        if bottleneck.labels == "shuffled":
            labels = moved(labels, seed=self._services.seed)
        return labels, cost

    def _failed(self, job: PredictionJob, kind: str, detail: str) -> list[Prediction | Failure]:
        return [Failure(job.definition.name, "predict", kind, detail, self.name) for _ in job.inputs]
