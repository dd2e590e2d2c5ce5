"""The queue of large reviews: one at a time, fair by namespace and then by user.

A review of some hundred kilobytes takes as long as a hundred small ones, and whoever may create pods may send one after
another. So large reviews wait in a queue of their own. Each namespace that waits gets its turn, and in it each user, so
that whoever sends many waits for his own. After each of them the event loop belongs to the small ones for as long as
it took.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

REST_SHARE: Final = 1.0
"""How long the others have the event loop after a large review, as a part of what that took."""

_Turn = asyncio.Future[bool]


class FairQueue:
    """`enter` before judging a large review, `leave` after it."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._waiting: OrderedDict[str, OrderedDict[str, deque[_Turn]]] = OrderedDict()
        self._is_taken = False
        self._began = 0.0

    def __len__(self) -> int:
        return sum(not turn.done() for users in self._waiting.values() for turns in users.values() for turn in turns)

    async def enter(self, namespace: str, user: str, seconds: float) -> bool:
        """Wait for one's turn; False where it did not come within `seconds`, and then there is nothing to leave."""
        if not self._is_taken:
            self._begin()
            return True
        if seconds <= 0:
            return False
        loop = asyncio.get_running_loop()
        turn: _Turn = loop.create_future()
        self._waiting.setdefault(namespace, OrderedDict()).setdefault(user, deque()).append(turn)
        timer = loop.call_later(seconds, _give_up, turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.result():
                self.leave()
            raise
        finally:
            timer.cancel()

    def leave(self) -> None:
        """Let the next one in, after a rest."""
        took = self._monotonic() - self._began
        asyncio.get_running_loop().call_later(took * REST_SHARE, self._next)

    def _begin(self) -> None:
        self._is_taken = True
        self._began = self._monotonic()

    def _next(self) -> None:
        self._is_taken = False
        while self._waiting:
            turn = self._take()
            if not turn.done():
                self._begin()
                turn.set_result(True)
                return

    def _take(self) -> _Turn:
        """Take the oldest of the user whose turn it is in the namespace whose turn it is; both go to the end."""
        namespace, users = next(iter(self._waiting.items()))
        user, turns = next(iter(users.items()))
        turn = turns.popleft()
        users.move_to_end(user)
        self._waiting.move_to_end(namespace)
        if not turns:
            del users[user]
        if not users:
            del self._waiting[namespace]
        return turn


def _give_up(turn: _Turn) -> None:
    if not turn.done():
        turn.set_result(False)
