"""Activation records that anyone may have made: JSON lines in, units and excerpts out, and back.

A record is one excerpt of one unit. A record that cannot be used is a named failure with its place and
what to do; the rest is still used. Formats: docs/records.md. NeuronRecord JSON: `neuron_records`.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from scrutable.pipeline.density import density_of
from scrutable.pipeline.errors import CorpusError, ParseError
from scrutable.pipeline.neuron_records import NEGATIVE, is_neuron_record, rows_of_neuron
from scrutable.pipeline.records import SPLITS, Excerpt, Failure, Passage, Split, Unit

_SAFE = re.compile(r"[^A-Za-z0-9._-]")
_PLACE = re.compile(r"L(\d+)\.N(\d+)(?:\.(pos|neg))?$")
_LARGEST = 1e30
"""Largest activation or weight: single precision holds it, and sums of weighted squares stay finite."""
_DEALT: tuple[tuple[Split, float], ...] = (("explain", 0.4), ("calibrate", 0.6), ("test", 1.0))


class Imported(NamedTuple):
    """What files of records hold."""

    units: tuple[Unit, ...]
    excerpts: Mapping[str, tuple[Excerpt, ...]]  # unit id → its excerpts; documents of splits are disjoint
    problems: tuple[Failure, ...]  # stage "records": what could not be used, or only with a caution
    notes: tuple[str, ...]  # lines for the person at the terminal: what was assumed
    digest: str  # SHA-256 of the bytes read, first 16 hex digits


@dataclass(frozen=True, slots=True)
class Row:
    """A record that has passed every check of its own."""

    unit: str
    where: str  # file and line, for messages
    excerpt: Excerpt
    has_split: bool
    facts: Mapping[str, Any]  # layer, index, density, if given


def read_records(path: Path, *, seed: int, population: int | None = None) -> Imported:
    """Units and excerpts of a file or folder.

    Args:
        path: `.jsonl`, `.jsonl.gz` or `.json`, or a folder of such files.
        seed: deals documents to splits where the records name none.
        population: excerpts that the random samples of NeuronRecord files were drawn from.

    Raises:
        CorpusError: there is no such file, or nothing in it can be used.
    """
    reader = _Reader(seed=seed, population=population)
    for file in _files(path):
        reader.read(file)
    imported = reader.imported()
    if not imported.units:
        first = f"; first: {imported.problems[0].detail}" if imported.problems else ""
        raise CorpusError(f"{path}: no record can be used ({len(imported.problems)} problems{first})")
    return imported


def write_records(path: Path, units: Sequence[Unit], excerpts: Mapping[str, Sequence[Excerpt]]) -> None:
    """Records as JSON lines, which `read_records` reads back as the same units and excerpts."""
    with path.open("w", encoding="utf-8") as file:
        for unit in units:
            for excerpt in excerpts[unit.id]:
                row = {
                    "unit": unit.id,
                    "id": excerpt.passage.id,
                    "tokens": excerpt.passage.tokens,
                    "activations": excerpt.activations,
                    "document": excerpt.document,
                    "split": excerpt.split,
                    "weight": excerpt.weight,
                    "n_context": excerpt.passage.n_context,
                    "is_top": excerpt.is_top,
                    "layer": unit.layer,
                    "index": unit.index,
                    "density": None if math.isnan(unit.density) else unit.density,
                }
                file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise CorpusError(f"no records at {path}: give a .jsonl or .json file, or a folder of them")
    if path.is_file():
        return [path]
    found = sorted(p for p in path.rglob("*") if p.name.endswith((".jsonl", ".jsonl.gz", ".json")))
    if not found:
        raise CorpusError(f"{path} holds no .jsonl or .json file")
    return found


class _Reader:
    """Collects rows and problems of all files, and makes units of them."""

    def __init__(self, *, seed: int, population: int | None) -> None:
        self._seed, self._population = seed, population
        self._rows: dict[str, list[Row]] = {}
        self._problems: list[Failure] = []
        self._notes: dict[str, int] = {}
        self._hash = hashlib.sha256()
        self._neurons: dict[str, str] = {}  # unit → place of its NeuronRecord
        self._original: dict[str, str] = {}  # safe unit id → id as given

    def read(self, file: Path) -> None:
        """All records of one file. Raises CorpusError if it cannot be read as text."""
        try:
            data = file.read_bytes()
            self._hash.update(data)
            text = (gzip.decompress(data) if file.suffix == ".gz" else data).decode("utf-8")
        except (OSError, UnicodeDecodeError, EOFError, zlib.error) as error:
            raise CorpusError(f"{file}: not a readable text file ({' '.join(str(error).split())})") from error
        if not text.strip():
            raise CorpusError(f"{file} is empty: expected one JSON object a line")
        for where, value in self._values(file, text):
            if is_neuron_record(value):
                self._add_neuron(value, where, is_negative=file.name.endswith(NEGATIVE))
            else:
                self._add(value, where)

    def _values(self, file: Path, text: str) -> Iterator[tuple[str, Any]]:
        try:
            whole = json.loads(text)
        except (json.JSONDecodeError, RecursionError):
            for number, line in enumerate(text.split("\n"), 1):
                where = f"{file}:{number}"
                if line.strip():
                    try:
                        yield where, json.loads(line)
                    except (json.JSONDecodeError, RecursionError) as error:
                        detail = f"{where}: {error}; expected one JSON object a line"
                        self._refuse("", "bad_json", detail)
            return
        for number, value in enumerate(whole if isinstance(whole, list) else [whole], 1):
            yield f"{file}:{number}" if isinstance(whole, list) else str(file), value

    def _add_neuron(self, record: Mapping[str, Any], where: str, *, is_negative: bool) -> None:
        try:
            unit, rows, notes = rows_of_neuron(record, is_negative=is_negative, population=self._population)
        except ParseError as error:
            return self._refuse("", "bad_neuron_record", f"{where}: {error}; this record is left out")
        if unit in self._neurons:
            detail = f"{where}: unit {unit} is in {self._neurons[unit]} too; the first is used"
            return self._refuse(unit, "duplicate_unit", detail)
        self._neurons[unit] = where
        for note in notes:
            self._note(note)
        for number, row in enumerate(rows, 1):
            self._add(row, f"{where}, record {number}")
        return None

    def _add(self, value: Any, where: str) -> None:
        if not isinstance(value, dict) or not all(key in value for key in ("unit", "tokens", "activations")):
            detail = f"{where}: expected an object with unit, tokens and activations"
            return self._refuse("", "missing_key", detail)
        name = str(value["unit"]) if _is_whole(value["unit"]) else value["unit"]
        if not _is_text(name) or not name:
            return self._refuse("", "bad_unit", f"{where}: unit {name!r} is no name; this record is left out")
        unit = self._safe(name, where)
        try:
            row = self._row(unit, value, where)
        except _Unusable as problem:
            return self._refuse(unit, problem.kind, f"{where}: {problem}; this record is left out")
        rows = self._rows.setdefault(unit, [])
        rows.append(row)
        return None

    def _safe(self, unit: str, where: str) -> str:
        safe = _SAFE.sub("_", unit) or "_"
        if safe != unit:
            self._note(
                "unit names hold characters that no file name should; each such character is read as _"
            )
        if self._original.setdefault(safe, unit) != unit:
            self._refuse(
                safe, "duplicate_unit", f"{where}: {unit} and {self._original[safe]} both become {safe}"
            )
        return safe

    def _row(self, unit: str, value: Mapping[str, Any], where: str) -> Row:
        tokens, activations = value["tokens"], value["activations"]
        _check_values(tokens, activations)
        if any(a < 0 for a in activations):
            self._note("negative activations are read as 0: a unit is half-wave rectified")
        given = {key: one for key, one in value.items() if one is not None}  # null is as good as missing
        weight = given.get("weight", 1.0)
        if not _is_number(weight) or not 0 <= weight <= _LARGEST:
            raise _Unusable("bad_weight", f"weight {weight!r} is no number from 0 to {_LARGEST:g}")
        n_context = given.get("n_context", 0)
        if not _is_whole(n_context) or not 0 <= n_context < len(tokens):
            raise _Unusable(
                "bad_context", f"n_context {n_context!r} leaves no token of {len(tokens)} to score"
            )
        split = given.get("split")
        if split is not None and split not in SPLITS:
            raise _Unusable("bad_split", f"no split {split!r} (allowed: {', '.join(SPLITS)})")
        id = str(given.get("id") or _digest(tokens))
        if "document" not in given:
            self._note("no document ids given: each excerpt counts as a document of its own")
        document = str(given.get("document", id))
        if not _is_text(id) or not _is_text(document):
            raise _Unusable("bad_name", f"id {id!r} or document {document!r} is no valid Unicode")
        excerpt = Excerpt(
            passage=Passage(id, tuple(tokens), n_context),
            document=document,
            split=split or "test",
            activations=tuple(max(float(a), 0.0) for a in activations),
            weight=float(weight),
            is_top=bool(given.get("is_top", False)),
        )
        return Row(unit, where, excerpt, split is not None, _facts(given))

    def imported(self) -> Imported:
        """The units that have a test excerpt, in the order in which they were first met."""
        units: list[Unit] = []
        excerpts: dict[str, tuple[Excerpt, ...]] = {}
        for index, (unit, rows) in enumerate(self._rows.items()):
            kept = self._in_splits(unit, self._different(unit, rows))
            documents = {row.excerpt.document for row in kept if row.excerpt.split == "test"}
            if not documents:
                self._refuse(unit, "no_test_split", f"unit {unit}: no usable record is in the test split")
                continue
            if len(documents) == 1:
                detail = f"unit {unit}: one test document only, so its scores have no interval"
                self._refuse(unit, "one_document", detail)
            excerpts[unit] = tuple(row.excerpt for row in kept)
            units.append(_unit(unit, index, excerpts[unit], rows[0].facts))
        digest = self._hash.hexdigest()[:16]
        return Imported(tuple(units), excerpts, tuple(self._problems), tuple(self._notes), digest)

    def _different(self, unit: str, rows: Sequence[Row]) -> list[Row]:
        seen: dict[str, str] = {}
        kept = []
        for row in rows:
            name = row.excerpt.passage.id
            if name in seen:
                detail = f"{row.where}: unit {unit} has excerpt {name} at {seen[name]} too; the first is used"
                self._refuse(unit, "duplicate_excerpt", detail)
            else:
                seen[name] = row.where
                kept.append(row)
        return kept

    def _in_splits(self, unit: str, rows: Sequence[Row]) -> list[Row]:
        if not any(row.has_split for row in rows):
            self._note(
                "no splits given: documents are dealt to explain, calibrate and test by 40, 20 and 40 %"
            )
            return self._dealt(rows)
        kept: list[Row] = []
        split_of: dict[str, Split] = {}
        for row in rows:
            excerpt = row.excerpt
            if not row.has_split:
                detail = f"{row.where}: no split, though other records of unit {unit} have one; left out"
                self._refuse(unit, "bad_split", detail)
            elif split_of.setdefault(excerpt.document, excerpt.split) != excerpt.split:
                detail = (
                    f"{row.where}: document {excerpt.document} of unit {unit} is in {excerpt.split} and in "
                    f"{split_of[excerpt.document]}; the record is left out"
                )
                self._refuse(unit, "document_in_two_splits", detail)
            else:
                kept.append(row)
        return kept

    def _dealt(self, rows: Sequence[Row]) -> list[Row]:
        """The rows with a split for each document, dealt 40, 20 and 40 % by a seeded hash of its id."""
        documents = sorted(
            {row.excerpt.document for row in rows},
            key=lambda name: hashlib.sha256(f"{self._seed}/{name}".encode()).digest(),
        )
        n = len(documents)
        split_of: dict[str, Split] = {}
        for place, document in enumerate(documents):
            # From the far end, so that one document is a test document, and two are test and calibrate.
            share = 1 - place / n
            split_of[document] = next(split for split, upto in _DEALT if share <= upto + 1e-9)
        return [_with_split(row, split_of[row.excerpt.document]) for row in rows]

    def _refuse(self, unit: str, kind: str, detail: str) -> None:
        self._problems.append(Failure(unit, "records", kind, detail))

    def _note(self, line: str) -> None:
        self._notes[line] = self._notes.get(line, 0) + 1


class _Unusable(Exception):
    """A record that cannot be used; `kind` names why."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


