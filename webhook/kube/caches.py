"""The caches that the whole process has: each is bounded, and tells its size under its name.

Whoever keeps results beyond one review takes one of these, so that ``podgate_cache_entries`` says what the memory is
for. What belongs to an object that comes and goes, such as the stores of a view, tells its size there.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
K = TypeVar("K")
V = TypeVar("V")

_SIZES: Final[dict[str, Callable[[], int]]] = {}


def remembered(name: str, most: int) -> Callable[[F], F]:
    """Return a decorator that keeps the results of a function, those that were asked for last.

    Args:
        name: of the cache, in snake_case; no other has it.
        most: results that are kept at a time. Errors are not kept.
    """

    def decorate(function: F) -> F:
        made: Any = lru_cache(maxsize=most)(function)
        _register(name, lambda: made.cache_info().currsize)
        return made  # type: ignore[no-any-return]  # the same to whoever calls it

    return decorate


class BoundedCache(dict[K, V]):
    """A cache that is looked up as a dictionary, and begins anew where it is full."""

    def __init__(self, name: str, most: int) -> None:
        """Args:
        name: of the cache, in snake_case; no other has it.
        most: entries that are kept at a time.
        """
        super().__init__()
        self._most = most
        _register(name, self.__len__)

    def remember(self, key: K, value: V) -> None:
        """Keep a value."""
        if len(self) >= self._most:
            self.clear()
        self[key] = value


def sizes() -> Mapping[str, int]:
    """Return the number of entries by name."""
    return {name: size() for name, size in _SIZES.items()}


def _register(name: str, size: Callable[[], int]) -> None:
    if name in _SIZES:
        raise ValueError(f"two caches are named {name}; give each a name of its own")
    _SIZES[name] = size
