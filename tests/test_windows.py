"""Windows: a partition of each document's tokens, text that joins back, and files that keep it all."""

from __future__ import annotations

import dataclasses
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scrutable.pipeline.errors import ConfigError, RunFolderError
from scrutable.pipeline.records import SPLITS, Document, Split
from scrutable.pipeline.windows import Windows, WindowsBuilder, cuts, permuted


def built(documents: list[list[str]], *, length: int, skip: int) -> Windows:
    """Windows of documents given as pieces; the splits take turns, a token's id is its number."""
    builder = WindowsBuilder(length=length, skip=skip)
    for number, pieces in enumerate(documents):
        document = Document(id=f"d{number}", text="".join(pieces), split=SPLITS[number % 3])
        builder.add(document, range(100 * number, 100 * number + len(pieces)), pieces)
    return builder.build()


sizes = st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1)))
pieces_of_documents = st.lists(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=3), max_size=40), max_size=5
)


@given(st.integers(0, 200), sizes)
def test_scored_tokens_partition_a_document_behind_its_first_skip_tokens(
    n_tokens: int, size: tuple[int, int]
) -> None:
    length, skip = size
    found = list(cuts(n_tokens, length=length, skip=skip))
    scored = [t for cut in found for t in range(cut.start + cut.n_context, cut.start + cut.length)]
    assert scored == list(range(skip, n_tokens))
    for cut in found:
        assert cut.start >= 0
        assert skip <= cut.n_context < cut.length <= length
        assert cut.length == min(length, n_tokens)  # only a short document has a short window


def test_windows_overlap_by_skip_and_the_last_one_ends_with_the_document() -> None:
    assert list(cuts(11, length=5, skip=2)) == [(0, 5, 2), (3, 5, 2), (6, 5, 2)]
    assert list(cuts(12, length=5, skip=2)) == [(0, 5, 2), (3, 5, 2), (6, 5, 2), (7, 5, 4)]
    assert list(cuts(4, length=5, skip=2)) == [(0, 4, 2)]
    assert list(cuts(2, length=5, skip=2)) == []


@settings(max_examples=60)
@given(pieces_of_documents, sizes)
def test_windows_stay_within_their_document_and_give_its_text_back(
    documents: list[list[str]], size: tuple[int, int]
) -> None:
    length, skip = size
    windows = built(documents, length=length, skip=skip)
    joined: dict[str, list[str]] = {}
    for w in range(len(windows)):
        passage = windows.passage(w)
        name, _, offset = passage.id.rpartition("#")
        number, start = int(name[1:]), int(offset)
        assert passage.tokens == tuple(documents[number][start : start + len(passage.tokens)])
        expected = range(100 * number + start, 100 * number + start + len(passage.tokens))
        assert windows.token_ids(w).tolist() == list(expected)
        assert SPLITS[windows.split[w]] == SPLITS[number % 3]
        joined.setdefault(name, list(passage.tokens[:skip])).extend(passage.tokens[passage.n_context :])
    long_enough = {f"d{n}": pieces for n, pieces in enumerate(documents) if len(pieces) > skip}
    assert joined == long_enough
    assert windows.documents == tuple(long_enough)
    assert windows.n_too_short == len(documents) - len(long_enough)
    assert windows.n_scored == sum(len(pieces) - skip for pieces in long_enough.values())


def test_documents_in_splits_counts_each_document_once() -> None:
    windows = built([["a"] * 20, ["b"] * 20, ["c"], ["d"] * 20], length=5, skip=2)
    assert windows.documents_in_splits == {"explain": 2, "calibrate": 1, "test": 0}


def test_pieces_keep_emoji_cjk_and_empty_pieces() -> None:
    pieces = ["👩", "\u200d", "👧", "", "漢字", " é", "\n"]
    windows = built([["x", "y"], pieces], length=4, skip=1)
    assert [windows.pieces(w) for w in range(len(windows))] == [
        ("x", "y"),
        ("👩", "\u200d", "👧", ""),
        ("", "漢字", " é", "\n"),
    ]


