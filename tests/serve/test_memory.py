"""Memory of large bodies is given back; the figure of a serving process is in tests/cli/test_serve_under_load.py."""

import asyncio
import ctypes
import platform
from collections.abc import Callable

import pytest

from webhook.serve.memory import PAUSE_SECONDS, Heap


class Clock:
    def __init__(self) -> None:
        self.seconds = 7.0

    def __call__(self) -> float:
        return self.seconds


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the allocator is not that of glibc")
def test_free_pages_go_back_now_and_then() -> None:
    clock = Clock()
    heap = Heap(clock)

    assert heap.is_known
    assert heap.give_back()
    assert not heap.give_back(), "it takes some milliseconds, so not after each body"
    clock.seconds += PAUSE_SECONDS
    assert heap.give_back()


def test_another_allocator_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    heap = Heap(Clock())

    assert not heap.is_known
    assert not heap.give_back()


class Library:
    """Counts how often free pages go back."""

    def __init__(self) -> None:
        self.trimmed = 0

    def mallopt(self, _parameter: int, _value: int) -> int:
        return 1

    class _Trim:
        argtypes: tuple[object, ...] = ()

        def __init__(self, library: "Library") -> None:
            self._library = library

        def __call__(self, _pad: int) -> int:
            self._library.trimmed += 1
            return 1

    @property
    def malloc_trim(self) -> "Library._Trim":
        return self._Trim(self)


async def test_what_was_freed_since_goes_back_in_a_moment_and_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    library, clock = Library(), Clock()
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: library)
    heap = Heap(clock)
    planned: list[Callable[[], None]] = []
    monkeypatch.setattr(asyncio.get_running_loop(), "call_later", lambda _seconds, call: planned.append(call))

    for _ in range(5):
        heap.give_back_soon()
    assert (library.trimmed, len(planned)) == (1, 1)

    clock.seconds += PAUSE_SECONDS
    planned.pop()()
    assert library.trimmed == 2

    heap.give_back_soon()
    assert len(planned) == 1, "there is a next time"
