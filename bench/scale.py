"""What explaining every MLP neuron of an 8B model takes: a run replayed, event by event, on many GPUs.

    python bench/scale.py --run runs/study
    python bench/scale.py --run runs/study --gpus 128 --signs pos --tokens 200e6

Tokens, bytes and seconds come from a finished run folder (`Measured`), host costs from timing our own
functions (`HOST`), and speeds and prices of hardware that we do not have from `ASSUMED`, each with its
source. The simulation is first tried on runs whose seconds are known. Same arguments, same output.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LAYERS, WIDTH = 32, 14336  # Llama-3.1-8B
HOUR = 3600.0
MOST_LANES = 64  # pipeline/composition/jobs.py
MOST_ATTEMPTS = 10_000
ASKING = "explainer requests"


class Figure(NamedTuple):
    """A number and where it comes from."""

    value: float
    unit: str
    source: str


ASSUMED = {
    "forward 8b": Figure(
        20_000, "tok/s/GPU", "16 GFLOP a token at 1/3 of an H100's 989 TFLOP/s (data sheet)"
    ),
    "prefill 8b": Figure(20_000, "tok/s/GPU", "as the forward pass"),
    "decode 8b": Figure(12_500, "tok/s/GPU", "morphllm.com/vllm-benchmarks, 1 H100, third party"),
    "prefill 70b": Figure(2_300, "tok/s/GPU", "the 8B figure times 8/70"),
    "decode 70b": Figure(460, "tok/s/GPU", "same page: 70B FP8, 1 H100, batch 64"),
    "simulator": Figure(
        100_000, "tok/s/GPU", "a guess: 0.5B at 1 GFLOP a token, short batches, a tenth of peak"
    ),
    "requests": Figure(128, "at a GPU", "they saturate it; our default `concurrency` at one address"),
    "start": Figure(120, "s", "a guess: a model is loaded, a server is ready"),
    "file system": Figure(5e9, "B/s each way", "a guess: a shared parallel file system"),
    "one file": Figure(0.005, "s", "a guess: create, fsync and rename over a network"),
    "mtbf": Figure(
        1_000, "h a worker", "a guess; hardware alone 50,700 h (Llama 3: 419 stops, 54 d, 16,384 GPUs)"
    ),
    "price": Figure(3.0, "$/GPU h", "H100, specialist clouds $2.50-3.50 (mercatus-ai.com, May 2026)"),
    "cores": Figure(8, "a GPU", "a guess: 64 cores beside 8 GPUs"),
}
HOST = {
    "trace value": Figure(8e-9, "s a value", "NeuronSubject.traces on the host: sign, rectify, scatter"),
    "trace pair": Figure(1.9e-6, "s a pair", "the copy in traces.pack, of one unit and window"),
    "store token": Figure(9.6e-6, "s a token", "ten probabilities to Python and to parquet"),
    "excerpt": Figure(8_500, "B", "an Excerpt in memory (tracemalloc), 32 tokens"),
    "capture": Figure(1.12, "times forward", "PLATFORM.md 1: hooks and maxima, 135M on a CPU"),
}
"""Timed once on the 2-core build machine, shared with other work; one core."""


# -- the simulation ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Stage:
    """The shards of a stage, (N,) each, and who works on them; the next stage waits for all."""

    name: str
    pool: str  # whose time it takes
    workers: int  # shards under way at once
    seconds: Floats  # a worker is busy with a shard
    read: Floats = field(default_factory=lambda: np.zeros(0))  # bytes from the file system; empty: none
    written: Floats = field(default_factory=lambda: np.zeros(0))
    gpu: Floats = field(default_factory=lambda: np.zeros(0))  # of `seconds`, GPU seconds in use
    start: float = 0.0  # seconds until the workers can begin

    @property
    def cost(self) -> float:
        """Seconds that one worker takes, if the file system costs nothing."""
        return self.start + float(self.seconds.sum())


@dataclass(frozen=True)
class Span:
    """What became of a stage."""

    stage: Stage
    began: float
    ended: float
    busy: float  # worker seconds, those of dead attempts and restarts included
    lost: float  # of these, in vain
    deaths: int
    done: tuple[int, ...]  # shards in the order in which their parts appeared

    @property
    def utilisation(self) -> float:
        """Of the workers while the stage lasts, in [0, 1]."""
        room = self.stage.workers * (self.ended - self.began)
        return min(1.0, self.busy / room) if room else 0.0


@dataclass(frozen=True)
class Outcome:
    """A simulated run."""

    spans: tuple[Span, ...]
    transfer: float  # seconds in which the file system moved bytes, both directions added

    @property
    def wall(self) -> float:
        return self.spans[-1].ended if self.spans else 0.0

    def gpu_seconds(self) -> float:
        """In use, without dead attempts."""
        return sum(float(span.stage.gpu.sum()) for span in self.spans)

    def pools(self) -> dict[str, float]:
        """Of each pool, its share of the whole run in which its workers are busy, in [0, 1]."""
        busy: dict[str, float] = {}
        most: dict[str, int] = {}
        for span in self.spans:
            pool = span.stage.pool
            busy[pool] = busy.get(pool, 0.0) + span.busy
            most[pool] = max(most.get(pool, 0), span.stage.workers)
        shares = {pool: min(1.0, busy[pool] / (most[pool] * self.wall)) for pool in busy if self.wall}
        return shares | ({"file system": self.transfer / (2 * self.wall)} if self.wall else {})


def simulate(
    stages: Sequence[Stage],
    *,
    bandwidth: float = math.inf,
    mtbf: float = math.inf,
    restart: float = 0.0,
    seed: int = 0,
) -> Outcome:
    """Runs the stages one after the other.

    A shard is read, worked on and written. The file system moves one shard's bytes at a time in each
    direction, in the order of asking. A worker that dies starts again and does its shard anew; when it
    dies depends on seed, stage and shard alone, so that runs with other workers can be compared.

    Args:
        stages: in order, with a barrier between them.
        bandwidth: bytes a second, in each direction.
        mtbf: mean seconds of work between two deaths of a worker.
        restart: seconds until a dead worker is back.
        seed: of the deaths.
    """
    now, transfer, spans = 0.0, 0.0, []
    for number, stage in enumerate(stages):
        deaths = _deaths(stage.seconds, mtbf, np.random.default_rng([seed, number]))
        span, moved = _play(stage, now, bandwidth, deaths, restart)
        spans.append(span)
        now, transfer = span.ended, transfer + moved
    return Outcome(tuple(spans), transfer)


def _deaths(seconds: Floats, mtbf: float, rng: np.random.Generator) -> dict[int, list[float]]:
    """Shard → how long each attempt before the last one lived. Raises ValueError for a hopeless shard."""
    if math.isinf(mtbf) or not len(seconds):
        return {}
    first = rng.exponential(mtbf, len(seconds))
    seeds = rng.integers(2**63, size=len(seconds))
    found: dict[int, list[float]] = {}
    for shard in np.flatnonzero(first < seconds).tolist():
        again, lives = np.random.default_rng(seeds[shard]), [float(first[shard])]
        while (life := float(again.exponential(mtbf))) < seconds[shard]:
            lives.append(life)
            if len(lives) > MOST_ATTEMPTS:
                raise ValueError(
                    f"a shard of {seconds[shard]:.0f} s never ends with a death each {mtbf:.0f} s"
                )
        found[shard] = lives
    return found


def _play(
    stage: Stage, begin: float, bandwidth: float, deaths: Mapping[int, Sequence[float]], restart: float
) -> tuple[Span, float]:
    """The events of one stage: a shard is there, an attempt is over, a part is written."""
    n = len(stage.seconds)
    read, written = (b / bandwidth if len(b) else np.zeros(n) for b in (stage.read, stage.written))
    arrives = begin + stage.start + np.cumsum(read)
    events: list[tuple[float, int, str, int]] = [(float(t), i, "there", i) for i, t in enumerate(arrives)]
    heapq.heapify(events)
    ready: deque[int] = deque()
    tries: dict[int, int] = {}
    free, order, disk_free = stage.workers, n, begin
    ended, busy, lost, n_deaths, done = begin + stage.start, 0.0, 0.0, 0, []

    def attempt(shard: int, now: float) -> tuple[float, str]:
        lives = deaths.get(shard, ())
        number = tries.get(shard, 0)
        tries[shard] = number + 1
        if number < len(lives):
            return now + lives[number] + restart, "died"
        return now + float(stage.seconds[shard]), "worked"

    while events:
        now, _, kind, shard = heapq.heappop(events)
        if kind == "there":
            ready.append(shard)
        elif kind == "died":
            wasted = deaths[shard][tries[shard] - 1] + restart
            busy, lost, n_deaths = busy + wasted, lost + wasted, n_deaths + 1
            order += 1
            then, what = attempt(shard, now)
            heapq.heappush(events, (then, order, what, shard))
        elif kind == "worked":
            busy += float(stage.seconds[shard])
            free += 1
            disk_free = max(now, disk_free) + float(written[shard])
            order += 1
            heapq.heappush(events, (disk_free, order, "written", shard))
        else:
            done.append(shard)
            ended = now
        while free and ready:
            free -= 1
            order += 1
            shard = ready.popleft()
            then, what = attempt(shard, now)
            heapq.heappush(events, (then, order, what, shard))
    return Span(stage, begin, ended, busy, lost, n_deaths, tuple(done)), float(read.sum() + written.sum())


# -- what was measured ------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """What an explainer or a pair did, part file by part file."""

    seconds: float
    tokens: tuple[int, ...]  # computed and written by a model, in each part
    rows: int


@dataclass(frozen=True)
class Measured:
    """A finished run folder."""

    name: str
    units: int
    corpus_tokens: int
    windows: int
    documents: int
    seconds: Mapping[str, float]  # of stages without parts: corpus, capture, traces, score
    explain: Mapping[str, Part]
    simulate: Mapping[str, Part]
    evidences: int  # (unit, explainer, simulator) that were scored
    prompts: Floats  # (N,) computed tokens of each explanation of the main explainer
    prompts_whole: float  # with what its cache held, mean
    replies: Floats  # (N,) tokens
    passages: float  # simulated of each unit and explanation
    nulls: int
    subject_tokens: float  # simulated of each unit and explanation
    computed_tokens: float  # the same with the explanation, as the simulator reads it
    excerpts: float  # of each unit
    bytes: Mapping[str, float]  # table → for each unit, token or evidence: see `storage`

    @property
    def wall(self) -> float:
        parts = (*self.explain.values(), *self.simulate.values())
        return sum(self.seconds.values()) + sum(part.seconds for part in parts)


def measure(folder: Path) -> Measured:
    """Reads a run folder with explanations and simulations. Raises ValueError if it has none."""
    import pyarrow.parquet as pq

    level = folder / "level-0"
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    seconds = _seconds(manifest["starts"])

    def parts(stage: str) -> dict[str, list[Path]]:
        named: dict[str, list[Path]] = {}
        for path in sorted((level / stage).glob("[!.]*.parquet")):
            named.setdefault(path.stem.rpartition("~")[0], []).append(path)
        return named

    def tokens_of(path: Path) -> int:
        table = pq.read_table(path, columns=["computed_tokens", "generated_tokens"])
        return int(sum(column.to_numpy().sum() for column in table.columns))

    found: dict[str, dict[str, Part]] = {}
    for stage, folder_name in (("explain", "explanations"), ("simulate", "simulations")):
        found[stage] = {
            name: Part(
                seconds.get(f"{stage}: {name}", 0.0),
                tuple(tokens_of(path) for path in paths),
                sum(pq.read_metadata(path).num_rows for path in paths),
            )
            for name, paths in parts(folder_name).items()
        }
    if not found["explain"] or not found["simulate"]:
        raise ValueError(f"{folder} has no explanations or no simulations at level 0")
    pair = max(found["simulate"], key=lambda name: sum(found["simulate"][name].tokens))
    explainer = pair.partition("+")[0]
    explanations = [pq.read_table(path) for path in parts("explanations")[explainer]]
    prompts, whole, replies = (
        np.concatenate([table[name].to_numpy() for table in explanations]).astype(np.float64)
        for name in ("computed_tokens", "prompt_tokens", "generated_tokens")
    )
    simulations = [
        pq.read_table(path, columns=["unit", "explanation", "expected", "computed_tokens"])
        for path in parts("simulations")[pair]
    ]
    asked = {
        (unit, explanation)
        for table in simulations
        for unit, explanation in zip(table["unit"].to_pylist(), table["explanation"].to_pylist(), strict=True)
    }
    n_simulated = len({unit for unit, _ in asked})
    n_rows = sum(table.num_rows for table in simulations)
    stored = sum(len(values) for table in simulations for values in table["expected"].to_pylist())
    computed = sum(int(table["computed_tokens"].to_numpy().sum()) for table in simulations)
    n_units = pq.read_metadata(level / "units.parquet").num_rows
    n_evidence = pq.read_metadata(level / "calibrations.parquet").num_rows
    corpus = manifest["corpus"]

    def size(*paths: Path) -> int:
        return sum(path.stat().st_size for path in paths if path.exists())

    scored = [level / f"{name}.parquet" for name in ("scores", "calibrations", "differences")]
    all_units = level / "all_units.parquet"
    return Measured(
        name=folder.name,
        units=n_units,
        corpus_tokens=corpus["n_tokens"],
        windows=corpus["n_windows"],
        documents=corpus["n_documents"],
        seconds={name: seconds[name] for name in ("corpus", "capture", "traces", "score") if name in seconds},
        explain=found["explain"],
        simulate=found["simulate"],
        evidences=n_evidence,
        prompts=prompts,
        prompts_whole=float(whole.mean()),
        replies=replies,
        passages=n_rows / len(asked),
        nulls=round(len(asked) / n_simulated) - 1,
        subject_tokens=stored / len(asked),
        computed_tokens=computed / len(asked),
        excerpts=sum(pq.read_metadata(p).num_rows for p in (level / "excerpts").glob("[!.]*")) / n_units,
        bytes={
            "windows": size(level / "windows.npz") / corpus["n_tokens"],
            "units": size(all_units) / pq.read_metadata(all_units).num_rows,
            "capture": size(level / "capture.npz") / n_units,
            "traces": size(*(level / "traces").glob("*.npz")) / n_units,
            "excerpts": size(*(level / "excerpts").glob("*.parquet")) / n_units,
            "explanations": size(*parts("explanations")[explainer]) / len(replies),
            "simulations": size(*parts("simulations")[pair]) / stored,
            "failures": size(*(level / "failures").glob("simulations~*"))
            / max(1, sum(map(len, parts("simulations").values()))),
            "scores": size(*scored) / n_evidence,
        },
    )


def _seconds(starts: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Seconds of the stages of level 0 over all starts; scoring is done at each start, and counts once."""
    total: dict[str, float] = {}
    for start in starts:
        for name, seconds in start["stage_seconds"].items():
            stage = name.removeprefix("level 0: ")
            if stage == "score" and stage in total:
                continue
            total[stage] = total.get(stage, 0.0) + seconds
    return total


