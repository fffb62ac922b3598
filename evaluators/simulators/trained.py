"""A small model that was trained to simulate: it reads an explanation and a text once, in one pass.

One model token for each token of the text; the explanation is computed once for all its passages in a
batch. What it was trained on is in the folder of its adapter. Shape key: T tokens of a passage after its
context, L levels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from scrutable.evaluators.trained.adapters import PROMPT, adapter_folder
from scrutable.pipeline.config import TrainedSimulator as TrainedConfig
from scrutable.pipeline.placement import place
from scrutable.pipeline.prompting import template
from scrutable.pipeline.protocols import Services, SimulationJob
from scrutable.pipeline.records import (
    Cost,
    Failure,
    Language,
    Passage,
    Prompt,
    ReadLabels,
    Simulation,
)

if TYPE_CHECKING:
    from scrutable.evaluators.trained.reader import Encoded, Reader


class TrainedSimulator:
    """Reads a distribution over levels at every token from a network that was trained to give it."""

    language: Language = "english"

    def __init__(self, name: str, config: TrainedConfig, services: Services) -> None:
        self.name = name
        self._config = config
        self._services = services

    @cached_property
    def _reader(self) -> Reader:
        from scrutable.evaluators.trained.reader import open_reader

        placement = place(device=self._config.device, dtype=self._config.dtype)
        located = self._services.locate(self._config)
        folder = adapter_folder(self._config.model, self._config.adapter)
        return open_reader(located.path, folder, placement)

    def prompts(self, jobs: Sequence[SimulationJob]) -> list[Prompt]:
        """What is read: one text for each passage of each job, without labels to be asked for."""
        return [
            Prompt((shared,), text, ReadLabels((), ()))
            for job in jobs
            for passage in job.passages
            for shared, text in [template(PROMPT).parts(explanation=job.explanation.text, passage=passage)]
        ]

    def simulate(self, jobs: Sequence[SimulationJob]) -> list[Simulation | Failure]:
        """One simulation for each passage of each job; a passage that is too long is a Failure."""
        asked = [(job, passage) for job in jobs for passage in job.passages]
        answers: dict[int, Simulation | Failure] = {}
        by_text: dict[str, list[int]] = {}
        for number, (job, _) in enumerate(asked):
            by_text.setdefault(job.explanation.text, []).append(number)
        for text, numbers in by_text.items():
            encoded = {n: self._reader.encode(text, asked[n][1].tokens) for n in numbers}
            for batch in self._batches(encoded):
                found = self._read([encoded[n] for n in batch], [asked[n] for n in batch])
                answers.update(zip(batch, found, strict=True))
            answers.update((n, self._too_long(*asked[n], encoded[n])) for n in numbers if n not in answers)
        return [answers[number] for number in range(len(asked))]

    def _batches(self, encoded: dict[int, Encoded]) -> Iterator[list[int]]:
        """Numbers of texts that can be read, alike in length."""
        fitting = [n for n, e in encoded.items() if len(e.shared) + len(e.ids) <= self._reader.limit]
        ordered = sorted(fitting, key=lambda n: (len(encoded[n].ids), n))
        for start in range(0, len(ordered), self._config.batch_size):
            yield ordered[start : start + self._config.batch_size]

    def _read(
        self, encoded: Sequence[Encoded], asked: Sequence[tuple[SimulationJob, Passage]]
    ) -> Iterator[Simulation]:
        levels = np.array(self._reader.shape.levels)
        rows = self._reader.distributions(encoded)
        for number, ((job, passage), e, p) in enumerate(zip(asked, encoded, rows, strict=True)):
            scored = p[passage.n_context :]
            yield Simulation(
                unit=job.unit,
                explanation=job.explanation.id,
                simulator=self.name,
                excerpt=passage.id,
                expected=tuple((scored @ levels).tolist()),
                probabilities=tuple(scored.flatten().tolist()),
                levels=self._reader.shape.levels,
                cost=_cost(e, is_first=not number),
            )

    def _too_long(self, job: SimulationJob, passage: Passage, encoded: Encoded) -> Failure:
        n_tokens = len(encoded.shared) + len(encoded.ids)
        detail = (
            f"{job.explanation.id} on {passage.id}: {n_tokens} tokens, but {self._config.model} takes "
            f"{self._reader.limit}"
        )
        return Failure(job.unit, "simulate", "too_long", detail, self.name)


def _cost(encoded: Encoded, *, is_first: bool) -> Cost:
    """The explanation is computed with the first text of a batch."""
    n_shared = len(encoded.shared)
    return Cost(
        prompt_tokens=n_shared + len(encoded.ids),
        computed_tokens=len(encoded.ids) + (n_shared if is_first else 0),
    )
