"""The decision log: one JSON line a decision, to a file or a stream.

Lines are gathered for a moment and written together, since one system call a review would cost as much as the review.
A full disk or a closed pipe loses lines, which is counted, and never an answer. `close` writes what is left.
"""

import asyncio
import contextlib
import logging
from typing import BinaryIO

_DELAY_SECONDS = 0.05
_MAXIMUM_BYTES = 1 << 20
"""Bytes that wait at most, should the event loop be slow to come round."""

_logger = logging.getLogger("podgate.log")


class DecisionLog:
    """Gathers lines and writes them; used from the event loop's thread alone."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._waiting: list[bytes] = []
        self._bytes = 0
        self._handle: asyncio.TimerHandle | None = None
        self._failing = False
        self.lost = 0
        """Lines that could not be written."""

    def write(self, line: bytes) -> None:
        """Take one line, newline included."""
        self._waiting.append(line)
        self._bytes += len(line)
        if self._bytes >= _MAXIMUM_BYTES:
            self.flush()
        elif self._handle is None:
            try:
                self._handle = asyncio.get_running_loop().call_later(_DELAY_SECONDS, self.flush)
            except RuntimeError:  # No loop runs: a command, not the server.
                self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        lines, self._waiting, self._bytes = self._waiting, [], 0
        if not lines:
            return
        try:
            self._stream.write(b"".join(lines))
            self._stream.flush()
            self._failing = False
        except (OSError, ValueError) as error:
            self.lost += len(lines)
            if not self._failing:
                self._failing = True
                _logger.error(  # noqa: TRY400  one line is what an operator needs
                    "the decision log cannot be written (%s); free the disk or mend the pipe, decisions go on", error
                )

    def close(self) -> None:
        """Write what is left; the stream stays the caller's."""
        with contextlib.suppress(RuntimeError):
            self.flush()
