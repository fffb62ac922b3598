"""What a head is taught: how logits become probabilities of levels, and what a lesson costs.

Shape key: R tokens of all lessons of a step, L levels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch.nn.functional import nll_loss, one_hot, softplus

from scrutable.pipeline.config import Objective

SILENCE = 0  # number of the level
_RANKING_WEIGHT = 0.5
_MARGIN_SCALE = 1.0  # levels


def log_probabilities(logits_RL: torch.Tensor, objective: Objective) -> torch.Tensor:
    """(R, L) natural-log probabilities; the first level is silence.

    `hurdle`: whether the unit fires is decided by the first logit alone, how strongly by the others.
    """
    if objective != "hurdle":
        return logits_RL.log_softmax(-1)
    silent, strong = logits_RL[:, :1], logits_RL[:, 1:]
    return torch.cat([-softplus(-silent), -softplus(silent) + strong.log_softmax(-1)], dim=1)


def loss(
    logits_RL: torch.Tensor,
    truth_R: torch.Tensor,
    *,
    objective: Objective,
    levels: Sequence[float],
    pairs: Sequence[tuple[slice, slice]],
    firing_weight: float = 1.0,
) -> torch.Tensor:
    """Weighted mean negative log-likelihood of the true levels, in nats for each token.

    Few tokens fire, so these weigh more. That alone would teach odds of firing that are as many times too
    high; the likelihood is therefore that of logits whose odds are raised by the weight (the prior correction
    of King & Zeng 2001, section 4.1), and the head itself learns the true odds.

    `ranking` adds, for two descriptions of one text, what it takes to put the expected levels of a token in
    the order of the true ones (RankNet, Burges et al. 2005).

    Args:
        logits_RL: of the head.
        truth_R: number of the true level.
        objective: which one.
        levels: (L,) the value of each level.
        pairs: the rows of two lessons with the same text.
        firing_weight: of a token at which the rule fires, beside 1 of any other; above 0.
    """
    silent_L = one_hot(torch.tensor(SILENCE), logits_RL.shape[1]).to(logits_RL)
    raised_RL = log_probabilities(logits_RL - math.log(firing_weight) * silent_L, objective)
    weight_R = torch.where(truth_R == SILENCE, 1.0, firing_weight)
    total = (weight_R * nll_loss(raised_RL, truth_R, reduction="none")).sum() / weight_R.sum()
    if objective == "ranking" and pairs:
        p_RL = log_probabilities(logits_RL, objective).exp()
        expected_R = p_RL @ torch.tensor(levels, device=p_RL.device)
        apart = torch.cat([expected_R[a] - expected_R[b] for a, b in pairs])
        truly = torch.cat([truth_R[a] - truth_R[b] for a, b in pairs])
        differs = truly != 0
        if differs.any():
            wrong = softplus(-apart[differs] * truly[differs].sign() / _MARGIN_SCALE)
            total = total + _RANKING_WEIGHT * wrong.mean()
    return total
