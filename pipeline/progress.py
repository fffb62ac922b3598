"""How far a stage is: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from scrutable.pipeline.protocols import Progress

_PLAIN_SECONDS = 15.0


class StageClock:
    """Shows each stage while it runs, and keeps how long each took."""

    def __init__(self, *, is_terminal: bool, say: Callable[[str], None]) -> None:
        self.seconds: dict[str, float] = {}
        self._is_terminal = is_terminal
        self._say = say

    @contextmanager
    def __call__(self, stage: str) -> Iterator[Progress]:
        """A context whose value is told (done, total)."""
        started = monotonic()
        try:
            with self._bar(stage) if self._is_terminal else self._lines(stage) as progress:
                yield progress
        finally:
            self.seconds[stage] = round(self.seconds.get(stage, 0.0) + monotonic() - started, 3)

    @contextmanager
    def _bar(self, stage: str) -> Iterator[Progress]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        columns = (
            TextColumn("{task.description:<28}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Bars(*columns, console=Console(file=sys.stderr)) as bars:
            task = bars.add_task(stage, total=None)
            yield lambda done, total: bars.update(task, completed=done, total=total)

    @contextmanager
    def _lines(self, stage: str) -> Iterator[Progress]:
        started = shown = monotonic()
        self._say(f"{stage} ...")

        def progress(done: int, total: int) -> None:
            nonlocal shown
            if monotonic() - shown >= _PLAIN_SECONDS:
                shown = monotonic()
                self._say(f"{stage}: {done} of {total} after {shown - started:.0f} s")

        yield progress
        self._say(f"{stage}: done in {monotonic() - started:.1f} s")
