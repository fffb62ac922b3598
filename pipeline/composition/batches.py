"""Files of OpenAI's batch interface: what a run would ask next, and what came back for it.

A batch costs half and takes up to a day. Each line has the key of the journal as its `custom_id`, so what
comes back is put where a run looks first, and the run asks nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from scrutable.pipeline.asking import Purse
from scrutable.pipeline.backends.openai import OpenAIBackend
from scrutable.pipeline.composition.models import Models
from scrutable.pipeline.config import JobConfig
from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.journal import key_of
from scrutable.pipeline.records import CallFailure, Prompt
from scrutable.pipeline.runner import Runner
from scrutable.pipeline.sections import AskingConfig, ServerConfig
from scrutable.pipeline.store import shards_of, write_whole

_MOST_LINES = 50_000  # that hosted services take in one file


class _Open(NamedTuple):
    """A question that the journal has no answer to."""

    key: bytes
    prompt: Prompt
    backend: OpenAIBackend
    purse: Purse


class Imported(NamedTuple):
    """What became of the lines of a file."""

    answered: int
    failed: int  # the server says so, or the reply cannot be read
    unknown: int  # nobody asks this any more


def export_batch(runner: Runner, models: Models, to: Path) -> dict[Path, int]:
    """Writes what the next stage of a run would ask of servers; file → questions in it.

    More than one file takes are written to `NAME-2.jsonl` and so on.

    Raises ConfigError where a question takes more than one request, or nothing is asked of a server.
    """
    lines = []
    for question in _open_questions(runner, models):
        [request, *more] = question.backend.requests(question.prompt)
        if more:
            raise ConfigError(
                "a question of this run takes several requests, which a batch file cannot keep together; "
                "ask a server that takes several prompts at once, or run without batches"
            )
        body = {"model": question.backend.capabilities.model, **request.body}
        lines.append(
            {"custom_id": question.key.hex(), "method": "POST", "url": f"/v1{request.path}", "body": body}
        )
    written = {}
    for number, part in enumerate(shards_of(lines, _MOST_LINES), 1):
        path = to if number == 1 else to.with_name(f"{to.stem}-{number}{to.suffix}")
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in part)
        write_whole(path, partial(_write_text, text))
        written[path] = len(part)
    return written


def _write_text(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")


def import_batch(runner: Runner, models: Models, source: Path, *, say: Callable[[str], None]) -> Imported:
    """Puts the answers of a batch into the journal; a line that cannot be used is said and counted.

    Raises ConfigError for a file that cannot be read.
    """
    asked = {question.key.hex(): question for question in _open_questions(runner, models)}
    answered = failed = unknown = 0
    for number, line in _lines(source):
        question = asked.pop(str(line.get("custom_id")), None)
        if question is None:
            unknown += 1
            continue
        reply = (line.get("response") or {}).get("body") or {}
        status = (line.get("response") or {}).get("status_code")
        if line.get("error") or status != 200:
            said = line.get("error") or (reply.get("error") or {}).get("message") or f"status {status}"
            say(f"{source}:{number}: no answer ({said}); the run will ask again")
            failed += 1
            continue
        answer = question.backend.read_reply(question.prompt, reply)
        if isinstance(answer, CallFailure) and answer.kind == "malformed":
            say(f"{source}:{number}: {answer.detail}; the run will ask again")
            failed += 1
            continue
        purse = question.purse
        purse.journal.keep(question.key, answer, model=purse.model, role=purse.role)
        purse.reserve(question.prompt)
        purse.charge([question.prompt], [answer])
        answered += 1
    return Imported(answered, failed, unknown)


def _open_questions(runner: Runner, models: Models) -> Iterator[_Open]:
    """Of the first stage that has any: later stages read what the earlier ones wrote."""
    found: dict[bytes, _Open] = {}
    first = ""
    for stage, name, backend, purse in _served_stages(runner, models):
        if found and stage != first:
            break
        first = stage
        prompts = runner.prompts(stage, name)
        keys = [key_of(prompt, identity=backend.identity) for prompt in prompts]
        kept = models.journal.find(keys)
        for key, prompt in zip(keys, prompts, strict=True):
            if key not in kept:
                found.setdefault(key, _Open(key, prompt, backend, purse))
    yield from found.values()


def _served_stages(runner: Runner, models: Models) -> Iterator[tuple[str, str, OpenAIBackend, Purse]]:
    """What is asked of servers, as far as what it reads has been written."""
    for stage, section in (("explain", "explainers"), ("simulate", "simulators")):
        for name in runner.names(stage):
            part = name.rpartition("+")[2]
            config = getattr(runner.config, section)[part]
            is_ready = stage == "explain" or not runner.tasks("explain", runner.plan.pairs[name][0])
            if _is_served(config) and is_ready:
                yield stage, name, *models.served(config, role=f"{section[:-1]} {part}")


def count_kept(runner: Runner, models: Models) -> Iterator[tuple[str, int, int]]:
    """(part, questions answered in the journal, questions left) of all parts that can be asked now."""
    for stage, name, backend, _ in _served_stages(runner, models):
        keys = {key_of(prompt, identity=backend.identity) for prompt in runner.prompts(stage, name)}
        yield f"{stage}: {name}", len(models.journal.find(list(keys))), len(keys)


def served_parts(config: JobConfig) -> list[str]:
    """The explainers and simulators that a server is asked for."""
    parts = {**config.explainers, **config.simulators}
    return [name for name, part in parts.items() if _is_served(part)]


def _is_served(config: Any) -> bool:
    return isinstance(config, AskingConfig) and isinstance(config.backend, ServerConfig)


def _lines(source: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        text = source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{source} cannot be read ({error})") from None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
        except ValueError:
            raise ConfigError(f"{source}:{number}: no JSON; is this the output file of a batch?") from None
        if not isinstance(data, dict) or "custom_id" not in data:
            raise ConfigError(f"{source}:{number}: no custom_id; is this the output file of a batch?")
        yield number, data