def replayed(run: Measured) -> list[Stage]:
    """The run as it was: one worker, seconds spread over the parts by their tokens."""
    stages = [
        Stage(name, "this machine", 1, np.array([run.seconds[name]]))
        for name in ("corpus", "capture", "traces")
        if name in run.seconds
    ]
    for kind, named in (("explain", run.explain), ("simulate", run.simulate)):
        for name, part in named.items():
            weights = np.array(part.tokens, dtype=np.float64)
            if not weights.sum():
                weights = np.ones(len(weights))
            stages.append(Stage(f"{kind}: {name}", "this machine", 1, part.seconds * weights / weights.sum()))
    return [*stages, Stage("score", "this machine", 1, np.array([run.seconds.get("score", 0.0)]))]


def foretold(rates: Measured, run: Measured) -> list[Stage]:
    """The counts of one run at the seconds for each token, row and evidence of another."""
    of_corpus = run.corpus_tokens / rates.corpus_tokens
    names = ("corpus", "capture", "traces")
    stages = [Stage(n, "this machine", 1, np.array([rates.seconds[n] * of_corpus])) for n in names]
    for kind in ("explain", "simulate"):
        known: Mapping[str, Part] = getattr(rates, kind)
        asking = [part for part in known.values() if sum(part.tokens)]
        others = [part for part in known.values() if not sum(part.tokens)]
        token = sum(part.seconds for part in asking) / sum(sum(part.tokens) for part in asking)
        row = sum(part.seconds for part in others) / max(1, sum(part.rows for part in others))
        for name, part in getattr(run, kind).items():
            n = len(part.tokens)
            work = np.array(part.tokens) * token if sum(part.tokens) else np.full(n, row * part.rows / n)
            stages.append(Stage(f"{kind}: {name}", "this machine", 1, work))
    score = rates.seconds["score"] * run.evidences / rates.evidences
    return [*stages, Stage("score", "this machine", 1, np.array([score]))]


