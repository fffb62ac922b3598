"""Documents as they lie in files, one in memory at a time, each with an id that is unique.

Reads .txt files and folders of them, .jsonl, .jsonl.gz, .parquet and MediaWiki dumps (.xml,
.xml.bz2). Knows nothing of splits.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from scrutable.pipeline.errors import CorpusError
from scrutable.pipeline.wikitext import wiki_articles

if TYPE_CHECKING:
    from pathlib import Path

FORMATS = ".txt (a file or a folder of them), .jsonl, .jsonl.gz, .parquet, .xml, .xml.bz2 (MediaWiki)"


class RawDocument(NamedTuple):
    """A text with an id that is unique in its corpus."""

    id: str
    text: str


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
        for title, prose in wiki_articles(path):
            yield _Row(f"{path.name}: article {title!r}", f"wiki:{title}", prose)
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
            f"corpus {where}: byte {error.start} is no valid UTF-8, so this is a binary file or a text in "
            "another encoding; give a text file in UTF-8"
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
    if document_id is not None and (isinstance(document_id, bool) or not isinstance(document_id, str | int)):
        raise CorpusError(
            f"corpus {where}: the id in field {id_field!r} is neither text nor an integer; "
            "set corpus.id_field to another field"
        )
    return _Row(where, None if document_id is None else str(document_id), text)


def _line(error: Exception) -> str:
    """An error of another library as a single line."""
    return " ".join(str(error).split()) or type(error).__name__
