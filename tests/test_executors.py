"""Where shards are worked on changes no byte, and neither does a worker that dies."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from toy_run import Finished, scrutable, tables, write_config, write_corpus

from scrutable.pipeline.errors import RunFolderError, ScrutableError
from scrutable.pipeline.executors import InThisProcess, OnRay, Processes, Task

TASKS = [Task("explain", "llm", number) for number in range(6)]


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A config and the folder of its finished run, in one process."""
    folder = tmp_path_factory.mktemp("serial")
    config = write_config(folder / "toy.yaml", write_corpus(folder / "toy.jsonl"), shard=1)
    done = scrutable("run", config, "--runs", folder / "runs")
    assert done.returncode == 0, done.stderr
    return Finished(config, folder / "runs" / "toy")


def mark(folder: Path, task: Task) -> None:
    """Leaves a file for each time that a task is done."""
    with (folder / str(task.number)).open("a") as file:
        file.write("x")


def die_once(folder: Path, task: Task) -> None:
    """A worker that is killed in the middle of shard 3, the first time."""
    if task.number == 3 and not (folder / "died").exists():
        (folder / "died").touch()
        os._exit(9)
    mark(folder, task)


def die(folder: Path, task: Task) -> None:
    if task.number == 3:
        os._exit(9)
    mark(folder, task)


def fail(folder: Path, task: Task) -> None:
    if task.number == 3:
        raise RunFolderError("planted")
    mark(folder, task)


def done(folder: Path) -> set[int]:
    return {int(path.name) for path in folder.iterdir() if path.name.isdigit()}


def test_processes_give_the_same_bytes(serial: Finished, tmp_path: Path) -> None:
    found = scrutable("run", serial.config, "--runs", tmp_path, "--executor", "processes", "--workers", "2")
    assert found.returncode == 0, found.stderr
    assert tables(tmp_path / "toy") == tables(serial.run)


def test_shares_of_an_array_give_the_same_bytes(serial: Finished, tmp_path: Path) -> None:
    code = "from scrutable.pipeline.cli import main; main()"
    command = [sys.executable, "-c", code, "worker", str(serial.config)]
    command += ["--runs", str(tmp_path), "--patience", "60"]
    workers = [subprocess.Popen([*command, "--shard", f"{number}/2"]) for number in range(2)]
    assert [worker.wait(120) for worker in workers] == [0, 0]
    found = scrutable("run", serial.config, "--runs", tmp_path)
    assert found.returncode == 0, found.stderr
    assert "explain:" not in found.stderr
    assert "simulate:" not in found.stderr
    assert tables(tmp_path / "toy") == tables(serial.run)


def test_a_worker_does_the_shards_of_one_that_never_came(serial: Finished, tmp_path: Path) -> None:
    arguments = ("worker", serial.config, "--runs", tmp_path, "--shard", "0/2", "--patience", "1")
    alone = scrutable(*arguments)
    assert alone.returncode == 0, alone.stderr
    assert "nobody has done shard 1; doing it here" in alone.stderr
    assert scrutable("run", serial.config, "--runs", tmp_path).returncode == 0
    assert tables(tmp_path / "toy") == tables(serial.run)


def test_a_worker_without_the_first_one_says_what_it_waits_for(serial: Finished, tmp_path: Path) -> None:
    arguments = ("worker", serial.config, "--runs", tmp_path, "--shard", "1/2", "--patience", "1")
    lost = scrutable(*arguments)
    assert lost.returncode == 2
    assert "worker 0 has not read the subject within 1 s" in lost.stderr


@pytest.mark.parametrize("shard", ["2/2", "1", "a/b", "-1/2"])
def test_a_share_that_is_none_is_refused(serial: Finished, shard: str) -> None:
    refused = scrutable("worker", serial.config, f"--shard={shard}")
    assert refused.returncode == 2
    assert "write K/N" in refused.stderr


def test_a_killed_process_is_replaced_and_its_shard_made_again(tmp_path: Path) -> None:
    counted: list[int] = []
    pool = Processes(2, functools.partial(die_once, tmp_path))
    pool(TASKS, lambda _task: None, lanes=1, finished=lambda: counted.append(1))
    pool.close()
    assert done(tmp_path) == set(range(6))
    assert (tmp_path / "3").read_text() == "x"
    assert len(counted) == 6


def test_a_shard_that_kills_every_process_is_given_up_in_one_line(tmp_path: Path) -> None:
    pool = Processes(1, functools.partial(die, tmp_path))
    with pytest.raises(RunFolderError, match="workers died 3 times in a row"):
        pool(TASKS, lambda _task: None, lanes=1, finished=lambda: None)
    pool.close()


@pytest.mark.parametrize("lanes", [1, 3])
def test_an_error_ends_the_stage_when_what_is_under_way_is_done(tmp_path: Path, lanes: int) -> None:
    with pytest.raises(ScrutableError, match="planted"):
        InThisProcess()(TASKS, functools.partial(fail, tmp_path), lanes=lanes, finished=lambda: None)
    assert {0, 1, 2} <= done(tmp_path)
    assert 3 not in done(tmp_path)


def test_tasks_that_wait_for_servers_wait_together() -> None:
    meeting = threading.Barrier(3, timeout=10)
    InThisProcess()(TASKS, lambda _task: meeting.wait() and None, lanes=3, finished=lambda: None)


def test_ray_gives_the_same_bytes_though_a_worker_dies(
    serial: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="the extra `ray` is part of the development set-up")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    marks = tmp_path / "marks"
    marks.mkdir()

    def die_in_the_first_attempt(task: Task) -> None:  # local, so that the nodes get its code
        if task.number == 3 and not (marks / "died").exists():
            (marks / "died").touch()
            os._exit(9)
        (marks / str(task.number)).touch()

    cluster = OnRay(die_in_the_first_attempt, address="", workers=2, resources={})
    try:
        cluster(TASKS, lambda _task: None, lanes=1, finished=lambda: None)
    finally:
        cluster.close()
    assert done(marks) == set(range(6))
    assert (marks / "died").exists()
    found = scrutable(
        "run", serial.config, "--runs", tmp_path / "runs", "--executor", "ray", "--workers", "2"
    )
    assert found.returncode == 0, found.stderr
    assert tables(tmp_path / "runs" / "toy") == tables(serial.run)


def test_an_executor_that_does_not_exist_is_refused(serial: Finished, tmp_path: Path) -> None:
    refused = scrutable("run", serial.config, "--runs", tmp_path, "--executor", "slurm")
    assert refused.returncode == 2
    assert "allowed: serial, processes, ray" in refused.stderr


@pytest.mark.parametrize("text", ["[1]", "{simulat: {num_gpus: 1}}", "{simulate: 1}", "{"])
def test_resources_that_are_none_are_refused(serial: Finished, tmp_path: Path, text: str) -> None:
    arguments = ("--executor", "ray", "--ray-resources", text)
    refused = scrutable("run", serial.config, "--runs", tmp_path, *arguments)
    assert refused.returncode == 2
    assert "such as {simulate: {num_gpus: 1}}" in refused.stderr


def test_threads_end_before_the_error_is_raised() -> None:
    ended: list[int] = []
    begun = threading.Event()

    def slow(task: Task) -> None:
        if task.number == 0:
            assert begun.wait(10)
            raise RunFolderError("planted")
        begun.set()
        time.sleep(0.05)
        ended.append(task.number)

    with pytest.raises(RunFolderError):
        InThisProcess()(TASKS[:2], slow, lanes=2, finished=lambda: None)
    assert ended == [1]
