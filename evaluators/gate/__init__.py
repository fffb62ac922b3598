"""Known answers: does the instrument work with this simulator and this explainer, today?"""

from __future__ import annotations

from collections.abc import Sequence

from scrutable.evaluators.gate.adversaries import attack_cases, attack_results
from scrutable.evaluators.gate.known_answers import known_answers
from scrutable.evaluators.gate.trial import Trial
from scrutable.evaluators.gate.verdict import attack_table, results, table
from scrutable.pipeline.config import GateConfig
from scrutable.pipeline.protocols import Explainer, Gate, Progress, Simulator
from scrutable.pipeline.puzzles import Puzzle
from scrutable.pipeline.records import AttackCase, GateCase, Language
from scrutable.pipeline.windows import Windows

__all__ = ["TESTED", "run_gate"]

TESTED: tuple[Language, ...] = ("english", "program")  # languages in which the truth can be said


def run_gate(
    windows: Windows,
    puzzles: Sequence[Puzzle],
    simulators: Sequence[Simulator],
    explainers: Sequence[tuple[Explainer, Language]],
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
        progress: told how many explanations have been simulated, of about how many.
    """
    known = known_answers(windows, puzzles, config=config, seed=seed)
    tested = [s for s in simulators if s.language in TESTED]
    pairs = sum(language == s.language for s in tested for _, language in explainers)
    n_puzzle = sum(1 + len(puzzle.false_explanations) for puzzle in known.puzzles)
    n_english = sum(s.language == "english" for s in tested)
    total = len(known.units) * (len(tested) + pairs) + n_puzzle * n_english
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        progress(min(done, total), total)

    written = {explainer.name: explainer.explain(known.explanatory) for explainer, _ in explainers}
    cases: list[GateCase] = []
    attacks: list[AttackCase] = []
    for simulator in tested:
        trial = Trial(known, simulator, step=step)
        readable = [explainer for explainer, language in explainers if language == simulator.language]
        cases += trial.cases()
        for explainer in readable:
            cases += trial.explained(explainer, written[explainer.name])
        attacks += attack_cases(known, trial, readable)
    found, of_attacks = results(cases, seed=seed), attack_results(attacks)
    notes = [
        f"simulator {s.name} reads what has no known answers, and is not tested"
        for s in simulators
        if s.language not in TESTED
    ]
    text = "\n\n".join(filter(None, (table(found), attack_table(of_attacks))))
    return Gate(tuple(cases), tuple(found), tuple(attacks), tuple(of_attacks), tuple(notes), text)
