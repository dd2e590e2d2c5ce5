"""Memory of large bodies is given back; the figure of a serving process is in tests/cli/test_serve_under_load.py."""

import ctypes
import platform

import pytest

from webhook.server.memory import PAUSE_SECONDS, Heap


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
