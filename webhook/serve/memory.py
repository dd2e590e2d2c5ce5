"""How the process gives memory back: what large bodies took must not stay with the heap.

The allocator of glibc moves large blocks into the heap once some were freed, and what small values then stand between
them keeps the pages. With a fixed threshold they stay pages of their own, which the system has back at once; and the
free pages of the heap go back as well, now and then after a large body was judged.
"""

import asyncio
import contextlib
import ctypes
import time
from collections.abc import Callable
from typing import Any, Final

THRESHOLD: Final = 320 << 10
"""Bytes. What TLS decrypts at a time is less: a block of its own for each read would cost more than a review."""

PAUSE_SECONDS: Final = 0.25
"""Between two times that free pages go back, which takes some milliseconds."""

_M_MMAP_THRESHOLD: Final = -3
"""Of ``malloc.h``."""


class Heap:
    """The allocator of glibc; another one is left alone."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._again = float("-inf")
        self._is_planned = False
        self._library: Any = None
        with contextlib.suppress(OSError, AttributeError):
            library = ctypes.CDLL(None)
            if library.mallopt(_M_MMAP_THRESHOLD, THRESHOLD):
                library.malloc_trim.argtypes = (ctypes.c_size_t,)
                self._library = library

    @property
    def is_known(self) -> bool:
        """Whether memory can be given back."""
        return self._library is not None

    def give_back(self) -> bool:
        """Give free pages back to the system; False where that was done a moment ago, or cannot be."""
        now = self._monotonic()
        if self._library is None or now < self._again:
            return False
        self._again = now + PAUSE_SECONDS
        self._library.malloc_trim(0)
        return True

    def give_back_soon(self) -> None:
        """Give free pages back now, or in a moment where that was done a moment ago; called in an event loop.

        Who comes last of many would otherwise leave all that was freed since with the process.
        """
        if self._library is None or self._is_planned or self.give_back():
            return
        self._is_planned = True
        asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._as_planned)

    def _as_planned(self) -> None:
        self._is_planned = False
        self.give_back()
