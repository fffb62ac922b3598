"""A real vLLM server on real weights: the traps are there, and we do not fall into them.

The server runs from an environment of its own, `make vllm`, and is started and ended here, on loopback.
"""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scrutable.pipeline.asking import JournaledAsk
from scrutable.pipeline.assets import resolve_model
from scrutable.pipeline.backends.client import Client, wait_for
from scrutable.pipeline.backends.conversion import check_continuation, convert_gguf
from scrutable.pipeline.backends.openai import OpenAIBackend
from scrutable.pipeline.backends.probe import Capabilities, probe
from scrutable.pipeline.backends.transformers import TransformersBackend
from scrutable.pipeline.composition.models import Models, open_server
from scrutable.pipeline.config import LlmExplainer
from scrutable.pipeline.errors import EndpointError
from scrutable.pipeline.placement import Placement
from scrutable.pipeline.prompting import template
from scrutable.pipeline.records import (
    CallFailure,
    Completion,
    Generate,
    Passage,
    Prompt,
    ReadChoice,
)
from scrutable.pipeline.sections import ServerConfig

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

NAME = "smollm2-135m"
PYTHON = Path(os.environ.get("SCRUTABLE_VLLM", Path(__file__).parent.parent / ".venv-vllm/bin/python"))
DTYPE = "float32"  # so that a difference between backends is a difference of what is asked
ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}

PASSAGE = Passage("p", ("The", " ship", " left", " the", " old", " harbour", " in", " 1843", "."), 2)
EXPLANATION = "numbers, above all years"


@pytest.fixture(scope="module")
def weights() -> Path:
    return resolve_model(NAME, convert=convert_gguf, check=check_continuation, say=lambda _line: None).path


