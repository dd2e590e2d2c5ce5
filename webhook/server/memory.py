"""How the process gives memory back: what large bodies took must not stay with the heap.

The allocator of glibc moves large blocks into the heap once some were freed, and what small values then stand between
them keeps the pages. With a fixed threshold they stay pages of their own, which the system has back at once.
"""

import contextlib
import ctypes
from typing import Final

THRESHOLD: Final = 64 << 10
"""Bytes. Reviews are smaller, so nothing changes for them."""

_M_MMAP_THRESHOLD: Final = -3
"""Of ``malloc.h``."""


def return_large_blocks() -> bool:
    """Let the allocator return blocks above the threshold; False where it is not glibc's, and cannot be told."""
    with contextlib.suppress(OSError, AttributeError):
        return bool(ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, THRESHOLD))
    return False
