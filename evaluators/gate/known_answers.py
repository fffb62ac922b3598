"""The gate: does this simulator, or this explainer, work with known answers today?

Planted units on real text, placebos, and the neuron puzzles. A simulator must call what is true (power),
leave alone what is not (size), and score a true explanation above a false one (AUC). An explanation is
called if its rank p among nulls is at most 5 %: the same decision as on real units.

Shape key: X explanations, N scored tokens of the pool.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from scrutable.evaluators.evidence import batches, columns
from scrutable.evaluators.gate.pool import draw_pool
from scrutable.evaluators.gate.units import PLACEBO, TRUTH, Activity, PlantedUnit, placebo, planted_units
from scrutable.evaluators.statistics import correlation, generator, moments, rank_p
from scrutable.pipeline.config import GateConfig
from scrutable.pipeline.protocols import (
    Explainer,
    Explanatory,
    Progress,
    Simulated,
    SimulationJob,
    Simulator,
)
from scrutable.pipeline.puzzles import Puzzle, puzzle_explanations
from scrutable.pipeline.records import (
    SPLITS,
    Excerpt,
    Explanation,
    Failure,
    GateCase,
    Passage,
    Simulation,
    Split,
)
from scrutable.pipeline.windows import Windows

Floats = NDArray[np.float64]

CALLED = 0.05  # largest rank p at which an explanation is called
RELATED = 0.3  # true activations that correlate by more are no nulls of each other: they are partly true
RATES = (0.003, 0.01, 0.03, 0.1)  # of placebos, in turn
N_TOP = 10  # firing windows that are marked as strongest
SHOWN_FIRING, SHOWN_SILENT = 16, 24  # windows that an explainer under test sees of each unit
_CHUNK = 16  # explanations in one call of a simulator: bounds memory, and lets progress be seen
_POOL = "pool"


@dataclass(frozen=True)
class KnownAnswers:
    """The text, units and puzzles of one gate: made once, put to every simulator."""

    config: GateConfig
    windows: Windows
    units: tuple[PlantedUnit, ...]
    puzzles: tuple[Puzzle, ...]
    passages: tuple[Passage, ...]  # the pool: calibrate and test windows
    splits: tuple[Split, ...]
    documents: tuple[str, ...]
    weights: tuple[float, ...]
    seed: int

    def excerpts(self, activity: Activity) -> tuple[Excerpt, ...]:
        """The pool as excerpts of one unit."""
        n_top, found = 0, []
        for passage, split, document, weight in zip(
            self.passages, self.splits, self.documents, self.weights, strict=True
        ):
            activations = tuple(activity(passage))
            is_top = n_top < N_TOP and split == "test" and any(activations[passage.n_context :])
            n_top += is_top
            found.append(Excerpt(passage, document, split, activations, weight, is_top))
        return tuple(found)

    def test(self, activity: Activity) -> tuple[Excerpt, ...]:
        """The test windows of the pool as excerpts of one unit."""
        return tuple(e for e in self.excerpts(activity) if e.split == "test")

    def placebos(self) -> Iterator[tuple[str, Activity]]:
        """Name and activity of each placebo."""
        for number in range(self.config.placebos):
            rate = RATES[number % len(RATES)]
            yield f"placebo-{number:02d}", placebo(number // 2, rate=rate, seed=self.seed + number % 2)


def known_answers(
    windows: Windows, puzzles: Sequence[Puzzle], *, config: GateConfig, seed: int
) -> KnownAnswers:
    """Draws the pool from the calibrate and test windows of a corpus in planted tokens."""
    units = planted_units()
    passages: list[Passage] = []
    splits: list[Split] = []
    documents: list[str] = []
    weights: list[float] = []
    sizes: tuple[tuple[Split, int], ...] = (
        ("calibrate", config.calibrate_windows),
        ("test", config.test_windows),
    )
    for split, size in sizes:
        of_split = np.flatnonzero(windows.split == SPLITS.index(split))
        fires = firing(units, windows, of_split)
        pool = draw_pool(fires, size=size, rng=generator(seed, "pool", split))
        for place, weight in zip(pool.windows, pool.weights, strict=True):
            window = int(of_split[place])
            passages.append(windows.passage(window))
            splits.append(split)
            documents.append(windows.documents[windows.document[window]])
            weights.append(float(weight))
    return KnownAnswers(
        config,
        windows,
        units,
        tuple(puzzles),
        tuple(passages),
        tuple(splits),
        tuple(documents),
        tuple(weights),
        seed,
    )


def firing(units: Sequence[PlantedUnit], windows: Windows, chosen: NDArray[np.intp]) -> NDArray[np.bool_]:
    """(U, W) whether each unit fires on a scored token of each chosen window."""
    fires = np.zeros((len(units), len(chosen)), dtype=np.bool_)
    for column, window in enumerate(chosen):
        passage = windows.passage(int(window))
        for row, unit in enumerate(units):
            fires[row, column] = any(unit.activity(passage)[passage.n_context :])
    return fires


class Trial:
    """One simulator on the known answers: what it says of each explanation, and the cases that follow."""

    def __init__(self, known: KnownAnswers, simulator: Simulator, *, step: Callable[[], None]) -> None:
        self._known = known
        self._simulator = simulator
        self._step = step  # told after each explanation
        truths = [unit.truth(simulator.language) for unit in known.units]
        self._simulated = self._on_pool(truths)
        self._related = _related(known)

    @property
    def truths(self) -> list[Explanation]:
        """The true explanation of each planted unit, in the simulator's language."""
        return [unit.truth(self._simulator.language) for unit in self._known.units]

    def cases(self) -> list[GateCase]:
        """Planted units with their true explanation, placebos, and puzzles if the simulator reads English."""
        found = [*self._planted(), *self._placebos()]
        if self._simulator.language == "english":
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
        simulated = self._on_pool(list(by_unit.values()))
        truth = {case.unit: case.value for case in self._planted()}
        found = []
        for unit in self._known.units:
            explanation = by_unit.get(unit.id)
            own = simulated.get(explanation.id) if explanation else None
            reason = "" if explanation else why.get(unit.id, "no explanation")
            text = explanation.text if explanation else ""
            case = self._planted_case(unit, own, explainer.name, text, reason)
            found.append(replace(case, truth=truth[unit.id]))
        return found

    def _planted(self) -> list[GateCase]:
        found = []
        for unit in self._known.units:
            own = self._simulated.get(f"{unit.id}/{TRUTH}")
            text = unit.truth(self._simulator.language).text
            case = self._planted_case(unit, own, TRUTH, text, "")
            found.append(replace(case, truth=case.value))
        return found

    def _planted_case(
        self, unit: PlantedUnit, own: Simulated | None, explainer: str, text: str, reason: str
    ) -> GateCase:
        nulls = [
            self._simulated[f"{other.id}/{TRUTH}"]
            for other in self._known.units
            if other.id not in self._related[unit.id] and f"{other.id}/{TRUTH}" in self._simulated
        ]
        excerpts = self._known.test(unit.activity)
        case = GateCase(self._simulator.name, explainer, "planted", unit.id, text, *_BLANK, reason=reason)
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
            case = GateCase(self._simulator.name, PLACEBO, "placebo", name, texts[given], *_BLANK)
            yield _scored(case, self._known.test(activity), own, nulls)

    def _puzzles(self) -> Iterator[GateCase]:
        """Each puzzle with its true and false explanations; the other puzzles' true ones are the nulls."""
        puzzles = self._known.puzzles
        by_puzzle = [puzzle_explanations([puzzle]) for puzzle in puzzles]
        truths = [true for true, *_ in by_puzzle]
        jobs = []
        for own, puzzle in zip(by_puzzle, puzzles, strict=True):
            passages = tuple(e.passage for e in puzzle.excerpts)
            others = [true for true in truths if true.unit != puzzle.unit.id]
            jobs += [SimulationJob(puzzle.unit.id, explanation, passages) for explanation in (*own, *others)]
        answers: dict[str, list[Simulation]] = {puzzle.unit.id: [] for puzzle in puzzles}
        for answer in self._simulator.simulate(jobs):
            if isinstance(answer, Simulation):
                answers[answer.unit].append(answer)
        for own, puzzle in zip(by_puzzle, puzzles, strict=True):
            yield from self._puzzle(puzzle, own, columns(answers[puzzle.unit.id]))

    def _puzzle(
        self, puzzle: Puzzle, own: Sequence[Explanation], simulated: Mapping[str, Simulated]
    ) -> list[GateCase]:
        nulls = [one for name, one in simulated.items() if not name.startswith(f"{puzzle.unit.id}/")]
        test = [e for e in puzzle.excerpts if e.split == "test"]
        cases = []
        for explanation in own:
            who = TRUTH if explanation is own[0] else "false"
            case = GateCase(self._simulator.name, who, "puzzle", puzzle.unit.id, explanation.text, *_BLANK)
            cases.append(_scored(case, test, simulated.get(explanation.id), nulls))
            self._step()
        return [replace(case, truth=cases[0].value) for case in cases]

    def _on_pool(self, explanations: Sequence[Explanation]) -> dict[str, Simulated]:
        """Explanation id → what it predicts on the pool; one without any answer is absent."""
        kept: list[Simulation] = []
        for start in range(0, len(explanations), _CHUNK):
            chunk = explanations[start : start + _CHUNK]
            jobs = [SimulationJob(_POOL, explanation, self._known.passages) for explanation in chunk]
            kept += [a for a in self._simulator.simulate(jobs) if isinstance(a, Simulation)]
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
    p = rank_p(value, defined)
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
    excerpts = {unit.id: known.test(unit.activity) for unit in known.units}
    flat = np.array(
        [[a for e in one for a in e.activations[e.passage.n_context :]] for one in excerpts.values()]
    )
    some = next(iter(excerpts.values()))
    w = np.array([e.weight for e in some for _ in e.activations[e.passage.n_context :]])
    one = np.zeros(w.size, dtype=np.intp)
    rho = np.array([correlation(moments(row, flat, w, one, n_documents=1))[:, 0] for row in flat])
    names = list(excerpts)
    return {
        name: {name, *(names[j] for j in np.flatnonzero(rho[i] > RELATED))} for i, name in enumerate(names)
    }


