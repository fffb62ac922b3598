"""The run folder: part files that appear whole or not at all, and the tables that they hold.

    config.yaml  manifest.json  level-0/
        windows.npz  capture.npz  units.parquet  traces/  excerpts/  explanations/  simulations/
        verdicts/  rates/  gate.parquet  gate_cases.parquet  attacks.parquet  attack_cases.parquet
        scores.parquet  calibrations.parquet  assurance.parquet  summary.parquet  failures/  failures.parquet

A part is written under a temporary name and renamed, so a stage is done where its parts exist.
Nothing here is random, dated or counted in seconds, except in manifest.json: same seed, same bytes.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml
from numpy.typing import NDArray

from scrutable.pipeline.config import AnyConfig, differing_keys, parse_config
from scrutable.pipeline.errors import RunFolderError
from scrutable.pipeline.protocols import Simulated
from scrutable.pipeline.records import (
    Assurance,
    AttackCase,
    AttackResult,
    Calibration,
    Comparison,
    Cost,
    Difference,
    Excerpt,
    Explanation,
    Failure,
    GateCase,
    GateResult,
    Passage,
    RatePoint,
    Score,
    Simulation,
    Summary,
    Unit,
    Verdict,
)

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")

_STRINGS, _FLOATS = pa.list_(pa.string()), pa.list_(pa.float32())
_TYPES: dict[str, pa.DataType] = {
    "str": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "tuple[str, ...]": _STRINGS,
    "tuple[float, ...]": _FLOATS,
    "tuple[int, ...]": pa.list_(pa.int64()),
}
_EXCERPT_SCHEMA = pa.schema(
    [
        ("unit", pa.string()),
        ("excerpt", pa.string()),
        ("document", pa.string()),
        ("split", pa.string()),
        ("tokens", _STRINGS),
        ("activations", _FLOATS),
        ("n_context", pa.int64()),
        ("weight", pa.float64()),
        ("is_top", pa.bool_()),
    ]
)


class RunFolder:
    """One run on disk; the tables of one subject lie together in a level of it."""

    def __init__(self, path: Path, *, level: str = "level-0") -> None:
        self.path = path
        self.level = path / level

    @property
    def config_path(self) -> Path:
        return self.path / "config.yaml"

    @property
    def manifest_path(self) -> Path:
        return self.path / "manifest.json"

    @contextmanager
    def opened(self, config: AnyConfig, *, is_shared: bool = False) -> Iterator[None]:
        """Creates the folder or continues it, and keeps other processes out meanwhile.

        The config is kept as it was given last: what answers do not depend on may change.

        With `is_shared`, other processes that say so too may be in it.

        Raises RunFolderError if it was made from another config, or another process is in it.
        """
        with writing(self.path):
            self.level.mkdir(parents=True, exist_ok=True)
        with _locked(self.path / "lock", is_shared=is_shared):
            before = self.config() if self.config_path.exists() else None
            if before is not None:
                keys = differing_keys(before, config)
                if keys:
                    raise RunFolderError(
                        f"{self.path} was made from another config; these keys differ: {', '.join(keys)}. "
                        "Give the run another name (name=..., or --name), or delete the folder to start anew"
                    )
            if before is None or (before != config and not is_shared):
                text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
                self.write_text(self.config_path, text)
            if not is_shared:  # else they may be somebody's who is writing
                for leftover in self.path.rglob(".partial-*"):
                    leftover.unlink()
            yield

    def config(self) -> AnyConfig:
        """The resolved config. Raises RunFolderError if there is none."""
        try:
            data = yaml.safe_load(self.config_path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RunFolderError(f"{self.path} is no run folder: it has no config.yaml") from None
        return parse_config(data, source=str(self.config_path))

    def manifest(self) -> dict[str, Any]:
        """What ran on what; empty for a run that has not started."""
        if not self.manifest_path.exists():
            return {}
        return cast(dict[str, Any], json.loads(self.manifest_path.read_text(encoding="utf-8")))

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Replaces the manifest."""
        text = json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False, default=str) + "\n"
        self.write_text(self.manifest_path, text)

    def part(self, stage: str, name: str) -> Path:
        """Where a part of a stage lies: `level-0/STAGE/NAME.parquet`."""
        return self.level / stage / f"{name}.parquet"

    def write(self, path: Path, fill: Callable[[Path], object]) -> None:
        """A file of the run, as `write_whole` does."""
        write_whole(path, fill)

    def write_text(self, path: Path, text: str) -> None:
        """A UTF-8 file."""
        self.write(path, lambda partial: partial.write_text(text, encoding="utf-8"))

    def write_arrays(self, path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
        """An uncompressed npz file."""

        def fill(partial: Path) -> None:
            with partial.open("wb") as file:
                np.savez(file, allow_pickle=False, **cast(dict[str, Any], dict(arrays)))

        self.write(path, fill)

    def write_records(self, path: Path, kind: type[T], records: Sequence[T]) -> None:
        """A parquet file of flat records of one kind."""
        schema = schema_of(kind)
        rows = [_row(record, schema) for record in records]
        table = pa.Table.from_pylist(rows, schema=schema)
        self.write(path, lambda partial: pq.write_table(table, partial))

    def write_excerpts(self, path: Path, excerpts: Mapping[str, Sequence[Excerpt]]) -> None:
        """A parquet file of the excerpts of some units."""
        rows = [
            {
                "unit": unit,
                "excerpt": excerpt.passage.id,
                "tokens": excerpt.passage.tokens,
                "n_context": excerpt.passage.n_context,
                **{
                    name: getattr(excerpt, name)
                    for name in ("document", "split", "activations", "weight", "is_top")
                },
            }
            for unit in excerpts
            for excerpt in excerpts[unit]
        ]
        table = pa.Table.from_pylist(rows, schema=_EXCERPT_SCHEMA)
        self.write(path, lambda partial: pq.write_table(table, partial))

    def read_records(self, kind: type[T], *paths: Path) -> list[T]:
        """The records of parquet files, in order."""
        return [
            _record(kind, row)
            for path in paths
            for row in cast(list[dict[str, Any]], _table(path).to_pylist())
        ]

    def read_simulated(self, path: Path) -> Iterator[tuple[str, dict[str, Simulated]]]:
        """A part of simulations as columns: each unit with explanation id → what it predicts.

        No Python object is made for each value, so that thousands of units are read in seconds.
        """
        table = _table(path)
        keys = zip(table["unit"].to_pylist(), table["explanation"].to_pylist(), strict=True)
        rows: dict[str, dict[str, list[int]]] = {}
        for row, (unit, explanation) in enumerate(keys):
            rows.setdefault(unit, {}).setdefault(explanation, []).append(row)
        for unit, explanations in rows.items():
            yield unit, {name: _simulated(table, name, chosen) for name, chosen in explanations.items()}

    def read_excerpts(self) -> dict[str, list[Excerpt]]:
        """The excerpts of every unit."""
        excerpts: dict[str, list[Excerpt]] = {}
        for path in self.parts("excerpts"):
            for row in _table(path).to_pylist():
                passage = Passage(row["excerpt"], tuple(row["tokens"]), row["n_context"])
                excerpts.setdefault(row["unit"], []).append(
                    Excerpt(
                        passage=passage,
                        document=row["document"],
                        split=row["split"],
                        activations=tuple(row["activations"]),
                        weight=row["weight"],
                        is_top=row["is_top"],
                    )
                )
        return excerpts

    def read_frame(self, table: str, schema: pa.Schema) -> pd.DataFrame:
        """A table as it was written at last, or the parts of it that there are; empty where there is none."""
        import pandas as pd

        whole = self.level / f"{table}.parquet"
        paths = [whole] if whole.exists() else self.parts(table)
        if not paths:
            return pd.DataFrame(columns=schema.names)
        return cast("pd.DataFrame", pa.concat_tables([pq.read_table(path) for path in paths]).to_pandas())

    def parts(self, stage: str) -> list[Path]:
        """The finished parts of a stage, by name."""
        return sorted(path for path in (self.level / stage).glob("*.parquet") if path.name[0] != ".")

    def parts_of(self, stage: str, name: str) -> list[Path]:
        """Those of one explainer, pairing or panel."""
        return [path for path in self.parts(stage) if name_of_part(path) == name]


def name_of_part(path: Path) -> str:
    """Whose part a file is: `NAME` of `NAME~NUMBER.parquet`."""
    return path.stem.rpartition("~")[0]


def shards_of(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """The items in order, `size` in each part but the last."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def _simulated(table: Any, explanation: str, rows: Sequence[int]) -> Simulated:
    """The rows of one explanation, ordered by excerpt id."""
    excerpts = table["excerpt"].take(rows).to_pylist()
    order = sorted(range(len(rows)), key=excerpts.__getitem__)
    ordered = table.take([rows[i] for i in order]).combine_chunks()
    expected = ordered["expected"].combine_chunks()
    lengths = pc.list_value_length(expected).to_numpy(zero_copy_only=False).astype(np.intp)
    levels = tuple(ordered["levels"][0].as_py()) if len(rows) else ()
    flat = ordered["probabilities"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return Simulated(
        explanation=explanation,
        excerpts=tuple(excerpts[i] for i in order),
        lengths=lengths,
        expected=expected.flatten().to_numpy(zero_copy_only=False).astype(np.float64),
        probabilities=flat.reshape(int(lengths.sum()), len(levels)).astype(np.float32),
        levels=levels,
        label_mass=ordered["label_mass"].to_numpy().astype(np.float64),
    )


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns a failure to write into one clear line.

    Raises RunFolderError for a full disk, a read-only or missing place.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RunFolderError(
                f"no space left on the disk while writing {path}: free some and run the same command "
                "again; everything finished so far is kept"
            ) from error
        raise RunFolderError(f"cannot write {path}: {error.strerror or error}") from error


def write_whole(path: Path, fill: Callable[[Path], object]) -> None:
    """Has `fill` write a temporary file, and renames it to `path` when it is whole.

    Raises RunFolderError as `writing` does.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".partial-{os.getpid()}-{secrets.token_hex(4)}-{path.name}")
        try:
            fill(partial)
            _flush_to_disk(partial)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


def schema_of(kind: type) -> pa.Schema:
    """The columns of a kind of record; a Cost becomes its three counts."""
    columns: list[tuple[str, pa.DataType]] = []
    for field in dataclasses.fields(kind):
        name = str(field.type)
        if name == "Cost":
            columns += [(cost.name, pa.int64()) for cost in dataclasses.fields(Cost)]
        else:
            columns.append((field.name, _TYPES.get(name, pa.string())))  # literals are strings
    return pa.schema(columns)


def _row(record: Any, schema: pa.Schema) -> dict[str, Any]:
    return {
        name: getattr(record.cost if name in _COSTS and hasattr(record, "cost") else record, name)
        for name in schema.names
    }


def _record(kind: type[T], row: dict[str, Any]) -> T:
    values: dict[str, Any] = {}
    for field in dataclasses.fields(cast(Any, kind)):
        if str(field.type) == "Cost":
            values[field.name] = Cost(**{name: row[name] for name in _COSTS})
        else:
            value = row[field.name]
            values[field.name] = tuple(value) if isinstance(value, list) else value
    return kind(**values)


_COSTS = tuple(field.name for field in dataclasses.fields(Cost))


def _table(path: Path) -> Any:
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise RunFolderError(
            f"{path} is damaged ({' '.join(str(error).split())[:120]}): delete this file and run the same "
            "command again; it is made anew"
        ) from error


def _flush_to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


@contextmanager
def _locked(path: Path, *, is_shared: bool) -> Iterator[None]:
    """Holds an advisory lock; where the platform has none, nothing keeps a second process out."""
    with writing(path):
        file = path.open("a")
    with file:
        _lock(file, path, is_shared=is_shared)
        yield


def _lock(file: IO[str], path: Path, *, is_shared: bool) -> None:
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RunFolderError(
            f"another process is working in {path.parent}: wait for it, or run under another name (name=...)"
        ) from None


TABLES: dict[str, pa.Schema] = {
    "units": schema_of(Unit),
    "all_units": schema_of(Unit),
    "excerpts": _EXCERPT_SCHEMA,
    "explanations": schema_of(Explanation),
    "simulations": schema_of(Simulation),
    "verdicts": schema_of(Verdict),
    "rates": schema_of(RatePoint),
    "gate_cases": schema_of(GateCase),
    "attacks": schema_of(AttackResult),
    "attack_cases": schema_of(AttackCase),
    "gate": schema_of(GateResult),
    "assurance": schema_of(Assurance),
    "differences": schema_of(Difference),
    "comparisons": schema_of(Comparison),
    "scores": schema_of(Score),
    "calibrations": schema_of(Calibration),
    "summary": schema_of(Summary),
    "failures": schema_of(Failure),
}
"""The tables of a run and their columns."""
