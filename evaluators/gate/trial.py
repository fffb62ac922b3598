"""One simulator on the known answers: does it call what is true, and leave alone what is not?

An explanation is called if its rank p among nulls is at most 5 %: the p of real units.
Shape key: X explanations, N scored tokens of the pool.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from scrutable.evaluators.evidence import batches, columns
from scrutable.evaluators.gate.known_answers import KnownAnswers
from scrutable.evaluators.gate.units import PLACEBO, TRUTH, PlantedUnit
from scrutable.evaluators.statistics import correlation, generator, moments, rank_p
from scrutable.pipeline.protocols import Explainer, Simulated, SimulationJob, Simulator
from scrutable.pipeline.puzzles import Puzzle, puzzle_explanations
from scrutable.pipeline.records import Excerpt, Explanation, Failure, GateCase, Simulation

CALLED = 0.05  # largest rank p at which an explanation is called
RELATED = 0.3  # true activations that correlate by more are no nulls of each other: they are partly true
_CHUNK = 16  # explanations in one call of a simulator: bounds memory, and lets progress be seen
_POOL = "pool"


class Trial:
    """One simulator on the known answers: what it says of each explanation, and the cases that follow."""

    def __init__(self, known: KnownAnswers, simulator: Simulator, *, step: Callable[[], None]) -> None:
        self.simulator = simulator
        self._known = known
        self._step = step  # told after each explanation
        self._simulated = self.simulate(self.truths)
        self._related = _related(known)

    @property
    def truths(self) -> list[Explanation]:
        """The true explanation of each planted unit, in the simulator's language."""
        return [unit.truth(self.simulator.language) for unit in self._known.units]

    @cached_property
    def planted(self) -> tuple[GateCase, ...]:
        """Each planted unit with its true explanation."""
        return tuple(
            replace(case, truth=case.value)
            for unit, truth in zip(self._known.units, self.truths, strict=True)
            for case in [self.case(unit, self._simulated.get(truth.id), TRUTH, truth.text)]
        )

    def truth_of(self, unit: PlantedUnit) -> Simulated:
        """What the simulator makes of the true explanation of a planted unit that it answered."""
        return self._simulated[f"{unit.id}/{TRUTH}"]

    def is_unrelated(self, unit: PlantedUnit, other: PlantedUnit) -> bool:
        """True if what is true of the other says nothing of the unit."""
        return other.id not in self._related[unit.id]

    def cases(self) -> list[GateCase]:
        """Planted units with their true explanation, placebos, and puzzles if the simulator reads English."""
        found = [*self.planted, *self._placebos()]
        if self.simulator.language == "english":
            found += self._puzzles()
        return found

    def explained(self, explainer: Explainer, written: Sequence[Explanation | Failure]) -> list[GateCase]:
        """Planted units with what an explainer wrote of them; a unit without an explanation is a case too."""
        by_unit: dict[str, Explanation] = {}
        for answer in written:
            if isinstance(answer, Explanation):
                by_unit.setdefault(answer.unit, answer)
        why = {
            answer.unit: f"{answer.kind}: {answer.detail}"
            for answer in written
            if isinstance(answer, Failure)
        }
        simulated = self.simulate(list(by_unit.values()))
        truth = {case.unit: case.value for case in self.planted}
        found = []
        for unit in self._known.units:
            explanation = by_unit.get(unit.id)
            own = simulated.get(explanation.id) if explanation else None
            reason = "" if explanation else why.get(unit.id, "no explanation")
            text = explanation.text if explanation else ""
            case = self.case(unit, own, explainer.name, text, reason)
            found.append(replace(case, truth=truth[unit.id]))
        return found

    def case(
        self, unit: PlantedUnit, own: Simulated | None, explainer: str, text: str, reason: str = ""
    ) -> GateCase:
        """A planted unit with what someone says of it; true explanations of unrelated units are its nulls."""
        nulls = [
            self._simulated[f"{other.id}/{TRUTH}"]
            for other in self._known.units
            if self.is_unrelated(unit, other) and f"{other.id}/{TRUTH}" in self._simulated
        ]
        excerpts = self._known.planted[unit.id]
        case = GateCase(self.simulator.name, explainer, "planted", unit.id, text, *_BLANK, reason=reason)
        return _scored(case, excerpts, own, nulls)

    def _placebos(self) -> Iterator[GateCase]:
        """Each placebo with the explanation of a planted unit; the others' explanations are its nulls."""
        ids = sorted(self._simulated)
        rng = generator(self._known.seed, "placebos")
        texts = {explanation.id: explanation.text for explanation in self.truths}
        for name, activity in self._known.placebos():
            if not ids:
                return
            given = ids[int(rng.integers(len(ids)))]
            own = self._simulated[given]
            nulls = [self._simulated[id] for id in ids if id != given]
            case = GateCase(self.simulator.name, PLACEBO, "placebo", name, texts[given], *_BLANK)
            yield _scored(case, self._known.excerpts(activity), own, nulls)

    def _puzzles(self) -> Iterator[GateCase]:
        """Each puzzle with its true and false explanations, which are ranked among each other: no nulls."""
        puzzles = self._known.puzzles
        by_puzzle = [puzzle_explanations([puzzle]) for puzzle in puzzles]
        jobs = []
        for own, puzzle in zip(by_puzzle, puzzles, strict=True):
            passages = tuple(e.passage for e in puzzle.excerpts if e.split == "test")
            jobs += [SimulationJob(puzzle.unit.id, explanation, passages) for explanation in own]
        answers: dict[str, list[Simulation]] = {puzzle.unit.id: [] for puzzle in puzzles}
        for answer in self.simulator.simulate(jobs):
            if isinstance(answer, Simulation):
                answers[answer.unit].append(answer)
        for own, puzzle in zip(by_puzzle, puzzles, strict=True):
            yield from self._puzzle(puzzle, own, columns(answers[puzzle.unit.id]))

    def _puzzle(
        self, puzzle: Puzzle, own: Sequence[Explanation], simulated: Mapping[str, Simulated]
    ) -> list[GateCase]:
        test = [e for e in puzzle.excerpts if e.split == "test"]
        cases = []
        for explanation in own:
            who = TRUTH if explanation is own[0] else "false"
            case = GateCase(self.simulator.name, who, "puzzle", puzzle.unit.id, explanation.text, *_BLANK)
            cases.append(_scored(case, test, simulated.get(explanation.id), ()))
            self._step()
        return [replace(case, truth=cases[0].value) for case in cases]

    def simulate(self, explanations: Sequence[Explanation]) -> dict[str, Simulated]:
        """Explanation id → what it predicts on the pool; one without any answer is absent."""
        kept: list[Simulation] = []
        for start in range(0, len(explanations), _CHUNK):
            chunk = explanations[start : start + _CHUNK]
            jobs = [SimulationJob(_POOL, explanation, self._known.passages) for explanation in chunk]
            kept += [a for a in self.simulator.simulate(jobs) if isinstance(a, Simulation)]
            for _ in chunk:
                self._step()
        return columns(kept)


