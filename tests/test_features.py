"""Readable features: fast truth values are the language's own, and the tests that matter are there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_excerpts import excerpt

from scrutable.pipeline.features import candidates, readable_features, truth_values
from scrutable.pipeline.programs import After, Class, Combined, Not, Shape, Text, Within, fires
from scrutable.pipeline.records import Excerpt

TOKENS = st.lists(
    st.sampled_from([" the", " The", "THE", ",", " 3", " red", "", " running", "\n"]), max_size=9
)
INNER = st.one_of(
    st.sampled_from(["digit", "upper", "capitalized", "space", "punctuation"]).map(Shape),
    st.sampled_from(["the", "red", "ing"]).map(lambda word: Text("word", (word,))),
    st.just(Class("colour")),
)
TESTS = st.recursive(
    INNER,
    lambda inner: st.one_of(inner.map(After), st.builds(Within, st.integers(1, 12), inner), INNER.map(Not)),
    max_leaves=3,
)


def cat_excerpts() -> list[Excerpt]:
    text = "the cat sat on the mat and the cat ran from 3 dogs . A cat"
    tokens = [" " + word for word in text.split()]
    return [
        excerpt(tokens, [5.0 * (token == " cat") for token in tokens], id=f"e{i}", weight=1.0 + i)
        for i in range(3)
    ]


@given(st.lists(st.tuples(TOKENS, st.integers(0, 3)), max_size=4), st.lists(TESTS, max_size=4))
def test_truth_values_are_what_the_language_says(
    texts: list[tuple[list[str], int]], tests: list[Shape]
) -> None:
    excerpts = [
        excerpt(tokens, [0.0] * len(tokens), id=f"e{i}", n_context=min(context, len(tokens)))
        for i, (tokens, context) in enumerate(texts)
    ]
    expected = [
        [held for e in excerpts for held in fires(test, e.passage.tokens)[e.passage.n_context :]]
        for test in tests
    ]
    found = truth_values(tests, excerpts)
    assert found.tolist() == expected


def test_the_word_that_the_unit_fires_on_is_a_candidate_and_so_is_the_one_before_it() -> None:
    tests = candidates(cat_excerpts())
    assert Text("word", ("cat",)) in tests
    assert After(Text("word", ("the",))) in tests
    assert Within(5, Text("word", ("the",))) in tests


def test_affixes_come_from_the_words_with_activation() -> None:
    words = [" making", " baking", " rest", " undone", " stone"] * 3
    tests = candidates([excerpt(words, [4, 4, 0, 0, 0] * 3)])
    assert Text("ends", ("ing",)) in tests
    assert Text("starts", ("un",)) not in tests


def test_no_two_features_hold_of_the_same_tokens_and_none_of_too_few_or_too_many() -> None:
    features = readable_features(cat_excerpts())
    rows = [row.tobytes() for row in features.holds]
    assert len(set(rows)) == len(rows) > 5
    counts = features.holds.sum(axis=1)
    assert counts.min() >= 2
    assert counts.max() <= features.truth.size - 2


def test_of_tests_that_hold_alike_the_shortest_stays() -> None:
    tokens = [" 3", " a", " 3", " b"] * 4
    features = readable_features([excerpt(tokens, [2, 0, 2, 0] * 4)])
    alike = [test for test, row in zip(features.tests, features.holds, strict=True) if row[0] and not row[1]]
    assert alike == [Shape("digit")]


def test_truth_and_weight_are_those_of_the_scored_tokens() -> None:
    shown = [excerpt(list("xab"), [9, 1, 2], n_context=1, weight=3.0), excerpt(list("ab"), [4, 5], id="e1")]
    features = readable_features(shown)
    np.testing.assert_array_equal(features.truth, [1, 2, 4, 5])
    np.testing.assert_array_equal(features.weight, [3, 3, 1, 1])
    assert features.holds.shape == (len(features.tests), 4)


@pytest.mark.parametrize("excerpts", [[], [excerpt(["a"], [1.0], n_context=1)], [excerpt([], [])]])
def test_without_scored_tokens_there_are_no_features(excerpts: list[Excerpt]) -> None:
    features = readable_features(excerpts)
    assert (features.tests, features.truth.size) == ((), 0)


def test_a_conjunction_of_tests_of_the_token_alone_is_one_too() -> None:
    both = Combined("and", (Shape("capitalized"), Not(Shape("upper"))))
    assert truth_values([both], [excerpt([" The", " USA"], [0, 0])]).tolist() == [[True, False]]
