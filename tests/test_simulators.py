"""The simulators: what each predicts, and what it refuses to predict from an unusable answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_excerpts import services

from scrutable.evaluators.simulators import SIMULATORS
from scrutable.evaluators.simulators.program import ProgramSimulator
from scrutable.evaluators.simulators.prompted import PromptedSimulator, distributions
from scrutable.evaluators.simulators.table import TableSimulator
from scrutable.pipeline.backends.scripted import Script, ScriptedBackend
from scrutable.pipeline.config import ProgramSimulator as ProgramConfig
from scrutable.pipeline.config import PromptedSimulator as PromptedConfig
from scrutable.pipeline.config import TableSimulator as TableConfig
from scrutable.pipeline.errors import ParseError
from scrutable.pipeline.prompting import Labels
from scrutable.pipeline.protocols import SimulationJob, Simulator
from scrutable.pipeline.records import (
    CallFailure,
    Cost,
    Explanation,
    Failure,
    Language,
    Passage,
    Prompt,
    ReadLabels,
    Simulation,
)

LONG = Passage("long", (" BOS", " the", " cat", " ate", " 3"), n_context=1)
SHORT = Passage("short", (" a", " cat"), n_context=0)
DIGITS = Labels(tuple("0123456789"), tuple(map(float, range(10))), has_rest=False)
MARK = Labels(("*",), (1.0, 0.0), has_rest=True)


def job(
    text: str, *passages: Passage, language: Language = "english", unit: str = "L0.N0.pos"
) -> SimulationJob:
    return SimulationJob(unit, Explanation(unit, "own", language, text), passages)


def silent(prompt: Prompt) -> str:
    raise AssertionError(f"no model is to be asked, but was: {prompt}")


def table(text: str, *passages: Passage) -> list[Simulation | Failure]:
    made = TableSimulator("lookup", TableConfig(), services(ScriptedBackend(silent)))
    return made.simulate([job(text, *passages, language="table")])


def program(text: str, *passages: Passage) -> list[Simulation | Failure]:
    made = ProgramSimulator("checker", ProgramConfig(), services(ScriptedBackend(silent)))
    return made.simulate([job(text, *passages, language="program")])


def prompted(script: Script, prompt: str = "simulate_levels") -> tuple[PromptedSimulator, ScriptedBackend]:
    backend = ScriptedBackend(script)
    config = PromptedConfig(model="scripted", prompt=prompt)
    return PromptedSimulator("prompted", config, services(backend)), backend


def positions(prompt: Prompt) -> int:
    assert isinstance(prompt.read, ReadLabels)
    return len(prompt.read.positions)


def levels(prompt: Prompt) -> Sequence[Sequence[float]]:
    """Half of the mass at 0 and a quarter at 9; the last quarter is on no label."""
    row = [math.log(0.5), *[-math.inf] * 8, math.log(0.25)]
    return [row] * positions(prompt)


def simulated(answers: Sequence[Simulation | Failure]) -> list[Simulation]:
    assert all(isinstance(answer, Simulation) for answer in answers), answers
    return [answer for answer in answers if isinstance(answer, Simulation)]


def failures(answers: Sequence[Simulation | Failure]) -> list[Failure]:
    assert all(isinstance(answer, Failure) for answer in answers), answers
    return [answer for answer in answers if isinstance(answer, Failure)]


def test_every_kind_in_the_config_has_its_simulator_and_its_language() -> None:
    languages = {kind: made.language for kind, made in SIMULATORS.items()}
    assert languages == {
        "prompted": "english",
        "trained": "english",
        "compiled": "english",
        "table": "table",
        "ngrams": "ngrams",
        "program": "program",
        "probe": "probe",
    }


# table and program


def test_a_table_gives_each_token_its_mean_and_the_others_theirs() -> None:
    first, second = simulated(table('{" cat": 2.5, "": 0.25}', LONG, SHORT))
    assert first.expected == (0.25, 2.5, 0.25, 0.25)
    assert second.expected == (0.25, 2.5)
    assert (first.explanation, first.simulator, first.excerpt) == ("L0.N0.pos/own", "lookup", "long")


def test_a_table_tells_a_token_with_a_space_from_one_without() -> None:
    (answer,) = simulated(table('{"cat": 2, "": 0}', SHORT))
    assert answer.expected == (0.0, 0.0)


def test_a_program_gives_its_level_where_it_holds_and_zero_elsewhere() -> None:
    (answer,) = simulated(program('digit or word("cat")', LONG))
    assert answer.expected == (0.0, 9.0, 0.0, 9.0)


def test_a_program_sees_the_context_but_says_nothing_of_it() -> None:
    (answer,) = simulated(program('after(word("bos"))', LONG))
    assert answer.expected == (9.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("made", [table, program], ids=["table", "program"])
def test_an_unreadable_explanation_fails_on_each_passage(made: type) -> None:
    first, second = failures(made("it likes cats", LONG, SHORT))
    assert first == second
    assert (first.unit, first.stage, first.kind) == ("L0.N0.pos", "simulate", "parse")


def test_simulators_of_code_read_no_labels_and_cost_nothing() -> None:
    for answer in (*simulated(table('{"": 0}', SHORT)), *simulated(program("digit", SHORT))):
        assert (answer.probabilities, answer.levels, answer.cost) == ((), (), Cost())
        assert math.isnan(answer.label_mass)


def test_simulators_of_code_plan_no_prompts() -> None:
    ask = services(ScriptedBackend(silent))
    made: list[Simulator] = [
        TableSimulator("t", TableConfig(), ask),
        ProgramSimulator("p", ProgramConfig(), ask),
    ]
    assert [simulator.prompts([job("x", LONG)]) for simulator in made] == [[], []]


# prompted


def test_expected_values_are_of_the_distribution_over_the_labels() -> None:
    made, backend = prompted(levels)
    (answer,) = simulated(made.simulate([job("cats", LONG)]))
    assert answer.expected == pytest.approx([9 * 0.25 / 0.75] * 4)
    assert answer.label_mass == pytest.approx(0.75)
    assert answer.levels == DIGITS.levels
    assert np.reshape(answer.probabilities, (4, 10)).sum(axis=1) == pytest.approx(1)
    assert answer.cost.prompt_tokens == len(backend.asked[0].whole.split())


def test_with_a_rest_every_other_token_stands_for_the_last_level() -> None:
    made, _ = prompted(lambda prompt: [[math.log(0.3)]] * positions(prompt), "simulate_marks")
    (answer,) = simulated(made.simulate([job("cats", SHORT)]))
    assert answer.levels == (1.0, 0.0)
    assert answer.probabilities == pytest.approx([0.3, 0.7] * 2)
    assert answer.expected == pytest.approx([0.3, 0.3])
    assert math.isnan(answer.label_mass), "it is 1 by construction and says nothing"


def test_a_label_without_mass_is_the_rest_and_no_failure() -> None:
    made, _ = prompted(lambda prompt: [[-math.inf]] * positions(prompt), "simulate_marks")
    (answer,) = simulated(made.simulate([job("cats", SHORT)]))
    assert answer.expected == (0.0, 0.0)


def test_simulations_come_in_the_order_of_jobs_and_of_their_passages() -> None:
    made, _ = prompted(levels)
    own, null = job("cats", LONG, SHORT), job("dogs", SHORT, LONG, unit="L0.N1.pos")
    answers = simulated(made.simulate([own, null]))
    assert [(each.unit, each.excerpt) for each in answers] == [
        ("L0.N0.pos", "long"),
        ("L0.N0.pos", "short"),
        ("L0.N1.pos", "short"),
        ("L0.N1.pos", "long"),
    ]
    assert [len(each.expected) for each in answers] == [4, 2, 2, 4]


def test_a_null_is_asked_with_the_other_units_explanation() -> None:
    made, backend = prompted(levels)
    (answer,) = simulated(made.simulate([replace_unit(job("dogs", SHORT, unit="L0.N1.pos"), "L0.N0.pos")]))
    assert "Description: dogs" in backend.asked[0].whole
    assert (answer.unit, answer.explanation, answer.is_null) == ("L0.N0.pos", "L0.N1.pos/own", True)


def replace_unit(given: SimulationJob, unit: str) -> SimulationJob:
    return given._replace(unit=unit)


def test_the_dry_run_names_the_prompts_that_are_asked() -> None:
    made, backend = prompted(levels)
    jobs = [job("cats", LONG, SHORT), job("dogs", SHORT)]
    planned = made.prompts(jobs)
    assert backend.asked == []
    made.simulate(jobs)
    assert backend.asked == planned
    assert len(planned) == 3


def test_the_simulator_sees_nothing_of_who_wrote_the_explanation() -> None:
    made, _ = prompted(levels)
    plain = job("cats", SHORT)
    told = plain._replace(
        unit="L9.N9.neg", explanation=replace(plain.explanation, reply="secret", shown=("e0",), model="other")
    )
    assert made.prompts([plain]) == made.prompts([told])


ZERO_MASS = [-math.inf] * 10
FLAT = [math.log(0.1)] * 10


@pytest.mark.parametrize(
    ("script", "kind", "detail"),
    [
        (lambda _: CallFailure("too_long", "9 tokens, but 8 fit"), "too_long", "9 tokens, but 8 fit"),
        (lambda _: [FLAT], "malformed", "1 readings for 2 tokens"),
        (lambda _: [FLAT] * 3, "malformed", "3 readings for 2 tokens"),
        (lambda _: "a text", "malformed", "0 readings for 2 tokens"),
        (lambda _: [FLAT, FLAT[:9]], "malformed", "each of the 10 labels"),
        (lambda _: [FLAT * 2, FLAT * 2], "malformed", "each of the 10 labels"),
        (lambda _: [FLAT, [math.nan] * 10], "malformed", "no log-probability"),
        (lambda _: [FLAT, [0.0] * 9 + [3.0]], "malformed", "no log-probability"),
        (lambda _: [FLAT, ZERO_MASS], "no_label_mass", "no probability at some token"),
    ],
)
def test_an_unusable_answer_is_a_failure_that_names_its_passage(
    script: Script, kind: str, detail: str
) -> None:
    made, _ = prompted(script)
    (failure,) = failures(made.simulate([job("cats", SHORT)]))
    assert (failure.unit, failure.stage, failure.part) == ("L0.N0.pos", "simulate", "prompted")
    assert failure.kind == kind
    assert failure.detail.startswith("L0.N0.pos/own on short: ")
    assert detail in failure.detail


def test_one_failed_passage_leaves_the_others_in_their_places() -> None:
    def script(prompt: Prompt) -> CallFailure | Sequence[Sequence[float]]:
        return CallFailure("timeout", "too slow") if positions(prompt) == 4 else levels(prompt)

    made, _ = prompted(script)
    first, second, third = made.simulate([job("cats", SHORT, LONG, SHORT)])
    assert isinstance(second, Failure)
    assert [each.excerpt for each in simulated([first, third])] == ["short", "short"]


LOGPROBS = st.floats(min_value=-60, max_value=0)


@given(st.lists(st.lists(LOGPROBS, min_size=10, max_size=10), min_size=1, max_size=5), LOGPROBS)
def test_rows_sum_to_one_and_do_not_depend_on_the_mass_of_the_labels(
    raw: list[list[float]], shift: float
) -> None:
    logprobs = np.array(raw) - math.log(10)  # ten labels together have a mass of at most 1
    p, mass = distributions(logprobs.tolist(), DIGITS)
    shifted, less = distributions((logprobs + shift).tolist(), DIGITS)
    assert p.sum(axis=1) == pytest.approx(1)
    assert shifted == pytest.approx(p)
    assert less == pytest.approx(mass * math.exp(shift))


@given(st.lists(LOGPROBS, max_size=5))
def test_with_a_rest_rows_sum_to_one_and_the_label_keeps_its_probability(raw: list[float]) -> None:
    p, mass = distributions([[value] for value in raw], MARK)
    assert p.sum(axis=1) == pytest.approx(1)
    assert p[:, 0] == pytest.approx(np.exp(raw))
    assert math.isnan(mass)


def test_rounding_above_one_leaves_nothing_for_the_rest() -> None:
    p, _ = distributions([[1e-7]], MARK)
    assert p[0, 1] == 0


def test_labels_without_any_mass_cannot_be_renormalised() -> None:
    with pytest.raises(ParseError, match="the labels 0, 1, 2"):
        distributions([FLAT, ZERO_MASS], DIGITS)
