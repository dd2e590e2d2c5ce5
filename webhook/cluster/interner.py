"""One object in memory for many that say the same."""

import hashlib
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class Interner(Generic[T]):
    """One object for equal contents. What nobody uses any more is swept out, so it never grows beyond twice its use."""

    def __init__(self) -> None:
        self._known: dict[bytes, T] = {}
        self._sweep_at = 4_096

    def get(self, content: bytes, make: Callable[[bytes], T]) -> T:
        """Return the object for this content, made of it at the first time."""
        digest = hashlib.blake2b(content, digest_size=16).digest()
        found = self._known.get(digest)
        if found is None:
            found = self._known[digest] = make(content)
        return found

    @property
    def is_full(self) -> bool:
        """Whether it is time to sweep."""
        return len(self._known) >= self._sweep_at

    def sweep(self, used: Iterable[object]) -> None:
        """Forget all objects but those in use."""
        identities = {id(each) for each in used}
        self._known = {digest: each for digest, each in self._known.items() if id(each) in identities}
        self._sweep_at = max(4_096, 2 * len(self._known))

    def __len__(self) -> int:
        return len(self._known)
