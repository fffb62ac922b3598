"""A decision tree over readable cues, written as a policy (CART, Breiman et al. 1984)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scrutable.pipeline.behaviours.config import TreeAccount as TreeConfig
from scrutable.pipeline.behaviours.cues import Cues, readable_cues
from scrutable.pipeline.behaviours.folds import chosen_size
from scrutable.pipeline.behaviours.policies import Branch, Condition, Joined, No, Policy
from scrutable.pipeline.behaviours.policy_text import write_policy
from scrutable.pipeline.behaviours.protocols import BehaviourServices, Shown
from scrutable.pipeline.records import Explanation, Failure, Language

_FEWEST = 3  # inputs in a leaf

Leaf = tuple[tuple[Condition, ...], int, int]
"""Conditions on the way, number of the outcome, inputs that get there."""


class TreeAccount:
    """Grows a tree whose number of leaves is chosen on held-out sources."""

    language: Language = "policy"

    def __init__(self, name: str, config: TreeConfig, services: BehaviourServices) -> None:
        del services
        self.name = name
        self._config = config

    def explain(self, jobs: Sequence[Shown]) -> list[Explanation | Failure]:
        """One policy for each job; one branch where nothing tells the outcomes apart."""
        return [self._explain(job) for job in jobs]

    def _explain(self, job: Shown) -> Explanation | Failure:
        outcomes = job.definition.outcomes
        cues = readable_cues(job.pairs, outcomes)
        known: dict[bytes, Cues] = {}

        def predict(leaves: int, fit: NDArray[np.bool_], new: NDArray[np.bool_]) -> NDArray[np.intp]:
            if leaves == 1:  # by all: what is commonest outside a fold is rarer in it, a point for any cue
                return np.full(int(new.sum()), np.bincount(cues.outcomes).argmax())
            if fit.tobytes() not in known:
                known[fit.tobytes()] = readable_cues(job.pairs, outcomes, among=fit)
            chosen = known[fit.tobytes()]
            if not chosen.conditions:
                return np.full(int(new.sum()), np.bincount(cues.outcomes[fit]).argmax())
            found: NDArray[np.intp] = _grown(chosen, fit, leaves).predict(chosen.holds[:, new].T)
            return found

        leaves = chosen_size(job.pairs, cues.outcomes, range(1, self._config.leaves + 1), predict)
        everything = np.ones(len(job.pairs), dtype=bool)
        if leaves == 1 or not cues.conditions:
            found: list[Leaf] = [((), int(np.bincount(cues.outcomes).argmax()), len(job.pairs))]
        else:
            found = _leaves(_grown(cues, everything, leaves), cues)
        return Explanation(
            unit=job.definition.name,
            explainer=self.name,
            language=self.language,
            text=write_policy(_policy(found, outcomes)),
            shown=tuple(pair.input.id for pair in job.pairs),
        )


def _grown(cues: Cues, mask: NDArray[np.bool_], leaves: int) -> Any:
    from sklearn.tree import DecisionTreeClassifier

    model = DecisionTreeClassifier(
        criterion="entropy", max_leaf_nodes=leaves, min_samples_leaf=_FEWEST, random_state=0
    )
    return model.fit(cues.holds[:, mask].T, cues.outcomes[mask])


def _leaves(model: Any, cues: Cues) -> list[Leaf]:
    """All leaves, those with the same outcome below one node put together."""
    tree = model.tree_

    def below(node: int, way: tuple[Condition, ...]) -> list[Leaf]:
        if tree.feature[node] < 0:
            outcome = int(model.classes_[tree.value[node][0].argmax()])
            return [(way, outcome, int(tree.n_node_samples[node]))]
        cue = cues.conditions[tree.feature[node]]
        no = below(int(tree.children_left[node]), (*way, No(cue)))
        yes = below(int(tree.children_right[node]), (*way, cue))
        if len(no) == len(yes) == 1 and no[0][1] == yes[0][1]:
            return [(way, no[0][1], no[0][2] + yes[0][2])]
        return [*yes, *no]

    return below(0, ())


def _policy(leaves: Sequence[Leaf], outcomes: Sequence[str]) -> Policy:
    """Leaves as rules; the outcome that takes most conditions to say is the one that comes otherwise."""
    words = {k: sum(len(way) for way, outcome, _ in leaves if outcome == k) for _, k, _ in leaves}
    last = max(words, key=lambda k: (words[k], -k))
    rules = [
        Branch(outcomes[outcome], way[0] if len(way) == 1 else Joined("and", way))
        for way, outcome, _ in leaves
        if outcome != last
    ]
    return Policy((*rules, Branch(outcomes[last], None)))
