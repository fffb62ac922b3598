"""Documents that nearly copy another: MinHash signatures, banded for lookup.

Knows documents by id and split only; what becomes of a near-copy is the corpus's business.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from typing import TYPE_CHECKING

import numpy as np

from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.records import SPLITS, Document, Split

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SHINGLE = 5  # words
_PERMUTATIONS = 64
_BANDS = 16  # of 4 rows: a pair of similarity 0.7 becomes a candidate with probability 0.99
_CHUNK = 4096  # shingles hashed at once, so that a long document costs 2 MB and not its length

# Scripts that write no spaces: there every character counts as a word.
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")


class NearDuplicates:
    """Finds documents that nearly copy an earlier document of another split.

    MinHash over word 5-grams (Broder 1997), banded for lookup, confirmed by the estimated Jaccard
    similarity, whose standard error is at most 1/16. A document of fewer than 5 words is compared
    as a whole. Only whole documents are compared: a short passage that two long documents share is
    not found. Keeps about 4 kB for each document, whatever its length.
    """

    def __init__(self, *, threshold: float = 0.7) -> None:
        """Raises ConfigError unless 0 < threshold <= 1."""
        if not 0 < threshold <= 1:
            raise ConfigError(f"the similarity of near-duplicates must be in (0, 1], but is {threshold}")
        self._threshold = threshold
        self._ids: list[str] = []
        self._signatures: list[NDArray[np.uint32]] = []
        self._buckets: dict[Split, dict[int, list[int]]] = {split: {} for split in SPLITS}

    def admit(self, document: Document) -> str | None:
        """The id of the first earlier document of another split that this one resembles.

        None if there is none; then later documents are compared with this one too.
        """
        signature = minhash(document.text)
        keys = _band_keys(signature)
        candidates = sorted(
            index
            for index in {
                index
                for split, buckets in self._buckets.items()
                if split != document.split
                for key in keys
                for index in buckets.get(key, ())
            }
        )
        for index in candidates:
            if np.mean(self._signatures[index] == signature) >= self._threshold:
                return self._ids[index]
        for key in keys:
            self._buckets[document.split].setdefault(key, []).append(len(self._ids))
        self._ids.append(document.id)
        self._signatures.append(signature)
        return None


def minhash(text: str) -> NDArray[np.uint32]:
    """(64,) MinHash signature of a text's set of word 5-grams, case folded.

    The share of places at which two signatures agree estimates the Jaccard similarity of the sets.
    """
    shingles = _shingles(text)
    smallest = np.full(_PERMUTATIONS, 2**32 - 1, dtype=np.uint64)
    for start in range(0, len(shingles), _CHUNK):
        chunk = shingles[start : start + _CHUNK]
        # multiply-shift: the upper half of a*x + b mod 2^64 is a nearly random order of the shingles
        hashed = (_MULTIPLIERS[:, None] * chunk[None, :] + _OFFSETS[:, None]) >> np.uint64(32)
        np.minimum(smallest, hashed.min(axis=1), out=smallest)
    return smallest.astype(np.uint32)


def _shingles(text: str) -> NDArray[np.uint64]:
    """(max(1, words - 4),) a 64-bit hash of each run of 5 words, or of a shorter text as a whole."""
    words = _WORD.findall(text.casefold())
    if len(words) < _SHINGLE:
        whole = " ".join(words) or text.strip()  # a text may be all punctuation or emoji
        digest = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).digest()
        return np.array([int.from_bytes(digest[:8], "big")], dtype=np.uint64)
    hashes = np.array([zlib.crc32(word.encode("utf-8", "surrogatepass")) for word in words], dtype=np.uint64)
    n = len(words) - _SHINGLE + 1
    mixed = np.zeros(n, dtype=np.uint64)
    for place, multiplier in enumerate(_PLACES):
        mixed += hashes[place : place + n] * multiplier
    for shift, multiplier in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # splitmix64
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(multiplier)
    result: NDArray[np.uint64] = mixed ^ (mixed >> np.uint64(31))
    return result


def _band_keys(signature: NDArray[np.uint32]) -> list[int]:
    """(16,) one key for each band of 4 rows; other bands have other keys even for equal rows."""
    rows = signature.reshape(_BANDS, -1).astype(np.uint64)
    keys: list[int] = ((rows * _PLACES[: rows.shape[1]]).sum(axis=1) ^ _OFFSETS[:_BANDS]).tolist()
    return keys


_RANDOM = np.random.PCG64(0).random_raw(2 * _PERMUTATIONS + _SHINGLE)
_MULTIPLIERS = _RANDOM[:_PERMUTATIONS] | np.uint64(1)
_OFFSETS = _RANDOM[_PERMUTATIONS : 2 * _PERMUTATIONS]
_PLACES = _RANDOM[2 * _PERMUTATIONS :] | np.uint64(1)
