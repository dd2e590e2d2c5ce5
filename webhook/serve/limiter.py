"""Lets only so many reviews be judged in one turn of the event loop, in the order in which they came.

Between two turns the loop reads, accepts, shakes hands and writes. If a burst of reviews were judged in a single turn,
no answer would leave and no connection would get on until the last of them was done, and a call on a new connection
needs half a dozen turns before its review is even read. So a turn judges for `SLICE_SECONDS` or so, and the others
wait in line.

How many fit into a turn is found by trying: twice as many after a full turn that was short, half as many after one that
was long.
"""

import asyncio
import time
from collections import deque
from typing import Final

SLICE_SECONDS: Final = 0.02
"""How long the judging of one turn should take at most."""

_BEGIN: Final = 16
_MOST: Final = 1024


class AdaptiveLimiter:
    """`enter` before judging."""

    def __init__(self) -> None:
        self._line: deque[asyncio.Future[None]] = deque()
        self._batch = _BEGIN
        self._taken = 0
        self._began = 0.0

    def __len__(self) -> int:
        return len(self._line)

    def enter(self) -> "asyncio.Future[None] | None":
        """Return None where the caller may go on, else what it has to wait for."""
        loop = asyncio.get_running_loop()
        if self._taken == 0:
            self._began = time.monotonic()
            loop.call_soon(self._turn, loop)
        elif self._line or self._taken >= self._batch:
            waiter = loop.create_future()
            self._line.append(waiter)
            return waiter
        self._taken += 1
        return None

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Runs once a turn while reviews come; what was let in before has been judged by now."""
        now = time.monotonic()
        if now - self._began > SLICE_SECONDS:
            self._batch = max(1, self._taken // 2)
        elif self._taken >= self._batch:
            self._batch = min(2 * self._batch, _MOST)
        self._taken = 0
        self._began = now
        while self._line and self._taken < self._batch:
            waiter = self._line.popleft()
            if not waiter.done():
                waiter.set_result(None)
                self._taken += 1
        if self._taken:
            loop.call_soon(self._turn, loop)
