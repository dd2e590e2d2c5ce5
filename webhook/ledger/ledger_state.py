"""One budget's ledger as it is stored, and what may be done to it: the arithmetic behind the shared ledger, pure.

A sheet holds sums and reservations. `confirmed` is what the pods that run cost together; a reservation is a pod that
was admitted and that no watch has told of for long enough. So its size depends on how many pods are being created, not
on how many run. Pods that replaced others while the budget was full are counted beside: `replacement`. Shares are room
that replicas hold to book pods from without a write (`webhook.ledger.escrow`); they count until they are given back.

    rate = confirmed + replacement + what the reservations add + all shares

Whoever writes a sheet does so under the resource version that was read, so every change here is made on a copy of what
is stored, and made anew on the newer copy where somebody was faster.
"""

from collections.abc import Callable, Container, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple

from webhook.ledger.balance import BudgetPeriod, Spending
from webhook.ledger.store import ReservationOutcome

MOST_RESERVATIONS: Final = 2_000
"""Pods of one budget and one namespace that are being created at a time, so that no tenant fills what all share."""

MOST_IN_ALL: Final = 6_000
"""The same of all namespaces. An entry has about 130 bytes; the schema takes a million, an object in etcd 1.5 MiB."""

_CROWDED: Final = 4_000
"""With so many in all, a namespace has room for `_FEW`: what is left is for those that have not come yet."""
_FEW: Final = 100

SETTLE: Final = timedelta(seconds=5)
"""A pod that runs keeps its reservation for so long. A replica whose watch is behind by less than this never counts
without it, whoever leads, and every replica has the time to see under which terms it was admitted."""

COVERED: Final = timedelta(seconds=45)
"""A pod that was seen first within so long and has no reservation may have been booked from a share. Longer than the
share of a replica that is gone stands."""

STALE: Final = timedelta(seconds=10)
"""A pod that was not seen for so long, and whose controller asks for another one, was refused by somebody else. Longer
than a watch is behind, and as long as another webhook has by default."""

_AHEAD: Final = timedelta(minutes=1)
"""A reservation from further in the future comes of a clock that was wrong, and counts from now on."""

Whereabouts = Literal["unknown", "running", "ended"]


class Reservation(NamedTuple):
    """A pod that was admitted and is not among the confirmed ones."""

    rate: int
    """What it costs, micro-units per hour."""
    at: datetime
    owner: str = ""
    """UID of its controller, where that was proven."""
    is_replacement: bool = False
    """Whether it was admitted as a replacement, beyond the limit."""
    held: int = 0
    """What `confirmed` holds of it already: a pod that runs and is resized."""
    namespace: str = ""

    @property
    def added(self) -> int:
        """What it adds to the rate."""
        return self.rate - self.held


class EscrowShare(NamedTuple):
    """Room that a replica holds: pods that it books from it are not in the ledger yet."""

    rate: int
    """Micro-units per hour; nothing asks the others for what they do not need."""
    at: datetime
    """When it was written last: who lives writes it again and again."""


class ReservationRequest(NamedTuple):
    """One pod that wants room in one budget."""

    key: str
    micros: int
    limit: int | None
    """None books without refusing."""
    owner: str = ""
    live: int | None = None
    """What the pod costs this budget where it runs already; None where it does not."""
    namespace: str = ""


class RunningPod(NamedTuple):
    """What the pods that run cost a budget."""

    total: int
    """All of them together, micro-units per hour."""
    reserved: Mapping[str, int] = {}
    """By UID: those of them that have a reservation."""
    fresh: int = 0
    """Those of them that have none and were seen first within `COVERED`: they may be part of a share."""


class ReservationResult(NamedTuple):
    """What became of an `ReservationRequest`."""

    outcome: ReservationOutcome
    changed: bool = False
    before: Reservation | None = None
    """Where it changed something: the reservation that was there."""


class Restored(NamedTuple):
    """That the ledger was not as its writers had left it, and was made anew from what runs."""

    reason: str
    message: str
    at: datetime


