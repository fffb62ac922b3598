"""The corpus: every format read, every bad input named, splits for ever, no copy across splits."""

from __future__ import annotations

import bz2
import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scrutable.pipeline.corpus import (
    Corpus,
    NearDuplicates,
    RawDocument,
    check_splits,
    load_corpus,
    minhash,
    read_documents,
    split_of,
    wiki_prose,
)
from scrutable.pipeline.errors import ConfigError, CorpusError
from scrutable.pipeline.records import SPLITS, Document, Split

SHARES: dict[Split, float] = {"explain": 0.5, "calibrate": 0.15, "test": 0.35}


def words(n: int, *, seed: int) -> str:
    random = Random(seed)
    return " ".join(f"w{random.randrange(5000)}" for _ in range(n))


def written(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def json_lines(path: Path, *rows: Any) -> Path:
    return written(path, "".join(json.dumps(row) + "\n" for row in rows))


def refused(path: Path, **fields: str) -> str:
    with pytest.raises(CorpusError) as caught:
        list(read_documents(path, **fields))
    message = str(caught.value)
    assert "\n" not in message
    return message


# --- formats


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
    content = (
        '\ufeff{"text": "eins 👩", "id": 7}\n\n{"text": "two"}\n{"text": "three", "id": null}'.encode()
    )
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


# --- bad input


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


# --- MediaWiki

DUMP = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/">
<siteinfo><sitename>Wikipedia</sitename></siteinfo>
<page><title>Old name</title><ns>0</ns><redirect title="Ant" />
  <revision><text>#REDIRECT [[Ant]]</text></revision></page>
<page><title>Talk:Ant</title><ns>1</ns><revision><text>I disagree.</text></revision></page>
<page><title>Ant &amp; bee</title><ns>0</ns><revision><text>{{Infobox|name={{PAGENAME}}}}
'''Ants''' are [[eusocial]] [[insect|insects]]&lt;ref name="a"&gt;{{cite web|url=x}}&lt;/ref&gt; of
&amp;minus;5&amp;nbsp;mm.

[[Category:Ants]]</text></revision></page>
</mediawiki>"""


@pytest.mark.parametrize("name", ["w.xml", "w.xml.bz2", "w.bz2"])
def test_a_wiki_dump_gives_articles_without_redirects_and_talk(tmp_path: Path, name: str) -> None:
    content = DUMP.encode()
    path = written(tmp_path / name, bz2.compress(content) if name.endswith("bz2") else content)
    expected = [("wiki:Ant & bee", "Ants are eusocial insects of\n−5 mm.")]
    assert list(read_documents(path)) == expected


@pytest.mark.parametrize(
    ("markup", "prose"),
    [
        ("Plain ''italic'' '''bold'''.", "Plain italic bold."),
        (
            "See [[Ant#Life|its life]], [[:Category:Ants]] and [[fr:Fourmi]]x.",
            "See its life, Category:Ants and x.",
        ),
        ("[[File:a.jpg|thumb|An [[ant]] {{lang|de|Ameise}}]]Prose.", "Prose."),
        ("A<ref name=x/> b<ref>{{cite|t}}</ref> c<ref name='y'>''' odd</ref>.", "A b c."),
        ("Before\n{| class=wikitable\n! h\n|-\n| cell\n|}\nafter", "Before\n\nafter"),
        ("A {{convert|5|km|mi}} road, {{convert|5|to|10|km}} long.", "A 5 km road, 5 to 10 km long."),
        ("Ant ({{IPA-en|x}}; {{lang-de|Ameise}}) is", "Ant (Ameise) is"),
        (
            "Ant ({{IPA-en|x}}) is {{As of|2010}} {{cn}}, small{{citation needed}}.",
            "Ant is As of 2010, small.",
        ),
        ("So{{mdashb}}yes {{nowrap}}{{quote|well}}", "So — yes well"),
        ("H<sub>2</sub>O<br/>and <math>x^2</math><!-- no [[File: -->&amp;", "H2O\nand &"),
        ("[http://x.org a site] and http://y.org [http://z.org]", "a site and http://y.org"),
        ("* one\n** two\n# three\n; term\n: text", "one\ntwo\nthree\nterm\ntext"),
        ("a\n\n\n\n__NOTOC__\n\nb", "a\n\nb"),
        ("broken [[link and {{template", "broken link and template"),
        ("[[File:a.jpg|thumb|broken\n\nProse.", "Prose."),
        ("", ""),
    ],
)
def test_wiki_markup_becomes_prose(markup: str, prose: str) -> None:
    assert wiki_prose(markup) == prose


def test_headings_are_plain_lines_and_empty_or_back_matter_sections_go() -> None:
    markup = (
        "Lead.\n== Life ==\n=== Food ===\nSeeds.\n== Empty ==\n{{table}}\n"
        "== See also ==\n* [[Bee]]\n=== Sub ===\nmore\n== Use ==\nNone.\n== Notes ==\n{{reflist}}"
    )
    assert wiki_prose(markup) == "Lead.\n\nLife\n\nFood\n\nSeeds.\n\nUse\n\nNone."


@given(st.text(alphabet="a [](){}|'=*:;,!<>/\n", max_size=120))
def test_no_markup_is_left_of_any_wiki_text(markup: str) -> None:
    prose = wiki_prose(markup)
    assert not any(leftover in prose for leftover in ("[[", "{{", "}}", "''", "  ", "\n\n\n"))


# --- splits


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
    with pytest.raises(
        CorpusError, match="split 'test' has 0 documents of 3; give more documents or change"
    ):
        check_splits({"explain": 2, "calibrate": 1, "test": 0})
    check_splits({"explain": 1, "calibrate": 1, "test": 1})


# --- near-duplicates


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


# --- the whole


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
