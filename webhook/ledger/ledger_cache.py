"""The newest copy of every shared ledger that this replica has: of the watch, or of its own last write.

A watch lags behind one's own writes. Who wrote a moment ago and judged by the watch would meet its own write as a
conflict, so whichever copy is newer counts. A copy may still be old; the version that it is written under tells.
"""

import threading
from collections.abc import Callable, Mapping
from typing import NamedTuple

from webhook.kube.budget_ledgers import StoredLedger, is_newer
from webhook.ledger import wire as ledger_wire
from webhook.ledger.escrow import Escrow
from webhook.ledger.ledger_state import LedgerState
from webhook.ledger.observed_pods import ObservedPods


class CachedLedger(NamedTuple):
    """A ledger as it was stored."""

    stored: StoredLedger
    sheet: LedgerState | None
    """None where nothing was written yet, or what is there is damaged. Never changed: take a copy."""
    damage: str = ""


class LedgerCache:
    """Copies by budget; also what the reflector of the resource keeps in step. May be used from any thread."""

    def __init__(self, local: ObservedPods, escrow: Escrow) -> None:
        """Args:
        local: is told of every reservation that comes to be known.
        escrow: is told of every version.
        """
        self._local = local
        self._escrow = escrow
        self.on_news: Callable[[CachedLedger], None] = lambda _copy: None
        """Told of every version that others wrote."""
        self._lock = threading.Lock()
        self._copies: dict[str, CachedLedger] = {}
        self._good: dict[str, LedgerState] = {}

    def get(self, budget: str) -> CachedLedger | None:
        """Return the newest copy; None where there is none."""
        return self._copies.get(budget)

    def last_good(self, budget: str) -> LedgerState | None:
        """Return what a ledger said when it was last as its writers had left it, deleted ones included."""
        return self._good.get(budget)

    def all(self) -> Mapping[str, CachedLedger]:
        """Return all copies of this moment."""
        return dict(self._copies)

    def adopt(self, stored: StoredLedger, sheet: LedgerState | None = None) -> CachedLedger:
        """Take what the API server has answered, and return that, or what the watch told meanwhile.

        Args:
            stored: the answer.
            sheet: what was written, where it is the answer to a write.
        """
        copy = CachedLedger(stored, sheet) if sheet is not None else _read(stored)
        with self._lock:
            known = self._copies.get(stored.name)
            if known is not None and known.stored.uid == stored.uid and is_newer(known.stored, stored):
                return known
            self._keep(copy)
        self._tell(copy)
        return copy

    def forget(self, budget: str) -> None:
        """Forget a ledger that is no longer wanted."""
        with self._lock:
            self._copies.pop(budget, None)
            self._good.pop(budget, None)

    # --- the watch ------------------------------------------------------------------------------------------------

    def replace(self, items: Mapping[str, StoredLedger], kept: frozenset[str] = frozenset()) -> None:
        """Be exactly `items`, and of what is there the keys in `kept`."""
        names = {_name(key) for key in (*items, *kept)}
        for stored in items.values():
            self.put("", stored)
        with self._lock:
            self._copies = {name: copy for name, copy in self._copies.items() if name in names}

    def put(self, _key: str, value: StoredLedger) -> None:
        """Take news, unless this replica knows better."""
        known = self._copies.get(value.name)
        if known is not None and not is_newer(value, known.stored):
            return
        copy = _read(value)
        with self._lock:
            known = self._copies.get(value.name)
            if known is not None and not is_newer(value, known.stored):
                return
            self._keep(copy)
        self._tell(copy)
        self.on_news(copy)

    def drop(self, key: str) -> None:
        """Know that a ledger is gone. What it said last is kept, to make it anew from."""
        with self._lock:
            self._copies.pop(_name(key), None)

    def __len__(self) -> int:
        return len(self._copies)

    def _keep(self, copy: CachedLedger) -> None:
        self._copies[copy.stored.name] = copy
        if copy.sheet is not None:
            self._good[copy.stored.name] = copy.sheet

    def _tell(self, copy: CachedLedger) -> None:
        self._escrow.seen(copy.stored, copy.sheet)
        if copy.sheet is not None:
            self._local.note(copy.stored.name, copy.sheet.reservations)


def _read(stored: StoredLedger) -> CachedLedger:
    if not stored.status:
        return CachedLedger(stored, None)
    try:
        return CachedLedger(stored, ledger_wire.decode(stored.status))
    except ledger_wire.Damaged as error:
        return CachedLedger(stored, None, str(error))


def _name(key: str) -> str:
    return key.rpartition("/")[2]
