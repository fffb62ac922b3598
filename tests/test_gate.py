"""Known answers: a reader that understands passes, one that does not is stopped, with the reason."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_excerpts import excerpt, services
from toy_gate import Reader, gate, oracle, toy_windows

from scrutable.evaluators.gate.pool import draw_pool
from scrutable.evaluators.gate.units import placebo, planted_units
from scrutable.evaluators.gate.verdict import results, table, wilson
from scrutable.evaluators.simulators.program import ProgramSimulator
from scrutable.pipeline.config import ProgramSimulator as CheckerConfig
from scrutable.pipeline.program_text import write_program
from scrutable.pipeline.protocols import Explanatory, Gate
from scrutable.pipeline.puzzles import Puzzle
from scrutable.pipeline.records import Explanation, Failure, GateCase, Passage, Unit
from scrutable.pipeline.windows import Windows


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Windows:
    return toy_windows(tmp_path_factory.mktemp("gate"))


def checker() -> ProgramSimulator:
    return ProgramSimulator("checker", CheckerConfig(), services(lambda _: []))


def noise(text: str, tokens: tuple[str, ...]) -> list[float]:
    """A number that depends on the token and the explanation, and on what neither means."""
    return [float(zlib.crc32(f"{text}/{token}".encode()) % 1000) for token in tokens]


def test_there_are_forty_planted_units_or_more_and_their_words_differ() -> None:
    units = planted_units()
    assert len(units) >= 40
    assert len({unit.id for unit in units}) == len({unit.english for unit in units}) == len(units)


@pytest.fixture(scope="module")
def checked(windows: Windows) -> Gate:
    return gate(windows, [checker()], attacked=3)


def test_a_simulator_that_runs_the_truth_passes(checked: Gate) -> None:
    [result] = checked.results
    assert result.is_passed
    assert result.n_planted == len(planted_units())
    assert result.power >= 0.95
    assert result.ceiling == pytest.approx(1.0)
    assert result.size_low <= 0.05
    assert "passed" in checked.table


def test_a_reader_of_english_that_understands_passes(windows: Windows) -> None:
    [result] = gate(windows, [Reader(oracle)]).results
    assert result.is_passed
    assert result.ceiling > 0.99


def test_a_blind_reader_is_stopped_for_want_of_power(windows: Windows) -> None:
    [result] = gate(windows, [Reader(lambda _text, tokens: [float(len(token)) for token in tokens])]).results
    assert not result.is_passed
    assert result.power < 0.2
    assert "power" in result.reason


def test_a_reader_that_makes_things_up_calls_placebos_no_oftener_than_it_may(windows: Windows) -> None:
    [result] = gate(windows, [Reader(noise)], placebos=60).results
    assert result.size_low <= 0.05
    assert result.power < 0.3


@pytest.mark.parametrize(
    ("reader", "reason"),
    [
        (lambda _text, tokens: [1.0] * len(tokens), "constant simulation"),
        (lambda _text, _tokens: None, "no simulation answered"),
    ],
)
def test_an_answer_that_says_nothing_is_a_named_reason_and_never_zero(
    reader: object, reason: str, windows: Windows
) -> None:
    found = gate(windows, [Reader(reader)])  # type: ignore[arg-type]
    planted = [case for case in found.cases if case.kind == "planted"]
    assert {case.reason for case in planted} == {reason}
    assert all(math.isnan(case.value) and math.isnan(case.p) for case in planted)
    assert found.results[0].power == 0.0
    assert math.isnan(found.results[0].ceiling)


def test_simulators_of_other_languages_are_said_to_be_untested(windows: Windows) -> None:
    lookup = Reader(oracle, "lookup")
    lookup.language = "table"
    found = gate(windows, [checker(), lookup])
    assert found.notes == ("simulator lookup reads what has no known answers, and is not tested",)
    assert {result.simulator for result in found.results} == {"checker"}


def test_an_explainer_is_credited_with_the_rules_that_it_finds(windows: Windows) -> None:
    """One that knows the first 20 rules, says the same wrong thing of 10 others, and refuses the rest."""
    found = gate(windows, [checker()], [(Partial(), "program")])
    base, explained = found.results
    assert (base.explainer, explained.explainer) == ("", "partial")
    assert math.isnan(base.recovery)
    assert (explained.n_planted, explained.n_explained) == (len(planted_units()), 30)
    assert explained.recovery == pytest.approx(20 / len(planted_units()))
    assert explained.recovery_low < explained.recovery < explained.recovery_high
    refused = [case for case in found.cases if case.explainer == "partial" and not case.text]
    assert len(refused) == len(planted_units()) - 30
    assert all("refusal" in case.reason and math.isnan(case.value) for case in refused)


class Partial:
    """Sees excerpts of each planted unit, with its activations."""

    name = "partial"

    def prompts(self, jobs: object) -> list[object]:
        del jobs
        return []

    def explain(self, jobs: Sequence[Explanatory]) -> list[Explanation | Failure]:
        truths = {unit.id: write_program(unit.program) for unit in planted_units()}
        found: list[Explanation | Failure] = []
        for number, job in enumerate(jobs):
            assert all(e.split == "explain" for e in job.shown)
            assert any(e.max_activation for e in job.shown)
            if number < 30:
                text = truths[job.unit] if number < 20 else 'word("house")'
                found.append(Explanation(job.unit, self.name, "program", text))
            else:
                found.append(Failure(job.unit, "explain", "refusal", "I cannot help", self.name))
        return found


def test_what_is_partly_true_is_no_null(checked: Gate) -> None:
    """Years are digits: with "numbers written in digits" among its nulls, years could not be called."""
    cases = {case.unit: case for case in checked.cases if case.kind == "planted"}
    assert cases["years"].is_called
    assert cases["digits"].is_called


# puzzles


def puzzle(name: str, true: str, *false: str) -> Puzzle:
    """A unit that fires on its own name."""
    excerpts = tuple(
        excerpt(["A", f" {name}", f" w{i}", " b"], [0, 9, 0, 0], id=f"{name}-{i:02d}", split="test")
        for i in range(5)
    )
    return Puzzle(name, true, false, Unit(f"puzzle-{name}", 0, 0, "pos", 0.25, 9.0), excerpts)


def says(text: str, tokens: tuple[str, ...]) -> list[float]:
    return [float(token.strip() in text.split()) for token in tokens]


def test_true_explanations_are_put_above_false_ones(windows: Windows) -> None:
    puzzles = [puzzle("red", "red", "b"), puzzle("dog", "dog", "b", "w3")]
    [result] = gate(windows, [Reader(says)], puzzles=puzzles).results
    assert (result.auc, result.n_pairs, result.n_first, result.n_puzzles) == (1.0, 3, 2, 2)


def test_a_reader_for_whom_false_is_better_ranks_below_chance(windows: Windows) -> None:
    puzzles = [puzzle("red", "b", "red"), puzzle("dog", "b", "dog")]
    [result] = gate(windows, [Reader(says)], puzzles=puzzles).results
    assert (result.auc, result.n_first) == (0.0, 0)
    assert "AUC" in result.reason


def case(kind: str, explainer: str, unit: str, value: float, **facts: object) -> GateCase:
    made = GateCase("s", explainer, kind, unit, "text", value, 0.0, value, 0.01, value > 0.5)  # type: ignore[arg-type]
    return replace(made, **facts)


def test_ties_and_undefined_scores_count_as_halves_and_losses() -> None:
    cases = [
        case("planted", "truth", "p", 0.9),
        case("puzzle", "truth", "a", 0.4),
        case("puzzle", "false", "a", 0.4),
        case("puzzle", "false", "a", math.nan),
        case("puzzle", "truth", "b", math.nan),
        case("puzzle", "false", "b", math.nan),
        case("puzzle", "false", "b", -0.9),
    ]
    [result] = results(cases, seed=0)
    assert result.auc == pytest.approx((0.5 + 1 + 0.5 + 0) / 4)
    assert result.n_first == 0


def test_every_demand_that_is_not_met_is_said() -> None:
    cases = [case("planted", "truth", f"p{i}", 0.9 if i < 5 else 0.1) for i in range(10)]
    cases += [case("placebo", "placebo", f"x{i}", 0.9) for i in range(10)]
    [result] = results(cases, seed=0)
    assert not result.is_passed
    assert "power 0.50 is below 0.8" in result.reason
    assert "size 1.00 is above 0.05" in result.reason
    assert result.reason in table([result])


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(0, 40, 0.0, 0.0876), (1, 10, 0.0179, 0.4042), (5, 10, 0.2366, 0.7634), (40, 40, 0.9124, 1.0)],
)
def test_intervals_of_rates_are_wilsons(successes: int, n: int, low: float, high: float) -> None:
    """Values of R's prop.test without continuity correction."""
    assert wilson(successes, n) == pytest.approx((low, high), abs=2e-4)


