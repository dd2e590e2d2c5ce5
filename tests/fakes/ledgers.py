"""Shared ledgers in memory behind the port that keeps them: versions, conflicts, and faults on demand.

It remembers every version that was ever stored, so a test can look at what any watcher could have seen.
"""

import json
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from webhook.kube import client as api
from webhook.kube.budget_ledgers import StoredLedger
from webhook.ledger import wire as ledger_wire
from webhook.ledger.ledger_state import LedgerState

T = TypeVar("T")


class FakeLedgers:
    """`webhook.kube.budget_ledgers.Ledgers` in memory."""

    def __init__(self) -> None:
        self.stored: dict[str, StoredLedger] = {}
        self.history: list[StoredLedger] = []
        """All versions of all ledgers, in order."""
        self.edited: set[StoredLedger] = set()
        """Those of them that were edited by hand."""
        self.calls: list[str] = []
        self.before: Callable[[str], None] | None = None
        """Called before each call with its verb; it may change things, or raise an `ApiError`."""
        self.after: Callable[[str], None] | None = None
        """Called after each call was done; what it raises is a lost answer."""
        self.listeners: list[Callable[[str, StoredLedger], None]] = []
        """Watches: told each change as ``put`` or ``drop``."""
        self._lock = threading.RLock()
        self._version = 0

    @property
    def version(self) -> int:
        """The newest version of anything."""
        return self._version

    def read(self, name: str) -> StoredLedger | None:
        """Return a ledger."""
        return self._call("read", lambda: self.stored.get(name))

    def create(self, name: str) -> StoredLedger:
        """Create a ledger that says nothing."""

        def work() -> StoredLedger:
            if name in self.stored:
                raise api.ConflictError(f"{name} exists", 409)
            return self.put(name, b"", uid=f"uid-{self._version}")

        return self._call("create", work)

    def write(self, before: StoredLedger, status: bytes) -> StoredLedger:
        """Replace a status under its version."""

        def work() -> StoredLedger:
            found = self.stored.get(before.name)
            if found is None or (found.uid, found.version) != (before.uid, before.version):
                raise api.ConflictError(f"{before.name} has been modified", 409)
            return self.put(before.name, status, uid=found.uid)

        return self._call("write", work)

    def delete(self, before: StoredLedger) -> None:
        """Delete a ledger under its version."""

        def work() -> None:
            if self.stored.get(before.name) != before:
                raise api.ConflictError(f"{before.name} has been modified", 409)
            self.remove(before.name)

        self._call("delete", work)

    def put(self, name: str, status: bytes, uid: str = "uid") -> StoredLedger:
        """Store a ledger, as somebody who may do anything does."""
        with self._lock:
            self._version += 1
            made = StoredLedger(name, uid, str(self._version), status)
            self.stored[name] = made
            self.history.append(made)
            self._say("put", made)
            return made

    def remove(self, name: str) -> None:
        """Delete a ledger, as somebody who may do anything does."""
        with self._lock:
            self._version += 1
            self._say("drop", self.stored.pop(name))

    def edit(self, name: str, **fields: Any) -> None:  # noqa: ANN401  any JSON
        """Change fields of a status by hand."""
        with self._lock:
            found = self.stored[name]
            made = self.put(name, json.dumps({**json.loads(found.status), **fields}).encode(), found.uid)
            self.edited.add(made)

    def sheet(self, name: str) -> LedgerState:
        """Return what a ledger says."""
        return ledger_wire.decode(self.stored[name].status)

    def sheets(self, name: str) -> list[LedgerState]:
        """Return what the writers of a ledger have ever written."""
        return [
            ledger_wire.decode(each.status)
            for each in self.history
            if each.name == name and each.status and each not in self.edited
        ]

    def _say(self, what: str, stored: StoredLedger) -> None:
        for listener in tuple(self.listeners):
            listener(what, stored)

    def _call(self, verb: str, work: Callable[[], T]) -> T:
        self.calls.append(verb)
        if self.before is not None:
            self.before(verb)
        with self._lock:
            done = work()
        if self.after is not None:
            self.after(verb)
        return done
