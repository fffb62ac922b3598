"""A small model that was trained to simulate: it reads an explanation and a text once, in one pass.

One model token for each token of the text; the explanation is computed once for all its passages in a
batch. A passage longer than `window` is read in windows that overlap by a quarter, since the simulator was
trained on far shorter texts. What it was trained on is in the folder of its adapter. Shape key: T tokens of a
passage, L levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scrutable.evaluators.trained.adapters import LEAST_TEXT, PROMPT, adapter_folder
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
        """One simulation for each passage of each job; a Failure where the explanation fills the context."""
        asked = [(job, passage) for job in jobs for passage in job.passages]
        answers: dict[int, Simulation | Failure] = {}
        by_text: dict[str, list[int]] = {}
        for number, (job, _) in enumerate(asked):
            by_text.setdefault(job.explanation.text, []).append(number)
        for text, numbers in by_text.items():
            windows = {n: self._windows(self._reader.encode(text, asked[n][1].tokens)) for n in numbers}
            read = iter(self._read([window for n in numbers for window in windows[n]]))
            for n in numbers:
                own = [next(read) for _ in windows[n]]
                answers[n] = self._simulation(*asked[n], own) if own else self._no_room(asked[n][0])
        return [answers[number] for number in range(len(asked))]

    def _windows(self, encoded: Encoded) -> list[Encoded]:
        """What is read of a text; nothing where the explanation leaves no room for it."""
        room = min(self._config.window, self._reader.limit - len(encoded.shared))
        is_narrow = room < min(LEAST_TEXT, len(encoded.ids))
        return [] if is_narrow else encoded.windows(room)

    def _read(self, windows: Sequence[Encoded]) -> list[tuple[NDArray[np.float64], Cost]]:
        """(T, L) probabilities of the levels in each window of one explanation, and what it cost.

        Windows of like length are read together.
        """
        ordered = sorted(range(len(windows)), key=lambda n: (len(windows[n].ids), n))
        read = {}
        for start in range(0, len(ordered), self._config.batch_size):
            batch = ordered[start : start + self._config.batch_size]
            rows = self._reader.distributions([windows[n] for n in batch])
            for n, p_TL in zip(batch, rows, strict=True):
                read[n] = p_TL, _cost(windows[n], is_first=n == batch[0])
        return [read[n] for n in range(len(windows))]

    def _simulation(
        self, job: SimulationJob, passage: Passage, read: Sequence[tuple[NDArray[np.float64], Cost]]
    ) -> Simulation:
        levels = self._reader.shape.levels
        scored_TL = np.concatenate([p_TL for p_TL, _ in read])[passage.n_context :]
        return Simulation(
            unit=job.unit,
            explanation=job.explanation.id,
            simulator=self.name,
            excerpt=passage.id,
            expected=tuple((scored_TL @ np.array(levels)).tolist()),
            probabilities=tuple(scored_TL.flatten().tolist()),
            levels=levels,
            cost=sum((cost for _, cost in read), Cost()),
        )

    def _no_room(self, job: SimulationJob) -> Failure:
        n_tokens = len(self._reader.encode(job.explanation.text, ()).shared)
        detail = (
            f"{job.explanation.id}: the explanation has {n_tokens} tokens, and {self._config.model} takes "
            f"{self._reader.limit} together with the text"
        )
        return Failure(job.unit, "simulate", "too_long", detail, self.name)


def _cost(encoded: Encoded, *, is_first: bool) -> Cost:
    """The explanation is computed with the first text of a batch."""
    n_shared = len(encoded.shared)
    return Cost(
        prompt_tokens=n_shared + len(encoded.ids),
        computed_tokens=len(encoded.ids) + (n_shared if is_first else 0),
    )