def _check_values(tokens: Any, activations: Any) -> None:
    if not isinstance(tokens, list) or not all(map(_is_text, tokens)) or not tokens:
        raise _Unusable("bad_tokens", "tokens must be a list of at least one string of valid Unicode")
    if not isinstance(activations, list) or not all(map(_is_number, activations)):
        raise _Unusable("bad_activations", "activations must be a list of numbers")
    if len(tokens) != len(activations):
        raise _Unusable("unequal_lengths", f"{len(tokens)} tokens but {len(activations)} activations")
    if not all(abs(a) <= _LARGEST for a in activations):  # NaN is not smaller either
        raise _Unusable("not_finite", f"an activation is NaN or infinite, or beyond {_LARGEST:g}")


def _facts(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is said of the unit: layer and index, density; only what is said."""
    for key in ("layer", "index"):
        if key in given and not (_is_whole(given[key]) and 0 <= given[key] < 2**31):
            raise _Unusable("bad_unit", f"{key} {given[key]!r} is no whole number >= 0")
    density = given.get("density", 0.0)
    if not _is_number(density) or not 0 <= density <= 1:
        raise _Unusable("bad_unit", f"density {density!r} is no number from 0 to 1")
    return {key: given[key] for key in ("layer", "index", "density") if key in given}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    """A string that can be stored: JSON may hold halves of surrogate pairs, which are no text."""
    return isinstance(value, str) and value.encode("utf-8", errors="replace").decode() == value


def _digest(tokens: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(tokens).encode("utf-8", errors="surrogatepass")).hexdigest()[:16]


def _with_split(row: Row, split: Split) -> Row:
    e = row.excerpt
    excerpt = Excerpt(e.passage, e.document, split, e.activations, e.weight, e.is_top)
    return Row(row.unit, row.where, excerpt, True, row.facts)


def _unit(id: str, index: int, excerpts: Sequence[Excerpt], facts: Mapping[str, Any]) -> Unit:
    match = _PLACE.match(id)
    sign: Literal["pos", "neg"] = "neg" if match and match[3] == "neg" else "pos"
    return Unit(
        id=id,
        layer=int(facts.get("layer", match[1] if match else 0)),
        index=int(facts.get("index", match[2] if match else index)),
        sign=sign,
        density=float(facts["density"] if "density" in facts else density_of(excerpts)),
        max_activation=max((e.max_activation for e in excerpts), default=0.0),
    )
