"""uvicorn's HTTP protocol with bounds on what a client may do before its request has a head.

The lane bounds bodies, but it is only called once a head is complete. Until then a client could hold a connection open
for ever, or send a head that never ends and is kept in memory. The bounds cost nothing as long as heads arrive in one
piece, as those of API servers do.
"""

import asyncio
import time
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from webhook.server.lag import ARRIVED

HEAD_SECONDS = 10.0
"""How long a head may take from its first byte to its last."""

MAXIMUM_HEAD = 64 * 1024
"""Bytes of a head that came in pieces; an API server sends a few hundred."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection, closed when it stays silent from the start or its head is too slow or too large."""

    def __init__(self, *args: Any, **keywords: Any) -> None:  # noqa: ANN401  uvicorn's own arguments, passed on
        super().__init__(*args, **keywords)
        self._is_in_head = False
        self._head_size = 0
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin; a connection that never sends a byte is closed like one that has gone idle."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._stop_head_timer()
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

    def on_message_begin(self) -> None:
        """Note that a head has begun."""
        self._is_in_head = True
        self._head_size = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Note that the head is complete."""
        self._is_in_head = False
        self._stop_head_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note when the request was whole: from here on it is waiting for us."""
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]  # further keys are allowed, its type has none
        scope[ARRIVED] = time.monotonic()
        super().on_message_complete()

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