_BLANK = (math.nan, math.nan, math.nan, math.nan, False)  # value, null, excess, p, is_called


def _scored(
    case: GateCase, excerpts: Sequence[Excerpt], own: Simulated | None, nulls: Sequence[Simulated]
) -> GateCase:
    """The case with its correlation on test excerpts, its null and its rank."""
    if own is None:
        return replace(case, reason=case.reason or "no simulation answered")
    value, *others = _correlations(excerpts, [own, *nulls])
    defined = [other for other in others if not math.isnan(other)]
    null = sum(defined) / len(defined) if defined else math.nan
    # A null that predicts one value everywhere ranks as 0, as it does on real units.
    p = rank_p(value, [0.0 if math.isnan(other) else other for other in others])
    reason = case.reason
    if math.isnan(value):
        silent = not any(e.max_activation for e in excerpts)
        reason = "unit silent on every test window" if silent else "constant simulation"
    return replace(
        case,
        value=value,
        null=null,
        excess=value - null,
        p=p,
        is_called=bool(p <= CALLED),
        reason=reason,
    )


def _correlations(excerpts: Sequence[Excerpt], simulated: Sequence[Simulated]) -> list[float]:
    found = np.full(len(simulated), np.nan)
    for places, batch in batches(excerpts, simulated):
        one = np.zeros(len(batch.true), dtype=np.intp)
        sums = moments(batch.true, batch.predicted, batch.weights, one, n_documents=1)
        found[places] = correlation(sums)[:, 0]
    return found.tolist()


def _related(known: KnownAnswers) -> Mapping[str, set[str]]:
    """For each planted unit those, itself included, whose true activation correlates with its own."""
    flat = np.array([known.flat(unit.activity) for unit in known.units])
    w = known.flat_weights
    one = np.zeros(w.size, dtype=np.intp)
    rho = np.array([correlation(moments(row, flat, w, one, n_documents=1))[:, 0] for row in flat])
    names = [unit.id for unit in known.units]
    return {
        name: {name, *(names[j] for j in np.flatnonzero(rho[i] > RELATED))} for i, name in enumerate(names)
    }
