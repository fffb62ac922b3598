"""Known answers: does the instrument work with this simulator and this explainer, today?"""

from __future__ import annotations

from collections.abc import Sequence

from scrutable.evaluators.gate.known_answers import all_cases, known_answers
from scrutable.evaluators.gate.verdict import results, table
from scrutable.pipeline.config import GateConfig
from scrutable.pipeline.protocols import Explainer, Gate, Progress, Simulator
from scrutable.pipeline.puzzles import Puzzle
from scrutable.pipeline.windows import Windows

__all__ = ["run_gate"]


def run_gate(
    windows: Windows,
    puzzles: Sequence[Puzzle],
    simulators: Sequence[Simulator],
    explainers: Sequence[tuple[Explainer, str]],
    *,
    config: GateConfig,
    seed: int,
    progress: Progress,
) -> Gate:
    """Tries simulators, and explainers with the language that each writes, on known answers.

    Args:
        windows: of a corpus in the tokens of planted units.
        puzzles: none, if they are not wanted.
        simulators: those of other languages than english and program have no known answers.
        explainers: may be empty.
        config: sizes.
        seed: of the job.
        progress: told as it goes.
    """
    known = known_answers(windows, puzzles, config=config, seed=seed)
    cases = all_cases(known, simulators, explainers, progress=progress)
    found = results(cases, seed=seed)
    untested = [s.name for s in simulators if s.language not in ("english", "program")]
    notes = [f"simulator {name} reads what has no known answers, and is not tested" for name in untested]
    return Gate(tuple(cases), tuple(found), tuple(notes), table(found))
