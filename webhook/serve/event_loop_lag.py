"""How long a review has waited before it was looked at, and how long it may.

One event loop answers all reviews, one after the other. In a burst they queue up where nobody sees them: in the sockets
of the kernel, then among the tasks of the loop. An API server meanwhile counts from the moment at which it sent the
call; a verdict after its time-out is worth nothing, and the time it took to reach it is missing for the next. So a
review that has waited too long is not judged any more but answered at once, by what each guardrail says a fault means.

**How long it may wait**: a quarter of the caller's time-out. What comes before is not seen by a process: the network,
waiting to be accepted, the handshake of a new connection, half a dozen turns of the loop in all, which
`webhook.serve.limiter` keeps short. What comes after is little, but it is little for each of very many. A
quarter leaves three times as much for what is not seen as for what is.

**How long it has waited** is measured from its last byte, as read, and from before that where the loop was away then:
a timer that should have fired at a certain moment and had not shows since when nothing was read. A loop that was away
may fire its timers before it reads, so what the next turn reads counts with it. In a loop that keeps up this costs two
looks at a clock.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Final

DEADLINE_SHARE: Final = 0.25
"""Part of the caller's time-out that a review may wait."""

MOST_SECONDS: Final = 2.5
"""The longest wait: the share of the longest time-out that an API server uses unless told otherwise, 10 s. Also used
where the caller does not say how long it waits."""

ARRIVED: Final = "podgate.arrived"
"""Key of the ASGI scope: when the last byte of the request was read, in seconds of `time.monotonic`."""

PROBE_SECONDS: Final = 0.05
"""How often the timer fires: how exactly waiting in sockets is known."""


def deadline(timeout: float | None) -> float:
    """Return how many seconds a review may wait whose caller gives up after `timeout` seconds."""
    return MOST_SECONDS if timeout is None else min(DEADLINE_SHARE * timeout, MOST_SECONDS)


class EventLoopLag:
    """A timer that notices when the event loop is late."""

    def __init__(self) -> None:
        self._due = float("inf")
        """When the timer fires next; in the past while the loop is away."""
        self._was_due = float("inf")
        """When the last firing should have been."""
        self._caught_up = 0.0
        """When all had been read that was there by then; in the future while it is being read."""
        self._timer: asyncio.TimerHandle | None = None
        self.worst = 0.0
        """The longest lateness since it was last asked for, see `take_worst`."""

    def waiting_since(self, arrived: float) -> float:
        """Return since when a request whose last byte was read at `arrived` may have been waiting.

        Both are times of `time.monotonic`.
        """
        if arrived > self._due:
            return self._due
        if self._was_due < arrived <= self._caught_up:
            return self._was_due
        return arrived

    def take_worst(self) -> float:
        """Return the longest lateness in seconds since the last call."""
        worst, self.worst = self.worst, 0.0
        return worst

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Measure while the block runs."""
        loop = asyncio.get_running_loop()
        self._arm(loop)
        try:
            yield
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self._due = self._was_due = float("inf")

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = time.monotonic() + PROBE_SECONDS
        self._timer = loop.call_later(PROBE_SECONDS, self._fire, loop)

    def _fire(self, loop: asyncio.AbstractEventLoop) -> None:
        self._was_due = self._due
        self.worst = max(self.worst, time.monotonic() - self._due)
        self._caught_up = float("inf")
        # A loop reads once between the two.
        loop.call_soon(loop.call_soon, self._catch_up)
        self._arm(loop)

    def _catch_up(self) -> None:
        self._caught_up = time.monotonic()