@pytest.fixture(scope="module")
def url(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that lives as long as these tests."""
    assert PYTHON.exists(), f"no vLLM at {PYTHON}: `make vllm` installs it, or set SCRUTABLE_VLLM"
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    log = tmp_path_factory.mktemp("vllm") / "log"
    arguments = ["--host", "127.0.0.1", "--port", str(port), "--model", str(weights), "--dtype", DTYPE]
    arguments += ["--served-model-name", NAME, "--max-model-len", "2048", "--max-num-seqs", "16"]
    arguments += ["--enforce-eager", "--enable-prompt-tokens-details", "--block-size", "32"]
    with log.open("w") as out:
        server = subprocess.Popen(
            [str(PYTHON), "-m", "vllm.entrypoints.openai.api_server", *arguments],
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **ENVIRONMENT},
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 420
        while time.monotonic() < deadline and server.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
            except OSError:
                time.sleep(1)
        assert server.poll() is None, log.read_text()[-3000:]
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def client(url: str) -> Client:
    return Client(ServerConfig(urls=(url,), timeout=180.0))


@pytest.fixture(scope="module")
def capabilities(client: Client) -> Capabilities:
    return probe(client, NAME)


@pytest.fixture(scope="module")
def served(url: str, capabilities: Capabilities) -> OpenAIBackend:
    assert capabilities.completes
    return open_server(NAME, ServerConfig(urls=(url,), timeout=180.0), say=lambda _line: None)


def questions() -> list[Prompt]:
    """Every way to read: labels at many places, a choice of one token, of several, in a chat, and text."""
    levels, marks = template("simulate_levels"), template("simulate_marks")
    return [
        levels.read_labels(explanation=EXPLANATION, passage=PASSAGE),
        marks.read_labels(explanation=EXPLANATION, passage=PASSAGE),
        Prompt(("Is a ship a boat? Answer",), " with yes or no:", ReadChoice((" yes", " no"))),
        Prompt((), "The harbour is", ReadChoice((" of an uncertain age", " old"))),
        Prompt((), "Is a ship a boat?", ReadChoice(("Yes", "No")), is_chat=True),
        Prompt(("Once upon",), " a time", Generate(12)),
        Prompt((), "Name a colour.", Generate(12), is_chat=True, reply_start="A colour is"),
    ]


def answers(backend: OpenAIBackend, prompts: Sequence[Prompt]) -> list[Completion | CallFailure]:
    found: dict[int, Completion | CallFailure] = {}
    backend.answer(prompts, admit=lambda _number: None, arrived=found.__setitem__)
    return [found[number] for number in range(len(prompts))]


def rows_of(found: Sequence[Completion | CallFailure]) -> list[list[list[float]]]:
    assert all(isinstance(answer, Completion) for answer in found), found
    return [[list(row) for row in a.label_logprobs] for a in found if isinstance(a, Completion)]


def mean_difference(one: list[list[list[float]]], other: list[list[list[float]]]) -> float:
    pairs = [(a, b) for x, y in zip(one, other, strict=True) for a, b in zip(x, y, strict=True)]
    return float(np.mean([abs(p - q) for a, b in pairs for p, q in zip(a, b, strict=True)]))


def test_the_probe_finds_what_this_server_can_do(capabilities: Capabilities) -> None:
    assert capabilities.server.startswith("vLLM 0.")
    assert (capabilities.label_style, capabilities.chat_label_style) == ("token_ids", "top")
    assert (capabilities.tops, capabilities.mode, capabilities.caches) == (20, "raw", "yes")
    assert capabilities.max_model_len == 2048
    assert capabilities.takes_tokens
    assert capabilities.takes_several
    assert capabilities.continues
    assert capabilities.reads_prompts
    assert capabilities.tokenizes


_ENGINE = """
import json, pickle, sys
from scrutable.pipeline.backends.vllm import VllmBackend
from scrutable.pipeline.sections import EngineConfig

if __name__ == "__main__":
    backend = VllmBackend(
        sys.argv[1], name="smollm2-135m", digest="-", dtype=sys.argv[2],
        config=EngineConfig(kind="vllm", max_model_len=1024, max_num_seqs=8),
    )
    found = {}
    questions = pickle.load(open(sys.argv[3], "rb"))
    backend.answer(questions, admit=lambda _number: None, arrived=found.__setitem__)
    rows = [[found[n].text, found[n].label_logprobs] for n in range(len(found))]
    print("ANSWERS " + json.dumps(rows))
"""


def test_three_backends_read_the_same_distributions_from_the_same_weights(
    weights: Path, served: OpenAIBackend, tmp_path: Path
) -> None:
    prompts = questions()
    local = TransformersBackend(str(weights), name=NAME, placement=Placement("cpu", DTYPE))(prompts)
    remote = answers(served, prompts)
    script = tmp_path / "engine.py"
    script.write_text(_ENGINE, encoding="utf-8")
    asked = tmp_path / "questions"
    asked.write_bytes(pickle.dumps(prompts))
    done = subprocess.run(
        [str(PYTHON), str(script), str(weights), DTYPE, str(asked)],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env={**os.environ, **ENVIRONMENT},
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("ANSWERS ")]
    assert lines, done.stderr[-3000:]
    engine = json.loads(lines[0].removeprefix("ANSWERS "))
    rows = rows_of(local)
    assert [len(answer) for answer in rows] == [7, 7, 1, 1, 1, 0, 0]
    assert mean_difference(rows, rows_of(remote)) < 1e-3
    assert mean_difference(rows, [labels for _, labels in engine]) < 1e-3
    texts = [answer.text for answer in local if isinstance(answer, Completion)]
    assert [answer.text for answer in remote if isinstance(answer, Completion)] == texts
    assert [text for text, _ in engine] == texts


def test_styles_damage_each_other_side_by_side_and_our_client_keeps_them_apart(client: Client) -> None:
    top = {"logprobs": 5, "return_tokens_as_token_ids": True}
    ids = {"logprobs": 1, "logprob_token_ids": [33, 34, 35], "return_tokens_as_token_ids": True}

    def entries(is_kept_apart: bool) -> list[int]:
        async def ask() -> list[int]:
            posts = []
            for number in range(24):
                body = {"model": NAME, "prompt": f"Number {number} is", "max_tokens": 4, "temperature": 0}
                style = ("top", "ids")[number % 2] if is_kept_apart else ""
                fields = top if number % 2 == 0 else ids
                posts.append(client.post("/completions", {**body, **fields}, style=style))
            found = await asyncio.gather(*posts)
            replies = [posted.data for posted in found if posted.data][::2]
            return [len(t) for r in replies for t in r["choices"][0]["logprobs"]["top_logprobs"]]

        return wait_for(ask())

    assert min(entries(is_kept_apart=True)) >= 5
    assert min(entries(is_kept_apart=False)) < 5, "this vLLM has mended its batches: the gate can go"


def test_a_grammar_changes_log_probabilities_and_is_not_used(client: Client) -> None:
    def first(**fields: Any) -> float:
        body = {"model": NAME, "prompt": "Pick a digit: ", "max_tokens": 1, "temperature": 0, "logprobs": 5}
        posted = wait_for(client.post("/completions", {**body, **fields}))
        assert posted.data
        logprobs = posted.data["choices"][0]["logprobs"]
        return float(logprobs["top_logprobs"][0][logprobs["tokens"][0]])

    constrained = first(structured_outputs={"choice": ["1", "2"]})
    forced = first(allowed_token_ids=[33, 34])
    assert constrained - forced > 0.3


def test_a_field_that_was_removed_is_answered_as_if_nothing_had_been_said(capabilities: Capabilities) -> None:
    assert capabilities.ignores_unknown


def test_log_probabilities_of_a_prompt_turn_its_cache_off(client: Client) -> None:
    prompt = "The harbour of the old town was closed in winter. " * 20

    def cached(**fields: Any) -> int:
        body = {"model": NAME, "prompt": prompt, "max_tokens": 1, **fields}
        posted = wait_for(client.post("/completions", body))
        assert posted.data
        return int(posted.data["usage"]["prompt_tokens_details"]["cached_tokens"])

    cached()
    assert cached() >= 128
    assert cached(prompt_logprobs=0) == 0


def test_what_the_server_caps_is_refused_in_one_line(client: Client) -> None:
    body = {"model": NAME, "prompt": "a", "max_tokens": 1, "logprobs": 21}
    with pytest.raises(EndpointError, match=r"refused a request \(400\): .*max allowed: 20"):
        wait_for(client.post("/completions", body))


def test_a_prompt_beyond_the_context_is_a_failure_of_that_prompt(served: OpenAIBackend) -> None:
    short, long = answers(served, [Prompt((), "a", Generate(2)), Prompt((), "harbour " * 2100, Generate(2))])
    assert isinstance(short, Completion)
    assert isinstance(long, CallFailure)
    assert long.kind == "too_long"
    assert "--max-model-len" in long.detail


def test_what_an_excerpt_spells_like_a_control_token_stays_text(served: OpenAIBackend) -> None:
    prompts = [Prompt((), f"Read this: {mark}Go on", Generate(1)) for mark in ("", "<|im_end|>")]
    plain, marked = answers(served, prompts)
    assert isinstance(plain, Completion)
    assert isinstance(marked, Completion)
    assert marked.cost.prompt_tokens >= plain.cost.prompt_tokens + 4


def test_a_second_ask_of_the_same_questions_makes_no_call(url: str) -> None:
    config = LlmExplainer.model_validate({"kind": "llm", "model": NAME, "backend": url})
    models = Models(lambda _line: None)
    ask = models.ask(config, role="explainer")
    assert isinstance(ask, JournaledAsk)
    prompts = [Prompt((), "The harbour", Generate(4)), Prompt((), "The ship", Generate(4))]
    first, second = ask(prompts), ask(prompts)
    assert first == second
    [row] = models.journal.spent()
    assert (row.calls, row.replayed) == (2, 2)
