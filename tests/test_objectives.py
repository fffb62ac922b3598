"""Objectives of training: probabilities that are some, and losses that prefer what is true."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scrutable.evaluators.trained.objectives import log_probabilities, loss
from scrutable.pipeline.config import Objective

OBJECTIVES: tuple[Objective, ...] = ("levels", "hurdle", "ranking")
LEVELS = (0.0, 1.0, 2.0)
Logits = st.lists(st.lists(st.floats(-20, 20), min_size=3, max_size=3), min_size=1, max_size=5)


@pytest.mark.parametrize("objective", OBJECTIVES)
@given(logits=Logits)
def test_probabilities_of_all_levels_sum_to_one(objective: Objective, logits: list[list[float]]) -> None:
    p = log_probabilities(torch.tensor(logits), objective).exp()
    torch.testing.assert_close(p.sum(-1), torch.ones(len(logits)), atol=1e-5, rtol=0)


def test_with_a_hurdle_how_strongly_does_not_depend_on_whether() -> None:
    p = [log_probabilities(torch.tensor([[z, 1.0, 2.0]]), "hurdle").exp()[0] for z in (-3.0, 3.0)]
    assert p[0][0] < 0.1 < 0.9 < p[1][0]
    torch.testing.assert_close(p[0][1] / p[0][2], p[1][1] / p[1][2])


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_loss_falls_when_the_true_level_becomes_likelier(objective: Objective) -> None:
    truth = torch.tensor([0, 2])
    pairs = [(slice(0, 1), slice(1, 2))]
    worse, better = torch.zeros(2, 3), torch.tensor([[4.0, 0.0, 0.0], [0.0, 0.0, 4.0]])
    losses = [
        loss(logits, truth, objective=objective, levels=LEVELS, pairs=pairs) for logits in (worse, better)
    ]
    assert losses[1] < losses[0]


@pytest.mark.parametrize("objective", ["levels", "hurdle"])
@pytest.mark.parametrize("firing_weight", [1.0, 4.0])
def test_what_is_learnt_is_how_often_each_level_occurs_whatever_a_firing_token_weighs(
    objective: Objective, firing_weight: float
) -> None:
    truth = torch.tensor([0] * 12 + [1] * 3 + [2])
    logits = torch.zeros(1, 3, requires_grad=True)
    optimiser = torch.optim.LBFGS([logits], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        rows = logits.expand(len(truth), 3)
        found = loss(rows, truth, objective=objective, levels=LEVELS, pairs=[], firing_weight=firing_weight)
        torch.autograd.backward(found)
        return found

    optimiser.step(closure)
    p = log_probabilities(logits, objective).exp()[0].detach()
    torch.testing.assert_close(p, torch.tensor([12, 3, 1]) / 16, atol=1e-3, rtol=0)


def test_a_firing_token_weighs_as_much_as_it_is_said_to() -> None:
    sure_of_silence, ignorant = [9.0, 0.0, 0.0], [0.0, 0.0, 0.0]
    logits = torch.tensor([sure_of_silence, ignorant])
    lost = [
        loss(logits, torch.tensor([0, 2]), objective="levels", levels=LEVELS, pairs=[], firing_weight=weight)
        for weight in (1.0, 1e6)
    ]
    assert lost[0] == pytest.approx(math.log(3) / 2, abs=1e-2)
    assert lost[1] == pytest.approx(math.log(2), abs=1e-2)  # silence is out of the question, of two levels


def test_ranking_pays_for_two_descriptions_of_one_text_in_the_wrong_order() -> None:
    truth = torch.tensor([2, 0])
    right = torch.tensor([[0.0, 0.0, 2.0], [2.0, 0.0, 0.0]])
    pairs = [(slice(0, 1), slice(1, 2))]

    def extra(logits: torch.Tensor) -> float:
        ranked = loss(logits, truth, objective="ranking", levels=LEVELS, pairs=pairs)
        return float(ranked - loss(logits, truth, objective="levels", levels=LEVELS, pairs=pairs))

    assert extra(right.flip(0)) > extra(right) > 0


def test_ranking_without_a_pair_that_differs_is_the_plain_loss() -> None:
    logits, truth = torch.randn(2, 3), torch.tensor([1, 1])
    plain = loss(logits, truth, objective="levels", levels=LEVELS, pairs=[])
    for pairs in ([], [(slice(0, 1), slice(1, 2))]):
        assert loss(logits, truth, objective="ranking", levels=LEVELS, pairs=pairs) == plain
