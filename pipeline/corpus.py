"""Documents from files, each put into one split for ever; near-copies never straddle two splits.

Reads .txt files and folders of them, .jsonl, .jsonl.gz, .parquet and MediaWiki dumps
(.xml, .xml.bz2) as a stream: memory holds one document, the ids, and one signature for each
document, never the corpus. Knows nothing of tokens: `windows.py` cuts what a subject tokenised.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from scrutable.pipeline.errors import ConfigError, CorpusError
from scrutable.pipeline.records import SPLITS, Document, Split

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FORMATS = ".txt (a file or a folder of them), .jsonl, .jsonl.gz, .parquet, .xml, .xml.bz2 (MediaWiki)"


class RawDocument(NamedTuple):
    """A text with an id that is unique in its corpus."""

    id: str
    text: str


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


# --- near-duplicates -------------------------------------------------------------------------

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
    hashes = np.array(
        [zlib.crc32(word.encode("utf-8", "surrogatepass")) for word in words], dtype=np.uint64
    )
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


# --- reading ---------------------------------------------------------------------------------


class _Row(NamedTuple):
    where: str  # for messages, and the id of a document that has none: "data.jsonl:3"
    id: str | None
    text: str


def read_documents(path: Path, *, text_field: str = "text", id_field: str = "id") -> Iterator[RawDocument]:
    """The documents of a file or folder, in order, one in memory at a time.

    A .txt file is one document, with its name (in a folder: its relative path) as id. A document of
    a .jsonl or .parquet file without an id gets `<file name>:<line>`, a row counting as a line; an
    article of a MediaWiki dump gets `wiki:<title>`. The text is taken as it is, but for a leading
    byte order mark, and for the markup of a wiki.

    Raises CorpusError, while iterating, for a path that does not exist or has an unknown format, a
    damaged file, invalid UTF-8, NUL bytes, a missing field, a repeated id, and an empty corpus.
    """
    seen: set[str] = set()
    try:
        for row in _rows(path, text_field=text_field, id_field=id_field):
            document = _checked(row)
            if document.id in seen:
                raise CorpusError(
                    f"corpus {path}: {row.where} repeats the id {document.id!r}; make every id unique"
                )
            seen.add(document.id)
            yield document
    except (OSError, EOFError, zlib.error) as error:
        raise CorpusError(f"corpus {path} cannot be read: {_line(error)}; is the file complete?") from error
    if not seen:
        raise CorpusError(f"corpus {path} holds no documents; give one that does")


def _rows(path: Path, *, text_field: str, id_field: str) -> Iterator[_Row]:
    name = path.name.lower()
    if not path.exists():
        raise CorpusError(f"corpus {path} does not exist; check corpus.source")
    if path.is_dir():
        yield from _text_folder(path)
    elif name.endswith(".txt"):
        yield _text_file(path, path.name)
    elif name.endswith((".jsonl", ".jsonl.gz")):
        yield from _json_lines(path, text_field=text_field, id_field=id_field)
    elif name.endswith(".parquet"):
        yield from _parquet(path, text_field=text_field, id_field=id_field)
    elif name.endswith((".xml", ".bz2")):
        yield from _wiki_articles(path)
    else:
        raise CorpusError(f"corpus {path} has an unknown format; known are {FORMATS}")


def _checked(row: _Row) -> RawDocument:
    document_id = row.id or row.where
    for what, value in (("text", row.text), ("id", document_id)):
        if "\0" in value:
            raise CorpusError(f"corpus {row.where}: the {what} holds a NUL byte; is this a binary file?")
        try:
            value.encode()
        except UnicodeEncodeError as error:  # JSON can escape half of a surrogate pair
            raise CorpusError(
                f"corpus {row.where}: the {what} is no valid Unicode ({_line(error)}); repair the file"
            ) from error
    return RawDocument(document_id, row.text)


def _text_folder(folder: Path) -> Iterator[_Row]:
    names = sorted(
        file.relative_to(folder).as_posix()
        for file in folder.rglob("*")
        if file.suffix.lower() == ".txt" and file.is_file()
    )
    if not names:
        raise CorpusError(f"corpus {folder} is a folder without .txt files; give a file or {FORMATS}")
    for name in names:
        yield _text_file(folder / name, name)


def _text_file(path: Path, document_id: str) -> _Row:
    return _Row(document_id, document_id, _decoded(path.read_bytes(), document_id))


def _decoded(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"corpus {where}: byte {error.start} is no valid UTF-8; convert the file to UTF-8"
        ) from error


def _json_lines(path: Path, *, text_field: str, id_field: str) -> Iterator[_Row]:
    import gzip

    with gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            where = f"{path.name}:{number}"
            text = _decoded(line, where)
            if not text.strip():
                continue
            try:
                fields = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise CorpusError(
                    f"corpus {where} is no JSON ({_line(error)}); repair or remove the line"
                ) from error
            if not isinstance(fields, dict):
                raise CorpusError(f"corpus {where} is no JSON object; each line must be one")
            yield _row(fields, where, text_field=text_field, id_field=id_field)


def _parquet(path: Path, *, text_field: str, id_field: str) -> Iterator[_Row]:
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            found = file.schema_arrow.names
            wanted = [field for field in (text_field, id_field) if field in found]
            for batch in file.iter_batches(batch_size=64, columns=wanted if text_field in wanted else None):
                for fields in batch.to_pylist():
                    number += 1
                    where = f"{path.name}:{number}"
                    yield _row(fields, where, text_field=text_field, id_field=id_field)
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:
        raise CorpusError(
            f"corpus {path} cannot be read as parquet after row {number}: {_line(error)}; write it again"
        ) from error


def _row(fields: Mapping[str, Any], where: str, *, text_field: str, id_field: str) -> _Row:
    text, document_id = fields.get(text_field), fields.get(id_field)
    if not isinstance(text, str):
        problem = f"field {text_field!r} is no text" if text_field in fields else f"no field {text_field!r}"
        raise CorpusError(
            f"corpus {where}: {problem}; the fields are {', '.join(map(repr, fields)) or 'none'}; "
            "set corpus.text_field to the one that holds the text"
        )
    if document_id is not None and (
        isinstance(document_id, bool) or not isinstance(document_id, str | int)
    ):
        raise CorpusError(
            f"corpus {where}: the id in field {id_field!r} is neither text nor an integer; "
            "set corpus.id_field to another field"
        )
    return _Row(where, None if document_id is None else str(document_id), text)


def _line(error: Exception) -> str:
    """An error of another library as a single line."""
    return " ".join(str(error).split()) or type(error).__name__


# --- MediaWiki -------------------------------------------------------------------------------


def _wiki_articles(path: Path) -> Iterator[_Row]:
    """The articles of a pages-articles dump: pages of namespace 0 that are no redirects."""
    import bz2
    import xml.etree.ElementTree as ElementTree

    with bz2.open(path, "rb") if path.name.lower().endswith(".bz2") else path.open("rb") as file:
        try:
            for page in _pages(file):
                title = page.findtext("{*}title", "")
                if page.findtext("{*}ns") == "0" and page.find("{*}redirect") is None:
                    markup = page.findtext("{*}revision/{*}text") or ""
                    yield _Row(f"{path.name}: article {title!r}", f"wiki:{title}", wiki_prose(markup))
        except ElementTree.ParseError as error:
            raise CorpusError(
                f"corpus {path} is no MediaWiki XML ({_line(error)}); give a pages-articles dump"
            ) from error


def _pages(file: IO[bytes]) -> Iterator[Any]:
    import xml.etree.ElementTree as ElementTree

    events = ElementTree.iterparse(file, events=("start", "end"))
    _, root = next(events)
    for event, element in events:
        if event == "end" and element.tag.rpartition("}")[2] == "page":
            yield element
            root.clear()  # the tree would grow to the size of the dump


_DROPPED_TAGS = frozenset(
    (
        "ref", "references", "table", "tr", "td", "th", "caption", "gallery", "math", "timeline", "source",
        "syntaxhighlight", "score", "imagemap", "templatestyles", "hr", "chem",
    )
)  # fmt: skip
_DROPPED_LINKS = re.compile(r"\s*(file|image|category|media)\s*:", re.IGNORECASE)
_INTERLANGUAGE = re.compile(r"\s*(?:[a-z]{2,3}(?:-[a-z]+)*|simple):")
_BACK_MATTER = frozenset(
    (
        "see also", "references", "external links", "further reading", "notes", "footnotes", "bibliography",
        "sources", "citations", "notes and references", "references and notes", "works cited", "gallery",
    )
)  # fmt: skip
# Comments, and references: a quotation mark too many near a reference hides it from the parser.
_UNREAD = re.compile(r"<!--.*?-->|<ref\b[^>]*/>|<ref\b[^>]*>.*?</ref\s*>", re.DOTALL | re.IGNORECASE)
# Templates that stand for words of a sentence: which of their arguments a reader sees.
_SPOKEN: dict[str, int | str] = {
    "lang": -1, "transl": -1, "transliteration": -1, "nihongo": 0, "nowrap": 0, "nobr": 0, "small": 0,
    "smaller": 0, "big": 0, "angbr": 0, "vanchor": 0, "visible anchor": 0, "quote": 0, "blockquote": 0,
    "nts": 0, "dts": 0, "sup": 0, "sub": 0, "mvar": 0, "math": 0, "abbr": 0, "flag": 0, "flagcountry": 0,
    "keypress": 0, "ipa": 0,
    "pipe": "|", "!": "|", "·": " ·", "ndash": " – ", "mdash": " — ", "mdashb": " — ", "snd": " – ",
    "spaced ndash": " – ",
}  # fmt: skip
_RANGE_WORDS = frozenset({"to", "and", "or", "by", "x", "-", "–"})


def wiki_prose(markup: str) -> str:
    """The prose of a wiki page: headings are plain lines, links are their text.

    Tables, references, files, categories, formulas, most templates, and the sections that only list
    sources and links are left out.
    """
    import mwparserfromhell

    blocks: list[tuple[int, list[str]]] = [(0, [])]  # (level of the heading, its line and what follows)
    omitted = 0  # level of the heading that opened the part left out; 0: nothing is being left out
    for node in mwparserfromhell.parse(_UNREAD.sub("", markup)).nodes:
        if isinstance(node, mwparserfromhell.nodes.Heading) and (not omitted or node.level <= omitted):
            title = _rendered(node.title).strip()
            omitted = node.level if title.casefold() in _BACK_MATTER else 0
            blocks += [] if omitted else [(node.level, [])]
        if not omitted:
            blocks[-1][1].append(_rendered_node(node))
    return "\n\n".join(_without_empty([(level, _tidied("".join(parts))) for level, parts in blocks]))


def _without_empty(blocks: list[tuple[int, str]]) -> list[str]:
    """The blocks but for those that are a heading over nothing, such as over a dropped table."""
    kept: list[str] = []
    level_below = 0
    for level, text in reversed(blocks):
        if text and (not level or "\n" in text or level_below > level):
            kept.append(text)
            level_below = level
    return kept[::-1]


def _rendered(code: Any) -> str:
    return "".join(_rendered_node(node) for node in code.nodes) if code is not None else ""


def _rendered_node(node: Any) -> str:
    from mwparserfromhell import nodes

    match node:
        case nodes.Text():
            return str(node.value)
        case nodes.Wikilink():
            return _rendered_link(node)
        case nodes.Tag():
            name = str(node.tag).strip().lower()
            if name in _DROPPED_TAGS:
                return ""
            return "\n" if name == "br" else _rendered(node.contents)
        case nodes.Template():
            return _rendered_template(node)
        case nodes.Heading():
            return f"\n\n{_rendered(node.title).strip()}\n\n"
        case nodes.ExternalLink():
            return _rendered(node.title) if node.brackets else str(node.url)
        case nodes.HTMLEntity():
            return str(node.normalize())
        case _:  # comments, and arguments of templates
            return ""


def _rendered_link(link: Any) -> str:
    title = str(link.title)
    if _DROPPED_LINKS.match(title):
        return ""
    if link.text is not None:
        return _rendered(link.text)
    return "" if _INTERLANGUAGE.match(title) else _rendered(link.title).strip().removeprefix(":")


def _rendered_template(template: Any) -> str:
    name = " ".join(str(template.name).split()).lower()
    spoken = _SPOKEN.get(name, -1 if name.startswith("lang-") else None)
    arguments = [_rendered(p.value).strip() for p in template.params if not p.showkey]
    if isinstance(spoken, str):
        return spoken
    if not arguments:
        return ""
    if spoken is not None:
        return arguments[spoken]
    if name in ("convert", "cvt"):  # {{convert|5|km|mi}}, {{convert|5|to|10|km}}
        return " ".join(arguments[: 4 if arguments[1:2] and arguments[1] in _RANGE_WORDS else 2])
    return f"As of {arguments[0]}" if name == "as of" else ""


# What is left of markup that does not parse, and the holes that dropped templates leave in a sentence.
_TIDYINGS = tuple(
    (re.compile(pattern, re.MULTILINE), replacement)
    for pattern, replacement in (
        (r"__[A-Z]+__", ""),
        (r"^[ \t]*(?:\{\||\|[-}]|\||!).*$", ""),  # rows of broken tables
        (r"\[\[|\]\]|\{\{|\}\}|'{2,}", ""),
        (r"^(?:File|Image):.*$", ""),  # a link that the parser gave up on
        (r"[ \t\xa0]+", " "),
        (r"\([ ,;:]*\)", ""),
        (r"\( ?[,;:] ?", "("),
        (r"[ ,;:]+\)", ")"),
        (r"\( ", "("),
        (r" +([,.;])(?=\s|$)", r"\1"),
        (r"  +", " "),
        (r"^[ *#:;]+|[ ]+$", ""),
        (r"\n{3,}", "\n\n"),
    )
)


def _tidied(text: str) -> str:
    """The text after all tidyings, until they find nothing more: one may uncover work for another."""
    before = None
    while text != before:
        before = text
        for pattern, replacement in _TIDYINGS:
            text = pattern.sub(replacement, text)
    return text.strip()
