"""What holds requests back: how many at once, how many in a minute, and which may run side by side.

All of it lives on one event loop and needs no locks.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

_START = 8
_BURST = 0.1  # of a minute's allowance may be used at once


class Gate:
    """At most `limit` at once; the limit grows while requests succeed and halves where a server is pressed.

    Additive increase and multiplicative decrease (Chiu and Jain 1989), after a start in which every success
    makes room for one more.
    """

    def __init__(self, most: int) -> None:
        self.limit = float(min(_START, most))
        self.in_flight = 0
        self._most = most
        self._is_starting = True
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._settling = 0  # requests that were under way at the last halving, and still are

    @asynccontextmanager
    async def entered(self) -> AsyncIterator[None]:
        """Waits for room, and gives it back."""
        if self.in_flight >= int(self.limit) or self._waiting:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await _come(turn, self._leave)
        else:
            self.in_flight += 1
        try:
            yield
        finally:
            self._leave()

    def succeeded(self) -> None:
        """Makes room for more if the room that there is was used."""
        if self.in_flight >= int(self.limit) - 1:
            self.limit = min(self._most, self.limit + (1 if self._is_starting else 1 / self.limit))

    def pressed(self) -> None:
        """The server said that it was too much: halves the limit, once for all that were under way."""
        self._is_starting = False
        if self._settling == 0:
            self._settling = self.in_flight
            self.limit = max(1.0, self.limit / 2)

    def _leave(self) -> None:
        self.in_flight -= 1
        self._settling = max(0, self._settling - 1)
        while self._waiting and self.in_flight < int(self.limit):
            turn = self._waiting.popleft()
            if not turn.done():
                self.in_flight += 1
                turn.set_result(None)


class Pace:
    """At most so much in a minute, spread evenly but for a small burst; None: no limit."""

    def __init__(self, per_minute: int | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_minute / 60 if per_minute else None
        self._clock = clock
        self._burst = per_minute * _BURST if per_minute else 0.0
        self._due = 0.0  # when all that was taken would have come evenly

    def delay(self, amount: float) -> float:
        """Takes `amount`, and says how many seconds to wait before it may be used."""
        if self._per_second is None:
            return 0.0
        now = self._clock()
        self._due = max(self._due, now - self._burst / self._per_second) + amount / self._per_second
        return max(0.0, self._due - now)


class Styles:
    """Requests of different logprob styles never run side by side.

    vLLM reads one style for a whole running batch, and damages the answers of the others without an error.
    Requests without a style go with any.
    """

    def __init__(self) -> None:
        self._current = ""
        self._running = 0
        self._waiting: deque[tuple[str, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def held(self, style: str) -> AsyncIterator[None]:
        """Waits until no other style runs; first come, first served."""
        if not style:
            yield
            return
        if self._waiting or (self._running and self._current != style):
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append((style, turn))
            await _come(turn, self._leave)
        else:
            self._current = style
            self._running += 1
        try:
            yield
        finally:
            self._leave()

    def _leave(self) -> None:
        self._running -= 1
        while self._waiting and (not self._running or self._waiting[0][0] == self._current):
            style, turn = self._waiting.popleft()
            if not turn.done():
                self._current = style
                self._running += 1
                turn.set_result(None)


async def _come(turn: asyncio.Future[None], leave: Callable[[], None]) -> None:
    """Waits for a turn; who gives up after it came leaves at once, or its place would stay taken."""
    try:
        await turn
    except asyncio.CancelledError:
        if turn.done() and not turn.cancelled():
            leave()
        raise
