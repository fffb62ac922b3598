"""Units whose explanation is known, on any text: planted rules, and placebos that no explanation fits.

Shape key: T tokens of a passage.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources

import yaml

from scrutable.pipeline.program_text import read_program, write_program
from scrutable.pipeline.programs import TOP_LEVEL, Program, levels
from scrutable.pipeline.records import Explanation, Language, Passage

TRUTH, PLACEBO = "truth", "placebo"

Activity = Callable[[Passage], Sequence[float]]
"""A passage to its (T,) activations, in [0, 1]."""


@dataclass(frozen=True, slots=True)
class PlantedUnit:
    """A rule, and what a good annotator would say of it."""

    id: str
    english: str
    program: Program

    def activity(self, passage: Passage) -> list[float]:
        """(T,) level of each token as a share of the highest."""
        return [level / TOP_LEVEL for level in levels(self.program, passage.tokens)]

    def truth(self, language: Language) -> Explanation:
        """The true explanation, in a language that has one: english or program."""
        text = self.english if language == "english" else write_program(self.program)
        return Explanation(self.id, TRUTH, language, text)


@functools.cache
def planted_units() -> tuple[PlantedUnit, ...]:
    """The units of planted_units.yaml, in its order."""
    text = (resources.files("scrutable.evaluators.gate") / "planted_units.yaml").read_text(encoding="utf-8")
    return tuple(
        PlantedUnit(entry["id"], entry["english"], read_program(entry["program"]))
        for entry in yaml.safe_load(text)
    )


def placebo(number: int, *, rate: float, seed: int) -> Activity:
    """A unit that says nothing: it fires on `rate` of the tokens, in expectation.

    An even number fires on tokens drawn by a seeded hash of their place, an odd one on words drawn by a
    seeded hash of the word: a unit that has a lexicon but no meaning.
    """

    def activity(passage: Passage) -> list[float]:
        keys = (
            [token.strip().casefold() for token in passage.tokens]
            if number % 2
            else [f"{passage.id}/{t}" for t in range(len(passage.tokens))]
        )
        return [float(_share(f"{seed}/{number}/{key}") < rate) for key in keys]

    return activity


def _share(key: str) -> float:
    """A number in [0, 1) that depends on the key alone."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
