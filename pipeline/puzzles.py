"""The neuron puzzles of Bills et al. 2023: planted units with a true and several false explanations.

19 units on hand-written sentences, with activations from 0 to 10. Every sentence is a document. Nothing is
in the explain split, since the truth is given; one in four sentences calibrates.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scrutable.pipeline.errors import CorpusError
from scrutable.pipeline.records import Excerpt, Explanation, Passage, Split, Unit

EXPLAINER = "puzzle"
_CALIBRATES = 4  # every fourth sentence that fires, and every fourth of the others


class Puzzle(NamedTuple):
    """A unit whose explanation is known."""

    name: str
    explanation: str
    false_explanations: tuple[str, ...]
    unit: Unit
    excerpts: tuple[Excerpt, ...]


def read_puzzles(path: Path) -> tuple[Puzzle, ...]:
    """The puzzles of the file, or of the folder that holds it. Raises CorpusError if it is none."""
    file = path / "puzzles.json" if path.is_dir() else path
    try:
        whole = json.loads(file.read_text(encoding="utf-8"))
        return tuple(_puzzle(index, *item) for index, item in enumerate(whole.items()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorpusError(f"{file}: no file of neuron puzzles ({error!r})") from error


def puzzle_explanations(puzzles: Sequence[Puzzle]) -> tuple[Explanation, ...]:
    """Candidate 1 is the true explanation of each puzzle, 2, 3, ... the false ones."""
    return tuple(
        Explanation(puzzle.unit.id, EXPLAINER, "english", text, candidate=candidate)
        for puzzle in puzzles
        for candidate, text in enumerate((puzzle.explanation, *puzzle.false_explanations), 1)
    )


def _puzzle(index: int, name: str, value: dict[str, Any]) -> Puzzle:
    sentences = [
        [(piece, 0.0) if isinstance(piece, str) else (piece[0], float(piece[1])) for piece in sentence]
        for sentence in value["sentences"]
    ]
    excerpts = tuple(
        Excerpt(
            passage=Passage(f"{name}-{number:02d}", tuple(token for token, _ in sentence), 0),
            document=f"{name}-{number:02d}",
            split=split,
            activations=tuple(a for _, a in sentence),
            weight=1.0,
            is_top=any(a > 0 for _, a in sentence),
        )
        for number, (sentence, split) in enumerate(zip(sentences, _splits(sentences), strict=True))
    )
    scored = [a for e in excerpts for a in e.activations]
    squares = sum(a * a for a in scored)
    unit = Unit(
        id=f"puzzle-{name}",
        layer=0,
        index=index,
        sign="pos",
        density=sum(scored) ** 2 / (len(scored) * squares) if squares else math.nan,
        max_activation=max(scored, default=0.0),
    )
    return Puzzle(name, value["explanation"], tuple(value["false_explanations"]), unit, excerpts)


def _splits(sentences: Sequence[Sequence[tuple[str, float]]]) -> list[Split]:
    """The second of every four firing sentences calibrates, and the second of every four silent ones."""
    seen = {True: 0, False: 0}
    splits: list[Split] = []
    for sentence in sentences:
        fires = any(a > 0 for _, a in sentence)
        splits.append("calibrate" if seen[fires] % _CALIBRATES == 1 else "test")
        seen[fires] += 1
    return splits
