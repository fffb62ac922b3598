"""Concept bottlenecks: proposed, labelled, fitted, read; a planted concept weighs most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrutable.pipeline.behaviours.concepts import (
    Bottleneck,
    Concept,
    keyword_labels,
    parse_concepts,
    read_bottleneck,
    write_bottleneck,
)
from scrutable.pipeline.behaviours.labelling import moved
from scrutable.pipeline.errors import ParseError

PROPOSED = "- it is polite: please, thanks\n- the time is named: now, later\n"
NUMBERS = st.integers(-5000, 5000).map(lambda n: n / 1000)
CONCEPTS = st.builds(Concept, st.text(max_size=6), st.lists(st.text(max_size=4), max_size=3).map(tuple))
BOTTLENECKS = st.lists(st.tuples(CONCEPTS, st.tuples(NUMBERS, NUMBERS)), min_size=1, max_size=3).map(
    lambda rows: Bottleneck(
        ("yes", "no"), "llm", tuple(c for c, _ in rows), (0.5, -0.5), tuple(w for _, w in rows)
    )
)


@given(BOTTLENECKS)
def test_a_bottleneck_that_was_written_is_read_back(bottleneck: Bottleneck) -> None:
    assert read_bottleneck(write_bottleneck(bottleneck)) == bottleneck


@given(st.text(max_size=40))
def test_what_is_no_bottleneck_is_a_parse_error(text: str) -> None:
    with pytest.raises(ParseError):
        read_bottleneck(text)


@pytest.mark.parametrize(
    ("reply", "phrases"),
    [
        (PROPOSED, ["it is polite", "the time is named"]),
        ("* a: b\n* A: c\n* d: e", ["a", "d"]),
        ("one\ntwo: \n: three\nfour: 4", ["four"]),
    ],
)
def test_concepts_are_lines_with_words_each_once(reply: str, phrases: Sequence[str]) -> None:
    assert [concept.phrase for concept in parse_concepts(reply, count=6)] == list(phrases)


def test_a_keyword_is_a_word_and_not_a_part_of_one() -> None:
    labels = keyword_labels([Concept("tea", ("tea",))], ["A cup of Tea.", "a team"])
    assert labels.tolist() == [[1.0], [0.0]]


@given(st.integers(2, 30), st.integers(0, 99))
def test_no_text_keeps_its_labels_when_they_are_moved(n: int, seed: int) -> None:
    labels = np.arange(float(n)).reshape(n, 1)
    found = moved(labels, seed=seed)
    assert sorted(found[:, 0]) == sorted(labels[:, 0])
    assert (found != labels).all()
