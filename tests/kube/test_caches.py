"""Caches of the process: bounded, and counted by name."""

import pytest

from webhook.kube import caches
from webhook.kube.caches import BoundedCache, remembered


def test_a_result_is_computed_once_and_counted() -> None:
    asked: list[int] = []

    @remembered("test_doubles", 2)
    def double(number: int) -> int:
        asked.append(number)
        return 2 * number

    assert [double(3), double(3), double(4)] == [6, 6, 8]
    assert asked == [3, 4]
    assert caches.sizes()["test_doubles"] == 2
    double(5)
    assert caches.sizes()["test_doubles"] == 2


def test_what_fails_is_not_kept() -> None:
    @remembered("test_failures", 2)
    def fail(number: int) -> int:
        raise ValueError(number)

    with pytest.raises(ValueError, match="1"):
        fail(1)
    assert caches.sizes()["test_failures"] == 0


def test_a_full_cache_begins_anew() -> None:
    cache: BoundedCache[str, int] = BoundedCache("test_values", 2)
    for number, key in enumerate("abc"):
        cache.remember(key, number)
    assert (cache.get("c"), caches.sizes()["test_values"]) == (2, 1)


def test_two_caches_of_one_name_are_refused() -> None:
    BoundedCache("test_twins", 1)
    with pytest.raises(ValueError, match="two caches are named test_twins"):
        BoundedCache("test_twins", 1)
