"""A subject without a model: units whose rule is known, on any text.

What fires is decided by programs, so the true explanation of each unit is known: the known answers
by which explainers, simulators and scorers are themselves judged.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scrutable.pipeline.errors import CapabilityError, ConfigError
from scrutable.pipeline.program_text import read_program
from scrutable.pipeline.programs import TOP_LEVEL, levels
from scrutable.pipeline.protocols import Effects, Sampler, Tokenized
from scrutable.pipeline.records import Unit
from scrutable.pipeline.sampling import Captured, SamplingPlan
from scrutable.pipeline.subjects.strata import Arrays, StrataSampler
from scrutable.pipeline.windows import Windows
from scrutable.pipeline.words import split_words


class PlantedSubject:
    """Units `L0.N0.pos`, `L0.N1.pos`, ... whose activation is the level of their program, as a share of 9."""

    name = "planted"

    def __init__(self, rules: Sequence[str]) -> None:
        """Programs as text. Raises ParseError for one that cannot be read."""
        self._programs = [read_program(rule) for rule in rules]
        self.provenance: Mapping[str, Any] = {
            "name": self.name,
            "units": "planted: a unit is the level that its program gives, divided by 9",
            "rules": dict(zip(self.unit_ids(), rules, strict=True)),
        }

    def unit_ids(self) -> list[str]:
        """One unit for each rule, in order."""
        return [f"L0.N{index}.pos" for index in range(len(self._programs))]

    def check_units(self, units: Sequence[str]) -> None:
        """Raises ConfigError for a unit that has no rule."""
        unknown = sorted(set(units) - set(self.unit_ids()))
        if unknown:
            raise ConfigError(
                f"units.ids: no planted unit {unknown[0]}; there are L0.N0.pos to {self.unit_ids()[-1]}"
            )

    def tokenize(self, texts: Sequence[str]) -> list[Tokenized]:
        """Words with the space before them, punctuation, and other white space, one token each."""
        return [
            Tokenized(tuple(zlib.crc32(p.encode()) >> 1 for p in pieces), pieces)
            for pieces in (split_words(text) for text in texts)
        ]

    def sampler(self, plan: SamplingPlan) -> Sampler:
        """A fresh sampler over all planted units."""
        return _PlantedSampler(self, plan)

    def traces(
        self, windows: Windows, wanted: Sequence[int], units: Sequence[str]
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """(window, (T, U) activations of `units`) for each wanted window, in order."""
        columns = [self.unit_ids().index(unit) for unit in units]
        for window in wanted:
            yield window, self._activations(windows.pieces(window), columns)

    def activations(self, texts: Sequence[str], units: Sequence[str]) -> list[NDArray[np.float32]]:
        """(T, U) activations of `units` on each text, in [0, 1]."""
        columns = [self.unit_ids().index(unit) for unit in units]
        return [self._activations(tokens.pieces, columns) for tokens in self.tokenize(texts)]

    def _activations(self, pieces: Sequence[str], columns: Sequence[int]) -> NDArray[np.float32]:
        return (self.levels(pieces)[:, columns] / TOP_LEVEL).astype(np.float32)

    def effects(self, unit: str, texts: Sequence[str], *, level: float) -> Effects:
        """Raises CapabilityError: a rule predicts no tokens."""
        del texts, level
        raise CapabilityError(f"planted unit {unit} has no outputs that could be changed")

    def levels(self, pieces: Sequence[str]) -> NDArray[np.int64]:
        """(T, U) the level of each unit, 0 to 9."""
        return np.array([levels(program, pieces) for program in self._programs], dtype=np.int64).T


class _PlantedSampler:
    """Feeds the planted units to a StrataSampler; moments are sums of whole levels, so they are exact."""

    def __init__(self, subject: PlantedSubject, plan: SamplingPlan) -> None:
        self._subject = subject
        n_units = len(subject.unit_ids())
        self._strata = StrataSampler([n_units], plan, torch.device("cpu"))
        self._sums = np.zeros((3, n_units), dtype=np.int64)  # of levels, of their squares; the largest
        self._n_tokens = 0

    def feed(self, windows: Windows, numbers: NDArray[np.int64], *, split: int) -> None:
        maxima = np.zeros((self._sums.shape[1], len(numbers)), dtype=np.float32)
        for column, window in enumerate(numbers):
            number = int(window)
            scored = self._subject.levels(windows.pieces(number))[windows.n_context[number] :]
            maxima[:, column] = scored.max(axis=0) / TOP_LEVEL
            self._sums[0] += scored.sum(axis=0)
            self._sums[1] += (scored**2).sum(axis=0)
            self._sums[2] = np.maximum(self._sums[2], scored.max(axis=0))
            self._n_tokens += len(scored)
        self._strata.update(0, torch.from_numpy(maxima), torch.from_numpy(numbers), split=split)

    def end_of_split(self, split: int) -> None:
        self._strata.end_of_split(split)

    def state(self) -> Arrays:
        return self._strata.state() | {"sums": self._sums, "n_tokens": np.array(self._n_tokens)}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._strata.restore(state)
        self._sums, self._n_tokens = state["sums"].copy(), int(state["n_tokens"])

    def captured(self) -> Captured:
        units = tuple(
            Unit(
                id=unit,
                layer=0,
                index=index,
                sign="pos",
                density=float(total**2 / (self._n_tokens * squares)) if squares else float("nan"),
                max_activation=float(largest / TOP_LEVEL),
            )
            for index, (unit, (total, squares, largest)) in enumerate(
                zip(self._subject.unit_ids(), self._sums.T, strict=True)
            )
        )
        return Captured(units=units, **self._strata.kept())
