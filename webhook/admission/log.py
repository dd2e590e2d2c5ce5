"""The decision log: one JSON line a decision, to a file or a stream.

Lines are gathered for a moment and written together, since one system call a review would cost as much as the review.
A full disk or a closed pipe loses lines, which is counted and told, and never an answer. `close` writes what is left.

The stream is to be a raw one: a buffer of its own would keep what could not be written, and fail once more when it is
closed. A disk that fills up in the middle leaves a torn line, which is ended before the next one is written.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import BinaryIO

_DELAY_SECONDS = 0.05
_MAXIMUM_BYTES = 1 << 20
"""Bytes that wait at most, should the event loop be slow to come round."""

_CURE = "free the disk or mend the pipe, decisions go on"

_logger = logging.getLogger("podgate.log")


class DecisionLog:
    """Gathers lines and writes them; used from the event loop's thread alone."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._waiting: list[bytes] = []
        self._bytes = 0
        self._handle: asyncio.TimerHandle | None = None
        self._reason = ""
        """Why the last attempt failed; empty where it did not."""
        self._is_torn = False
        self.lost = 0
        """Lines that could not be written."""
        self.on_lost: Callable[[int], object] | None = None
        """Told how many lines were lost, each time."""

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
        content = memoryview(b"".join((b"\n", *lines) if self._is_torn else lines))
        done = 0
        try:
            while done < len(content):
                # A raw stream takes less than it is given where the disk is nearly full, and None is a full pipe.
                taken = self._stream.write(content[done:])
                if not taken:
                    raise BlockingIOError("nobody takes what is written")
                done += taken
            self._reason, self._is_torn = "", False
        except (OSError, ValueError) as error:
            self._fail(bytes(content[:done]), len(lines), str(error))

    def _fail(self, written: bytes, lines: int, reason: str) -> None:
        ended = written.count(b"\n")
        if self._is_torn and written:
            ended -= 1
        if written:
            self._is_torn = not written.endswith(b"\n")
        self.lost += lines - ended
        if self.on_lost is not None:
            self.on_lost(lines - ended)
        if not self._reason:
            _logger.error("the decision log cannot be written (%s); %s", reason, _CURE)
        self._reason = reason

    def notices(self) -> list[str]:
        """Return why decisions are not written down now, and the cure."""
        if not self._reason:
            return []
        return [f"cannot be written ({self._reason}), {self.lost} lines are lost; {_CURE}"]

    def close(self) -> None:
        """Write what is left; the stream stays the caller's."""
        with contextlib.suppress(RuntimeError):
            self.flush()
