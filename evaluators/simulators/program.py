"""The transparent checker: runs a program of `scrutable.pipeline.programs`; no model, no trust."""

from __future__ import annotations

from scrutable.evaluators.transparent import Predict, TransparentSimulator
from scrutable.pipeline.program_text import read_program
from scrutable.pipeline.programs import levels
from scrutable.pipeline.records import Language


class ProgramSimulator(TransparentSimulator):
    """Predicts the level that the program gives, 0 to 9."""

    language: Language = "program"

    def read(self, text: str) -> Predict:
        """The levels of the program that a text writes."""
        program = read_program(text)
        return lambda tokens: [float(level) for level in levels(program, tokens)]
