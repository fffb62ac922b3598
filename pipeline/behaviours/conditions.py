"""Under which conditions a simulator predicts a behaviour, so that gains can be told: pure.

An explanation that loses to its own evidence has compressed nothing, so its strongest opponent is as many
tokens of raw examples as it has itself (FIELD.md H).
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from scrutable.pipeline.behaviours.config import BehaviourScoring
from scrutable.pipeline.behaviours.definition import Definition
from scrutable.pipeline.behaviours.pairs import balanced
from scrutable.pipeline.behaviours.protocols import BehaviourSimulator, Pair, PredictionJob, Shown
from scrutable.pipeline.behaviours.records import Input
from scrutable.pipeline.records import Explanation

MOST_EXAMPLES = 40  # however long an explanation is


def prediction_jobs(
    simulator: BehaviourSimulator,
    shown: Shown,
    inputs: Sequence[Input],
    own: Sequence[Explanation],
    nulls: Sequence[Explanation],
    *,
    scoring: BehaviourScoring,
    seed: int,
) -> list[PredictionJob]:
    """All that a simulator is asked of one behaviour.

    Args:
        simulator: reads explanations of one language, and perhaps raw examples.
        shown: what explainers saw.
        inputs: of the calibrate and test splits.
        own: explanations of the behaviour, in any language: those of others are budgets of examples.
        nulls: explanations of other behaviours.
        scoring: how many examples, and how many draws of them.
        seed: of the run.
    """
    definition, asked = shown.definition, tuple(inputs)
    read = [e for e in (*own, *nulls) if e.language == simulator.language]
    jobs = [PredictionJob(definition, "explained", explanation, (), asked) for explanation in read]
    if not simulator.reads_examples:
        return jobs
    jobs.append(PredictionJob(definition, "task", None, (), asked))
    if scoring.many_examples:
        many = balanced(shown, count=scoring.many_examples, seed=seed)
        jobs.append(PredictionJob(definition, "many_examples", None, many, asked))
    for draw in range(1, scoring.example_draws + 1):
        order = balanced(shown, count=MOST_EXAMPLES, seed=_mixed(seed, draw))
        lengths = simulator.count_tokens([written_pair(pair) for pair in order])
        budgets = simulator.count_tokens([explanation.text for explanation in own])
        for explanation, budget in zip(own, budgets, strict=True):
            few = order[: fitting(lengths, budget)]
            jobs.append(PredictionJob(definition, "examples", explanation, few, asked, draw))
    return jobs


def fitting(lengths: Sequence[int], budget: int) -> int:
    """How many of the first items fit into a budget of tokens; at least one, where there is one."""
    total = 0
    for number, length in enumerate(lengths):
        total += length
        if total > budget:
            return max(number, 1)
    return len(lengths)


def written_pair(pair: Pair) -> str:
    """A pair as a prompt shows it, to be counted."""
    return f"Text: {pair.input.text}\nAnswer: {pair.observation.outcome}\n"


def assign_null_behaviours(
    definitions: Sequence[Definition], *, count: int, seed: int
) -> Mapping[str, tuple[str, ...]]:
    """Behaviour → others whose explanations serve as its null: of those with as many outcomes first.

    An explanation in a language of its own can only be read where the number of outcomes is the same.
    """
    found = {}
    for definition in definitions:
        others = [other for other in definitions if other.name != definition.name]
        random.Random(f"{seed}/{definition.name}/nulls").shuffle(others)
        alike = sorted(others, key=lambda other: len(other.outcomes) != len(definition.outcomes))
        found[definition.name] = tuple(other.name for other in alike[:count])
    return found


def _mixed(seed: int, draw: int) -> int:
    return seed + 1_000_003 * draw
