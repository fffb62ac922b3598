"""What an explanation saves over each baseline, on planted truths."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from scrutable.evaluators.behaviours.gains import source_interval, summarise_gains, worth
from scrutable.evaluators.statistics import bootstrap_counts, generator
from scrutable.pipeline.behaviours.records import Gain, Input, Loss
from tests.toy_behaviours import coin, evidence, inputs, observed, polite, predicted

FULL = {
    "truth": predicted(inputs(), polite, explanation="desk/llm"),
    "other": predicted(inputs(), coin(1), explanation="shop/llm"),
    "task": predicted(inputs(), coin(2), condition="task"),
    "few": predicted(inputs(), coin(3), condition="examples", explanation="desk/llm")
    | predicted(inputs(), coin(4), condition="examples", explanation="desk/llm", draw=2),
}


def gain(gains: Sequence[Gain], baseline: str, inputs: str = "all", *, explainer: str = "llm") -> Gain:
    (found,) = [g for g in gains if (g.explainer, g.baseline, g.inputs) == (explainer, baseline, inputs)]
    return found


def number(one: Input) -> int:
    return int(one.id.split(".")[1])


def loss(losses: Sequence[Loss], condition: str) -> Loss:
    (found,) = [one for one in losses if (one.condition, one.inputs) == (condition, "all")]
    return found


def test_the_truth_saves_nearly_all_bits_over_every_baseline() -> None:
    found = worth(evidence(*FULL.values()), peers=(), seed=0, draws=200)
    rates = loss(found.losses, "nothing").bits
    for baseline in ("nothing", "task", "examples", "shuffled"):
        one = gain(found.gains, baseline)
        assert one.bits > 0.85 * rates
        assert one.low > 0
    assert loss(found.losses, "explained").accuracy == 1.0


def test_what_says_nothing_gains_about_nothing() -> None:
    noise = predicted(inputs(), coin(7), explanation="desk/llm")
    found = worth(evidence(noise, FULL["other"]), peers=(), seed=0, draws=200)
    for baseline in ("nothing", "shuffled"):
        assert gain(found.gains, baseline).bits == pytest.approx(0, abs=0.1)


def test_a_gain_is_the_difference_of_two_losses() -> None:
    found = worth(evidence(*FULL.values()), peers=(), seed=0, draws=50)
    for baseline in ("nothing", "task", "examples", "shuffled"):
        saved = loss(found.losses, baseline).bits - loss(found.losses, "explained").bits
        assert gain(found.gains, baseline).bits == pytest.approx(saved)


def test_surprising_inputs_are_those_where_the_task_alone_expects_something_else() -> None:
    given = inputs(96)
    blind = predicted(
        given, lambda one: polite(one) if int(one.id.split(".")[1]) % 5 else "grant", condition="task"
    )
    truth = predicted(given, polite, explanation="desk/llm")
    found = worth(evidence(truth, blind, given=given), peers=(), seed=0, draws=50)
    surprising = {f.input for f in found.forecasts if f.is_surprising}
    expected = {
        one.id for one in given if one.split == "test" and number(one) % 5 == 0 and polite(one) != "grant"
    }
    assert surprising == expected
    assert gain(found.gains, "task", "surprising").n_inputs == len(expected)


def test_without_a_surprise_there_is_no_number_and_a_reason() -> None:
    task = predicted(inputs(), polite, condition="task")
    found = worth(evidence(FULL["truth"], task), peers=(), seed=0, draws=50)
    one = gain(found.gains, "task", "surprising")
    assert math.isnan(one.bits)
    assert one.reason == "no input is surprising"


def test_an_input_without_a_prediction_is_left_out_on_both_sides_and_counted() -> None:
    ((key, rows),) = FULL["truth"].items()
    lost = next(one.id for one in inputs() if one.split == "test")
    partial = {key: {id: row for id, row in rows.items() if id != lost}}
    found = worth(evidence(partial, FULL["task"]), peers=(), seed=0, draws=50)
    explained = loss(found.losses, "explained")
    assert (explained.n_asked - explained.n_inputs, gain(found.gains, "task").n_inputs) == (
        1,
        explained.n_inputs,
    )


def test_a_simulator_that_cannot_be_told_the_task_is_compared_with_one_that_can() -> None:
    rules = predicted(inputs(), polite, explanation="desk/rules", simulator="checker")
    found = worth(evidence(FULL["task"], rules), peers=(), seed=0, draws=50)
    assert gain(found.gains, "task", explainer="rules").bits > 0.5


def test_what_other_models_do_is_a_baseline() -> None:
    peers = {"twin": observed(inputs(), polite, model="twin")}
    found = worth(evidence(FULL["truth"], FULL["task"], others=peers), peers=("twin",), seed=0, draws=50)
    assert gain(found.gains, "consensus").bits == pytest.approx(0, abs=0.05)
    own = {"reader": observed(inputs(), polite, model="reader")}
    found = worth(evidence(FULL["truth"], FULL["task"], others=own), peers=(), seed=0, draws=50)
    assert gain(found.gains, "own_answer").bits == pytest.approx(0, abs=0.05)


def test_the_interval_is_over_sources_so_that_copies_of_an_input_do_not_narrow_it() -> None:
    values = np.array([0.0, 1.0, 0.2, 0.9, 0.1, 1.1])
    sources = np.arange(6)
    counts = bootstrap_counts(6, draws=2000, rng=generator(0, "test"))
    once = source_interval(values, sources, counts)
    copied = source_interval(np.repeat(values, 5), np.repeat(sources, 5), counts)
    assert copied == pytest.approx(once)
    assert math.isnan(source_interval(values, np.zeros(6, dtype=np.intp), counts).low)


def test_a_behaviour_without_a_gain_counts_as_failed() -> None:
    found = worth(evidence(*FULL.values()), peers=(), seed=0, draws=50)
    summaries = summarise_gains(found.gains, ["desk", "lost"], seed=0, draws=50)
    (row,) = [s for s in summaries if (s.baseline, s.inputs) == ("task", "all")]
    assert (row.n_behaviours, row.n_defined, row.n_failed) == (2, 1, 1)
