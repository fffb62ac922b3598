"""The journal: every answer that was paid for, found again by what it depends on; and what all of it cost.

One SQLite file stands beside the run folders and serves all of them, so that a run under another name, with
more units or after a deletion pays for nothing twice. Several processes may use it at once. An answer is on
disk before anybody sees it.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scrutable.pipeline.errors import RunFolderError
from scrutable.pipeline.records import CallFailure, Completion, Cost, Prompt
from scrutable.pipeline.sections import PriceConfig

FILE = "calls.sqlite"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
    key BLOB PRIMARY KEY, model TEXT NOT NULL, run TEXT NOT NULL, role TEXT NOT NULL,
    made REAL NOT NULL, used REAL NOT NULL, answer BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spent (
    run TEXT NOT NULL, role TEXT NOT NULL, model TEXT NOT NULL,
    calls INTEGER NOT NULL DEFAULT 0, replayed INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,
    prompt_tokens INTEGER NOT NULL DEFAULT 0, computed_tokens INTEGER NOT NULL DEFAULT 0,
    generated_tokens INTEGER NOT NULL DEFAULT 0, dollars REAL NOT NULL DEFAULT 0,
    unpriced INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (run, role, model)
) WITHOUT ROWID;
"""
_NOTHING = Cost()
_LOOKED_UP = 500  # keys in one query; SQLite takes 999 or more
_WAIT = 60.0  # seconds to wait for another process's write
_PAUSE = 0.02  # seconds before a file that another process is making is tried again


@dataclass(frozen=True, slots=True)
class Spent:
    """What one part of a run has spent on one model, over all starts."""

    run: str
    role: str  # such as "explainer llm"
    model: str
    calls: int = 0  # made, answered or not
    replayed: int = 0  # answered from the journal
    failed: int = 0  # of the calls, those without a usable answer
    prompt_tokens: int = 0
    computed_tokens: int = 0
    generated_tokens: int = 0
    dollars: float = 0.0  # of the calls with a known price
    unpriced: int = 0  # calls whose price is unknown

    @property
    def tokens(self) -> int:
        """As a hosted model is paid for: prompts, computed or not, and replies."""
        return self.prompt_tokens + self.generated_tokens


@dataclass(frozen=True, slots=True)
class Kept:
    """What a journal holds of one run and model."""

    run: str
    model: str
    answers: int
    bytes: int
    used: float  # when one of them was last used, seconds since 1970


