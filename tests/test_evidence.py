"""Simulations as columns: aligned with their excerpts, and refused where they are not."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from toy_excerpts import excerpt

from scrutable.evaluators.evidence import batches, columns
from scrutable.pipeline.records import Simulation
from scrutable.pipeline.store import RunFolder

EXCERPTS = [excerpt("abc", [0, i, 0], id=f"e{i}", n_context=1, weight=i + 1.0) for i in range(3)]


def simulated(explanation: str, name: str, *expected: float) -> Simulation:
    return Simulation("u", explanation, "s", name, expected, (0.2, 0.8) * len(expected), (0.0, 1.0), 0.5)


ALL = [simulated(author, f"e{i}", i, 10.0 + i) for author in ("u/llm", "v/llm") for i in (2, 0, 1)]


def test_columns_are_ordered_by_excerpt() -> None:
    one = columns(ALL)["u/llm"]
    assert one.excerpts == ("e0", "e1", "e2")
    assert one.expected.tolist() == [0, 10, 1, 11, 2, 12]
    assert one.probabilities.shape == (6, 2)


def test_a_part_file_is_read_as_the_same_columns(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    path = folder.part("simulations", "llm+s~0000")
    folder.write_records(path, Simulation, ALL)
    [(unit, found)] = folder.read_simulated(path)
    assert unit == "u"
    for name, expected in columns(ALL).items():
        for ours, theirs in zip(found[name], expected, strict=True):
            assert np.array_equal(ours, theirs)


def test_explanations_with_the_same_answers_share_a_batch() -> None:
    one, other = columns(ALL).values()
    [(places, batch)] = batches(EXCERPTS, [one, other])
    assert places == [0, 1]
    assert batch.predicted.shape == (2, 6)
    assert batch.true.tolist() == [0, 0, 1, 0, 2, 0]
    assert batch.weights.tolist() == [1, 1, 2, 2, 3, 3]


def test_a_failed_call_leaves_its_excerpt_out_of_both_sides() -> None:
    found = columns([s for s in ALL if (s.explanation, s.excerpt) != ("v/llm", "e1")])
    groups = {tuple(places): batch for places, batch in batches(EXCERPTS, list(found.values()))}
    assert groups[0,].true.tolist() == [0, 0, 1, 0, 2, 0]
    assert groups[1,].true.tolist() == [0, 0, 2, 0]
    assert groups[1,].predicted.tolist() == [[0, 10, 2, 12]]


def test_an_excerpt_simulated_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="u/llm: an excerpt was simulated twice"):
        columns([*ALL, ALL[0]])


def test_a_simulation_of_another_length_is_refused() -> None:
    [one] = columns([simulated("u/llm", "e1", 1.0)]).values()
    with pytest.raises(ValueError, match="e1 from explanation u/llm has 1 values for 2"):
        batches(EXCERPTS, [one])


def test_values_that_are_not_finite_are_refused() -> None:
    [one] = columns([simulated("u/llm", "e1", 1.0, math.nan)]).values()
    with pytest.raises(ValueError, match="excerpt e1 or a simulation of it"):
        batches(EXCERPTS, [one])