class LedgerState:
    """A working copy of one ledger."""

    __slots__ = (
        "_added",
        "_beside",
        "confirmed",
        "is_changed",
        "replacement",
        "reservations",
        "restored",
        "shared",
        "shares",
        "spending",
    )

    def __init__(
        self,
        confirmed: int,
        replacement: int,
        reservations: Mapping[str, Reservation],
        spending: Spending,
        restored: Restored | None = None,
        shares: Mapping[str, EscrowShare] | None = None,
    ) -> None:
        self.confirmed = confirmed
        self.replacement = replacement
        self.reservations = dict(reservations)
        self.spending = spending
        self.restored = restored
        self.shares = dict(shares or {})
        """By replica."""
        self.shared = sum(each.rate for each in self.shares.values())
        """All shares together."""
        self.is_changed = False
        """Whether it differs from what it was made of."""
        self._added = sum(each.added for each in self.reservations.values())
        self._beside = sum(each.added for each in self.reservations.values() if each.is_replacement)

    @classmethod
    def counted(cls, confirmed: int, now: datetime) -> "LedgerState":
        """Return the first sheet of a budget: what runs costs so much, and nothing was spent yet."""
        made = cls(confirmed, 0, {}, Spending(now.astimezone(UTC)))
        made.is_changed = True
        return made

    def copy(self) -> "LedgerState":
        """Return a copy that counts as unchanged."""
        return LedgerState(
            self.confirmed, self.replacement, self.reservations, self.spending, self.restored, self.shares
        )

    @property
    def rate(self) -> int:
        """All pods of the budget and all that is held for more, micro-units per hour."""
        return self.known + self.shared

    @property
    def known(self) -> int:
        """All pods of the budget that are in the ledger."""
        return self.confirmed + self.replacement + self._added

    @property
    def beside(self) -> int:
        """The part that was admitted as replacement beyond the limit."""
        return self.replacement + self._beside

    @property
    def committed(self) -> int:
        """The part that the budget itself had room for, or that it was found with."""
        return self.rate - self.beside

    def spent(self, period: BudgetPeriod, begins_on: int, now: datetime) -> int:
        """Return what was spent in the period that `now` is in, micro-units; see `balance.period_bounds`."""
        return self.spending.advanced(self.known, now).micros(period, now, begins_on)

    def reserve(self, ask: ReservationRequest, replaces: Callable[[int], bool], now: datetime) -> ReservationResult:
        """Give a pod room, or refuse it.

        Args:
            ask: the pod.
            replaces: whether a pod that has so much already replaces what its controller was admitted with.
            now: the time.
        """
        had = self.reservations.get(ask.key)
        own = had.rate if had is not None else ask.live or 0
        is_known = had is not None or ask.live is not None
        if own == ask.micros and (is_known or not ask.micros):
            return ReservationResult(ReservationOutcome(accepted=True))
        others = self.rate - own
        is_replacement = had.is_replacement if had is not None else False
        if ask.limit is not None and others + ask.micros > ask.limit and ask.micros > own:
            if not replaces(own):
                return ReservationResult(
                    ReservationOutcome(accepted=False, budget="", committed=others, limit=ask.limit)
                )
            is_replacement = True
        if had is None and ask.live is not None and ask.micros < ask.live:
            return ReservationResult(
                ReservationOutcome(accepted=True)
            )  # What gets cheaper is booked once it is seen to be so.
        if had is None and self.is_crowded(ask.namespace):
            return self._crowded(ask, others)
        held = had.held if had is not None else ask.live or 0
        self.put(ask.key, Reservation(ask.micros, now, ask.owner, is_replacement, held, ask.namespace), now)
        return ReservationResult(ReservationOutcome(accepted=True), changed=True, before=had)

    def give_back(self, key: str, before: Reservation | None, now: datetime) -> None:
        """Undo a reservation: put back what was there before it."""
        if key in self.reservations:
            self.put(key, before, now)

    def drop_stale(self, owner: str, is_unseen: Callable[[str], bool], counted: datetime, now: datetime) -> None:
        """Drop what was reserved for pods of a controller that were let in and never came: it asks for another one.

        Args:
            owner: its UID.
            is_unseen: whether no watch has told of a pod.
            counted: when the pods that run were counted.
            now: the time.
        """
        for key, each in tuple(self.reservations.items()):
            if each.owner == owner and counted - each.at > STALE and is_unseen(key):
                self.put(key, None, now)

    def share(self, holder: str, rate: int | None, now: datetime) -> None:
        """Let a replica hold so much from now on; None where it neither has nor wants anything. No change by itself."""
        before = self.shares.pop(holder, None)
        self.shared += (rate or 0) - (before.rate if before is not None else 0)
        if rate is not None:
            self.shares[holder] = EscrowShare(rate, now)

    def is_crowded(self, namespace: str) -> bool:
        """Whether no further pod of a namespace can be noted."""
        count = len(self.reservations)
        if count < MOST_RESERVATIONS:
            return False
        most = MOST_RESERVATIONS if count < _CROWDED else _FEW
        of_it = sum(each.namespace == namespace for each in self.reservations.values())
        return count >= MOST_IN_ALL or of_it >= most

    def recount(
        self,
        running: RunningPod,
        whereabouts: Callable[[str], Whereabouts],
        limit: int | None,
        counted: datetime,
        ttl: timedelta,
        gone: Container[str] = (),
    ) -> None:
        """Make the sheet what is true: the pods that run, united with reservations that are neither seen nor too old.

        Args:
            running: the pods that run at this budget's expense.
            whereabouts: what is known of the pod of a UID, whoever pays for it.
            limit: greatest rate of the budget; None where nothing is refused.
            counted: when `running` was counted.
            ttl: how long a reservation waits for its pod.
            gone: replicas that do not come back for their shares.
        """
        shares = {holder: each for holder, each in self.shares.items() if holder not in gone}
        kept: dict[str, Reservation] = {}
        counted_now = 0
        seen_beside = self.replacement
        for key, found in self.reservations.items():
            each = found if found.at - counted <= _AHEAD else found._replace(at=counted)
            age = counted - each.at
            if key in running.reserved:
                if age < SETTLE:
                    kept[key] = each._replace(held=0)
                    continue
                seen_beside += each.rate if each.is_replacement else 0
                counted_now += running.reserved[key]
                continue
            known = whereabouts(key)
            if age <= (ttl if known == "unknown" else SETTLE) and known != "ended":
                # None of it is among what runs at this budget's expense.
                kept[key] = each._replace(held=0)
        settled = running.total - sum(micros for key, micros in running.reserved.items() if key in kept)
        # A pod that was let in from a share is part of it until its replica says so, or is gone; counting it twice
        # would refuse others. What was counted before, or had a reservation until now, is no such pod.
        held = sum(each.rate for each in shares.values())
        unexplained = settled - self.confirmed - self.replacement - counted_now
        settled -= max(0, min(running.fresh, held, unexplained))
        beyond = max(0, settled + sum(each.rate for each in kept.values() if not each.is_replacement) - (limit or 0))
        # What came in beyond the limit stays beside until there is room for it; without a limit there always is.
        replacement = min(seen_beside, beyond, settled) if limit is not None else 0
        confirmed = settled - replacement
        now_is = (confirmed, replacement, kept, shares)
        if now_is == (self.confirmed, self.replacement, self.reservations, self.shares):
            return
        self._advance(counted)
        self.confirmed, self.replacement, self.reservations, self.shares = now_is
        self.shared = held
        self._added = sum(each.added for each in kept.values())
        self._beside = sum(each.added for each in kept.values() if each.is_replacement)
        self.is_changed = True

    def _crowded(self, ask: ReservationRequest, others: int) -> ReservationResult:
        if ask.limit is None:
            return ReservationResult(ReservationOutcome(accepted=True))  # It is counted once it is seen.
        why = f"{len(self.reservations)} pods that it pays for are being created at this moment, too many of them here"
        return ReservationResult(ReservationOutcome(accepted=False, committed=others, limit=ask.limit, reason=why))

    def put(self, key: str, new: Reservation | None, now: datetime) -> None:
        """Set the reservation of a pod, or remove it."""
        self._advance(now)
        old = self.reservations.pop(key, None)
        for each, sign in ((old, -1), (new, 1)):
            if each is not None:
                self._added += sign * each.added
                self._beside += sign * each.added if each.is_replacement else 0
        if new is not None:
            self.reservations[key] = new
        self.is_changed = True

    def _advance(self, now: datetime) -> None:
        """Count what was spent at the rate as it was until now."""
        self.spending = self.spending.advanced(self.known, now)
