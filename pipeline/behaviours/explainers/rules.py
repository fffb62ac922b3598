"""A rule list over readable cues, written as a policy (separate and conquer, Fürnkranz 1999)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scrutable.pipeline.behaviours.config import RulesAccount as RulesConfig
from scrutable.pipeline.behaviours.cues import Cues, readable_cues
from scrutable.pipeline.behaviours.folds import chosen_size
from scrutable.pipeline.behaviours.policies import Branch, Condition, Joined, No, Policy
from scrutable.pipeline.behaviours.policy_text import write_policy
from scrutable.pipeline.behaviours.protocols import BehaviourServices, Shown
from scrutable.pipeline.records import Explanation, Failure, Language

Bools = NDArray[np.bool_]

_FEWEST = 3  # inputs that a rule covers
_BEAM = 24  # cues that a second one is tried with
_WORTH = 2  # inputs that a rule must set right


class _Rule(NamedTuple):
    """Up to two cues, denied or not, and the outcome that follows."""

    literals: tuple[int, ...]  # numbers of cues; a denied one is ~number
    outcome: int


class RulesAccount:
    """Finds one rule after the other; how many is chosen on held-out sources."""

    language: Language = "policy"

    def __init__(self, name: str, config: RulesConfig, services: BehaviourServices) -> None:
        del services
        self.name = name
        self._config = config

    def explain(self, jobs: Sequence[Shown]) -> list[Explanation | Failure]:
        """One policy for each job; one branch where nothing tells the outcomes apart."""
        return [self._explain(job) for job in jobs]

    def _explain(self, job: Shown) -> Explanation | Failure:
        outcomes = job.definition.outcomes
        cues = readable_cues(job.pairs, outcomes)
        known: dict[bytes, tuple[Cues, list[_Rule]]] = {}

        def predict(n: int, fit: Bools, new: Bools) -> NDArray[np.intp]:
            if n == 0:  # by all: what is commonest outside a fold is rarer in it, a point for any cue
                return np.full(int(new.sum()), np.bincount(cues.outcomes).argmax())
            if fit.tobytes() not in known:  # a list of n rules is the beginning of a longer one
                chosen = readable_cues(job.pairs, outcomes, among=fit)
                longest = _found(chosen, fit, self._config.rules, n_outcomes=len(outcomes))
                known[fit.tobytes()] = chosen, longest
            chosen, longest = known[fit.tobytes()]
            return _predicted(longest[:n], _otherwise(longest[:n], chosen, fit), chosen.holds[:, new])

        n = chosen_size(job.pairs, cues.outcomes, range(self._config.rules + 1), predict)
        everything = np.ones(len(job.pairs), dtype=bool)
        rules = _found(cues, everything, n, n_outcomes=len(outcomes))
        last = _otherwise(rules, cues, everything)
        branches = [Branch(outcomes[rule.outcome], _condition(rule, cues)) for rule in rules]
        return Explanation(
            unit=job.definition.name,
            explainer=self.name,
            language=self.language,
            text=write_policy(Policy((*branches, Branch(outcomes[last], None)))),
            shown=tuple(pair.input.id for pair in job.pairs),
        )


def _found(cues: Cues, mask: Bools, n: int, *, n_outcomes: int) -> list[_Rule]:
    """At most `n` rules for the inputs of a mask (N,)."""
    one_hot = np.eye(n_outcomes)[cues.outcomes] * mask[:, None]  # (N, K)
    literals = np.concatenate([cues.holds, ~cues.holds]).astype(np.float64)  # (2A, N)
    rules: list[_Rule] = []
    for _ in range(n):
        best = _best(literals, one_hot, len(cues.conditions))
        if best is None:
            break
        rules.append(best)
        one_hot = one_hot * ~_covered(best, cues.holds)[:, None]
    return rules


def _otherwise(rules: Sequence[_Rule], cues: Cues, mask: Bools) -> int:
    """The commonest outcome of the inputs that no rule covers, or of all if there are none."""
    left = mask.copy()
    for rule in rules:
        left &= ~_covered(rule, cues.holds)
    return int(np.bincount(cues.outcomes[left if left.any() else mask]).argmax())


def _covered(rule: _Rule, holds: Bools) -> Bools:
    covered = np.ones(holds.shape[1], dtype=bool)
    for literal in rule.literals:
        covered &= holds[literal] if literal >= 0 else ~holds[~literal]
    return covered


def _best(literals: NDArray[np.float64], one_hot: NDArray[np.float64], n_cues: int) -> _Rule | None:
    """The rule that sets most inputs right which the commonest outcome would get wrong."""
    if not len(literals) or not one_hot.any():
        return None
    usual = int(one_hot.sum(axis=0).argmax())

    def worth(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        counts = rows @ one_hot  # (R, K)
        gained: NDArray[np.float64] = counts - counts[:, [usual]]
        gained[counts.sum(axis=1) < _FEWEST] = -np.inf
        return gained

    single = worth(literals)
    best, value = _Rule((), usual), float(_WORTH) - 0.5
    for flat in np.argsort(-single, axis=None, kind="stable")[:_BEAM].tolist():
        a, outcome = divmod(flat, one_hot.shape[1])
        if single[a, outcome] > value:
            best, value = _Rule((_literal(a, n_cues),), outcome), float(single[a, outcome])
    # A cue that holds of most inputs of an outcome, and of some others, is where a second one helps.
    counts = literals @ one_hot
    promise = np.delete(counts, usual, axis=1).max(axis=1) - 0.5 * counts[:, usual]
    starts = np.argsort(-promise, kind="stable")[:_BEAM].tolist()
    for a in starts:
        pair = worth(literals * literals[a])
        b, outcome = divmod(int(pair.argmax()), one_hot.shape[1])
        if pair[b, outcome] > value + 0.5:  # a second cue has to pay for itself
            best, value = _Rule((_literal(a, n_cues), _literal(b, n_cues)), outcome), float(pair[b, outcome])
    return best if best.literals else None


def _literal(row: int, n_cues: int) -> int:
    return row if row < n_cues else ~(row - n_cues)


def _predicted(rules: Sequence[_Rule], last: int, holds: Bools) -> NDArray[np.intp]:
    found = np.full(holds.shape[1], last, dtype=np.intp)
    for rule in reversed(rules):
        found[_covered(rule, holds)] = rule.outcome
    return found


def _condition(rule: _Rule, cues: Cues) -> Condition:
    parts: list[Condition] = [
        cues.conditions[literal] if literal >= 0 else No(cues.conditions[~literal])
        for literal in rule.literals
    ]
    return parts[0] if len(parts) == 1 else Joined("and", tuple(parts))
