"""A whole run in seconds: a toy corpus, tiny random models, and the command line in a process of its own."""

from __future__ import annotations

import atexit
import functools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import yaml

WORDS = (
    "the",
    "of",
    "a",
    "river",
    "town",
    "old",
    "red",
    "ship",
    "king",
    "wrote",
    "found",
    "near",
    "under",
    "seven",
    "Paris",
    "Malta",
    "running",
    "nation",
    "his",
)

_ZYGOTE = """
import json, os, signal, sys
import torch, transformers, pandas, pyarrow.parquet  # once for all commands; none has run anything yet
import scrutable.pipeline.composition.jobs, scrutable.evaluators.report
import scrutable.pipeline.collecting as collecting
from scrutable.pipeline.backends import transformers as _
from scrutable.pipeline.subjects import neuron, planted
from scrutable.pipeline.cli import main

def command(arguments, kill_at, fail_at, with_signal):
    collecting._CHECKPOINT_SECONDS = 0.0
    real, count = os.replace, 0
    def replace(source, target):
        nonlocal count
        count += 1
        if count == fail_at:
            raise OSError(28, "No space left on device")
        if count * 2 - 1 == kill_at:
            os.kill(os.getpid(), with_signal)
        real(source, target)
        if count * 2 == kill_at:
            os.kill(os.getpid(), with_signal)
    os.replace = replace
    sys.argv = ["scrutable", *arguments]
    main()

for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if child == 0:
        for number in (1, 2):
            os.dup2(os.open(asked["out"][number - 1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        code = 1
        try:
            command(asked["arguments"], asked["kill_at"], asked["fail_at"], asked["with_signal"])
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


class Finished(NamedTuple):
    """A config and the folder of its finished run."""

    config: Path
    run: Path


class Done(NamedTuple):
    """How a command ended; a negative returncode is the signal that killed it."""

    returncode: int
    stdout: str
    stderr: str


@functools.cache
def _zygote() -> subprocess.Popen[str]:
    """A process that has imported everything and forks one child for each command."""
    process = subprocess.Popen(
        [sys.executable, "-c", _ZYGOTE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    atexit.register(process.kill)
    return process


def write_corpus(path: Path, *, n_documents: int = 40) -> Path:
    """Seeded sentences of common words and numbers, one document a line."""
    rng = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for number in range(n_documents):
            draws = [(rng.random() < 0.08, rng.randrange(1000, 2100), rng.choice(WORDS)) for _ in range(60)]
            words = [str(year) if is_year else word for is_year, year, word in draws]
            file.write(json.dumps({"id": f"doc{number}", "text": " ".join(words) + "."}) + "\n")
    return path


def write_config(path: Path, source: Path, **changes: Any) -> Path:
    """A planted run; top-level sections in `changes` replace those here."""
    config = {
        "name": "toy",
        "subject": {"kind": "planted", "rules": ["digit", 'word("the")', 'ends("ing")', 'after(word("of"))']},
        "corpus": {"source": str(source), "max_tokens": 4000, "window": 16, "skip": 2},
        "units": {"sample": 4},
        "samples": {"per_stratum": {"explain": 12, "calibrate": 8, "test": 12}},
        "explainers": {"program": {"kind": "program"}, "table": {"kind": "table"}},
        "simulators": {"checker": {"kind": "program"}, "lookup": {"kind": "table"}},
        "scoring": {"nulls": 2, "draws": 200},
        "shard": 2,
    }
    path.write_text(yaml.safe_dump(config | changes), encoding="utf-8")
    return path


def model_sections(model: Path) -> dict[str, Any]:
    """The sections of a run in which one tiny model is subject, explainer and simulator."""
    return {
        "subject": {"model": str(model)},
        "corpus_tokens": 3000,
        "explainers": {
            "llm": {"kind": "llm", "model": str(model), "max_tokens": 8, "excerpts": 3},
            "template": {"kind": "template"},
        },
        "simulators": {"prompted": {"kind": "prompted", "model": str(model)}},
        "samples": {
            "top": {"explain": 3, "calibrate": 1, "test": 2},
            "per_stratum": {"explain": 1, "calibrate": 1, "test": 1},
        },
    }


def scrutable(
    *arguments: str | Path, kill_at: int = 0, fail_at: int = 0, with_signal: int = signal.SIGKILL
) -> Done:
    """The command line, in a process of its own.

    `kill_at` sends it a signal just before (odd) or after (even) a file is renamed into place;
    `fail_at` lets a rename find the disk full.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = [str(Path(folder, name)) for name in ("stdout", "stderr")]
        asked = {
            "arguments": list(map(str, arguments)),
            "kill_at": kill_at,
            "fail_at": fail_at,
            "with_signal": int(with_signal),
            "out": out,
        }
        zygote = _zygote()
        assert zygote.stdin
        assert zygote.stdout
        zygote.stdin.write(json.dumps(asked) + "\n")
        zygote.stdin.flush()
        code = int(zygote.stdout.readline())
        return Done(code, *(Path(path).read_text(encoding="utf-8") for path in out))


def in_this_environment(*arguments: str | Path, **environment: str) -> Done:
    """The command line in a fresh process, which has the environment of this test."""
    code = "from scrutable.pipeline.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
        timeout=240,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def tables(run: Path) -> dict[str, bytes]:
    """Every file of a run but its manifest and report: the manifest is dated, and the report shows it."""
    return {
        str(path.relative_to(run)): path.read_bytes()
        for path in sorted((run / "level-0").rglob("*"))
        if path.is_file()
    }