def test_no_trial_has_no_interval() -> None:
    assert all(math.isnan(end) for end in wilson(0, 0))


# placebos and the pool


@pytest.mark.parametrize("number", [0, 1])
def test_placebos_fire_at_their_rate_and_mean_nothing(number: int) -> None:
    passages = [Passage(f"p{i}", tuple(f" word{i * 50 + t}" for t in range(50)), 0) for i in range(100)]
    active = placebo(number, rate=0.1, seed=0)
    share = np.mean([active(passage) for passage in passages])
    assert share == pytest.approx(0.1, abs=0.02)
    assert [active(p) for p in passages] == [placebo(number, rate=0.1, seed=0)(p) for p in passages]


def test_a_placebo_of_words_fires_on_the_same_words_everywhere() -> None:
    active = placebo(1, rate=0.3, seed=0)
    words = tuple(f" w{i}" for i in range(40))
    assert active(Passage("a", words, 0)) == active(Passage("b", tuple(w.upper() for w in words), 0))


@given(st.integers(0, 2**31), st.integers(20, 60))
def test_the_pool_holds_about_its_size_and_weights_are_at_least_one(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    fires = rng.random((12, 300)) < rng.choice([0.01, 0.05, 0.3], size=(12, 1))
    pool = draw_pool(fires, size=size, rng=rng)
    assert abs(len(pool.windows) - size) <= 1
    assert (pool.weights >= 1.0).all()
    assert (np.diff(pool.windows) > 0).all()


def test_weighted_sums_over_the_pool_are_right_on_average() -> None:
    """Horvitz-Thompson: the mean over 400 pools of how often each unit fires is its true count."""
    rng = np.random.default_rng(0)
    fires = rng.random((10, 400)) < np.geomspace(0.01, 0.4, 10)[:, None]
    estimates = []
    for seed in range(400):
        pool = draw_pool(fires, size=60, rng=np.random.default_rng(seed))
        estimates.append(fires[:, pool.windows] @ pool.weights)
    true, found = fires.sum(axis=1), np.array(estimates)
    error = found.std(axis=0) / math.sqrt(len(found))
    assert (np.abs(found.mean(axis=0) - true) < 4 * error + 1e-9).all()


def test_a_rare_unit_is_in_the_pool_and_a_small_population_is_taken_whole() -> None:
    fires = np.zeros((2, 500), dtype=np.bool_)
    fires[0, 7] = True
    fires[1, ::2] = True
    assert 7 in draw_pool(fires, size=20, rng=np.random.default_rng(0)).windows
    whole = draw_pool(fires, size=500, rng=np.random.default_rng(0))
    assert whole.windows.tolist() == list(range(500))
    assert set(whole.weights) == {1.0}


def test_the_gate_is_the_same_every_time(checked: Gate, tmp_path: Path) -> None:
    again = gate(toy_windows(tmp_path), [checker()], attacked=3)
    assert repr(again.cases) == repr(checked.cases)
    assert repr(again.attack_cases) == repr(checked.attack_cases)
