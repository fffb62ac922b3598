"""Documents, each put into one split for ever; near-copies never straddle two splits.

A stream: memory holds one document, the ids, and one signature for each document, never the corpus.
Knows nothing of tokens: `windows.py` cuts what a subject tokenised.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scrutable.pipeline.documents import RawDocument, read_documents
from scrutable.pipeline.errors import ConfigError, CorpusError
from scrutable.pipeline.near_duplicates import NearDuplicates
from scrutable.pipeline.records import SPLITS, Document, Split

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class CorpusStatistics:
    """What a corpus has given so far."""

    documents: Mapping[Split, int]  # every split is a key
    characters: Mapping[Split, int]  # code points
    dropped: tuple[tuple[str, str], ...]  # (id of the dropped document, id of the one it resembles)


class Corpus:
    """One pass over the documents of a corpus, in corpus order, with their splits.

    A document that nearly copies an earlier one of another split is dropped and counted.
    """

    def __init__(
        self,
        documents: Iterable[RawDocument],
        *,
        shares: Mapping[Split, float],
        seed: int,
        similarity: float = 0.7,
    ) -> None:
        self._raw = iter(documents)
        self._shares = dict(shares)
        self._seed = seed
        self._near_duplicates = NearDuplicates(threshold=similarity)
        self._documents: dict[Split, int] = dict.fromkeys(SPLITS, 0)
        self._characters: dict[Split, int] = dict.fromkeys(SPLITS, 0)
        self._dropped: list[tuple[str, str]] = []

    def __iter__(self) -> Iterator[Document]:
        """The documents that are left; a second loop goes on where the first one stopped.

        Raises CorpusError as `read_documents` does, and ConfigError for shares that are none.
        """
        for raw in self._raw:
            split = split_of(raw.id, shares=self._shares, seed=self._seed)
            document = Document(id=raw.id, text=raw.text, split=split)
            resembled = self._near_duplicates.admit(document)
            if resembled is not None:
                self._dropped.append((document.id, resembled))
                continue
            self._documents[split] += 1
            self._characters[split] += len(document.text)
            yield document

    @property
    def statistics(self) -> CorpusStatistics:
        """A snapshot over the documents given so far."""
        return CorpusStatistics(dict(self._documents), dict(self._characters), tuple(self._dropped))


def load_corpus(
    path: Path,
    *,
    shares: Mapping[Split, float],
    seed: int,
    text_field: str = "text",
    id_field: str = "id",
    similarity: float = 0.7,
) -> Corpus:
    """The documents under `path` with their splits; nothing is read before the first is asked for.

    `similarity` in (0, 1] is the Jaccard similarity of word 5-grams from which two documents count
    as near-duplicates. Raises ConfigError for a similarity out of range.
    """
    raw = read_documents(path, text_field=text_field, id_field=id_field)
    return Corpus(raw, shares=shares, seed=seed, similarity=similarity)


def check_splits(documents: Mapping[Split, int]) -> None:
    """Raises CorpusError if a split has no documents; `documents` counts those that are in use."""
    for split in SPLITS:
        if not documents.get(split, 0):
            raise CorpusError(
                f"corpus too small for its splits: split {split!r} has 0 documents of "
                f"{sum(documents.values())}; give more documents or change corpus.splits"
            )


def split_of(document_id: str, *, shares: Mapping[Split, float], seed: int) -> Split:
    """The split of a document; depends on its id, the shares and the seed, on no other document.

    `shares` are >= 0 and sum to 1; a split that is left out has none. Raises ConfigError otherwise.
    """
    if any(not share >= 0 for share in shares.values()) or not math.isclose(
        sum(shares.values()), 1, abs_tol=1e-6
    ):
        raise ConfigError(f"corpus.splits must be shares >= 0 that sum to 1, but are {dict(shares)}")
    digest = hashlib.sha256(f"{seed}\0{document_id}".encode()).digest()
    position = (int.from_bytes(digest[:8], "big") >> 11) / 2**53  # in [0, 1), exactly
    chosen: Split = "explain"
    for split in SPLITS:
        share = shares.get(split, 0.0)
        if share:
            chosen = split  # the last one also takes what rounding left over
        position -= share
        if position < 0:
            break
    return chosen
