"""The program explainer: the best short program over readable token features, found by search.

Greedy: the best single test, then "or" with another while that raises the population-weighted
correlation with the unit on the explain excerpts. Deterministic; ties go to the shorter text.
Shape key: A atoms, T tokens of all excerpts together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scrutable.pipeline.config import ProgramExplainer as ProgramConfig
from scrutable.pipeline.program_text import write_program, write_test
from scrutable.pipeline.programs import (
    SHAPES,
    TOP_LEVEL,
    After,
    Combined,
    Program,
    Rule,
    Shape,
    Test,
    Text,
    fires,
)
from scrutable.pipeline.protocols import Explanatory, Services
from scrutable.pipeline.records import Excerpt, Explanation, Failure, Language, Prompt

_WORDS = 60  # the strongest words that are tried as atoms
_MIN_GAIN = 0.01  # in correlation; a term that adds less is not worth its length


class ProgramExplainer:
    """Searches for a disjunction of at most `max_terms` tests."""

    language: Language = "program"

    def __init__(self, name: str, config: ProgramConfig, services: Services) -> None:
        del services
        self.name = name
        self._max_terms = config.max_terms

    def prompts(self, jobs: Sequence[Explanatory]) -> list[Prompt]:
        """None: no model is asked."""
        del jobs
        return []

    def explain(self, jobs: Sequence[Explanatory]) -> list[Explanation | Failure]:
        """The best program for each job; a failure where no program correlates with the unit."""
        return [self._explain(job) for job in jobs]

    def _explain(self, job: Explanatory) -> Explanation | Failure:
        program = best_program(job.shown, max_terms=self._max_terms)
        if program is None:
            return Failure(
                unit=job.unit,
                stage="explain",
                kind="no_program",
                detail="no test correlates positively with the unit on the explain excerpts",
                part=self.name,
            )
        return Explanation(
            unit=job.unit,
            explainer=self.name,
            language=self.language,
            text=write_program(program),
            shown=tuple(excerpt.passage.id for excerpt in job.shown),
        )


def best_program(excerpts: Sequence[Excerpt], *, max_terms: int) -> Program | None:
    """The program found for a unit, or None if no test correlates positively with it."""
    truth_T, weight_T = _scored(excerpts)
    atoms = _atoms(excerpts)
    fires_AT = np.array([_fires(atom, excerpts) for atom in atoms], dtype=bool).reshape(len(atoms), -1)
    chosen: list[int] = []
    current, best = np.zeros_like(truth_T, dtype=bool), 0.0
    while len(chosen) < max_terms:
        values = _correlations(fires_AT | current, truth_T, weight_T)
        order = sorted(range(len(atoms)), key=lambda a: (-values[a], len(write_test(atoms[a]))))
        if not order or values[order[0]] < best + _MIN_GAIN:
            break
        chosen.append(order[0])
        current, best = fires_AT[order[0]] | current, float(values[order[0]])
    if not chosen:
        return None
    test = atoms[chosen[0]] if len(chosen) == 1 else Combined("or", tuple(atoms[a] for a in chosen))
    return Program((Rule(TOP_LEVEL, test),))


def _atoms(excerpts: Sequence[Excerpt]) -> list[Test]:
    words = _strongest(excerpts, before=0)
    affixes = {word[-n:] for word in words if word.isalpha() for n in (2, 3, 4) if len(word) > n + 1}
    heads = {word[:n] for word in words if word.isalpha() for n in (2, 3) if len(word) > n + 1}
    shapes: list[Test] = [Shape(name) for name in SHAPES]
    return [
        *shapes,
        *(Text("word", (word,)) for word in words),
        *(Text("ends", (affix,)) for affix in sorted(affixes)),
        *(Text("starts", (head,)) for head in sorted(heads)),
        *(After(shape) for shape in shapes),
        *(After(Text("word", (word,))) for word in _strongest(excerpts, before=1)[: _WORDS // 3]),
    ]


def _strongest(excerpts: Sequence[Excerpt], *, before: int) -> list[str]:
    """The words that stand `before` tokens before the most activation, most first."""
    total: defaultdict[str, float] = defaultdict(float)
    for excerpt in excerpts:
        words = [token.strip().casefold() for token in excerpt.passage.tokens]
        for t in range(max(before, excerpt.passage.n_context), len(words)):
            if words[t - before]:
                total[words[t - before]] += excerpt.activations[t]
    return sorted(total, key=lambda word: (-total[word], word))[:_WORDS]


def _fires(test: Test, excerpts: Sequence[Excerpt]) -> list[bool]:
    return [
        value
        for excerpt in excerpts
        for value in fires(test, excerpt.passage.tokens)[excerpt.passage.n_context :]
    ]


def _scored(excerpts: Sequence[Excerpt]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    truth = [a for e in excerpts for a in e.activations[e.passage.n_context :]]
    weight = [e.weight for e in excerpts for _ in e.activations[e.passage.n_context :]]
    return np.array(truth), np.array(weight)


def _correlations(
    fires_AT: NDArray[np.bool_], truth_T: NDArray[np.float64], weight_T: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(A,) weighted Pearson correlation of each row with the truth; -1 where it is not defined."""
    w = weight_T / weight_T.sum()
    centred = truth_T - w @ truth_T
    x = fires_AT.astype(np.float64)
    mean = x @ w
    variance = np.maximum(mean * (1 - mean), 0)  # a mean of 1 may come out a little above
    scale = np.sqrt(variance * (w @ centred**2))
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.where(scale > 1e-12, (x @ (w * centred)) / scale, -1.0)
    return found.round(9)  # so that tests that fire alike tie exactly
