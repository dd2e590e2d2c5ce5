"""Room that this replica holds, and the pods that it has booked from it: bookings without a write and without a wait.

A replica that books often takes more than it needs with a write that it does anyway: a share, which stands in the
ledger like a reservation. The next pods are booked from it in memory (`Escrow.book`). The next write, at the latest
that of a flush, puts them into the ledger under their UIDs and takes as much off the share, so the sum stays the same.
At every version it holds that

    what runs + reservations + all shares <= the limit

so whatever becomes of a replica, nobody lets in more. A share shrinks with the room that is left, an idle replica gives
it back, and so does one that reads that another has none (a share of nothing asks for room).

**A write whose outcome is not known** may be done or not, now or later, as long as the ledger is at the version that it
was made for. Until a newer one is seen, pods are booked only from what both have room for.

**A replica that is cut off** books from its share for `USE_SECONDS` at most; the leader waits much longer than that
before it takes the share of one that is silent.
"""

import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, NamedTuple

from webhook.kube.budget_ledgers import StoredLedger, is_newer
from webhook.ledger.ledger_state import MOST_RESERVATIONS, LedgerState, Reservation, ReservationRequest

USE_SECONDS: Final = 10.0
"""A share is used for so long after the last write that was done."""

ACTIVE_SECONDS: Final = 1.0
"""A replica that has booked nothing for so long holds no share."""

PART: Final = 4
"""A share is at most one part in so many of the room that is left, so the last pods are judged by the ledger itself."""

AHEAD: Final = 4
"""A share is at most so many times what was booked of late: what is not needed is not held."""

MOST_PENDING: Final = 500
"""Pods that are booked from a share between two writes."""


class _Pending(NamedTuple):
    """A pod that is booked here and not known to be in the ledger."""

    entry: Reservation
    cover: int
    """What it takes of the share; nothing where no room is needed."""


class _Flying(NamedTuple):
    """A write whose outcome is not known."""

    base: StoredLedger
    keys: frozenset[str]
    """Pods that it puts into the ledger."""


class _Account:
    """The bookings of one budget."""

    __slots__ = (
        "booked",
        "booked_at",
        "covered",
        "flying",
        "flying_covered",
        "flying_share",
        "is_unclear",
        "largest",
        "limit",
        "pending",
        "used_until",
    )

    def __init__(self) -> None:
        self.pending: dict[str, _Pending] = {}
        self.covered = 0
        self.flying: _Flying | None = None
        self.flying_share = 0
        self.flying_covered = 0
        """What pods that are not part of the write take of the share that it leaves."""
        self.is_unclear = False
        """Whether a further write was made while the outcome of one was not known."""
        self.used_until = float("-inf")
        self.limit = 0
        """The greatest rate as it was last told."""
        self.largest = 0
        """The dearest pod that was booked since the last write."""
        self.booked = 0
        """The rate of pods that were booked since the last write."""
        self.booked_at = float("-inf")

    def free(self, share: int) -> int:
        left = share - self.covered
        if self.flying is None:
            return left
        return 0 if self.is_unclear else min(left, self.flying_share - self.flying_covered)


