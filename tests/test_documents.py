"""Documents: every format read, every bad input named."""

from __future__ import annotations

import bz2
import gzip
import re
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from toy_corpora import json_lines, written

from scrutable.pipeline.documents import read_documents
from scrutable.pipeline.errors import CorpusError


def refused(path: Path, **fields: str) -> str:
    with pytest.raises(CorpusError) as caught:
        list(read_documents(path, **fields))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_text_file_is_one_document(tmp_path: Path) -> None:
    path = written(tmp_path / "tale.txt", "Once.\n\n漢字 👩\u200d👧\r\n")
    assert list(read_documents(path)) == [("tale.txt", "Once.\n\n漢字 👩\u200d👧\r\n")]


def test_a_folder_gives_its_text_files_in_order_with_their_relative_paths(tmp_path: Path) -> None:
    for name in ("b.txt", "a/z.txt", "a/notes.md", "A.TXT"):
        written(tmp_path / name, name)
    assert list(read_documents(tmp_path)) == [
        ("A.TXT", "A.TXT"),
        ("a/z.txt", "a/z.txt"),
        ("b.txt", "b.txt"),
    ]


@pytest.mark.parametrize("name", ["data.jsonl", "data.jsonl.gz"])
def test_json_lines_are_read_with_their_ids_or_line_numbers(tmp_path: Path, name: str) -> None:
    content = '\ufeff{"text": "eins 👩", "id": 7}\n\n{"text": "two"}\n{"text": "three", "id": null}'.encode()
    path = written(tmp_path / name, gzip.compress(content) if name.endswith("gz") else content)
    expected = [("7", "eins 👩"), (f"{name}:3", "two"), (f"{name}:4", "three")]
    assert list(read_documents(path)) == expected


def test_parquet_is_read_in_batches_with_ids_or_row_numbers(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    table = pyarrow.table({"body": [f"t{i}" for i in range(200)], "n": range(200), "other": [None] * 200})
    pyarrow.parquet.write_table(table, path)
    found = list(read_documents(path, text_field="body", id_field="n"))
    assert found == [(str(i), f"t{i}") for i in range(200)]
    assert next(read_documents(path, text_field="body")) == ("data.parquet:1", "t0")


def test_other_fields_can_hold_text_and_id(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "d.jsonl", {"body": "x", "key": "k", "text": "not this", "id": "nor this"})
    assert list(read_documents(path, text_field="body", id_field="key")) == [("k", "x")]


def test_a_reader_that_stops_early_meets_no_later_error(tmp_path: Path) -> None:
    path = written(tmp_path / "d.jsonl", '{"text": "a"}\nnot json\n')
    assert next(read_documents(path)).text == "a"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"text": ', r"d\.jsonl:2 is no JSON"),
        (b'["text"]', r"d\.jsonl:2 is no JSON object"),
        (b"[" * 100_000, r"d\.jsonl:2 is no JSON"),
        (
            b'{"body": "x", "n": 1}',
            r"d\.jsonl:2: no field 'text'; the fields are 'body', 'n'; set corpus\.text",
        ),
        (b"{}", r"d\.jsonl:2: no field 'text'; the fields are none"),
        (b'{"text": 3}', r"d\.jsonl:2: field 'text' is no text"),
        (b'{"text": null}', r"d\.jsonl:2: field 'text' is no text"),
        (b'{"text": "x", "id": [1]}', r"d\.jsonl:2: the id in field 'id' is neither"),
        (b'{"text": "x", "id": true}', r"d\.jsonl:2: the id in field 'id' is neither"),
        (b'{"text": "a", "id": "one"}', r"d\.jsonl:2 repeats the id 'one'"),
        (b'{"text": "a\xff"}', r"d\.jsonl:2: byte 11 is no valid UTF-8"),
        (b'{"text": "a\\u0000b"}', r"d\.jsonl:2: the text holds a NUL byte"),
        (b'{"text": "a", "id": "\\u0000"}', r"d\.jsonl:2: the id holds a NUL byte"),
        (b'{"text": "\\ud83d"}', r"d\.jsonl:2: the text is no valid Unicode"),
    ],
)
def test_a_bad_json_line_is_named_with_its_file_and_line(tmp_path: Path, line: bytes, problem: str) -> None:
    path = written(tmp_path / "d.jsonl", b'{"text": "fine", "id": "one"}\n' + line + b"\n")
    assert re.search(problem, refused(path))


def test_a_missing_parquet_column_is_named_with_those_that_exist(tmp_path: Path) -> None:
    path = tmp_path / "d.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"body": ["a"], "n": [1]}), path)
    assert "d.parquet:1: no field 'text'; the fields are 'body', 'n'" in refused(path)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.txt", b"caf\xe9", "a.txt: byte 3 is no valid UTF-8"),
        ("a.txt", b"\x7fELF\0\0", "a.txt: the text holds a NUL byte"),
        ("a.jsonl", b"", "holds no documents"),
        ("a.jsonl", b"\n \n", "holds no documents"),
        ("a.jsonl.gz", b"plain", "cannot be read: Not a gzipped file"),
        ("a.jsonl.gz", gzip.compress(b'{"text": "a"}' * 99)[:-20], "cannot be read"),
        ("a.parquet", b"PAR1", "cannot be read as parquet"),
        ("a.xml", b"<mediawiki><page>", "is no MediaWiki XML"),
        ("a.xml", b"plain", "is no MediaWiki XML"),
        ("a.xml", b"<mediawiki/>", "holds no documents"),
        ("a.xml.bz2", b"plain", "cannot be read: Invalid data stream"),
        ("a.xml.bz2", bz2.compress(b"<mediawiki>" + b" " * 99)[:-9], "cannot be read"),
        ("a.docx", b"x", "unknown format; known are .txt"),
    ],
)
def test_a_bad_file_is_named_with_its_problem(
    tmp_path: Path, name: str, content: bytes, problem: str
) -> None:
    assert problem in refused(written(tmp_path / name, content))


def test_a_missing_path_and_a_folder_without_text_are_refused(tmp_path: Path) -> None:
    assert "no.txt does not exist" in refused(tmp_path / "no.txt")
    assert "is a folder without .txt files" in refused(tmp_path)


def test_a_bad_file_in_a_folder_is_named_by_its_relative_path(tmp_path: Path) -> None:
    written(tmp_path / "sub" / "bad.txt", b"\xff")
    assert "corpus sub/bad.txt: byte 0" in refused(tmp_path)
