"""Texts compiled to programs: by an explainer, whose programs are scored, and inside a simulator."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from toy_excerpts import excerpt, services

from scrutable.evaluators.simulators.compiled import CompiledSimulator
from scrutable.pipeline import config
from scrutable.pipeline.explainers.compiled import CompiledExplainer
from scrutable.pipeline.protocols import Ask, Explanatory, SimulationJob
from scrutable.pipeline.records import (
    CallFailure,
    Completion,
    Cost,
    Explanation,
    Failure,
    Generate,
    Passage,
    Prompt,
    Simulation,
)

TEXT = Explanation("u", "llm", "english", "numbers")
COST = Cost(10, 8, 2)


def compiler(*replies: str) -> tuple[Ask, list[Prompt]]:
    """A model that gives the first reply when greedy and the others, by seed, when it samples."""
    asked: list[Prompt] = []

    def ask(prompts: Sequence[Prompt]) -> list[Completion | CallFailure]:
        asked.extend(prompts)
        reads = [prompt.read for prompt in prompts if isinstance(prompt.read, Generate)]
        return [Completion(text=replies[read.seed if read.temperature else 0], cost=COST) for read in reads]

    return ask, asked


def explainer(ask: Ask, candidates: int) -> CompiledExplainer:
    settings = config.CompiledExplainer(of="llm", model="toy", candidates=candidates)
    return CompiledExplainer("compiled", settings, services(ask))


def simulator(ask: Ask, candidates: int = 3) -> CompiledSimulator:
    return CompiledSimulator(
        "reader", config.CompiledSimulator(model="toy", candidates=candidates), services(ask)
    )


def job(text: str = "numbers", *words: str, unit: str = "u") -> SimulationJob:
    passages = tuple(
        Passage(f"p{i}", tuple(f" {w}" for w in word.split()), 1) for i, word in enumerate(words)
    )
    return SimulationJob(unit, Explanation(unit, "llm", "english", text), passages)


def test_candidates_are_the_different_programs_in_order() -> None:
    ask, asked = compiler(" digit", "digit ", 'word("two")', "numerals")
    found = explainer(ask, 4).explain([Explanatory("u", (excerpt(["a"], [1]),), TEXT)])
    programs = [e for e in found if isinstance(e, Explanation)]
    assert [(e.text, e.candidate, e.language) for e in programs] == [
        ("digit", 1, "program"),
        ('word("two")', 2, "program"),
    ]
    [failure] = [e for e in found if isinstance(e, Failure)]
    assert (failure.unit, failure.kind, failure.part) == ("u", "parse", "compiled")
    assert "numerals" in failure.detail
    assert all("Description: numbers" in prompt.text for prompt in asked)
    assert programs[0].cost == COST


def test_a_unit_without_a_text_is_a_named_failure() -> None:
    ask, asked = compiler("digit")
    [failure] = explainer(ask, 1).explain([Explanatory("u", (excerpt(["a"], [1]),), None)])
    assert isinstance(failure, Failure)
    assert failure.kind == "no_source"
    assert not asked


def test_the_simulator_runs_what_was_compiled() -> None:
    ask, asked = compiler("9: digit; 4: capitalized")
    found = simulator(ask).simulate([job("numbers", "the year 1999", "of Two 2")])
    assert [s.expected for s in found if isinstance(s, Simulation)] == [(0.0, 9.0), (4.0, 9.0)]
    assert len(asked) == 1


def test_one_text_is_compiled_once_and_paid_for_once() -> None:
    ask, asked = compiler("digit")
    found = simulator(ask).simulate([job("numbers", "a 1", "b 2"), job("numbers", "c 3", unit="v")])
    assert len(asked) == 1
    assert [s.cost for s in found if isinstance(s, Simulation)] == [COST, Cost(), Cost()]


def test_further_attempts_are_made_only_where_the_first_cannot_be_read() -> None:
    ask, asked = compiler("no program", "digit", "upper")
    [found] = simulator(ask).simulate([job("numbers", "a 1")])
    assert isinstance(found, Simulation)
    assert found.expected == (9.0,)
    assert len(asked) == 2
    assert found.cost == COST + COST


def test_a_text_that_cannot_be_compiled_fails_on_every_passage() -> None:
    ask, asked = compiler("no", "nor this", "nor that")
    found = simulator(ask).simulate([job("numbers", "a 1", "b 2")])
    assert [(f.kind, f.stage, f.part) for f in found if isinstance(f, Failure)] == [
        ("parse", "simulate", "reader")
    ] * 2
    assert len(asked) == 3


@pytest.mark.parametrize("part", [lambda ask: explainer(ask, 1), simulator])
def test_a_failed_call_keeps_its_kind(part: Callable[[Ask], CompiledExplainer | CompiledSimulator]) -> None:
    def ask(prompts: Sequence[Prompt]) -> list[Completion | CallFailure]:
        return [CallFailure("timeout", "after 60 s") for _ in prompts]

    made = part(ask)
    if isinstance(made, CompiledExplainer):
        [failure] = made.explain([Explanatory("u", (excerpt(["a"], [1]),), TEXT)])
    else:
        [failure] = made.simulate([job("numbers", "a 1")])
    assert isinstance(failure, Failure)
    assert failure.kind == "timeout"
