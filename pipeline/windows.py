"""Tokenised documents, cut into windows that a subject reads one at a time.

Every token of a document but its first `skip` ones is scored in exactly one window; the tokens in
front of the scored ones give context only. Knows token ids and the text that they stand for, and
nothing of activations. Shape key: N tokens of all documents, D documents, W windows, T tokens of
one window.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from scrutable.pipeline.errors import ConfigError, RunFolderError
from scrutable.pipeline.records import SPLITS, Document, Passage, Split

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_Scalar = TypeVar("_Scalar", bound=np.generic)


class Cut(NamedTuple):
    """Where a window lies in its document, in tokens."""

    start: int
    length: int
    n_context: int  # leading tokens that are not scored, >= skip


def cuts(n_tokens: int, *, length: int, skip: int) -> Iterator[Cut]:
    """The windows of a document of `n_tokens`, in order; none if it has no more than `skip` tokens.

    Window k starts at k * (length - skip), so that neighbours overlap by `skip` tokens. The last one
    ends with the document and reaches back for a full length, so that its tokens have as much
    context as there is; what its neighbour scored is context there. Needs length > skip >= 0.
    """
    if n_tokens <= skip:
        return
    scored_to = skip
    for start in range(0, n_tokens - length + 1, length - skip):
        yield Cut(start, length, skip)
        scored_to = start + length
    if scored_to < n_tokens:
        start = max(0, n_tokens - length)
        yield Cut(start, n_tokens - start, scored_to - start)


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """The windows of a corpus, in corpus order; arrays are read-only.

    The text is kept as UTF-8 with the byte at which each token's piece begins, since one Python
    string for each token would take ten times the memory.
    """

    documents: tuple[str, ...]  # (D,) ids of the documents that have a window
    ids: NDArray[np.int32]  # (N,) token ids of whole documents, one after the other
    token_starts: NDArray[np.int64]  # (D + 1,) where each document begins in ids
    text: NDArray[np.uint8]  # UTF-8 of all documents, as the subject saw them
    text_starts: NDArray[np.int64]  # (D + 1,) bytes: where each document begins in text
    offsets: NDArray[np.int32]  # (N + D,) bytes from the document's begin: T + 1 bounds of its T pieces
    starts: NDArray[np.int64]  # (W,) where each window begins in ids
    lengths: NDArray[np.int32]  # (W,) tokens
    n_context: NDArray[np.int32]  # (W,) leading tokens that carry no statistics, < length
    document: NDArray[np.int32]  # (W,) index into documents
    split: NDArray[np.int8]  # (W,) index into records.SPLITS
    n_too_short: int  # documents left out since they had no token to score

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def n_scored(self) -> int:
        """Tokens that carry statistics, in all windows together."""
        return int(self.lengths.sum(dtype=np.int64) - self.n_context.sum(dtype=np.int64))

    @property
    def documents_in_splits(self) -> dict[Split, int]:
        """How many documents of each split have a window; what `corpus.check_splits` asks for."""
        in_split = (np.unique(self.document[self.split == index]).size for index in range(len(SPLITS)))
        return dict(zip(SPLITS, in_split, strict=True))

    def token_ids(self, window: int) -> NDArray[np.int32]:
        """(T,) the token ids of a window; a view."""
        start = self.starts[window]
        return self.ids[start : start + self.lengths[window]]

    def pieces(self, window: int) -> tuple[str, ...]:
        """(T,) the text of each token of a window."""
        document = self.document[window]
        first = self.starts[window] + document  # each document before has one offset more than tokens
        bounds = self.text_starts[document] + self.offsets[first : first + self.lengths[window] + 1]
        data = self.text[bounds[0] : bounds[-1]].tobytes()
        edges = (bounds - bounds[0]).tolist()
        return tuple(data[a:b].decode() for a, b in pairwise(edges))

    def passage(self, window: int) -> Passage:
        """What a simulator may see of a window; its id is `<document>#<offset of its first token>`."""
        document = self.document[window]
        offset = self.starts[window] - self.token_starts[document]
        return Passage(
            id=f"{self.documents[document]}#{offset}",
            tokens=self.pieces(window),
            n_context=int(self.n_context[window]),
        )

    def save(self, path: Path) -> None:
        """Write an npz file whole or not at all; equal windows give equal bytes."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        about = {"documents": self.documents, "n_too_short": self.n_too_short}
        arrays["about"] = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("wb") as file:
                np.savez(file, **arrays)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: Path) -> Windows:
        """Read what `save` wrote. Raises RunFolderError for a file that is missing or damaged."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                about = json.loads(arrays["about"].tobytes())
                return cls(
                    **{name: _read_only(arrays[name]) for name in _ARRAYS},
                    documents=tuple(about["documents"]),
                    n_too_short=about["n_too_short"],
                )
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            problem = " ".join(str(error).split()) or type(error).__name__
            raise RunFolderError(
                f"windows {path} cannot be read: {problem}; delete the file and run again"
            ) from error


_ARRAYS = tuple(field.name for field in fields(Windows) if field.name not in ("documents", "n_too_short"))


class WindowsBuilder:
    """Collects tokenised documents; about 14 bytes for each token of English text."""

    def __init__(self, *, length: int, skip: int) -> None:
        """`length` and `skip` in tokens. Raises ConfigError unless length > skip >= 0."""
        if not length > skip >= 0:
            raise ConfigError(
                f"windows need length > skip >= 0, but length is {length} and skip {skip}; "
                "change corpus.window or corpus.skip"
            )
        self._length = length
        self._skip = skip
        self._documents: list[str] = []
        self._ids, self._offsets = array("i"), array("i")
        self._text = bytearray()
        self._token_starts, self._text_starts = array("q", [0]), array("q", [0])
        self._starts, self._split = array("q"), array("b")
        self._lengths, self._n_context, self._document = array("i"), array("i"), array("i")
        self._n_too_short = 0

    @property
    def n_tokens(self) -> int:
        """Tokens of the documents kept so far."""
        return len(self._ids)

    def add(self, document: Document, ids: Sequence[int], pieces: Sequence[str]) -> None:
        """Cut one document; `ids` and `pieces` are (T,), and the pieces join to the text that was read.

        Raises ValueError if they differ in number or a piece is no valid Unicode, OverflowError for an
        id beyond 32 bits.
        """
        if len(ids) != len(pieces):
            raise ValueError(f"document {document.id!r}: {len(ids)} token ids but {len(pieces)} pieces")
        if len(ids) <= self._skip:
            self._n_too_short += 1
            return
        # All that can fail comes first: a refused document leaves nothing behind.
        encoded = [piece.encode() for piece in pieces]
        checked = array("i", ids)
        offsets = array("i", [0, *accumulate(map(len, encoded))])
        for cut in cuts(len(ids), length=self._length, skip=self._skip):
            self._starts.append(self.n_tokens + cut.start)
            self._lengths.append(cut.length)
            self._n_context.append(cut.n_context)
            self._document.append(len(self._documents))
            self._split.append(SPLITS.index(document.split))
        self._documents.append(document.id)
        self._ids.extend(checked)
        self._offsets.extend(offsets)
        self._text += b"".join(encoded)
        self._token_starts.append(len(self._ids))
        self._text_starts.append(len(self._text))

    def build(self) -> Windows:
        """The windows of all documents added; the builder is spent, since they share its memory."""
        return Windows(
            documents=tuple(self._documents),
            ids=_view(self._ids, np.int32),
            token_starts=_view(self._token_starts, np.int64),
            text=_view(self._text, np.uint8),
            text_starts=_view(self._text_starts, np.int64),
            offsets=_view(self._offsets, np.int32),
            starts=_view(self._starts, np.int64),
            lengths=_view(self._lengths, np.int32),
            n_context=_view(self._n_context, np.int32),
            document=_view(self._document, np.int32),
            split=_view(self._split, np.int8),
            n_too_short=self._n_too_short,
        )


def permuted(windows: Windows, *, split: Split, seed: int) -> NDArray[np.int64]:
    """(windows of the split,) their numbers in a random order that only seed, split and count decide.

    Sorted by the raw stream of PCG64, which numpy keeps for ever; that of its `permutation` may
    change with a release.
    """
    chosen = np.flatnonzero(windows.split == SPLITS.index(split)).astype(np.int64)
    digest = hashlib.sha256(f"{seed}/{split}".encode()).digest()
    keys = np.random.PCG64(int.from_bytes(digest, "big")).random_raw(chosen.size)
    order: NDArray[np.int64] = chosen[np.argsort(keys, kind="stable")]
    return order


def _view(data: array[int] | bytearray, dtype: type[_Scalar]) -> NDArray[_Scalar]:
    return _read_only(np.frombuffer(data, dtype=dtype))


def _read_only(values: NDArray[_Scalar]) -> NDArray[_Scalar]:
    values.flags.writeable = False
    return values
