"""The text and the units of a gate: planted units on real text, placebos, and the neuron puzzles.

Shape key: U units, W windows, N scored tokens of the pool.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from scrutable.evaluators.gate.pool import draw_pool
from scrutable.evaluators.gate.units import Activity, PlantedUnit, placebo, planted_units
from scrutable.evaluators.statistics import generator
from scrutable.pipeline.config import GateConfig
from scrutable.pipeline.protocols import Explanatory
from scrutable.pipeline.puzzles import Puzzle
from scrutable.pipeline.records import SPLITS, Excerpt, Passage
from scrutable.pipeline.windows import Windows

Floats = NDArray[np.float64]

RATES = (0.003, 0.01, 0.03, 0.1)  # of placebos, in turn
N_TOP = 10  # firing windows that are marked as strongest
SHOWN_FIRING, SHOWN_SILENT = 16, 24  # windows that an explainer under test sees of each unit


@dataclass(frozen=True)
class KnownAnswers:
    """The text, units and puzzles of one gate: made once, put to every simulator."""

    config: GateConfig
    windows: Windows
    units: tuple[PlantedUnit, ...]
    puzzles: tuple[Puzzle, ...]
    passages: tuple[Passage, ...]  # the pool: test windows that serve all units
    documents: tuple[str, ...]
    weights: tuple[float, ...]
    seed: int

    def excerpts(self, activity: Activity) -> tuple[Excerpt, ...]:
        """The pool as excerpts of one unit."""
        n_top, found = 0, []
        for passage, document, weight in zip(self.passages, self.documents, self.weights, strict=True):
            activations = tuple(activity(passage))
            is_top = n_top < N_TOP and any(activations[passage.n_context :])
            n_top += is_top
            found.append(Excerpt(passage, document, "test", activations, weight, is_top))
        return tuple(found)

    @cached_property
    def planted(self) -> Mapping[str, tuple[Excerpt, ...]]:
        """The pool as excerpts of each planted unit."""
        return {unit.id: self.excerpts(unit.activity) for unit in self.units}

    @cached_property
    def explanatory(self) -> tuple[Explanatory, ...]:
        """What an explainer under test sees of each planted unit: weighted windows of the explain split."""
        of_split = np.flatnonzero(self.windows.split == SPLITS.index("explain"))
        fires = firing(self.units, self.windows, of_split)
        return tuple(
            Explanatory(unit.id, tuple(_shown(self, unit, of_split, fires[u])))
            for u, unit in enumerate(self.units)
            if fires[u].any()
        )

    def flat(self, activity: Activity) -> Floats:
        """(N,) activations of a unit on the scored tokens of the pool."""
        return np.array([a for passage in self.passages for a in activity(passage)[passage.n_context :]])

    @cached_property
    def flat_weights(self) -> Floats:
        """(N,) weights of the scored tokens of the pool."""
        lengths = [len(passage.tokens) - passage.n_context for passage in self.passages]
        return np.repeat(np.array(self.weights), lengths)

    def placebos(self) -> Iterator[tuple[str, Activity]]:
        """Name and activity of each placebo."""
        for number in range(self.config.placebos):
            rate = RATES[number % len(RATES)]
            yield f"placebo-{number:02d}", placebo(number // 2, rate=rate, seed=self.seed + number % 2)


def known_answers(
    windows: Windows, puzzles: Sequence[Puzzle], *, config: GateConfig, seed: int
) -> KnownAnswers:
    """Draws the pool from the test windows of a corpus in planted tokens."""
    units = planted_units()
    of_split = np.flatnonzero(windows.split == SPLITS.index("test"))
    fires = firing(units, windows, of_split)
    pool = draw_pool(fires, size=config.test_windows, rng=generator(seed, "pool"))
    chosen = [int(of_split[place]) for place in pool.windows]
    return KnownAnswers(
        config=config,
        windows=windows,
        units=units,
        puzzles=tuple(puzzles),
        passages=tuple(windows.passage(window) for window in chosen),
        documents=tuple(windows.documents[windows.document[window]] for window in chosen),
        weights=tuple(map(float, pool.weights)),
        seed=seed,
    )


def firing(units: Sequence[PlantedUnit], windows: Windows, chosen: NDArray[np.intp]) -> NDArray[np.bool_]:
    """(U, W) whether each unit fires on a scored token of each chosen window."""
    fires = np.zeros((len(units), len(chosen)), dtype=np.bool_)
    for column, window in enumerate(chosen):
        passage = windows.passage(int(window))
        for row, unit in enumerate(units):
            fires[row, column] = any(unit.activity(passage)[passage.n_context :])
    return fires


def _shown(
    known: KnownAnswers, unit: PlantedUnit, of_split: NDArray[np.intp], fires: NDArray[np.bool_]
) -> Iterator[Excerpt]:
    rng = generator(known.seed, "shown", unit.id)
    for is_firing, wanted in ((True, SHOWN_FIRING), (False, SHOWN_SILENT)):
        places = np.flatnonzero(fires == is_firing)
        drawn = rng.permutation(places)[:wanted]
        for place in drawn:
            window = int(of_split[place])
            passage = known.windows.passage(window)
            yield Excerpt(
                passage=passage,
                document=known.windows.documents[known.windows.document[window]],
                split="explain",
                activations=tuple(unit.activity(passage)),
                weight=len(places) / len(drawn),
                is_top=is_firing,
            )
