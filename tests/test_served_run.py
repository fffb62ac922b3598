"""A run whose explainer and simulator are served: faults change nothing, nothing is paid twice or told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from toy_run import WORDS, in_this_environment, scrutable, tables, write_config, write_corpus
from toy_server import MODEL, ToyServer, now_and_then

from scrutable.pipeline import load_run
from scrutable.pipeline.composition.models import price_of
from scrutable.pipeline.config import LlmExplainer

KEY = "sk-planted-key-that-nobody-may-see"
RULES = [f'word("{word}")' for word in WORDS]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SCRUTABLE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def server() -> Iterator[ToyServer]:
    with ToyServer() as running:
        yield running


def served(folder: Path, server: ToyServer, **changes: Any) -> Path:
    """The config of a run of planted units that asks the server for everything."""
    backend = {
        "kind": "openai",
        "urls": [server.url],
        "timeout": 1.0,
        "attempts": 6,
        **changes.pop("backend", {}),
    }
    corpus = folder / "toy.jsonl"
    sections: dict[str, Any] = {
        "explainers": {"llm": {"kind": "llm", "model": MODEL, "backend": backend}},
        "simulators": {"prompted": {"kind": "prompted", "model": MODEL, "backend": backend}},
        "samples": {
            "top": {"explain": 3, "calibrate": 1, "test": 1},
            "per_stratum": {"explain": 1, "calibrate": 1, "test": 1},
        },
        "scoring": {"nulls": 1, "draws": 50, "budgets": []},
    }
    return write_config(folder / "toy.yaml", write_corpus(corpus), **(sections | changes))


def test_a_second_run_of_the_same_config_makes_no_call(server: ToyServer, tmp_path: Path) -> None:
    config = served(tmp_path, server)
    first = in_this_environment("run", config, "--runs", tmp_path / "runs")
    assert first.returncode == 0, first.stderr
    n_calls = server.answered.total()
    second = in_this_environment("run", config, "name=again", "--runs", tmp_path / "runs")
    assert second.returncode == 0, second.stderr
    assert server.answered.total() - n_calls == 1  # what the server says of itself
    assert tables(tmp_path / "runs" / "again") == tables(tmp_path / "runs" / "toy")
    spent = {row["role"]: row for row in load_run(tmp_path / "runs" / "again").manifest["spent"]}
    assert spent["explainer llm"]["calls"] == 0
    assert spent["explainer llm"]["replayed"] == 4


def test_two_hundred_units_through_every_fault_end_with_the_same_table(tmp_path: Path) -> None:
    rules = [*RULES, *(f"after({rule})" for rule in RULES)]
    changes: dict[str, Any] = {
        "subject": {"kind": "planted", "rules": (rules * 10)[:200]},
        "units": {"sample": 200},
        "shard": 20,
        "simulators": {"lookup": {"kind": "table"}},
    }
    runs = []
    for name, fault in (("calm", lambda _prompt, _attempt: ""), ("stormy", now_and_then)):
        folder = tmp_path / name
        folder.mkdir()
        with ToyServer(fault=fault, latency=0.002) as server:
            config = served(folder, server, **changes)
            done = in_this_environment("run", config, "--runs", folder / "runs", "--until", "explain")
            assert done.returncode == 0, done.stderr
            runs.append(tables(folder / "runs" / "toy"))
            if name == "stormy":
                assert server.attempts.total() > server.answered.total() + 20
    assert runs[0] == runs[1]
    assert len(load_run(tmp_path / "stormy" / "runs" / "toy").explanations) > 150


def test_what_never_answers_is_counted_and_the_rest_is_scored(tmp_path: Path) -> None:
    with ToyServer(fault=lambda prompt, _: "500" if "river" in prompt else "") as server:
        config = served(tmp_path, server, backend={"attempts": 1})
        done = in_this_environment("run", config, "--runs", tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    failures = load_run(tmp_path / "runs" / "toy").failures
    assert set(failures["kind"]) >= {"unavailable"}
    assert "1 attempts" in " ".join(failures["detail"])


def test_what_failed_is_asked_again_on_request_and_ends_like_a_run_without_faults(tmp_path: Path) -> None:
    ill: list[str] = ["river"]
    with ToyServer(fault=lambda prompt, _: "500" if ill and ill[0] in prompt else "") as server:
        config = served(tmp_path, server, backend={"attempts": 1})
        arguments = ("run", config, "--runs", tmp_path / "runs")
        assert in_this_environment(*arguments).returncode == 0
        first = load_run(tmp_path / "runs" / "toy").failures
        assert "unavailable" in set(first["kind"])
        ill.clear()
        n_before = server.answered.total()
        mended = in_this_environment(*arguments, "--retry-failed")
        assert mended.returncode == 0, mended.stderr
        assert "parts are made again" in mended.stderr
        assert server.answered.total() - n_before > 0
        assert "unavailable" not in set(load_run(tmp_path / "runs" / "toy").failures["kind"])
        whole = in_this_environment("run", config, "name=whole", "--runs", tmp_path / "elsewhere")
        assert whole.returncode == 0, whole.stderr
    assert tables(tmp_path / "runs" / "toy") == tables(tmp_path / "elsewhere" / "whole")


def test_the_key_is_in_no_file_and_no_line(tmp_path: Path) -> None:
    with ToyServer(key=KEY) as server:
        config = served(tmp_path, server, backend={"key_env": "TOY_KEY"})
        done = in_this_environment("run", config, "--runs", tmp_path / "runs", TOY_KEY=KEY)
        assert done.returncode == 0, done.stderr
        wrong = in_this_environment(
            "--debug", "run", config, "name=wrong", "--runs", tmp_path / "runs", TOY_KEY=f"{KEY}-wrong"
        )
        assert wrong.returncode != 0
        assert "TOY_KEY is not accepted" in wrong.stderr
    said = done.stdout + done.stderr + wrong.stdout + wrong.stderr
    assert KEY not in said
    holders = [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert not holders


def test_a_server_that_moved_continues_the_run(tmp_path: Path) -> None:
    with ToyServer() as server:
        config = served(tmp_path, server)
        done = in_this_environment("explain", config, "--runs", tmp_path / "runs")
        assert done.returncode == 0, done.stderr
    with ToyServer() as server:
        config = served(tmp_path, server)
        done = in_this_environment("run", config, "--runs", tmp_path / "runs")
        assert done.returncode == 0, done.stderr


def test_a_budget_stops_cleanly_and_a_larger_one_goes_on(server: ToyServer, tmp_path: Path) -> None:
    config = served(tmp_path, server)
    stopped = in_this_environment("run", config, "--runs", tmp_path / "runs", "--max-tokens", "20000")
    assert stopped.returncode == 4, stopped.stderr
    assert "budget of 20,000 tokens is reached" in stopped.stderr
    spent = load_run(tmp_path / "runs" / "toy").manifest["spent"]
    assert 0 < sum(row["prompt_tokens"] + row["generated_tokens"] for row in spent) <= 20_000
    done = in_this_environment("run", config, "--runs", tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    whole = in_this_environment("run", config, "name=whole", "--runs", tmp_path / "elsewhere")
    assert whole.returncode == 0
    assert tables(tmp_path / "runs" / "toy") == tables(tmp_path / "elsewhere" / "whole")


def test_a_batch_file_goes_out_and_what_comes_back_is_not_asked_again(tmp_path: Path) -> None:
    with ToyServer(is_vllm=False) as server:
        config = served(tmp_path, server, simulators={"lookup": {"kind": "table"}})
        runs = tmp_path / "runs"
        out = in_this_environment("batch", "export", config, "--runs", runs, "--to", tmp_path / "in.jsonl")
        assert out.returncode == 0, out.stderr
        lines = [json.loads(line) for line in (tmp_path / "in.jsonl").read_text().splitlines()]
        assert len(lines) == 4
        assert {line["url"] for line in lines} == {"/v1/completions"}
        replies = [
            {
                "custom_id": line["custom_id"],
                "response": {
                    "status_code": 200,
                    "body": {
                        "choices": [{"index": 0, "text": f" from the batch {n}\n", "finish_reason": "stop"}],
                        "usage": {"prompt_tokens": 100, "completion_tokens": 5},
                    },
                },
            }
            for n, line in enumerate(lines)
        ]
        replies[3] = {"custom_id": lines[3]["custom_id"], "error": {"message": "expired"}}
        replies.append({"custom_id": "00", "response": {"status_code": 200, "body": {}}})
        (tmp_path / "out.jsonl").write_text("\n".join(map(json.dumps, replies)))
        back = in_this_environment(
            "batch", "import", config, "--runs", runs, "--from", tmp_path / "out.jsonl"
        )
        assert back.returncode == 0, back.stderr
        assert "3 answers kept, 1 failed, 1 not asked for" in back.stdout
        n_before = server.answered.total()
        done = in_this_environment("explain", config, "--runs", runs)
        assert done.returncode == 0, done.stderr
        assert server.answered.total() - n_before <= 2  # the expired one, and what the server says of itself
    texts = load_run(runs / "toy").explanations["text"].tolist()
    assert sum("from the batch" in text for text in texts) == 3


def test_a_dry_run_asks_a_server_that_costs_for_nothing_and_says_what_it_would_cost(
    server: ToyServer, tmp_path: Path
) -> None:
    config = served(tmp_path, server, backend={"price": {"prompt": 1.0, "generated": 2.0}})
    done = in_this_environment("run", config, "--dry-run", "--runs", tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    assert not [body for body in server.bodies if body.get("max_tokens", 1) > 1]
    [line] = [line for line in done.stdout.splitlines() if line.startswith("explain: llm")]
    assert "$" in line
    assert "unknown" in line
    assert not (tmp_path / "runs").exists()


def test_an_unknown_price_is_unknown_and_not_nothing() -> None:
    text = yaml.safe_load("{kind: llm, model: m, backend: 'https://api.example.com/v1'}")
    assert price_of(LlmExplainer.model_validate(text)) is None
    here = LlmExplainer.model_validate(text | {"backend": "http://127.0.0.1:8000/v1"})
    assert (price := price_of(here)) is not None
    assert price.is_free


def test_the_doctor_says_what_a_server_can_do(server: ToyServer) -> None:
    found = scrutable("doctor", "--endpoint", server.url)
    assert found.returncode == 0, found.stderr
    assert "vLLM 0.0.1, model toy-model" in found.stdout
    assert "label distributions" in found.stdout
    lost = scrutable("doctor", "--endpoint", server.url, "--model", "other")
    assert lost.returncode == 2
    assert "(it has: toy-model)" in lost.stderr


def test_the_journal_says_how_much_it_holds_and_drops_it(server: ToyServer, tmp_path: Path) -> None:
    config = served(tmp_path, server, simulators={"lookup": {"kind": "table"}})
    assert in_this_environment("explain", config, "--runs", tmp_path / "runs").returncode == 0
    held = scrutable("journal", "--runs", tmp_path / "runs")
    assert "toy: 4 answers of toy-model" in held.stdout
    assert "toy, explainer llm: 4 calls" in held.stdout
    dropped = scrutable("journal", "--runs", tmp_path / "runs", "--prune", "--run", "toy")
    assert "dropped 4 answers" in dropped.stdout
    missing = scrutable("journal", "--runs", tmp_path / "none")
    assert missing.returncode == 2


def test_the_report_says_what_was_asked_and_paid(tmp_path: Path) -> None:
    with ToyServer() as server:
        config = served(tmp_path, server, backend={"price": {"prompt": 1000.0, "generated": 0.0}})
        done = in_this_environment("run", config, "--runs", tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "runs" / "toy" / "report" / "index.html").read_text(encoding="utf-8")
    [row] = [line for line in page.splitlines() if line.startswith('<tr><th scope="row">explainer llm</th>')]
    assert "<td>toy-model</td>" in row
    assert "$" in row
    assert "served by vLLM 0.0.1; weights as the server says, not verified" in page


def test_a_forecast_is_put_beside_what_the_run_took(server: ToyServer, tmp_path: Path) -> None:
    config = served(tmp_path, server)
    done = in_this_environment("run", config, "--runs", tmp_path / "runs", "--forecast")
    assert done.returncode == 0, done.stderr
    [head] = [line for line in done.stderr.splitlines() if line.startswith("stage ")]
    assert head.split() == ["stage", "forecast", "took", "ratio"]
    assert [line for line in done.stderr.splitlines() if line.startswith("simulate: llm+prompted ")]
    kept = load_run(tmp_path / "runs" / "toy").manifest["forecast"]
    assert {line["stage"] for line in kept} >= {"capture", "explain: llm", "simulate: llm+prompted"}