def explanatory(known: KnownAnswers) -> list[Explanatory]:
    """What an explainer under test sees of each planted unit: windows of the explain split, with weights."""
    of_split = np.flatnonzero(known.windows.split == SPLITS.index("explain"))
    fires = firing(known.units, known.windows, of_split)
    return [
        Explanatory(unit.id, tuple(_shown(known, unit, of_split, fires[u])))
        for u, unit in enumerate(known.units)
        if fires[u].any()
    ]


def _shown(
    known: KnownAnswers, unit: PlantedUnit, of_split: NDArray[np.intp], fires: NDArray[np.bool_]
) -> Iterator[Excerpt]:
    rng = generator(known.seed, "shown", unit.id)
    for is_firing, wanted in ((True, SHOWN_FIRING), (False, SHOWN_SILENT)):
        places = np.flatnonzero(fires == is_firing)
        drawn = rng.permutation(places)[:wanted]
        for place in drawn:
            window = int(of_split[place])
            passage = known.windows.passage(window)
            yield Excerpt(
                passage=passage,
                document=known.windows.documents[known.windows.document[window]],
                split="explain",
                activations=tuple(unit.activity(passage)),
                weight=len(places) / len(drawn),
                is_top=is_firing,
            )


def all_cases(
    known: KnownAnswers,
    simulators: Sequence[Simulator],
    explainers: Sequence[tuple[Explainer, str]],
    *,
    progress: Progress,
) -> list[GateCase]:
    """Every simulator that reads English or programs, and every explainer with those that read it.

    Args:
        known: the known answers.
        simulators: under test; those of other languages have no known answers, and are passed over.
        explainers: under test, each with the language that it writes.
        progress: told how many explanations have been simulated, of about how many.
    """
    tested = [s for s in simulators if s.language in ("english", "program")]
    pairs = sum(language == s.language for s in tested for _, language in explainers)
    n_puzzle = sum(1 + len(puzzle.false_explanations) for puzzle in known.puzzles)
    n_english = sum(s.language == "english" for s in tested)
    total = len(known.units) * (len(tested) + pairs) + n_puzzle * n_english
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        progress(min(done, total), total)

    jobs = explanatory(known) if explainers else []
    written = {explainer.name: explainer.explain(jobs) for explainer, _ in explainers}
    trials = [(simulator, Trial(known, simulator, step=step)) for simulator in tested]
    return list(
        chain.from_iterable(
            [
                *trial.cases(),
                *(
                    case
                    for explainer, language in explainers
                    if language == simulator.language
                    for case in trial.explained(explainer, written[explainer.name])
                ),
            ]
            for simulator, trial in trials
        )
    )
