"""A subject without a model: units whose rule is known, on any text.

What fires is decided by programs, so the true explanation of each unit is known: the known answers
by which explainers, simulators and scorers are themselves judged.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.programs import fires, read_program
from scrutable.pipeline.protocols import Sampler, Tokenized
from scrutable.pipeline.records import Unit
from scrutable.pipeline.sampling import Captured, SamplingPlan
from scrutable.pipeline.subjects.strata import Arrays, StrataSampler
from scrutable.pipeline.windows import Windows

_TOKEN = re.compile(r" ?\w+| ?[^\w\s]|\s")


class PlantedSubject:
    """Units `L0.N0.pos`, `L0.N1.pos`, ... of activation 1 where their program holds and 0 elsewhere."""

    name = "planted"

    def __init__(self, rules: Sequence[str]) -> None:
        """Programs as text. Raises ParseError for one that cannot be read."""
        self._programs = [read_program(rule) for rule in rules]
        self.provenance: Mapping[str, Any] = {
            "name": self.name,
            "units": "planted: a unit is 1 where its program holds and 0 elsewhere",
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
            for pieces in (tuple(_TOKEN.findall(text)) for text in texts)
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
            yield window, self.activations(windows, window)[:, columns]

    def activations(self, windows: Windows, window: int) -> NDArray[np.float32]:
        """(T, U) 1 where a rule holds."""
        pieces = windows.pieces(window)
        return np.array([fires(program, pieces) for program in self._programs], dtype=np.float32).T


class _PlantedSampler:
    """Feeds the planted units to a StrataSampler; the moments of 0 and 1 are a count of ones."""

    def __init__(self, subject: PlantedSubject, plan: SamplingPlan) -> None:
        self._subject = subject
        n_units = len(subject.unit_ids())
        self._strata = StrataSampler([n_units], plan, torch.device("cpu"))
        self._ones = np.zeros(n_units, dtype=np.int64)
        self._n_tokens = 0

    def feed(self, windows: Windows, numbers: NDArray[np.int64], *, split: int) -> None:
        maxima = np.zeros((len(self._ones), len(numbers)), dtype=np.float32)
        for column, window in enumerate(numbers):
            scored = self._subject.activations(windows, int(window))[windows.n_context[window] :]
            maxima[:, column] = scored.max(axis=0)
            self._ones += scored.sum(axis=0).astype(np.int64)
            self._n_tokens += len(scored)
        self._strata.update(0, torch.from_numpy(maxima), torch.from_numpy(numbers), split=split)

    def end_of_split(self, split: int) -> None:
        self._strata.end_of_split(split)

    def state(self) -> Arrays:
        return self._strata.state() | {"ones": self._ones, "n_tokens": np.array(self._n_tokens)}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._strata.restore(state)
        self._ones, self._n_tokens = state["ones"].copy(), int(state["n_tokens"])

    def captured(self) -> Captured:
        units = tuple(
            Unit(
                id=unit,
                layer=0,
                index=index,
                sign="pos",
                density=float(self._ones[index] / self._n_tokens) if self._ones[index] else float("nan"),
                max_activation=float(self._ones[index] > 0),
            )
            for index, unit in enumerate(self._subject.unit_ids())
        )
        return Captured(units=units, **self._strata.kept())
