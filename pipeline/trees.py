"""Decision trees over readable tests, written as programs: the surrogate that ends the regress.

CART (Breiman et al. 1984): grown best first, pruned by weakest links, which gives a nested sequence of
trees; a budget of bits picks one. Shape key: A tests, N scored tokens, K nodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scrutable.pipeline.features import Features
from scrutable.pipeline.programs import Not, Test
from scrutable.pipeline.surrogates import Clause, Sized, to_level, write_clauses

_DEEPEST = 8
_MOST_LEAVES = 128
_FEWEST = 2  # tokens in a leaf


class _Tree(NamedTuple):
    """A grown tree; node 0 is the root."""

    test: tuple[Test | None, ...]  # (K,) None in a leaf
    no: NDArray[np.int64]  # (K,) the child where the test does not hold
    yes: NDArray[np.int64]  # (K,)
    mean: NDArray[np.float64]  # (K,)
    error: NDArray[np.float64]  # (K,) weighted squared error of the mean, of the tokens that get here


def trees(features: Features) -> Iterator[Sized]:
    """Ever larger prunings of one tree, as programs: each leaf a clause with level 9 * mean / highest mean.

    Depth at most 8, at most 128 leaves, at least two tokens in each. Prunings of which no program can
    be written (all leaves at one level) are skipped.
    """
    if not features.tests or not features.weight.sum():
        return
    tree = _grown(features)
    order = _weakest_first(tree)
    for size in range(len(order) - 1, -1, -1):
        closed = frozenset(order[:size])
        sized = write_clauses(_clauses(tree, closed))
        if sized is not None:
            yield sized


def _grown(features: Features) -> _Tree:
    from sklearn.tree import DecisionTreeRegressor

    model = DecisionTreeRegressor(
        max_depth=_DEEPEST, max_leaf_nodes=_MOST_LEAVES, min_samples_leaf=_FEWEST, random_state=0
    )
    model.fit(features.holds.T.astype(np.float32), features.truth, sample_weight=features.weight)
    grown = model.tree_
    return _Tree(
        test=tuple(features.tests[f] if f >= 0 else None for f in grown.feature.tolist()),
        no=grown.children_left,
        yes=grown.children_right,
        mean=grown.value[:, 0, 0],
        error=grown.impurity * grown.weighted_n_node_samples,
    )


def _weakest_first(tree: _Tree) -> list[int]:
    """Inner nodes in the order in which pruning makes leaves of them, children before parents.

    The next is the one whose subtree saves the least error for each leaf more; ties go to the later.
    """
    inner = {node for node, test in enumerate(tree.test) if test is not None}
    order: list[int] = []
    while inner:
        error, leaves = _below(tree, inner)
        saved = {node: (tree.error[node] - error[node]) / (leaves[node] - 1) for node in inner}
        closing = _within(tree, inner, min(saved, key=lambda node: (saved[node], -node)))
        order += sorted(closing, reverse=True)  # a child's number is higher than its parent's
        inner -= set(closing)
    return order


def _below(tree: _Tree, inner: AbstractSet[int]) -> tuple[list[float], list[int]]:
    """Error and number of the leaves below each node."""
    error, leaves = tree.error.tolist(), [1] * len(tree.test)
    for node in sorted(inner, reverse=True):
        no, yes = tree.no[node], tree.yes[node]
        error[node], leaves[node] = error[no] + error[yes], leaves[no] + leaves[yes]
    return error, leaves


def _within(tree: _Tree, inner: AbstractSet[int], top: int) -> list[int]:
    """The inner nodes from `top` down."""
    if top not in inner:
        return []
    return [top, *_within(tree, inner, int(tree.no[top])), *_within(tree, inner, int(tree.yes[top]))]


def _clauses(tree: _Tree, closed: AbstractSet[int]) -> list[Clause]:
    """The pruned tree as an ordered list of clauses that covers every token."""
    leaves = _leaves(tree, closed, 0)
    highest = max(float(tree.mean[leaf]) for leaf in leaves)
    return _listed(tree, closed, 0, highest)


def _leaves(tree: _Tree, closed: AbstractSet[int], node: int) -> list[int]:
    if tree.test[node] is None or node in closed:
        return [node]
    return [*_leaves(tree, closed, int(tree.no[node])), *_leaves(tree, closed, int(tree.yes[node]))]


def _listed(tree: _Tree, closed: AbstractSet[int], node: int, highest: float) -> list[Clause]:
    """Clauses of a subtree, the last without tests: so the branch that comes second needs no test.

    Of the two orders of the branches, the one with fewer tests.
    """
    test = tree.test[node]
    if test is None or node in closed:
        return [Clause((), to_level(float(tree.mean[node]), highest))]
    no = _listed(tree, closed, int(tree.no[node]), highest)
    yes = _listed(tree, closed, int(tree.yes[node]), highest)
    if len(no) == len(yes) == 1 and no[0].level == yes[0].level:
        return no
    if len(yes) <= len(no):
        return [*(Clause((test, *tests), level) for tests, level in yes), *no]
    return [*(Clause((Not(test), *tests), level) for tests, level in no), *yes]
