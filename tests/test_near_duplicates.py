"""Near-duplicates: found across splits, and estimated as the formula says."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from toy_corpora import words

from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.near_duplicates import NearDuplicates, minhash
from scrutable.pipeline.records import Document, Split


def document(name: str, text: str, split: Split) -> Document:
    return Document(id=name, text=text, split=split)


def test_a_near_copy_in_another_split_is_found_and_one_in_the_same_split_is_not() -> None:
    text = words(300, seed=0)
    near = NearDuplicates()
    assert near.admit(document("a", text, "explain")) is None
    assert near.admit(document("b", text + " and a little more", "explain")) is None
    assert near.admit(document("c", "Well: " + text.upper(), "test")) == "a"
    assert near.admit(document("d", words(300, seed=1), "test")) is None


def test_a_dropped_document_is_compared_with_nothing_later() -> None:
    text = words(50, seed=0)
    near = NearDuplicates()
    near.admit(document("a", text, "explain"))
    assert near.admit(document("b", text, "test")) == "a"
    assert near.admit(document("c", text, "explain")) is None


@pytest.mark.parametrize("text", ["yes", "one two three four", "", "🙂🙂", "漢字", "。、", "un deux trois"])
def test_short_texts_are_compared_as_a_whole(text: str) -> None:
    near = NearDuplicates()
    near.admit(document("a", text, "explain"))
    assert near.admit(document("b", text + " other", "test")) is None
    assert near.admit(document("c", text, "test")) == "a"


def test_scripts_without_spaces_are_compared_by_their_characters() -> None:
    text = "".join(chr(0x4E00 + Random(i).randrange(2000)) for i in range(400))
    near = NearDuplicates()
    near.admit(document("a", text, "explain"))
    assert near.admit(document("b", text + "漢字漢字", "test")) == "a"
    assert near.admit(document("c", text[::-1], "test")) is None


def test_half_a_shared_text_is_no_near_duplicate_and_the_threshold_decides() -> None:
    shared = words(400, seed=0)
    first, second = shared + words(200, seed=1), shared + words(200, seed=2)  # Jaccard 0.5
    strict, loose = NearDuplicates(threshold=0.7), NearDuplicates(threshold=0.3)
    for near in (strict, loose):
        assert near.admit(document("a", first, "explain")) is None
    assert strict.admit(document("b", second, "test")) is None
    assert loose.admit(document("b", second, "test")) == "a"


def test_signatures_estimate_the_jaccard_similarity_of_word_5_grams() -> None:
    errors = []
    for seed in range(60):
        shared = words(700, seed=seed)
        pair = [f"{shared} {words(150, seed=1000 * side + seed)}" for side in (1, 2)]
        sets = [set(zip(*(text.split()[place:] for place in range(5)), strict=False)) for text in pair]
        jaccard = len(sets[0] & sets[1]) / len(sets[0] | sets[1])
        errors.append(np.mean(minhash(pair[0]) == minhash(pair[1])) - jaccard)
    assert abs(np.mean(errors)) < 3 * 0.057 / np.sqrt(60)  # binomial: sqrt(0.7 * 0.3 / 64) = 0.057
    assert np.std(errors) < 0.08


def test_a_signature_does_not_depend_on_how_a_long_text_is_chunked() -> None:
    text = words(9000, seed=0).split()
    halves = [minhash(" ".join(part)) for part in (text[:5000], text[4996:])]  # they share 4 words
    assert np.array_equal(minhash(" ".join(text)), np.minimum(*halves))


@pytest.mark.parametrize("threshold", [0.0, 1.1, float("nan")])
def test_a_threshold_out_of_range_is_refused(threshold: float) -> None:
    with pytest.raises(ConfigError, match=r"must be in \(0, 1\]"):
        NearDuplicates(threshold=threshold)
