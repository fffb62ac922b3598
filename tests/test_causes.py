"""What wrote a text: planted authors, whose causes are known."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_ladders import CONCEPTS

from scrutable.evaluators.replicas import replicas
from scrutable.pipeline.config import PlantedExplainer
from scrutable.pipeline.protocols import Written
from scrutable.pipeline.records import Explanation, Generate, Prompt
from scrutable.pipeline.recursion.attribution import find_cause, overlaps
from scrutable.pipeline.recursion.jobs import Draft, counterfactual_of, task_of, trace_job
from scrutable.pipeline.recursion.ladder import draw_nodes
from scrutable.pipeline.recursion.protocols import Read
from scrutable.pipeline.recursion.records import Job, Node
from scrutable.pipeline.subjects.planted_writing import PlantedWriter

WORDS = {
    "ing": " raming soking titing fading",
    "ed": " ramed soked tited faded",
}


def draft(writer: PlantedWriter, unit: str, words: str, text: str) -> Draft:
    read = writer.read(Written(Prompt(("words :",), words, Generate(1)), ((0, len(words)),)))
    return Draft(Explanation(unit, "author", "program", text, reply=text), read)


def job_of(writer: PlantedWriter, gap: float = 1.0) -> Job:
    own = draft(writer, "L0.N0.pos", WORDS["ing"], CONCEPTS[0])
    other = draft(writer, "L0.N1.pos", WORDS["ed"], CONCEPTS[1])
    return trace_job(own, other, writer, level=1, seed=0, gap=gap)


@pytest.fixture
def writer() -> PlantedWriter:
    return PlantedWriter(PlantedExplainer(concepts=tuple(CONCEPTS)))


def test_the_causal_set_is_the_concept_that_was_named_and_the_one_that_was_not(writer: PlantedWriter) -> None:
    job = job_of(writer)
    found = find_cause(job, task_of(job, writer), writer, coverage=0.95, max_nodes=8, singles=4, seed=0)
    assert set(found.nodes) == {"L0.N0.pos", "L0.N1.pos"}
    assert found.cause.coverage == pytest.approx(1)
    assert found.cause.is_reached
    assert found.cause.random < 1
    assert math.isnan(found.cause.attention)


def test_nothing_outside_the_words_is_a_cause(writer: PlantedWriter) -> None:
    job = job_of(writer)
    found = find_cause(job, task_of(job, writer), writer, coverage=0.95, max_nodes=8, singles=0, seed=0)
    sites = {patch.kind: patch.effect for patch in found.patches if patch.kind.startswith("mlp")}
    assert sites == {"mlp_exemplars": pytest.approx(1), "mlp_tail": 0, "mlp_text": 0}


def test_an_author_that_does_not_look_has_no_gap() -> None:
    blind = PlantedWriter(PlantedExplainer(concepts=tuple(CONCEPTS), blind=True))
    job = job_of(blind)
    assert (job.gap, job.is_gated) == (0, False)


@pytest.mark.parametrize("seed", range(3))
def test_the_same_job_has_the_same_cause(writer: PlantedWriter, seed: int) -> None:
    job = job_of(writer)
    once, again = (
        find_cause(job, task_of(job, writer), writer, coverage=0.8, max_nodes=8, singles=2, seed=seed)
        for _ in range(2)
    )
    assert once.nodes == again.nodes
    assert [patch.effect for patch in once.patches] == [patch.effect for patch in again.patches]


def test_jobs_that_share_their_nodes_overlap(writer: PlantedWriter) -> None:
    job = job_of(writer)
    found = find_cause(job, task_of(job, writer), writer, coverage=0.8, max_nodes=8, singles=0, seed=0)
    alike = {o.family: o for o in overlaps([found.cause, found.cause], level=1)}
    assert alike["content"].mean == 1
    assert math.isnan(overlaps([found.cause], level=1)[0].mean)


spans = st.lists(st.lists(st.integers(10, 99), min_size=1, max_size=7), min_size=2, max_size=5)


def read_of(groups: list[list[int]]) -> Read:
    """A prompt of spans with a token of its own before each."""
    ids: list[int] = []
    places = []
    for group in groups:
        ids.append(0)
        places.append((len(ids), len(ids) + len(group)))
        ids += group
    return Read((1, 2), ("a", "b"), tuple(ids), tuple(map(str, ids)), tuple(places))


@given(spans, spans)
def test_a_counterfactual_keeps_every_place_and_shows_nothing_but_the_other_unit(
    own: list[list[int]], other: list[list[int]]
) -> None:
    mine, theirs = read_of(own), read_of(other)
    found = counterfactual_of(mine, theirs)
    assert found is not None
    assert len(found) == len(mine.ids)
    inside = [t for start, stop in mine.spans for t in range(start, stop)]
    assert all(found[t] == mine.ids[t] for t in range(len(found)) if t not in inside)
    assert {found[t] for t in inside} <= {id for group in other for id in group}


@given(spans)
def test_an_excerpt_that_is_too_long_loses_its_beginning(own: list[list[int]]) -> None:
    longer = [[200, 201, *group] for group in own[:-1]] + [[*own[-1], 300]]
    assert counterfactual_of(read_of(own), read_of(longer)) == read_of(own).ids


def test_a_prompt_without_spans_has_no_counterfactual() -> None:
    empty = read_of([[1]])._replace(spans=())
    assert counterfactual_of(empty, read_of([[1]])) is None


def test_a_replica_keeps_the_share_of_the_gain_that_it_has() -> None:
    rng = np.random.default_rng(0)
    real = {f"u{n}": float(x) for n, x in enumerate(rng.uniform(0.1, 1, 20))}
    half = {unit: gain / 2 for unit, gain in real.items()}
    gains = {("author", "s"): real, ("template", "s"): half, ("tree", "c"): real}
    found = replicas(
        gains,
        ("author", "s"),
        [("template", "s"), ("tree", "c"), ("nobody", "s")],
        units=list(real),
        draws=200,
        seed=0,
    )
    assert [r.s for r in found[:2]] == pytest.approx([0.5, 1.0])
    assert found[0].low == pytest.approx(0.5)
    assert (found[2].n_units, found[2].reason) == (0, "0 units with both gains")


def test_nodes_are_drawn_in_proportion_to_attribution() -> None:
    shares = {"L0.N0.pos": 0.6, "L0.N1.neg": 0.3, "L1.N0.pos": 0.1}
    counts: Counter[str] = Counter()
    for n in range(300):
        nodes = [Node(f"1/u{n}", unit, 7 * share) for unit, share in shares.items()]
        drawn = draw_nodes(nodes, count=3, seed=0)
        assert drawn.total() == 3
        assert drawn == draw_nodes(nodes, count=3, seed=0)
        counts += drawn
    assert {unit: n / 900 for unit, n in counts.items()} == pytest.approx(shares, abs=0.05)
