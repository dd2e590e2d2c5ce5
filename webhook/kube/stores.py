"""What watches are kept in: one writer each (the thread of its reflector), any number of readers, no lock.

A reader asks a dictionary, which is one step for the interpreter; a new list becomes a new dictionary that takes the
old one's place in one assignment. So a review sees a store as it was or as it is, never one that is being filled.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")


class Store(Generic[T]):
    """Objects by key."""

    def __init__(self) -> None:
        self.items: dict[str, T] = {}
        self.changes = 0
        """Grows with every change, so that a copy made of the items tells whether it is old."""

    def replace(self, items: Mapping[str, T], kept: frozenset[str] = frozenset()) -> None:
        """Be exactly `items`, and of what is there the keys in `kept`. A dictionary is taken over as it is."""
        fresh = items if isinstance(items, dict) else dict(items)
        for key in kept:
            if key in self.items:
                fresh.setdefault(key, self.items[key])
        self.items = fresh
        self.changes += 1

    def put(self, key: str, value: T) -> None:
        """Add or change one object; the very object that is there already is no change."""
        if self.items.get(key) is not value:
            self.items[key] = value
            self.changes += 1

    def drop(self, key: str) -> None:
        """Forget one object, if it is known."""
        if self.items.pop(key, None) is not None:
            self.changes += 1

    def values(self) -> tuple[T, ...]:
        """Return the objects of this moment; the copy is made in one step of the interpreter."""
        return tuple(self.items.values())

    def __len__(self) -> int:
        return len(self.items)


class Grouped(Store[T]):
    """Objects by key that are asked for by group, such as the autoscalers of a target."""

    def __init__(
        self, group: Callable[[T], Hashable | None], order: Callable[[Iterable[T]], tuple[T, ...]] = tuple
    ) -> None:
        """Args:
        group: the group of an object; None for one that nobody can ask for.
        order: puts the objects of a group in order.
        """
        super().__init__()
        self._group = group
        self._order = order
        self._members: dict[Hashable, dict[str, T]] = {}
        self._answers: dict[Hashable, tuple[T, ...]] = {}

    def of(self, group: Hashable) -> tuple[T, ...]:
        """Return the objects of a group, in order."""
        return self._answers.get(group, ())

    def replace(self, items: Mapping[str, T], kept: frozenset[str] = frozenset()) -> None:
        """Be exactly `items`, and of what is there the keys in `kept`."""
        super().replace(items, kept)
        members: dict[Hashable, dict[str, T]] = {}
        for key, value in self.items.items():
            group = self._group(value)
            if group is not None:
                members.setdefault(group, {})[key] = value
        self._members = members
        self._answers = {group: self._order(found.values()) for group, found in members.items()}

    def put(self, key: str, value: T) -> None:
        """Add or change one object."""
        old = self.items.get(key)
        super().put(key, value)
        group = self._group(value)
        if old is not None and self._group(old) != group:
            self._leave(key, old)
        if group is not None:
            self._members.setdefault(group, {})[key] = value
            self._answers[group] = self._order(self._members[group].values())

    def drop(self, key: str) -> None:
        """Forget one object, if it is known."""
        old = self.items.get(key)
        super().drop(key)
        if old is not None:
            self._leave(key, old)

    def _leave(self, key: str, value: T) -> None:
        group = self._group(value)
        if group is None:
            return
        members = self._members.get(group, {})
        members.pop(key, None)
        if members:
            self._answers[group] = self._order(members.values())
        else:
            self._members.pop(group, None)
            self._answers.pop(group, None)
