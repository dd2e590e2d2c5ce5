"""A ledger in the memory of one process, exact under threads.

With the embedded cluster (a directory of YAML) nothing ever reports that an admitted pod was created, so an admitted
pod stays reserved until it is released: no time-to-live applies (``ttl=None``). Where pods are watched, a reservation
whose pod was not seen within the time-to-live (120 s is right: longer than a request's time-out and the lag of a watch)
is dropped by the next recount, which repairs what a later refusal by somebody else leaves behind. It is dropped much
sooner where `webhook.ledger.news` says that the pod would have been seen.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from webhook.ledger.account import NOWHERE, Account, Approves, BookedPod
from webhook.ledger.balance import BudgetPeriod
from webhook.ledger.news import PodNews
from webhook.ledger.store import Booking, Charge, ControllerKey, LedgerError, PodCount, ProvenOwner, ReservationOutcome

CAPACITY: Final = 200_000
"""Most pods that are booked at a time; Kubernetes supports 150,000 pods in a cluster."""


class CountedPods(NamedTuple):
    """What a count has found."""

    entries: Mapping[str, BookedPod]
    places: Mapping[str, ControllerKey]
    """Where controllers are found, by UID."""
    wanted: Callable[[str, ControllerKey], int | None] | None


class MemoryLedger:
    """A `LedgerStore` in memory. All methods may be called from any thread."""

    def __init__(
        self,
        *,
        clock: Callable[[], datetime],
        ttl: timedelta | None = None,
        capacity: int = CAPACITY,
        news: PodNews | None = None,
    ) -> None:
        """Make an empty ledger.

        Args:
            clock: gives the time, with a time zone.
            ttl: how long a reservation waits for its pod to be seen by `recount`; None means for ever.
            capacity: most pods that are booked at a time; beyond it `reserve` raises LedgerError.
            news: whether news of pods come in, for whoever has a `ttl`; None where somebody else asks that.
        """
        self._clock = clock
        self._ttl = ttl
        self._capacity = capacity
        self._news = news
        self._lock = threading.Lock()
        self._entries: dict[str, BookedPod] = {}
        self._accounts: dict[str, Account] = {}
        self._limits: Mapping[str, int | None] = {}
        self._places: dict[str, ControllerKey] = {}
        self._unseen: dict[str, datetime] = {}
        """Pods that were booked and that no count has seen yet, and since when."""

    def reserve(
        self, key: str, micros: int, charges: Sequence[Charge], owner: ProvenOwner | None = None
    ) -> ReservationOutcome:
        """Book a pod against all of its budgets, or against none; see `LedgerStore.reserve`."""
        if micros < 0:
            raise ValueError(f"a rate of {micros} is below zero; a pod cannot earn money")
        budgets = tuple(dict.fromkeys(charge.budget for charge in charges))
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and entry.micros == micros and entry.budgets == budgets:
                return ReservationOutcome(accepted=True)
            if entry is None and len(self._entries) >= self._capacity:
                raise LedgerError(f"the ledger is full at {self._capacity} pods; raise its capacity or recount")
            now = self._clock()
            beyond: set[str] = set()
            for charge in charges:
                had = entry.micros if entry is not None and charge.budget in entry.budgets else 0
                committed = self._rate(charge.budget) - had
                if charge.limit is None or committed + micros <= charge.limit:
                    continue
                own = had if entry is not None and owner is not None and _counts_for(entry, owner) else 0
                if micros > had and not self._is_replacement(charge.budget, owner, micros, own, now):
                    return ReservationOutcome(
                        accepted=False, budget=charge.budget, committed=committed, limit=charge.limit
                    )
                beyond.add(charge.budget)
            self._remove(key, now)
            if owner is not None and owner.place is not None:
                self._places[owner.uid] = owner.place
            # A running pod that is resized stays known as running, so that the recount notices when it is gone.
            is_confirmed = entry is not None and entry.is_confirmed
            # Whoever resizes a pod is not its controller, and the pod stays that controller's.
            uid = owner.uid if owner is not None else entry.owner if entry is not None else ""
            left = entry.left if entry is not None else None
            for charge in charges:
                self._account(charge.budget, now).limit = charge.limit
            made = BookedPod(micros, budgets, now, is_confirmed, uid, frozenset(beyond) or NOWHERE, left)
            self._add(key, made, now)
        return ReservationOutcome(accepted=True)

    def book(self, key: str, micros: int, budgets: Iterable[str], beyond: Iterable[str], owner: str) -> None:
        """Know of a pod that was admitted elsewhere; what is full here does not count.

        Args:
            key: its UID.
            micros: its rate.
            budgets: who pays for it.
            beyond: those of them that let it in as a replacement.
            owner: UID of its controller, where that was proven.
        """
        with self._lock:
            entry = self._entries.get(key)
            if entry is None and len(self._entries) >= self._capacity:
                return
            now = self._clock()
            self._remove(key, now)
            is_confirmed, left = (entry.is_confirmed, entry.left) if entry is not None else (False, None)
            made = BookedPod(micros, tuple(budgets), now, is_confirmed, owner, frozenset(beyond) or NOWHERE, left)
            self._add(key, made, now)

    def limit(self, limits: Mapping[str, int | None]) -> None:
        """Know what budgets can pay for, micro-units per hour: it bounds what they approve, and refuses nothing here.

        Args:
            limits: by budget; None for one that refuses nothing.
        """
        with self._lock:
            self._limits = limits
            for budget, account in self._accounts.items():
                account.limit = limits.get(budget)

    def is_replacement(self, budget: str, micros: int, owner: ProvenOwner, *, without: str = "") -> bool:
        """Whether a new pod stays within what its controller was admitted with; see `LedgerStore.is_replacement`."""
        with self._lock:
            entry = self._entries.get(without) if without else None
            is_own = entry is not None and _counts_for(entry, owner) and budget in entry.budgets
            had = entry.micros if entry is not None and is_own else 0
            return self._is_replacement(budget, owner, micros, had, self._clock())

    def leave(self, key: str) -> None:
        """Note that a pod is being deleted: it costs until it is gone, and its controller may replace it at once."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or entry.left is not None:
                return
            now = self._clock()
            self._entries[key] = msgspec.structs.replace(entry, left=now)
            for budget in entry.budgets:
                self._accounts[budget].leave(key, entry, now)

    def wants(self, uid: str, pods: int) -> None:
        """Know how many pods a controller wants; see `LedgerStore.wants`."""
        with self._lock:
            now = self._clock()
            for account in self._accounts.values():
                approval = account.approvals.get(uid)
                if approval is not None:
                    approval.want(pods, now)

    def release(self, key: str) -> bool:
        """Give back what a pod had booked; False where it had nothing."""
        with self._lock:
            return self._remove(key, self._clock())

    def committed(self, budget: str, *, without: str = "") -> int:
        """Return the rate of a budget in micro-units per hour, see `LedgerStore.committed`."""
        with self._lock:
            entry = self._entries.get(without) if without else None
            own = entry.micros if entry is not None and budget in entry.budgets else 0
            return self._rate(budget) - own

    def replacement(self, budget: str) -> int:
        """Return the part of `committed` that was let in beyond the budget, see `LedgerStore.replacement`."""
        with self._lock:
            account = self._accounts.get(budget)
            return account.replacement if account is not None else 0

    def spent(self, budget: str, period: BudgetPeriod, begins_on: int = 1) -> int:
        """Return what a budget has spent in the current period since this ledger was made, in micro-units."""
        with self._lock:
            account = self._accounts.get(budget)
            if account is None:
                return 0
            now = self._clock()
            account.advance(now)
            return account.spending.micros(period, now, begins_on)

    def recount(self, pods: Iterable[Booking]) -> None:
        """Make the running pods what `pods` says; keep reservations of pods that were never seen, up to the ttl."""
        self.take(self.compare(pods))
        self.unchanged()

    def unchanged(self) -> None:
        """Know that the pods that run are still those of the last `recount`; see `LedgerStore.unchanged`."""
        if self._ttl is not None and self._news is not None and self._news.look():
            self.drop_unseen(self._news.ttl(self._ttl))

    def drop_unseen(self, ttl: timedelta) -> None:
        """Forget pods that were booked longer ago than that and that no count has seen: they were refused elsewhere."""
        with self._lock:
            now = self._clock()
            for key in [key for key, at in self._unseen.items() if now - at > ttl]:
                self._remove(key, now)

    def compare(self, pods: Iterable[Booking]) -> CountedPods:
        """Return what `take` is to be told of the pods that run.

        That takes a while, since pods are priced as they come, and others may book meanwhile. A pod that is as it was
        keeps the entry that it has.
        """
        now = self._clock()
        found: dict[str, BookedPod] = {}
        places: dict[str, ControllerKey] = {}
        for pod in pods:
            known = self._entries.get(pod.key)
            # The tuple that came may be shared by many pods.
            is_plain = len(set(pod.budgets)) == len(pod.budgets)
            budgets = pod.budgets if is_plain else tuple(dict.fromkeys(pod.budgets))
            if known is None or known.budgets != budgets or not _is_true(known, pod):
                known = BookedPod(pod.micros, budgets, now, is_confirmed=True, owner=pod.owner, left=pod.left)
            found[pod.key] = known
            if pod.place is not None:
                places[pod.owner] = pod.place
        return CountedPods(found, places, pods.wanted if isinstance(pods, PodCount) else None)

    def take(self, count: CountedPods) -> None:
        """Make the running pods what was found, see `recount`."""
        found = count.entries
        with self._lock:
            now = self._clock()
            entries = self._entries
            before = {key: entries.get(key) for key, entry in found.items() if entries.get(key) is not entry}
            gone = [key for key, entry in entries.items() if key not in found and entry.is_confirmed]
            if self._ttl is not None:
                gone += [key for key, at in self._unseen.items() if key not in found and now - at > self._ttl]
            for key in (*gone, *before):
                self._remove(key, now)
            for key, known in before.items():
                entry = found[key]
                owner = _owner(entry.owner, known)
                left = _earlier(entry.left, known.left if known is not None else None)
                beyond = known.beyond if known is not None else NOWHERE
                if beyond:
                    beyond = beyond.intersection(entry.budgets)
                confirmed = BookedPod(entry.micros, entry.budgets, now, True, owner, beyond, left)
                self._confirm(key, known, confirmed, now)
            for account in self._accounts.values():
                account.is_counted = True
            self._places.update(count.places)
            self._settle(count.wanted, now)

    def _confirm(self, key: str, known: BookedPod | None, confirmed: BookedPod, now: datetime) -> None:
        """Count a pod that a count has seen, in place of what was known of it.

        What ran before its budget was counted for the first time is approved. What comes later unannounced is so where
        the budget can pay for it, as if it were booked now: it may have been, by a replica that has not said so yet. A
        booked pod was approved or not when it came, and takes that along where another controller has adopted it.
        """
        self._entries[key] = confirmed
        budgets = known.budgets if known is not None else ()
        handed: Container[str] = ()
        if known is not None and known.owner != confirmed.owner and known.left is None:
            handed = {budget for budget in budgets if self._accounts[budget].hand_over(known, now)}
        for budget in confirmed.budgets:
            account = self._account(budget, now)
            approves: Approves = "always" if budget in handed else "never"
            if budget not in budgets:
                approves = "where all fit" if account.is_counted else "always"
            account.add(key, confirmed, now, approves)

    def _settle(self, wanted: Callable[[str, ControllerKey], int | None] | None, now: datetime) -> None:
        """Let what is approved fall to what is wanted, or runs; forget controllers that have nothing."""

        def pods(uid: str) -> int | None:
            place = self._places.get(uid)
            return wanted(uid, place) if wanted is not None and place is not None else None

        owners: set[str] = set()
        for account in self._accounts.values():
            account.settle(pods, now)
            owners.update(account.approvals)
        if len(owners) < len(self._places):
            self._places = {uid: place for uid, place in self._places.items() if uid in owners}

    def runs(self, key: str) -> Booking | None:
        """Return what a pod that the last recount has seen costs; None where it has not."""
        entry = self._entries.get(key)
        if entry is None or not entry.is_confirmed:
            return None
        return Booking(key, entry.micros, entry.budgets, entry.owner if entry.left is None else "", entry.left)

    def running(self, without: Container[str]) -> dict[str, int]:
        """Return, by budget, what the pods that the last recount has seen cost together, but for some."""
        totals: defaultdict[str, int] = defaultdict(int)
        with self._lock:
            for key, entry in self._entries.items():
                if entry.is_confirmed and key not in without:
                    for budget in entry.budgets:
                        totals[budget] += entry.micros
        return dict(totals)

    def size(self) -> int:
        """Return the number of pods that are booked."""
        with self._lock:
            return len(self._entries)

    def _rate(self, budget: str) -> int:
        account = self._accounts.get(budget)
        return account.rate if account is not None else 0

    def _is_replacement(self, budget: str, owner: ProvenOwner | None, micros: int, had: int, now: datetime) -> bool:
        account = self._accounts.get(budget)
        if owner is None or account is None:
            return False
        approval = account.approvals.get(owner.uid)
        return approval is not None and approval.has_room(micros, had, owner, now)

    def _account(self, budget: str, now: datetime) -> Account:
        account = self._accounts.get(budget)
        if account is None:
            account = self._accounts[budget] = Account(budget, now)
            account.limit = self._limits.get(budget)
        return account

    def _add(self, key: str, entry: BookedPod, now: datetime) -> None:
        """Count a pod that was admitted now."""
        self._entries[key] = entry
        if not entry.is_confirmed:
            self._unseen[key] = entry.at
        for budget in entry.budgets:
            self._account(budget, now).add(key, entry, now, "where all fit")

    def _remove(self, key: str, now: datetime) -> bool:
        entry = self._entries.pop(key, None)
        if entry is None:
            return False
        self._unseen.pop(key, None)
        for budget in entry.budgets:
            self._accounts[budget].remove(key, entry, now)
        return True


def _is_true(known: BookedPod, pod: Booking) -> bool:
    is_known_to_leave = pod.left is None or known.left is not None
    is_same = known.micros == pod.micros and known.owner == _owner(pod.owner, known)
    return known.is_confirmed and is_same and is_known_to_leave


def _counts_for(entry: BookedPod, owner: ProvenOwner) -> bool:
    """Whether a pod is among those that its controller runs."""
    return entry.owner == owner.uid and entry.left is None


def _owner(referred: str, entry: BookedPod | None) -> str:
    """Return whose a running pod is. An owner reference is believed of pods that ran before the ledger knew them; of a
    booked pod only where its requester proved an owner then. A pod without one any more is still its old owner's, so
    that nobody makes room by taking labels off; one that another controller adopts is that one's."""
    if entry is None:
        return referred
    return (referred or entry.owner) if entry.owner else ""


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min(one, other) if one is not None and other is not None else one or other
