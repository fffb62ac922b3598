"""The corpus: splits for ever, no copy across splits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_corpora import json_lines, words

from scrutable.pipeline.corpus import Corpus, check_splits, load_corpus, split_of
from scrutable.pipeline.documents import RawDocument
from scrutable.pipeline.errors import ConfigError, CorpusError
from scrutable.pipeline.records import SPLITS, Document, Split

SHARES: dict[Split, float] = {"explain": 0.5, "calibrate": 0.15, "test": 0.35}


@given(st.sets(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=30), st.randoms())
def test_a_split_depends_on_the_id_and_not_on_order_or_company(ids: set[str], random: Random) -> None:
    alone = {i: split_of(i, shares=SHARES, seed=3) for i in ids}
    order = sorted(ids)
    random.shuffle(order)
    raw = [RawDocument(i, f"{n} unlike") for n, i in enumerate([*order, "one\0more"])]
    together = {d.id: d.split for d in Corpus(raw, shares=SHARES, seed=3)}
    together.pop("one\0more")
    assert together == alone


def test_splits_follow_their_shares_and_change_with_the_seed() -> None:
    ids = [f"d{i}" for i in range(4000)]
    splits = [split_of(i, shares=SHARES, seed=0) for i in ids]
    for split in SPLITS:
        assert splits.count(split) / 4000 == pytest.approx(SHARES[split], abs=0.03)
    assert splits != [split_of(i, shares=SHARES, seed=1) for i in ids]


def test_splits_never_change_between_releases() -> None:
    assert [split_of(f"d{i}", shares=SHARES, seed=0) for i in range(6)] == [
        "explain",
        "explain",
        "explain",
        "explain",
        "calibrate",
        "explain",
    ]


def test_a_split_without_a_share_gets_nothing() -> None:
    assert {split_of(f"d{i}", shares={"test": 1.0}, seed=0) for i in range(50)} == {"test"}
    shares: dict[Split, float] = {"explain": 1.0, "calibrate": 0.0, "test": 0.0}
    assert {split_of(f"d{i}", shares=shares, seed=0) for i in range(50)} == {"explain"}


@pytest.mark.parametrize("share", [0.4, -0.5, float("nan")])
def test_shares_that_are_none_are_refused(share: float) -> None:
    with pytest.raises(ConfigError, match=r"corpus\.splits"):
        split_of("a", shares={"explain": share, "test": 0.5}, seed=0)


def test_a_split_without_documents_is_named() -> None:
    with pytest.raises(CorpusError, match="split 'test' has 0 documents of 3; give more documents or change"):
        check_splits({"explain": 2, "calibrate": 1, "test": 0})
    check_splits({"explain": 1, "calibrate": 1, "test": 1})


def copies() -> Iterator[RawDocument]:
    """Sixty documents, each text twice: whichever pair straddles two splits loses its second."""
    for i in range(60):
        yield RawDocument(f"d{i}", words(30, seed=i % 30))


def test_no_text_is_in_two_splits_and_what_was_dropped_is_told() -> None:
    corpus = Corpus(copies(), shares=SHARES, seed=0)
    documents = list(corpus)
    splits_of_text: dict[str, set[Split]] = {}
    for d in documents:
        splits_of_text.setdefault(d.text, set()).add(d.split)
    assert all(len(splits) == 1 for splits in splits_of_text.values())
    dropped = corpus.statistics.dropped
    assert len(documents) + len(dropped) == 60
    assert 0 < len(dropped) < 30  # some pairs fell into one split and stay
    assert all(int(late[1:]) == int(early[1:]) + 30 for late, early in dropped)


def test_statistics_count_what_was_given_so_far(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "d.jsonl", *({"text": f"unlike {i}"} for i in range(9)))
    corpus = load_corpus(path, shares=SHARES, seed=0)
    assert sum(corpus.statistics.documents.values()) == 0
    for _ in zip(range(4), corpus, strict=False):
        pass
    assert sum(corpus.statistics.documents.values()) == 4
    assert sum(corpus.statistics.characters.values()) == 4 * len("unlike 0")
    assert set(corpus.statistics.documents) == set(SPLITS)


def test_load_corpus_passes_on_the_fields_and_the_similarity(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "d.jsonl", {"body": "a b", "key": "k"})
    (only,) = load_corpus(path, shares={"test": 1.0}, seed=0, text_field="body", id_field="key")
    assert only == Document(id="k", text="a b", split="test")
    with pytest.raises(ConfigError):
        load_corpus(path, shares=SHARES, seed=0, similarity=2)