@settings(max_examples=25)
@given(pieces_of_documents)
def test_loading_undoes_saving_and_equal_windows_give_equal_bytes(documents: list[list[str]]) -> None:
    windows = built(documents, length=5, skip=1)
    with tempfile.TemporaryDirectory() as folder:
        first, second = Path(folder, "a.npz"), Path(folder, "b.npz")
        windows.save(first)
        built(documents, length=5, skip=1).save(second)
        loaded = Windows.load(first)
        assert first.read_bytes() == second.read_bytes()
        assert sorted(path.name for path in Path(folder).iterdir()) == ["a.npz", "b.npz"]
    for field in dataclasses.fields(Windows):
        ours, theirs = getattr(windows, field.name), getattr(loaded, field.name)
        assert np.array_equal(ours, theirs), field.name
        assert getattr(ours, "dtype", None) == getattr(theirs, "dtype", None), field.name


def test_a_saved_file_carries_no_time_of_writing(tmp_path: Path) -> None:
    built([["a"] * 9], length=5, skip=1).save(tmp_path / "w.npz")
    with zipfile.ZipFile(tmp_path / "w.npz") as file:
        assert {entry.date_time for entry in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_a_missing_or_cut_off_file_is_a_run_folder_error(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    with pytest.raises(RunFolderError, match=r"w\.npz cannot be read.*run again"):
        Windows.load(path)
    built([["a"] * 900], length=5, skip=1).save(path)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"no archive", whole.replace(b"n_too", b"x_too")):
        path.write_bytes(damaged)
        with pytest.raises(RunFolderError, match=r"w\.npz cannot be read"):
            Windows.load(path)


def test_arrays_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        built([["a"] * 9], length=5, skip=1).ids[0] = 1


def test_a_window_must_be_longer_than_what_it_skips() -> None:
    for length, skip in ((4, 4), (3, 4), (4, -1)):
        with pytest.raises(ConfigError, match="length > skip"):
            WindowsBuilder(length=length, skip=skip)


def test_ids_and_pieces_must_agree_in_number() -> None:
    builder = WindowsBuilder(length=4, skip=1)
    with pytest.raises(ValueError, match=r"'d': 3 token ids but 2 pieces"):
        builder.add(Document(id="d", text="ab", split="test"), [1, 2, 3], ["a", "b"])


def test_a_refused_document_leaves_the_builder_as_it_was() -> None:
    builder = WindowsBuilder(length=4, skip=1)
    document = Document(id="d", text="ab", split="test")
    with pytest.raises(UnicodeEncodeError):
        builder.add(document, [1, 2], ["a", "\ud800"])
    with pytest.raises(OverflowError):
        builder.add(document, [1, 2**40], ["a", "b"])
    builder.add(document, [1, 2], ["a", "b"])
    windows = builder.build()
    assert (len(windows), windows.documents, windows.token_ids(0).tolist()) == (1, ("d",), [1, 2])


@pytest.mark.parametrize("split", SPLITS)
def test_permuted_gives_the_windows_of_one_split_in_an_order_of_the_seed(split: Split) -> None:
    windows = built([["a"] * 80] * 6, length=5, skip=1)
    order = permuted(windows, split=split, seed=1)
    assert order.dtype == np.int64
    assert sorted(order) == [w for w in range(len(windows)) if SPLITS[windows.split[w]] == split]
    assert order.tolist() == permuted(windows, split=split, seed=1).tolist()
    assert order.tolist() != permuted(windows, split=split, seed=2).tolist()
    assert order.tolist() != sorted(order)


def test_permuted_is_the_same_on_every_machine_and_release() -> None:
    windows = built([["a"] * 41], length=5, skip=1)
    assert permuted(windows, split="explain", seed=0).tolist() == [3, 7, 9, 6, 0, 1, 5, 8, 4, 2]
    assert permuted(windows, split="test", seed=0).tolist() == []
