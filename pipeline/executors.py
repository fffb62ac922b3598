"""Where the shards of a stage are worked on: in this process, in others on this machine, or on a cluster.

A shard is a part file, made from what stands in the run folder: wherever and however often it is made, it
holds the same. So a worker that dies costs its shard and changes nothing.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NamedTuple, Protocol

from scrutable.pipeline.errors import CapabilityError, RunFolderError

_DEATHS = 3  # of workers in a row without a shard done between, before a stage is given up


class Task(NamedTuple):
    """One shard of one stage."""

    stage: str
    name: str  # of an explainer, a pair or a panel; empty where the stage has only one
    number: int


Do = Callable[[Task], None]


class Executor(Protocol):
    """Has all tasks done, in any order; the first error is raised when nothing is under way any more."""

    def __call__(
        self, tasks: Sequence[Task], do: Do, *, lanes: int, finished: Callable[[], None]
    ) -> None: ...


class InThisProcess:
    """One task after the other; several at a time where another machine does the work."""

    def __call__(self, tasks: Sequence[Task], do: Do, *, lanes: int, finished: Callable[[], None]) -> None:
        """Where a task waits for servers, `lanes` of them wait together, in threads."""
        if lanes <= 1:
            for task in tasks:
                do(task)
                finished()
            return
        with concurrent.futures.ThreadPoolExecutor(lanes, thread_name_prefix="shard") as pool:
            _collect([pool.submit(do, task) for task in tasks], finished)


class Processes:
    """Worker processes on this machine, each with models of its own."""

    def __init__(self, workers: int, do: Do) -> None:
        """`do` is called in the workers, so it has to be picklable; it loads what it needs."""
        self._workers, self._do = workers, do
        self._pool: concurrent.futures.ProcessPoolExecutor | None = None

    def __call__(self, tasks: Sequence[Task], do: Do, *, lanes: int, finished: Callable[[], None]) -> None:
        """A killed worker is replaced, and its shard made again. Raises RunFolderError after three."""
        del do, lanes
        missing, deaths = list(tasks), 0
        while deaths < _DEATHS:
            pool = self._opened()
            futures = {}
            try:
                futures = {pool.submit(self._do, task): task for task in missing}
                _collect(list(futures), finished)
                return
            except BrokenProcessPool:
                done = {task for future, task in futures.items() if _is_done(future)}
                missing = [task for task in missing if task not in done]
                deaths = 1 if done else deaths + 1
                self.close()
        raise RunFolderError(
            f"workers died {_DEATHS} times in a row, at last before {missing[0].stage} {missing[0].name} was "
            "done: is there memory for so many? Give fewer with --workers, and run the same command again"
        )

    def _opened(self) -> concurrent.futures.ProcessPoolExecutor:
        if self._pool is None:
            # spawned, since a forked process cannot use the threads that torch has started
            context = multiprocessing.get_context("spawn")
            self._pool = concurrent.futures.ProcessPoolExecutor(self._workers, mp_context=context)
        return self._pool

    def close(self) -> None:
        """Ends the workers."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


class OnRay:
    """Tasks of a Ray cluster whose nodes all see the run folder."""

    def __init__(self, do: Do, *, address: str, workers: int, resources: dict[str, dict[str, float]]) -> None:
        """Joins a cluster, or starts one on this machine.

        Args:
            do: is called on the nodes, so it has to be picklable; it loads what it needs.
            address: of the cluster; empty: one is started here, with `workers` processors.
            workers: tasks under way at most.
            resources: of one task of each stage, as Ray names them: `{"simulate": {"num_gpus": 1}}`.

        Raises:
            CapabilityError: Ray is not installed.
        """
        try:
            import ray
        except ImportError:
            raise CapabilityError(
                "ray is not installed (extra `ray`): install it, or use --executor processes"
            ) from None
        self._ray, self._workers, self._resources = ray, workers, resources
        if address:
            ray.init(address=address, log_to_driver=False)
        else:  # on loopback only
            ray.init(
                num_cpus=workers, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1"
            )

        def work(task: Task) -> None:
            do(task)

        self._remote: Any = ray.remote(max_retries=_DEATHS, retry_exceptions=False)(work)

    def __call__(self, tasks: Sequence[Task], do: Do, *, lanes: int, finished: Callable[[], None]) -> None:
        """Ray starts a task again whose worker died."""
        del do, lanes
        waiting = list(reversed(tasks))
        running: list[Any] = []
        error: BaseException | None = None
        while waiting or running:
            while waiting and len(running) < self._workers and error is None:
                task = waiting.pop()
                options = self._resources.get(task.stage, {})
                running.append(self._remote.options(**options).remote(task))
            if not running:
                break
            (done, *_), running = self._ray.wait(running, num_returns=1)
            try:
                self._ray.get(done)
                finished()
            except self._ray.exceptions.RayTaskError as failed:
                cause: BaseException = failed.as_instanceof_cause()
                error = error or cause
            except self._ray.exceptions.WorkerCrashedError as crashed:
                error = error or RunFolderError(f"a worker died {_DEATHS} times at one shard: {crashed}")
        if error is not None:
            raise error

    def close(self) -> None:
        """Leaves the cluster."""
        self._ray.shutdown()


def _is_done(future: concurrent.futures.Future[None]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _collect(futures: Sequence[concurrent.futures.Future[None]], finished: Callable[[], None]) -> None:
    """Waits for all; after an error nothing more is begun, and what is under way is finished."""
    error: BaseException | None = None
    for future in concurrent.futures.as_completed(futures):
        if future.cancelled():
            continue
        if (failed := future.exception()) is not None:
            error = error or failed
            for other in futures:
                other.cancel()
        else:
            finished()
    if error is not None:
        raise error