class Journal:
    """Answers and accounts of all runs of a folder."""

    def __init__(self, path: Path, *, run: str) -> None:
        """Opens or makes the file. Raises RunFolderError where that cannot be done."""
        self.path = path
        self.run = run
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
            _go_over_to_wal(self._db)
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise RunFolderError(
                f"the journal {path} cannot be opened ({error}): move it away, and run the same command "
                "again (answers in it will be paid for anew)"
            ) from None

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Completion | CallFailure]:
        """The answers that there are."""
        found: dict[bytes, Completion | CallFailure] = {}
        with self._using() as db:
            for start in range(0, len(keys), _LOOKED_UP):
                some = list(keys[start : start + _LOOKED_UP])
                marks = ",".join("?" * len(some))
                for key, answer in db.execute(f"SELECT key, answer FROM calls WHERE key IN ({marks})", some):
                    found[key] = _read(answer)
        return found

    def touch(self, keys: Iterable[bytes]) -> None:
        """Notes that answers were used, so that pruning by age leaves them."""
        now = time.time()
        with self._using() as db, _at_once(db):
            db.executemany("UPDATE calls SET used = ? WHERE key = ?", [(now, key) for key in keys])

    def keep(self, key: bytes, answer: Completion | CallFailure, *, model: str, role: str) -> None:
        """Puts an answer on disk; one that another process was quicker with stays."""
        now = time.time()
        row = (key, model, self.run, role, now, now, _written(answer))
        with self._using() as db:
            db.execute("INSERT OR IGNORE INTO calls VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def charge(
        self,
        role: str,
        model: str,
        cost: Cost = _NOTHING,
        *,
        price: PriceConfig | None,
        calls: int = 0,
        replayed: int = 0,
        failed: int = 0,
    ) -> None:
        """Adds to what a role of this run has spent."""
        values = {
            "calls": calls,
            "replayed": replayed,
            "failed": failed,
            **asdict(cost),
            "dollars": dollars(cost, price) if price else 0.0,
            "unpriced": 0 if price else calls,
        }
        names = ", ".join(values)
        sums = ", ".join(f"{name} = {name} + excluded.{name}" for name in values)
        with self._using() as db:
            db.execute(
                f"INSERT INTO spent (run, role, model, {names}) VALUES (?, ?, ?{', ?' * len(values)}) "
                f"ON CONFLICT DO UPDATE SET {sums}",
                (self.run, role, model, *values.values()),
            )

    def total(self) -> tuple[int, float]:
        """(tokens, dollars) that this run has spent, all its processes and starts together."""
        with self._using() as db:
            sums = "SUM(prompt_tokens + generated_tokens), SUM(dollars)"
            tokens, paid = db.execute(f"SELECT {sums} FROM spent WHERE run = ?", (self.run,)).fetchone()
        return tokens or 0, paid or 0.0

    def spent(self, *, run: str | None = None) -> list[Spent]:
        """The accounts of a run, or of all."""
        names = ", ".join(Spent.__dataclass_fields__)
        where, values = ("WHERE run = ?", (run,)) if run is not None else ("", ())
        with self._using() as db:
            rows = db.execute(f"SELECT {names} FROM spent {where} ORDER BY run, role, model", values)
            return [Spent(*row) for row in rows.fetchall()]

    def kept(self) -> list[Kept]:
        """How much is kept of each run and model."""
        with self._using() as db:
            rows = db.execute(
                "SELECT run, model, COUNT(*), SUM(LENGTH(answer)), MAX(used) FROM calls "
                "GROUP BY run, model ORDER BY run, model"
            )
            return [Kept(*row) for row in rows.fetchall()]

    def prune(self, *, run: str | None = None, unused_since: float | None = None) -> int:
        """Drops the answers of a run, or those not used since a time (seconds since 1970); says how many.

        The accounts stay: what was spent was spent.
        """
        tests: list[str] = ["1"]
        values: list[Any] = []
        if run is not None:
            tests.append("run = ?")
            values.append(run)
        if unused_since is not None:
            tests.append("used < ?")
            values.append(unused_since)
        with self._using() as db:
            dropped = db.execute(f"DELETE FROM calls WHERE {' AND '.join(tests)}", values).rowcount
            db.execute("VACUUM")
        return dropped

    def close(self) -> None:
        """Lets go of the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._db
            except sqlite3.Error as error:
                raise RunFolderError(
                    f"the journal {self.path} cannot be used ({error}): free space or move it away, and run "
                    "the same command again"
                ) from None


def _go_over_to_wal(db: sqlite3.Connection) -> None:
    """The one statement in which SQLite does not wait for others: beside a writer it fails at once.

    Workers that start together may do just that.
    """
    until = time.monotonic() + _WAIT
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
        time.sleep(_PAUSE)


@contextmanager
def _at_once(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        db.execute("COMMIT")


def key_of(prompt: Prompt, *, identity: str) -> bytes:
    """What an answer depends on, as a digest: the model and how it is read, the prompt, what is asked of it.

    Args:
        prompt: with its sampling; where its shared parts end changes nothing but the cost, so it is left out.
        identity: of the model and of the backend that asks it.
    """
    positions = getattr(prompt.read, "positions", ())
    lead = sum(map(len, prompt.shared))
    read = {**asdict(prompt.read), "positions": [lead + position for position in positions]}
    whole = [identity, prompt.whole, type(prompt.read).__name__, read, prompt.is_chat, prompt.reply_start]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).digest()


def dollars(cost: Cost, price: PriceConfig) -> float:
    """What a call costs; prompt tokens that were not computed count as cached."""
    cached = price.prompt if price.cached is None else price.cached
    return (
        cost.computed_tokens * price.prompt
        + (cost.prompt_tokens - cost.computed_tokens) * cached
        + cost.generated_tokens * price.generated
    ) / 1e6


def _written(answer: Completion | CallFailure) -> bytes:
    kind = "failure" if isinstance(answer, CallFailure) else "completion"
    return zlib.compress(json.dumps({kind: asdict(answer)}, separators=(",", ":")).encode())


def _read(blob: bytes) -> Completion | CallFailure:
    data: Mapping[str, Any] = json.loads(zlib.decompress(blob))
    if "failure" in data:
        return CallFailure(**data["failure"])
    values = dict(data["completion"])
    values["cost"] = Cost(**values["cost"])
    values["label_logprobs"] = tuple(tuple(row) for row in values["label_logprobs"])
    return Completion(**values)
