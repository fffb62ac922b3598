"""A model says whether texts have concepts; and labels that were moved to other texts.

Shape key: N texts, A concepts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scrutable.pipeline.behaviours.concepts import Concept
from scrutable.pipeline.prompting import template
from scrutable.pipeline.protocols import Ask
from scrutable.pipeline.records import Completion, Cost

_YES_NO = (" yes", " no")


def model_labels(
    ask: Ask, concepts: Sequence[Concept], texts: Sequence[str], *, prompt: str
) -> tuple[NDArray[np.float64], Cost]:
    """((N, A) probabilities of yes against no, what it took); NaN where no answer could be read."""
    asked = template(prompt)
    prompts = [
        asked.choose(_YES_NO, concept=concept.phrase, text=text) for text in texts for concept in concepts
    ]
    found, cost = [], Cost()
    for answer in ask(prompts):
        if isinstance(answer, Completion) and answer.label_logprobs:
            yes, no = answer.label_logprobs[-1]
            found.append(1.0 / (1.0 + np.exp(np.clip(no - yes, -50, 50))))
            cost += answer.cost
        else:
            found.append(np.nan)
    return np.array(found, dtype=np.float64).reshape(len(texts), len(concepts)), cost


def moved(labels: NDArray[np.float64], *, seed: int) -> NDArray[np.float64]:
    """(N, A) the labels with every text's given to another text. Raises ValueError for a single text."""
    n = len(labels)
    if n < 2:
        raise ValueError("labels of one text cannot be given to another")
    order = np.random.default_rng(seed).permutation(n)
    moved_to = np.empty(n, dtype=np.intp)
    moved_to[order] = np.roll(order, 1)
    shifted: NDArray[np.float64] = labels[moved_to]
    return shifted