# -- the plan ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """What is to be done, and on what."""

    units: int
    tokens: float  # of the corpus
    nulls: int
    gpus: int = 64
    shard: int = 256  # units
    explainer: str = "8b"
    candidates: int = 1  # explanations of a unit; a null is as many of another
    split: tuple[int, int, int] | None = None  # GPUs of capture, explainers, simulators; None: all, in turn
    as_it_is: bool = False  # the code of today: what one process does, one process does
    deaths: float = 1.0  # times the assumed rate

    @property
    def shards(self) -> int:
        return math.ceil(self.units / self.shard)


def storage(plan: Plan, run: Measured) -> dict[str, float]:
    """Bytes of each table."""
    each, explained = run.bytes, plan.units * plan.candidates
    n_failure_files = 2 * plan.shards  # one beside each part, mostly empty
    return {
        "windows": each["windows"] * plan.tokens,
        "units, capture": (2 * each["units"] + each["capture"]) * plan.units,
        "traces": each["traces"] * plan.units,
        "excerpts": each["excerpts"] * plan.units,
        "explanations": each["explanations"] * explained,
        "simulations": each["simulations"] * run.subject_tokens * explained * (1 + plan.nulls),
        "failures": each["failures"] * n_failure_files,
        "scores": each["scores"] * explained,
    }


