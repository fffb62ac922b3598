"""A gate in seconds: text in which every planted unit fires, and readers of English that need no model."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from scrutable.evaluators.gate import run_gate
from scrutable.evaluators.gate.units import planted_units
from scrutable.pipeline.config import CorpusConfig, GateConfig
from scrutable.pipeline.cutting import cut_corpus
from scrutable.pipeline.programs import levels
from scrutable.pipeline.protocols import Explainer, Gate, SimulationJob, Simulator
from scrutable.pipeline.puzzles import Puzzle
from scrutable.pipeline.records import Failure, Language, Simulation
from scrutable.pipeline.subjects.planted import PlantedSubject
from scrutable.pipeline.windows import Windows
from scrutable.pipeline.word_classes import word_classes

FILLERS = "house tree water long green paper table slow under river road made found near people went old"
FUNCTION = "the of and was that a an he she his her also however in at may can not no never who which said"
AFFIXED = "running nation station quickly walked added racism able possible unlike undo return redo common"
SIGNS = ', ( ) " . 1902 1865 12 7 NATO USA 3rd century'


def write_text(path: Path, *, n_documents: int = 120, seed: int = 0) -> Path:
    """Seeded sentences in which each planted unit fires now and then."""
    rng = random.Random(seed)
    named = [word.capitalize() if rng.random() < 0.5 else word for c in word_classes().values() for word in c]
    pools = [*(words.split() for words in (FILLERS, FUNCTION, AFFIXED, SIGNS)), named]
    with path.open("w", encoding="utf-8") as file:
        for number in range(n_documents):
            drawn = rng.choices(pools, [0.5, 0.2, 0.07, 0.1, 0.13], k=150)
            text = " ".join(rng.choice(pool) for pool in drawn)
            file.write(json.dumps({"id": f"doc{number}", "text": text}) + "\n")
    return path


def toy_windows(folder: Path) -> Windows:
    corpus = CorpusConfig(source="toy", max_tokens=15_000, window=32, skip=4)
    path = write_text(folder / "text.jsonl")
    windows, _ = cut_corpus(corpus, path, PlantedSubject(()), lambda _done, _total: None, seed=0)
    return windows


def gate(
    windows: Windows,
    simulators: Sequence[Simulator],
    explainers: Sequence[tuple[Explainer, Language]] = (),
    *,
    puzzles: Sequence[Puzzle] = (),
    **settings: Any,
) -> Gate:
    """The gate on a small pool."""
    sizes: dict[str, Any] = {"test_windows": 100, "placebos": 20, "attacked": 0}
    config = GateConfig.model_validate(sizes | settings)
    return run_gate(
        windows,
        puzzles,
        simulators,
        explainers,
        config=config,
        seed=0,
        progress=lambda _done, _total: None,
    )


class Reader:
    """Reads English by a function: text and tokens to a number for each token; None is a failed call."""

    language: Language = "english"

    def __init__(self, read: Callable[[str, Sequence[str]], Sequence[float] | None], name: str = "r") -> None:
        self.name = name
        self._read = read

    def prompts(self, jobs: Sequence[SimulationJob]) -> list[Any]:
        del jobs
        return []

    def simulate(self, jobs: Sequence[SimulationJob]) -> list[Simulation | Failure]:
        found: list[Simulation | Failure] = []
        for job in jobs:
            for passage in job.passages:
                values = self._read(job.explanation.text, passage.tokens)
                if values is None:
                    found.append(Failure(job.unit, "simulate", "timeout", "after 60 s", self.name))
                    continue
                expected = tuple(map(float, values[passage.n_context :]))
                found.append(Simulation(job.unit, job.explanation.id, self.name, passage.id, expected))
        return found


def oracle(text: str, tokens: Sequence[str]) -> list[float]:
    """Understands the planted units' own words, whatever else is said with them, and nothing else."""
    known = [unit.program for unit in planted_units() if unit.english in text]
    said = [levels(program, tokens) for program in known]
    return [float(max(column, default=0)) for column in zip(*said, strict=True)] or [0.0] * len(tokens)
