"""How many bytes of a connection may lie unread in the process and its kernel.

A kernel opens the window of a connection the further the faster it is read, up to megabytes. Each time it is read, all
that lies there is copied, decrypted and kept until it is taken; on TLS, some three times. So every connection keeps the
window that a new one has, and only one whose body has been promised room may open it, until the body is whole. On a
short way that costs nothing; on a long one a window bounds how fast a large body arrives.
"""

import asyncio
import contextlib
import socket
import sys
from typing import Final

NARROW: Final = 64 << 10
"""Bytes. Linux takes twice as much, its own records included, which is what it gives a new connection by default."""

WIDE: Final = 256 << 10
"""Bytes to begin with; the kernel opens the window further by itself."""

OPEN: Final = "podgate.open"
"""In the scope of a request: a callable without arguments that opens the window until the body is whole."""

_MOST: Final = 1 << 30
"""Bytes; more than a window can have."""

_SO_BUF_LOCK: Final = 72
"""Of ``asm-generic/socket.h``, Linux 5.15 and later: whether the kernel leaves a buffer as it was set."""


class Window:
    """The receive window of one connection; without a socket of its own nothing happens."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._socket: socket.socket | None = transport.get_extra_info("socket")
        self.is_open = True
        """Whether the kernel chooses how wide it is."""
        self.close()

    def open(self) -> None:
        """Let the kernel choose."""
        if self.is_open or self._socket is None:
            return
        self.is_open = True
        # Here and below: a connection that is gone already, or a kernel that does not know of this.
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WIDE)
            if sys.platform == "linux":
                # What a small buffer was set for stays a bound on the window until it is lifted.
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_WINDOW_CLAMP, _MOST)
                self._socket.setsockopt(socket.SOL_SOCKET, _SO_BUF_LOCK, 0)

    def close(self) -> None:
        """Keep it narrow from now on; what has been promised to the client may still come."""
        if not self.is_open:
            return
        self.is_open = False
        if self._socket is None:
            return
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, NARROW)
