"""A concept bottleneck: a model proposes concepts and labels inputs with them, a linear head decides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scrutable.pipeline.behaviours.concepts import (
    Bottleneck,
    Concept,
    keyword_labels,
    parse_concepts,
    write_bottleneck,
)
from scrutable.pipeline.behaviours.config import ConceptsAccount as ConceptsConfig
from scrutable.pipeline.behaviours.heads import fit_head
from scrutable.pipeline.behaviours.labelling import model_labels, moved
from scrutable.pipeline.behaviours.pairs import balanced, outcome_numbers
from scrutable.pipeline.behaviours.protocols import BehaviourServices, Pair, Shown
from scrutable.pipeline.errors import ParseError
from scrutable.pipeline.prompting import template
from scrutable.pipeline.records import CallFailure, Completion, Cost, Explanation, Failure, Language, Prompt

_LABELLING = "label_concept"


class ConceptsAccount:
    """Writes concepts with the weight of each."""

    language: Language = "concepts"

    def __init__(self, name: str, config: ConceptsConfig, services: BehaviourServices) -> None:
        self.name = name
        self._config = config
        self._ask = services.ask(config)
        self._seed = services.seed
        self._template = template(config.prompt)

    def explain(self, jobs: Sequence[Shown]) -> list[Explanation | Failure]:
        """One bottleneck for each job; a reply without a concept is a Failure."""
        chosen = [balanced(job, count=self._config.pairs, seed=self._seed) for job in jobs]
        prompts = [self._prompt(job, pairs) for job, pairs in zip(jobs, chosen, strict=True)]
        return [self._read(*one) for one in zip(jobs, prompts, self._ask(prompts), strict=True)]

    def _prompt(self, job: Shown, pairs: Sequence[Pair]) -> Prompt:
        return self._template.generate(
            max_tokens=self._config.max_tokens,
            seed=self._seed,
            about=job.definition.about,
            pairs=pairs,
            count=self._config.concepts,
        )

    def _read(self, job: Shown, prompt: Prompt, answer: Completion | CallFailure) -> Explanation | Failure:
        behaviour, outcomes = job.definition.name, job.definition.outcomes
        if isinstance(answer, CallFailure):
            return Failure(behaviour, "explain", answer.kind, answer.detail, self.name)
        try:
            concepts = parse_concepts(answer.text, count=self._config.concepts)
        except ParseError as error:
            return Failure(behaviour, "explain", "parse", str(error), self.name)
        labels, cost = self._labels(concepts, [pair.input.text for pair in job.pairs])
        known = np.array(~np.isnan(labels).any(axis=1), dtype=bool)
        if known.sum() < max(2, len(known) / 2):
            detail = f"the model labelled {known.sum()} of {len(known)} inputs in a way that could be read"
            return Failure(behaviour, "explain", "no_labels", detail, self.name)
        pairs = [pair for pair, is_known in zip(job.pairs, known, strict=True) if is_known]
        done = outcome_numbers(pairs, outcomes)
        head = fit_head(labels[known], done, pairs, n_outcomes=len(outcomes))
        bottleneck = Bottleneck(
            outcomes=outcomes,
            labels=self._config.labels,
            concepts=concepts,
            bias=tuple(head.bias.tolist()),
            weights=tuple(tuple(row) for row in head.weights.tolist()),
        )
        return Explanation(
            unit=behaviour,
            explainer=self.name,
            language=self.language,
            text=write_bottleneck(bottleneck),
            model=self._config.model,
            prompt=prompt.whole,
            prompt_digest=self._template.digest,
            reply=answer.text,
            is_cut=answer.stopped == "length",
            shown=tuple(pair.input.id for pair in job.pairs),
            cost=answer.cost + cost,
        )

    def _labels(self, concepts: Sequence[Concept], texts: Sequence[str]) -> tuple[NDArray[np.float64], Cost]:
        if self._config.labels == "keywords":
            return keyword_labels(concepts, texts), Cost()
        labels, cost = model_labels(self._ask, concepts, texts, prompt=_LABELLING)
        return (moved(labels, seed=self._seed) if self._config.labels == "shuffled" else labels), cost
