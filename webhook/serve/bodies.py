"""Reads the body of a call, within the bounds of `webhook.serve.bytes_in_flight`.

A body that is too large to be kept is read all the same, and thrown away: what it is about stands somewhere in it, and
an API server that is answered in the middle of its request may never see the answer. One that has to wait for room for
too long is answered by what has arrived, which is as much as a connection reads ahead.
"""

import asyncio
import mmap
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, NamedTuple

from webhook.admission import unread
from webhook.admission.head import Head
from webhook.serve.bytes_in_flight import SMALL_BODY, Flight

MAXIMUM_BODY: Final = 32 << 20
"""Bytes. An object in etcd has at most 1.5 MiB, and some characters take six times as much as JSON. A review of an
UPDATE carries two objects, with managedFields: some 18 MiB at most."""

BODY_SECONDS: Final = 10.0
"""How long a body may take to arrive: the longest that an API server waits for the whole call by default."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

TOO_LARGE: Final = unread.too_large(MAXIMUM_BODY >> 20)
TOO_SLOW: Final = unread.too_slow(BODY_SECONDS)


class Body(NamedTuple):
    """A whole body."""

    content: bytes
    large: int = 0
    """Bytes to be given back to the flight once it is judged."""


class DroppedBody(NamedTuple):
    """A body that is not kept."""

    head: Head
    why: unread.UnreadReview
    is_whole: bool
    """Whether the client has sent all of it."""


async def read(
    message: Message | None,
    receive: Receive,
    declared: int,
    flight: Flight,
    seconds: float,
    on_room: Callable[[], None] | None = None,
) -> Body | DroppedBody | None:
    """Read a body.

    Args:
        message: the first one; None where it was not asked for, since the client said that the body is large.
        receive: gives the next ones.
        declared: bytes that the client said it has; 0 where it did not.
        flight: where there may be room for it.
        seconds: how long it may wait for that.
        on_room: called once there is room for a large one.

    Returns:
        None where the client went away.
    """
    reading = _Reading(declared, flight, seconds, on_room)
    try:
        async with asyncio.timeout(BODY_SECONDS):
            if message is None:
                # Before anything is read of it: what a connection reads ahead is read once, and not once more.
                await reading.wait()
                message = await receive()
            while message["type"] == "http.request":
                is_last = not message.get("more_body")
                await reading.take(message.get("body", b""))
                if is_last or reading.why is unread.OVERLOADED:
                    return reading.result(is_whole=is_last)
                message = await receive()
    except TimeoutError:
        reading.give_up(TOO_SLOW)
        return reading.result(is_whole=False)
    finally:
        reading.end()
    return None


class _Reading:
    """One body while it arrives."""

    def __init__(self, declared: int, flight: Flight, seconds: float, on_room: Callable[[], None] | None) -> None:
        self._declared = declared
        self._flight = flight
        self._seconds = seconds
        self._on_room = on_room
        self._pieces: list[bytes] = []
        self._pages: mmap.mmap | None = None
        """What has arrived of a large body. Pieces of many bodies would leave the heap full of holes; pages are the
        system's again as soon as they are closed, and take nothing before they are written to."""
        self._size = 0
        self._small = self._large = 0
        """Bytes that are counted in the flight."""
        self._head: Head | None = None
        self.why: unread.UnreadReview | None = None

    async def take(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._head is not None:
            self._head.feed(piece)
            return
        self._keep(piece)
        expected = max(self._size, self._declared)
        if expected > MAXIMUM_BODY:
            self.give_up(TOO_LARGE)
        elif expected <= SMALL_BODY:
            if self._flight.enter_small(len(piece)):
                self._small += len(piece)
            else:
                self.give_up(unread.OVERLOADED)
        elif not self._large:
            await self.wait()

    async def wait(self) -> None:
        """Wait until there is room for a large body."""
        # Without a promise of its size it may become as large as any.
        wanted = self._declared or MAXIMUM_BODY
        if not await self._flight.enter(wanted, self._seconds):
            self.give_up(unread.OVERLOADED)
            return
        self._large = wanted
        if self._on_room is not None:
            self._on_room()
        arrived = b"".join(self._pieces)
        self._pieces.clear()
        self._pages = mmap.mmap(-1, max(wanted, len(arrived)))
        self._pages.write(arrived)

    def _keep(self, piece: bytes) -> None:
        if self._pages is not None and self._pages.tell() + len(piece) <= len(self._pages):
            self._pages.write(piece)
        else:
            self._pieces.append(piece)

    def _arrived(self) -> list[bytes]:
        if self._pages is None:
            return self._pieces
        return [self._pages[: self._pages.tell()], *self._pieces]

    def give_up(self, why: unread.UnreadReview) -> None:
        """Keep nothing but what the review is about."""
        if self._head is None:
            self._head = Head()
            for piece in self._arrived():
                self._head.feed(piece)
            self.why = why
        self._pieces.clear()
        self.end()

    def result(self, *, is_whole: bool) -> Body | DroppedBody:
        if self._head is not None and self.why is not None:
            return DroppedBody(self._head, self.why, is_whole)
        held, self._large = self._large, 0
        return Body(b"".join(self._arrived()), held)

    def end(self) -> None:
        """Give back what is still counted."""
        if self._pages is not None:
            self._pages.close()
            self._pages = None
        self._pieces.clear()
        self._flight.leave_small(self._small)
        if self._large:
            self._flight.leave(self._large)
        self._small = self._large = 0