def files(plan: Plan, run: Measured) -> int:
    """Part files: excerpts, explanations, simulations, two of failures, and those of traces."""
    windows = plan.tokens * run.windows / run.corpus_tokens
    return 5 * plan.shards + math.ceil(windows / 256)


def stages_of(plan: Plan, run: Measured, *, seed: int = 0) -> list[Stage]:
    """The shards of every stage with what each costs."""
    assumed = {name: figure.value for name, figure in ASSUMED.items()}
    host = {name: figure.value for name, figure in HOST.items()}
    size, rng = storage(plan, run), np.random.default_rng([seed, 1])
    capturing, explaining, simulating = plan.split or (plan.gpus,) * 3
    start = 0.0 if plan.split else assumed["start"]
    cores = round(assumed["cores"] * plan.gpus)
    n, u = plan.shards, np.full(plan.shards, float(plan.shard))
    u[-1] = plan.units - plan.shard * (n - 1)
    one = plan.as_it_is

    chunks = max(1, round(plan.tokens / 1e5))
    t = np.full(chunks, plan.tokens / chunks)
    windows = plan.tokens * run.windows / run.corpus_tokens
    picks = plan.units * run.excerpts
    reread = 1 - math.exp(-picks / windows)  # of the windows, kept of some unit
    forward = t / assumed["forward 8b"]
    per_value = host["trace value"] * plan.units if one else 0.0
    host_traces = t * reread * per_value + picks / chunks * host["trace pair"]

    requests = u * plan.candidates
    seconds, in_flight = _asked(plan, run, requests, assumed, rng, gpus=explaining)
    lanes = max(1, min(MOST_LANES, in_flight // plan.shard) if one else in_flight // plan.shard)
    gpu_asked = requests * (
        run.prompts.mean() / assumed[f"prefill {plan.explainer}"]
        + run.replies.mean() / assumed[f"decode {plan.explainer}"]
    )
    pairs = requests * (1 + plan.nulls)
    gpu_simulated = pairs * run.computed_tokens / assumed["simulator"]
    host_simulated = pairs * run.subject_tokens * host["store token"]
    evidence = run.seconds["score"] / run.evidences * (1 + plan.nulls) / (1 + run.nulls)
    opened = assumed["one file"]
    return [
        Stage("corpus", "CPU", 1 if one else cores, t * run.seconds["corpus"] / run.corpus_tokens,
              written=t * size["windows"] / plan.tokens),
        Stage("capture", "capture GPUs", 1 if one else capturing, forward * host["capture"], gpu=forward,
              read=t * size["windows"] / plan.tokens, written=t * size["units, capture"] / plan.tokens,
              start=assumed["start"]),
        Stage("traces", "capture GPUs", 1 if one else capturing, forward * reread + host_traces + opened,
              gpu=forward * reread, written=t * (size["traces"] + size["excerpts"]) / plan.tokens),
        Stage("explain", ASKING, lanes, seconds + 2 * opened,
              gpu=gpu_asked, read=u / plan.units * size["excerpts"],
              written=u / plan.units * size["explanations"], start=start),
        Stage("simulate", "simulator GPUs", simulating, gpu_simulated + host_simulated + 2 * opened,
              gpu=gpu_simulated, read=u / plan.units * (size["excerpts"] + size["explanations"]),
              written=u / plan.units * size["simulations"], start=start),
        Stage("score", "CPU", 1 if one else cores, u * plan.candidates * evidence + opened,
              read=u / plan.units * (size["simulations"] + size["excerpts"]),
              written=u / plan.units * size["scores"]),
    ]  # fmt: skip


def _asked(
    plan: Plan,
    run: Measured,
    requests: Floats,
    assumed: Mapping[str, float],
    rng: np.random.Generator,
    *,
    gpus: int,
) -> tuple[Floats, int]:
    """Seconds until the slowest request of each shard is answered, and requests under way at most.

    A request gets its share of a saturated GPU, however few there are beside it.
    """
    slots = int(assumed["requests"])
    prompt, reply = (assumed[f"{what} {plan.explainer}"] / slots for what in ("prefill", "decode"))
    row = rng.integers(len(run.replies), size=(len(requests), plan.shard))
    each = run.prompts[row] / prompt + run.replies[row] / reply
    return each.max(axis=1) * plan.candidates, gpus * slots


def outcome_of(plan: Plan, run: Measured, *, seed: int = 0) -> Outcome:
    """The plan, simulated."""
    return simulate(
        stages_of(plan, run, seed=seed),
        bandwidth=ASSUMED["file system"].value,
        mtbf=ASSUMED["mtbf"].value * HOUR / plan.deaths,
        restart=ASSUMED["start"].value,
        seed=seed,
    )


def limit_of(span: Span, plan: Plan) -> str:
    """What holds a stage back most."""
    stage, bandwidth = span.stage, ASSUMED["file system"].value
    in_use, busy = float(stage.gpu.sum()), float(stage.seconds.sum())
    asks = stage.pool == ASKING
    gpus = stage.workers if not asks else plan.split[1] if plan.split else plan.gpus
    workers = "requests in flight" if asks else "host, one core a worker"
    bounds = {
        "start-up": stage.start,
        "GPU": in_use / gpus,
        workers: (busy if asks else busy - in_use) / stage.workers,
        "file system": max(float(stage.read.sum()), float(stage.written.sum())) / bandwidth,
    }
    name = max(bounds, key=lambda key: bounds[key])
    return f"{name} (one process)" if stage.workers == 1 else name


# -- printing ---------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True, help="a finished run folder")
    parser.add_argument("--gpus", type=int, default=64)
    parser.add_argument("--tokens", type=float, default=50e6, help="of the corpus")
    parser.add_argument("--shard", type=int, default=256, help="units")
    parser.add_argument(
        "--nulls", type=int, default=4, help="scoring.nulls, which is 3 where a config is silent"
    )
    parser.add_argument("--signs", choices=["both", "pos"], default="both")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    run = measure(arguments.run)
    _print_figures(run)
    _print_trial(run, arguments.run)
    units = LAYERS * WIDTH * (2 if arguments.signs == "both" else 1)
    plan = Plan(units, arguments.tokens, arguments.nulls, gpus=arguments.gpus, shard=arguments.shard)
    today = replace(plan, as_it_is=True, shard=8)
    _print_plan("the code of today, shard: 8", today, run, arguments.seed)
    changed = _print_plan(f"every stage in shards, shard: {plan.shard}", plan, run, arguments.seed)
    _print_what_ifs(plan, run, changed, arguments.seed)


def _print_figures(run: Measured) -> None:
    each = run.bytes
    for line in (
        f"MEASURED in runs/{run.name}: {run.units} units, {run.corpus_tokens:,} tokens, {run.nulls} nulls",
        f"  an explanation   {run.prompts_whole:,.0f} prompt tokens, {run.prompts.mean():,.0f} not cached; "
        f"{run.replies.mean():.1f} of reply",
        f"  its simulation   {run.passages:.1f} passages, {run.subject_tokens:,.0f} subject tokens, "
        f"{run.computed_tokens:,.0f} computed",
        f"  a unit           {run.excerpts:.1f} excerpts; bytes: {each['excerpts']:,.0f} of excerpts, "
        f"{each['traces']:,.0f} of traces",
        f"  bytes            {each['explanations']:,.0f} an explanation, {each['simulations']:.1f} "
        f"a simulated token, {each['scores']:,.0f} of scores",
    ):
        print(line)
    for title, table in (("TIMED on our functions", HOST), ("ASSUMED, not measured here", ASSUMED)):
        print(f"\n{title}")
        for name, figure in table.items():
            print(f"  {name:<12} {figure.value:>9,.6g} {figure.unit:<14} {figure.source}")


def _print_trial(run: Measured, folder: Path) -> None:
    print("\nTRIAL on this machine, one worker: predicted over actual seconds")
    ratio = simulate(replayed(run)).wall / run.wall
    print(f"  {run.name} from its own seconds: {ratio:.3f} of {run.wall:,.0f} s (1 by construction)")
    for path in sorted(folder.resolve().parent.iterdir()):
        if path.name == folder.resolve().name or not (path / "level-0" / "calibrations.parquet").exists():
            continue
        try:
            other = measure(path)
        except (ValueError, KeyError):
            continue
        outcome, actual = simulate(foretold(run, other)), {s.name: s.cost for s in replayed(other)}
        ratio = outcome.wall / other.wall
        print(f"  {other.name} from the rates of {run.name}: {ratio:.2f} of {other.wall:,.0f} s")
        for span in outcome.spans:
            name, seconds = span.stage.name, span.ended - span.began
            if actual[name] >= 1:
                print(f"    {name:<28} {seconds:8.1f} / {actual[name]:8.1f} = {seconds / actual[name]:.2f}")


def _print_plan(title: str, plan: Plan, run: Measured, seed: int) -> Outcome:
    outcome, size = outcome_of(plan, run, seed=seed), storage(plan, run)
    documents = plan.tokens * run.documents / run.corpus_tokens
    windows = plan.tokens * run.windows / run.corpus_tokens
    explained = plan.units * plan.candidates
    simulated = explained * (1 + plan.nulls)
    print(f"\nPLAN, {title}: {plan.units:,} units of {LAYERS * WIDTH:,} neurons, {plan.gpus} GPUs")
    print(f"  corpus      {plan.tokens:,.0f} tokens, {documents:,.0f} documents, {windows:,.0f} windows")
    asked, fresh = explained * run.prompts_whole / 1e9, explained * run.prompts.mean() / 1e9
    print(
        f"  explain     {explained:,} calls, {asked:.2f} G prompt tokens ({fresh:.2f} G computed), ", end=""
    )
    print(f"{explained * run.replies.mean() / 1e6:.1f} M of replies")
    read = simulated * run.computed_tokens / 1e9
    print(f"  simulate    {simulated * run.passages / 1e6:,.0f} M passages with {plan.nulls} nulls, ", end="")
    print(f"{read:.1f} G tokens")
    tables = ", ".join(f"{name} {bytes_ / 1e9:.1f}" for name, bytes_ in size.items())
    print(f"  storage     {sum(size.values()) / 1e9:,.0f} GB in {files(plan, run):,} part files: {tables}")
    memory = plan.units * run.excerpts * HOST["excerpt"].value
    print(
        f"  memory      {memory / 1e9:,.0f} GB of excerpts as objects in one process (runner.py `_excerpts`)"
    )
    print(
        f"  {'stage':<10}{'workers':>8}{'wall h':>10}{'busy':>7}{'GPU h used':>12}{'deaths':>8}  held back by"
    )
    for span in outcome.spans:
        seconds = span.ended - span.began
        print(f"  {span.stage.name:<10}{span.stage.workers:>8}{seconds / HOUR:>10.3f}{span.utilisation:>7.0%}"
              f"{span.stage.gpu.sum() / HOUR:>12.2f}{span.deaths:>8}  {limit_of(span, plan)}")  # fmt: skip
    held, used = plan.gpus * outcome.wall / HOUR, outcome.gpu_seconds() / HOUR
    print(f"  all {outcome.wall / HOUR:,.2f} h; GPU hours: {held:,.0f} held, {used:,.1f} used ", end="")
    print(f"({used / held:.1%}); ${held * ASSUMED['price'].value:,.0f} for the GPUs held")
    shares = ", ".join(f"{name} {share:.0%}" for name, share in outcome.pools().items())
    print(f"  busy share of the run: {shares}")
    worst = max(outcome.spans, key=lambda span: span.ended - span.began)
    share = (worst.ended - worst.began) / outcome.wall
    print(f"  BOTTLENECK: {worst.stage.name}, {share:.0%} of the wall time, by {limit_of(worst, plan)}")
    return outcome


def _print_what_ifs(plan: Plan, run: Measured, base: Outcome, seed: int) -> None:
    print("\nWHAT IF (every stage in shards)")
    heads = f"{'wall h':>9}{'x':>7}{'GPU h held':>12}{'$':>9}{'TB':>7}{'deaths':>8}{'expected':>10}"
    print(f"  {'':<34}{heads}  longest stage")
    g = plan.gpus
    cases = {
        "as planned": plan,
        f"half the nulls ({plan.nulls // 2})": replace(plan, nulls=plan.nulls // 2),
        "the explainer is a 70B": replace(plan, explainer="70b"),
        "ten times the deaths": replace(plan, deaths=10.0),
        "GPUs split for good, 1:1:2": replace(plan, split=(g // 4, g // 4, g // 2)),
        "best of 20 explanations": replace(plan, candidates=20),
    }
    for name, case in cases.items():
        outcome = outcome_of(case, run, seed=seed)
        held = case.gpus * outcome.wall / HOUR
        worked = sum(float(span.stage.seconds.sum()) for span in outcome.spans) / HOUR
        deaths = sum(span.deaths for span in outcome.spans)
        expected = worked * case.deaths / ASSUMED["mtbf"].value
        longest = max(outcome.spans, key=lambda span: span.ended - span.began)
        print(f"  {name:<34}{outcome.wall / HOUR:>9.3f}{outcome.wall / base.wall:>7.2f}{held:>12,.1f}"
              f"{held * ASSUMED['price'].value:>9,.0f}{sum(storage(case, run).values()) / 1e12:>7.2f}"
              f"{deaths:>8}{expected:>10.2f}  {longest.stage.name}")  # fmt: skip


if __name__ == "__main__":
    main()