class Escrow:
    """The shares of one replica. May be used from any thread."""

    def __init__(self, holder: str, monotonic: Callable[[], float]) -> None:
        """Args:
        holder: names this process among all that ever were.
        monotonic: seconds.
        """
        self.holder = holder
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._accounts: dict[str, _Account] = {}
        self._is_ended = False

    def end(self) -> None:
        """Hold nothing from now on."""
        self._is_ended = True

    # --- without a write --------------------------------------------------------------------------------------------

    def book(
        self, budget: str, key: str, entry: Reservation, newest: Callable[[], LedgerState | None], limit: int | None
    ) -> bool:
        """Book a pod that nobody has booked before, if that can be done without a write.

        Args:
            budget: its name.
            key: UID of the pod.
            entry: what is booked.
            newest: returns the newest copy of the ledger.
            limit: greatest rate of the budget; None where no room is needed.
        """
        with self._lock:
            account = self._account(budget)
            # What is not known to be in the ledger is compared with a copy that is not older than that.
            if limit is not None and not self._has_room(account, entry, newest(), limit):
                return False
            if len(account.pending) >= (MOST_PENDING if limit is not None else MOST_RESERVATIONS):
                return limit is None  # It is counted once it is seen.
            self._add(account, key, _Pending(entry, entry.rate if limit is not None else 0), limit)
            return True

    def _has_room(self, account: _Account, entry: Reservation, sheet: LedgerState | None, limit: int) -> bool:
        if sheet is None or self._monotonic() >= account.used_until or len(sheet.reservations) >= MOST_RESERVATIONS:
            return False
        share = sheet.shares.get(self.holder)
        # A limit that has fallen leaves no room although there is a share.
        return share is not None and account.free(share.rate) >= entry.rate and sheet.rate <= limit

    def has_room(self, budget: str, rate: int, newest: Callable[[], LedgerState | None]) -> bool:
        """Whether a pod of a rate could be booked from the share."""
        with self._lock:
            sheet = newest()
            share = sheet.shares.get(self.holder) if sheet is not None else None
            return share is not None and self._account(budget).free(share.rate) >= rate

    def cancel(self, budget: str, key: str) -> bool:
        """Take a booking back; False where it may be in the ledger already."""
        with self._lock:
            account = self._accounts.get(budget)
            if account is None or key not in account.pending:
                return False
            if account.flying is not None and key in account.flying.keys:
                return False
            found = account.pending.pop(key)
            account.covered -= found.cover
            account.flying_covered -= found.cover
            return True

    def pending(self, budget: str, key: str) -> Reservation | None:
        """Return what is booked of a pod and not known to be in the ledger."""
        account = self._accounts.get(budget)
        found = account.pending.get(key) if account is not None else None
        return found.entry if found is not None else None

    def all_pending(self, budget: str) -> Mapping[str, Reservation]:
        """Return all that is booked and not known to be in the ledger."""
        account = self._accounts.get(budget)
        if account is None or not account.pending:
            return {}
        with self._lock:
            return {key: each.entry for key, each in account.pending.items()}

    def budgets(self) -> list[str]:
        """Return the budgets of which anything was booked."""
        return list(self._accounts)

    # --- with a write -----------------------------------------------------------------------------------------------

    def settle(self, budget: str, base: StoredLedger, sheet: LedgerState, now: datetime) -> frozenset[str]:
        """Put the pods that were booked into a sheet, and the share back into the room, as the begin of a write.

        Pods are booked from what is left of both, the share as it is and what `take` leaves, until the write is over.

        Returns:
            The UIDs of these pods.
        """
        with self._lock:
            account = self._account(budget)
            pending = dict(account.pending)
            account.is_unclear = account.flying is not None
            account.flying = _Flying(base, frozenset(pending))
            account.flying_share = account.flying_covered = 0
        sheet.share(self.holder, None, now)
        for key, each in pending.items():
            if key not in sheet.reservations:
                sheet.put(key, each.entry, min(each.entry.at, now))
        return frozenset(pending)

    def take(self, budget: str, sheet: LedgerState, now: datetime, *, wants: bool) -> None:
        """Take a share as the end of a sheet that is to be written: what is worth holding, where nobody else wants it.

        Args:
            budget: its name.
            sheet: to be written.
            now: the time.
            wants: whether pods wait here for what others hold.
        """
        with self._lock:
            account = self._account(budget)
            rate = 0 if wants or asks(sheet, self.holder) else self._worth(account, sheet)
            account.flying_share = rate
        sheet.share(self.holder, rate if rate or wants else None, now)

    def _worth(self, account: _Account, sheet: LedgerState) -> int:
        if self._is_quiet(account):
            return 0
        rate = min(account.booked * AHEAD, (account.limit - sheet.rate) // PART)
        return rate if rate >= account.largest > 0 else 0

    def count(self, budget: str, ask: ReservationRequest) -> None:
        """Note that a pod is being booked with a write: whether the next ones will need one depends on it."""
        if ask.limit is None:
            return
        with self._lock:
            account = self._account(budget)
            now = self._monotonic()
            is_first = now - account.booked_at > ACTIVE_SECONDS
            account.booked_at, account.limit = now, ask.limit
            # One pod alone is no reason to hold anything that others may need.
            account.booked = 0 if is_first else account.booked + ask.micros
            account.largest = ask.micros if is_first else max(account.largest, ask.micros)

    def is_idle(self, budget: str) -> bool:
        """Whether nothing was booked for a while, so that nothing is worth holding."""
        account = self._accounts.get(budget)
        return account is None or self._is_quiet(account)

    def _is_quiet(self, account: _Account) -> bool:
        return self._is_ended or self._monotonic() - account.booked_at > ACTIVE_SECONDS

    def written(self, budget: str, keys: frozenset[str], began: float) -> None:
        """Know that the write is done.

        Args:
            budget: its name.
            keys: the pods that it put into the ledger, as `settle` returned them.
            began: when it began, in monotonic seconds.
        """
        with self._lock:
            account = self._account(budget)
            self._drop(account, keys)
            account.flying = None
            account.used_until = began + USE_SECONDS
            account.booked //= 2

    def not_written(self, budget: str) -> None:
        """Know that the write was not done and never will be."""
        with self._lock:
            account = self._account(budget)
            if not account.is_unclear:
                account.flying = None

    def seen(self, stored: StoredLedger, sheet: LedgerState | None) -> None:
        """Know a version of a ledger: a write that was made for an older one is in it, or never will be."""
        account = self._accounts.get(stored.name)
        if account is None:
            return
        with self._lock:
            flying = account.flying
            if flying is None or not (is_newer(stored, flying.base) or stored.uid != flying.base.uid):
                return
            if sheet is not None:
                self._drop(account, flying.keys.intersection(sheet.reservations))
            account.flying = None

    def _account(self, budget: str) -> _Account:
        account = self._accounts.get(budget)
        if account is None:
            account = self._accounts[budget] = _Account()
        return account

    def _add(self, account: _Account, key: str, found: _Pending, limit: int | None) -> None:
        account.pending[key] = found
        if limit is None:
            return
        account.limit = limit
        account.covered += found.cover
        account.flying_covered += found.cover
        account.booked += found.cover
        account.largest = max(account.largest, found.cover)
        account.booked_at = self._monotonic()

    def _drop(self, account: _Account, keys: frozenset[str]) -> None:
        for key in keys:
            found = account.pending.pop(key, None)
            if found is not None:
                account.covered -= found.cover


def asks(sheet: LedgerState, holder: str) -> bool:
    """Whether another replica than `holder` asks for room."""
    return any(not each.rate for other, each in sheet.shares.items() if other != holder)
