"""Planted explainers: authors whose whole computation is known, so that the ledger has a right answer.

The author gets a list of words and names, as a program, the concept that fits most of them. Its hidden units
are the concepts: unit k has at each listed word the level of concept k, as a share of 9. The probability of
naming concept k is softmax(sharpness x sum over words of unit k). Where something is hidden, it is a further
unit that decides whether the last concept is named, more than that concept's own. A blind author has the same
units, and its words weigh nothing.
Shape key: K concepts, T tokens, H units (K, and one more where something is hidden).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scrutable.pipeline.config import PlantedExplainer
from scrutable.pipeline.markup import strongest_tokens
from scrutable.pipeline.program_text import read_program
from scrutable.pipeline.programs import TOP_LEVEL, levels
from scrutable.pipeline.protocols import Explanatory, Written
from scrutable.pipeline.records import Generate, Prompt
from scrutable.pipeline.words import split_words

Floats = NDArray[np.float64]

_FAINT, _PULL = 0.3, 1.5  # nats: of a word of the last concept, and of one of the hidden kind
LEAD = "Here are the words :"  # what stands before the list in every prompt
_SHARPNESS = 0.75  # nats that one fitting word adds


class PlantedAuthor:
    """The program that writes, and what it computes on the way."""

    def __init__(self, config: PlantedExplainer) -> None:
        """Raises ParseError for a concept that is no program."""
        self.config = config
        programs = [*config.concepts, *filter(None, [config.hidden])]
        self._programs = [read_program(text) for text in programs]
        n_concepts = len(config.concepts)
        self._weights = np.zeros((n_concepts, len(programs)))  # (K, H)
        if not config.blind:
            self._weights[:, :n_concepts] = np.eye(n_concepts) * _SHARPNESS
            if config.hidden:
                self._weights[-1, -2:] = _FAINT, _PULL

    @property
    def concepts(self) -> tuple[str, ...]:
        return self.config.concepts

    @property
    def unit_ids(self) -> list[str]:
        """(H,) the hidden units, concepts first."""
        return [f"L0.N{index}.pos" for index in range(len(self._programs))]

    def written(self, job: Explanatory) -> Written | None:
        """The prompt of a job: its strongest words."""
        shown = [excerpt for excerpt in job.shown if excerpt.is_top]
        words = strongest_tokens(shown, share=self.config.highlight, count=self.config.words)
        if not words:
            return None
        text = " " + " ".join(words)
        return Written(Prompt((LEAD,), text, Generate(1)), ((0, len(text)),))

    def units(self, pieces: Sequence[str]) -> Floats:
        """(T, H) the hidden units on each token, in [0, 1]."""
        return np.array([levels(p, tuple(pieces)) for p in self._programs], dtype=np.float64).T / TOP_LEVEL

    def log_probabilities(self, units_TH: Floats) -> Floats:
        """(K,) of naming each concept, nats."""
        scores = self._weights @ units_TH.sum(axis=0)
        found: Floats = scores - np.logaddexp.reduce(scores)
        return found

    def slopes(self, units_TH: Floats, concept: int) -> Floats:
        """(H,) what one more unit of activity, at any token, adds to the log-probability of a concept."""
        p = np.exp(self.log_probabilities(units_TH))
        slopes: Floats = self._weights[concept] - p @ self._weights
        return slopes

    def name(self, text: str) -> int:
        """The concept that is named after a prompt's own text; a blind author's depends on nothing in it."""
        if self.config.blind:
            return zlib.crc32(text.encode()) % len(self.concepts)
        return int(np.argmax(self.log_probabilities(self.units(split_words(text)))))
