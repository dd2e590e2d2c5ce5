"""Memory of large bodies is given back; the figure of a serving process is in tests/cli/test_serve_under_load.py."""

import ctypes
import platform

import pytest

from webhook.server.memory import return_large_blocks


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the allocator is not that of glibc")
def test_the_allocator_of_glibc_is_told() -> None:
    assert return_large_blocks()


def test_another_allocator_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    assert not return_large_blocks()
