"""How many bytes may be in flight: one bound for all connections together.

A body takes memory from its first byte until it is judged, an answer from then until its client has taken it. Whoever
may connect can begin many bodies and take no answers, so both count against one bound. A large body is begun only when
it fits, in the order of arrival, and waits unread in its socket until then; one is always let in. A small one never
waits: it is there before anybody could tell. Where answers alone exceed the bound, whoever left its answer lying for
longest is cut off.
"""

import asyncio
from collections import OrderedDict, deque
from typing import Final, Protocol

MOST_BYTES: Final = 24 << 20
"""Of large bodies and of answers together; and once more of small bodies that have not arrived whole."""

SMALL_BODY: Final = 256 << 10
"""Bytes of a body that never waits; reviews have some ten thousand."""


class Connection(Protocol):
    """A client whose answer has not been taken."""

    def cut_off(self) -> None:
        """Close at once, whatever is unsent."""


class Flight:
    """Counts bytes; used from the event loop's thread alone."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._waiting: deque[tuple[int, asyncio.Future[bool]]] = deque()
        self._answers: OrderedDict[Connection, int] = OrderedDict()
        self.bodies = 0
        """Bytes that large bodies may take which were let in."""
        self.small = 0
        """Bytes of small bodies that have arrived in part."""
        self.answers = 0
        """Bytes of answers that were not taken."""
        self.cut_off = 0
        """Connections that were closed because they did not take their answers."""

    # --- bodies -----------------------------------------------------------------------------------------------------

    async def enter(self, size: int, seconds: float) -> bool:
        """Wait until a large body of `size` bytes may be read; False where `seconds` did not suffice.

        Who was let in calls `leave` with the same size.
        """
        if not self._waiting and self._fits(size):
            self.bodies += size
            return True
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[bool] = loop.create_future()
        self._waiting.append((size, turn))
        timer = loop.call_later(seconds, _decide, turn, False)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.result():
                self.leave(size)
            raise
        finally:
            timer.cancel()

    def leave(self, size: int) -> None:
        """Give back what `enter` took."""
        self.bodies -= size
        self._let_in()

    def enter_small(self, size: int) -> bool:
        """Count bytes of a small body; False where there are too many, and nothing was counted."""
        if self.small + size > self._most:
            return False
        self.small += size
        return True

    def leave_small(self, size: int) -> None:
        """Give back what `enter_small` counted."""
        self.small -= size

    def _fits(self, size: int) -> bool:
        return self.bodies == 0 or self.bodies + self.answers + size <= self._most

    def _let_in(self) -> None:
        while self._waiting:
            size, turn = self._waiting[0]
            if not turn.done():
                if not self._fits(size):
                    return
                self.bodies += size
                turn.set_result(True)
            self._waiting.popleft()

    # --- answers ----------------------------------------------------------------------------------------------------

    def untaken(self, connection: Connection, size: int) -> None:
        """Count the bytes that a client has not taken, instead of what was counted for it before."""
        self.answers += size - self._answers.get(connection, 0)
        self._answers[connection] = size
        while self.answers > self._most and len(self._answers) > 1:
            slowest = next(iter(self._answers))
            self.taken(slowest)
            self.cut_off += 1
            slowest.cut_off()

    def taken(self, connection: Connection) -> None:
        """The client has taken all, or is gone."""
        self.answers -= self._answers.pop(connection, 0)
        self._let_in()


def _decide(turn: "asyncio.Future[bool]", is_in: bool) -> None:
    if not turn.done():
        turn.set_result(is_in)
