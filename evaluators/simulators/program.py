"""The transparent checker: runs a program of `scrutable.pipeline.programs`; no model, no trust."""

from __future__ import annotations

from scrutable.evaluators.transparent import Predict, TransparentSimulator
from scrutable.pipeline.programs import fires, read_program
from scrutable.pipeline.records import Language


class ProgramSimulator(TransparentSimulator):
    """Predicts 1 where the program holds and 0 elsewhere."""

    language: Language = "program"

    def read(self, text: str) -> Predict:
        """Where the program that a text writes holds."""
        program = read_program(text)
        return lambda tokens: [float(value) for value in fires(program, tokens)]
