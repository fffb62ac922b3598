"""A planted author opened up: the same questions as to a real one, with answers that follow from its program.

Shape key: as in `recursion.protocols`; H units, which are all its nodes.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scrutable.pipeline.config import PlantedExplainer
from scrutable.pipeline.protocols import Tokenized, Written
from scrutable.pipeline.recursion.planted import PlantedAuthor
from scrutable.pipeline.recursion.protocols import Floats, NodePatch, Read, Screen, Site, Task
from scrutable.pipeline.words import split_words


class PlantedWriter:
    """Runs a planted author on tasks; a reply is one token, the number of the concept that is named."""

    name = "planted"
    parameters = 0

    def __init__(self, config: PlantedExplainer) -> None:
        self._author = PlantedAuthor(config)
        self._words: dict[int, str] = {}
        self.provenance: Mapping[str, Any] = {
            "name": self.name,
            "digest": "",
            "dtype": "float64",
            "concepts": list(config.concepts),
            "hidden": config.hidden,
            "note": "a known program, not a model",
        }

    def unit_ids(self) -> list[str]:
        return self._author.unit_ids

    def read(self, written: Written) -> Read:
        """Words as tokens; every word after the lead is part of the one span."""
        prefix, own = (split_words(text) for text in ("".join(written.prompt.shared), written.prompt.text))
        spans = ((0, len(own)),)
        return Read(self._ids(prefix), prefix, self._ids(own), own, spans)

    def tokens(self, text: str) -> Tokenized:
        """The number of a concept. Raises ValueError for a text that the author never writes."""
        return Tokenized((self._author.concepts.index(text),), (text,))

    def likelihoods(self, task: Task, *, is_counterfactual: bool) -> NDArray[np.float64]:
        units = self._units(task.counterfactual if is_counterfactual else task.prompt)
        return self._author.log_probabilities(units)[[task.reply[0]]]

    def screen(self, task: Task) -> Screen:
        clean, other = self._units(task.prompt), self._units(task.counterfactual)
        concept = task.reply[0]
        slopes = self._author.slopes(clean, concept)
        content = -((other - clean).sum(axis=0) * slopes)
        harms = [
            -((units.mean(axis=0) - units).sum(axis=0) * self._author.slopes(units, concept))
            for units in (clean, other)
        ]
        return Screen(content.astype(np.float32), np.minimum(*harms).astype(np.float32))

    def patched(self, task: Task, patches: Sequence[NodePatch]) -> list[float]:
        clean, other = self._units(task.prompt), self._units(task.counterfactual)
        found = []
        for patch in patches:
            units = clean.copy()
            n = len(units)
            held = other[:, patch.nodes]
            given = held if patch.values is None else patch.values[:n]
            units[:, patch.nodes] = np.where(np.isnan(given), held, given)
            found.append(float(self._author.log_probabilities(units)[task.reply[0]]))
        return found

    def patched_site(self, task: Task, site: Site) -> float:
        """The words are the only positions that the author looks at, and it has no attention."""
        if site == "attention_exemplars":
            return math.nan
        ids = task.counterfactual if site == "mlp_exemplars" else task.prompt
        return float(self._author.log_probabilities(self._units(ids))[task.reply[0]])

    def activations(self, task: Task, units: Sequence[str]) -> Floats:
        silent = np.zeros((len(task.reply), len(units)), dtype=np.float32)
        return np.vstack([self.alone([task.prompt], units)[0], silent])

    def alone(self, texts: Sequence[Sequence[int]], units: Sequence[str]) -> Floats:
        columns = [self.unit_ids().index(unit) for unit in units]
        return np.stack([self._units(ids)[:, columns] for ids in texts]).astype(np.float32)

    def _units(self, ids: Sequence[int]) -> NDArray[np.float64]:
        return self._author.units([self._words[id] for id in ids])

    def _ids(self, words: Sequence[str]) -> tuple[int, ...]:
        ids = tuple(zlib.crc32(word.encode()) for word in words)
        self._words.update(zip(ids, words, strict=True))
        return ids
