"""uvicorn's HTTP protocol with bounds on what a client may do before its request has a head and after its answer.

The application bounds bodies, but it is only called once a head is complete. Until then a client could hold a
connection open for ever, or send a head that never ends and is kept in memory. And a client that does not take its
answer leaves it in our memory. The bounds cost nothing as long as heads arrive in one piece, and answers are taken,
as API servers do.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from webhook.serve.bytes_in_flight import Flight
from webhook.serve.event_loop_lag import ARRIVED
from webhook.serve.window import OPEN, Window

HEAD_SECONDS = 10.0
"""How long a head may take from its first byte to its last."""

MAXIMUM_HEAD = 64 * 1024
"""Bytes of a head that came in pieces; an API server sends a few hundred."""

READ_AHEAD = 16 * 1024
"""Bytes that a connection reads beyond what is taken from it."""

TAKE_SECONDS = 10.0
"""How long a client may leave any part of its answers lying."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection, closed when it stays silent from the start, its head is too slow or too large, or its answers are
    not taken."""

    flight: Flight | None = None
    """Counts what is not taken; see `within`."""

    def __init__(self, *args: Any, **keywords: Any) -> None:  # noqa: ANN401  uvicorn's own arguments, passed on
        super().__init__(*args, **keywords)
        self._is_in_head = False
        self._head_size = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._take_timer: asyncio.TimerHandle | None = None
        self._window: Window
        self._open_window: Callable[[], None]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin; a connection that never sends a byte is closed like one that has gone idle."""
        super().connection_made(transport)
        # Told of the first byte that the socket does not take.
        transport.set_write_buffer_limits(high=1)
        if hasattr(transport, "set_read_buffer_limits"):
            # Of TLS: what is decrypted only once it is asked for, and waits until then beside everybody else's.
            transport.set_read_buffer_limits(high=READ_AHEAD)
        self._window = Window(transport)
        self._open_window = self._window.open
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._stop_head_timer()
        self._stop_take_timer()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, and where the head is still incomplete after that, watch its size and its time."""
        super().data_received(data)
        if not self._is_in_head or self.transport.is_closing():
            return
        self._head_size += len(data)
        if self._head_size > MAXIMUM_HEAD:
            self.send_400_response(f"The head of the request is larger than {MAXIMUM_HEAD // 1024} KiB.")
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self.timeout_keep_alive_handler)

    def pause_writing(self) -> None:
        """Give the client some time to take what waits for it."""
        super().pause_writing()
        if self._take_timer is None:
            self._take_timer = self.loop.call_later(TAKE_SECONDS, self.cut_off)
        if self.flight is not None:
            self.flight.untaken(self, self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """The client has taken all of it."""
        self._stop_take_timer()
        super().resume_writing()

    def cut_off(self) -> None:
        """Close at once: nobody takes what is unsent."""
        self.transport.abort()

    def on_message_begin(self) -> None:
        """Note that a head has begun."""
        self._is_in_head = True
        self._head_size = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Note that the head is complete."""
        self._is_in_head = False
        self._stop_head_timer()
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]  # further keys are allowed, its type has none
        scope[OPEN] = self._open_window
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note when the request was whole: from here on it is waiting for us."""
        if self._window.is_open:
            self._window.close()
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]  # further keys are allowed, its type has none
        scope[ARRIVED] = time.monotonic()
        super().on_message_complete()

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_take_timer(self) -> None:
        if self._take_timer is not None:
            self._take_timer.cancel()
            self._take_timer = None
            if self.flight is not None:
                self.flight.taken(self)


def within(flight: Flight) -> type[BoundedProtocol]:
    """Return the protocol of connections whose answers count in `flight`."""
    return type("BoundedProtocol", (BoundedProtocol,), {"flight": flight})
