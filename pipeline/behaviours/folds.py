"""How large a surrogate may be: chosen on sources that it was not fitted on. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from scrutable.pipeline.behaviours.protocols import Pair

_FOLDS = 5


def folds(pairs: Sequence[Pair]) -> list[NDArray[np.bool_]]:
    """Up to five masks (N,) of pairs held out together: whole sources, about as many pairs in each."""
    sizes: dict[str, int] = {}
    for pair in pairs:
        sizes[pair.input.source] = sizes.get(pair.input.source, 0) + 1
    n = min(_FOLDS, len(sizes))
    load = [0] * n
    fold: dict[str, int] = {}
    for source in sorted(sizes, key=lambda name: (-sizes[name], name)):
        fold[source] = place = load.index(min(load))
        load[place] += sizes[source]
    numbers = np.array([fold[pair.input.source] for pair in pairs])
    return [numbers == k for k in range(n)] if n > 1 else []


def chosen_size(
    pairs: Sequence[Pair],
    outcomes: NDArray[np.intp],
    sizes: Sequence[int],
    predict: Callable[[int, NDArray[np.bool_], NDArray[np.bool_]], NDArray[np.intp]],
) -> int:
    """The size with the fewest errors on held-out sources; of those within a standard error the smallest.

    The rule of one standard error (Breiman et al. 1984, section 3.4.3).

    Args:
        pairs: (N,) what may be seen.
        outcomes: (N,) numbers of what the subject did.
        sizes: ascending.
        predict: (size, mask to fit on, mask to predict) → outcomes of the predicted ones.
    """
    errors = []
    for size in sizes:
        wrong = 0
        for held_out in folds(pairs):
            wrong += int((predict(size, ~held_out, held_out) != outcomes[held_out]).sum())
        errors.append(wrong)
    best = min(errors)
    slack = math.sqrt(best * (1 - best / max(len(pairs), 1)))
    return next(size for size, wrong in zip(sizes, errors, strict=True) if wrong <= best + slack)
