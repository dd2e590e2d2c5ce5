"""The ledger that all replicas share: one object a budget, changed only under the version that was read.

**Booking.** A replica that books often holds a share of the room, and books from it in memory
(`webhook.ledger.escrow`). Whoever finds no room there waits in the line of its budget. One thread takes all that wait,
judges them one after the other on a copy of the ledger, and writes the result once (`webhook.ledger.batch_writer`). So
two pods never both take the last of the money, whichever replicas they came through, and one write serves many reviews.

**Several budgets** are booked one after the other, by name (`webhook.ledger.multi_budget`). Where one refuses, those
before it get back what they gave. A replica that dies in between leaves a reservation whose pod never comes; it
expires.

**Lost answers.** Where it is not known whether a write was done, the ledger is read again: a reservation that is there
is found by the UID of its pod. The same goes for a review that the API server repeats.

**Reconciling**, by the leader alone and by the same writes (`webhook.ledger.reconciling`): pods that were seen go into
the sum, reservations of pods that are not seen within the time to live are dropped, shares of replicas that are gone
come back, and the sum becomes what runs.

**A ledger that is not there**, or that was edited by hand, is made anew from the pods that run, from what is left of
its reservations and shares, and from what was spent as this replica knew it, in the same write that gives out the next
money.

Where the kind is not installed at all, every replica books by itself, see `webhook.ledger.observed_pods`.
"""

import secrets
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from webhook.kube.budget_ledgers import Ledgers
from webhook.ledger import balance
from webhook.ledger.batch_writer import BatchWriter, Dependencies
from webhook.ledger.escrow import Escrow, asks
from webhook.ledger.ledger_cache import CachedLedger, LedgerCache
from webhook.ledger.ledger_state import LedgerState, Reservation, ReservationRequest, ReservationResult
from webhook.ledger.multi_budget import Booked, MultiBudgetReservation
from webhook.ledger.news import PodNews
from webhook.ledger.observed_pods import ObservedPods
from webhook.ledger.reconciling import SYNC_SECONDS, UNUSED, Reconciler
from webhook.ledger.store import Booking, Charge, LedgerError, ProvenOwner, ReservationOutcome
from webhook.ledger.waiter import Waiter

__all__ = ["UNUSED", "WAIT_SECONDS", "SharedLedger"]

WAIT_SECONDS: Final = 5.0
"""How long `SharedLedger.reserve` waits; reviews say themselves how long they can."""

_MARGIN: Final = 0.9
"""Of the time that a review waits, that a booking may take: there is an answer before nobody waits for it."""

_CLOSE_SECONDS: Final = 1.0


class SharedLedger:
    """A `LedgerStore` and `Begins` that all replicas share. All methods may be called from any thread."""

    def __init__(self, ledgers: Ledgers, around: Dependencies, *, ttl: timedelta) -> None:
        """Args:
        ledgers: where they are kept.
        around: clocks and news.
        ttl: how long a reservation waits for its pod to be seen.
        """
        self._ledgers = ledgers
        self._around = around
        self._ttl = ttl
        self._local = ObservedPods(clock=around.now, ttl=ttl)
        self._news = PodNews(around.sees_pods, around.monotonic)
        # Never that of an earlier process of the same name: what that one has booked is not known here.
        self._escrow = Escrow(around.holder or secrets.token_hex(4), around.monotonic)
        self.copies = LedgerCache(self._local, self._escrow)
        """What the watch of the ledgers keeps in step."""
        self.copies.on_news = self._heard
        self._writer = BatchWriter(ledgers, around, self._local, self._escrow, self.copies, ttl)
        self._reconciler = Reconciler(ledgers, around, self._writer, self._local, self._escrow, ttl)
        self.tally = self._writer.tally
        """What was done, for metrics."""
        self._yielding: set[str] = set()
        self._terms: Mapping[str, balance.BudgetTerms] = {}
        """Of the budgets that are followed."""

    # --- LedgerStore ------------------------------------------------------------------------------------------------

    def reserve(
        self, key: str, micros: int, charges: Sequence[Charge], owner: ProvenOwner | None = None
    ) -> ReservationOutcome:
        """Book a pod and wait for the outcome; see `LedgerStore.reserve`."""
        answers: list[ReservationOutcome | LedgerError] = []
        is_done = threading.Event()

        def done(answer: ReservationOutcome | LedgerError) -> None:
            answers.append(answer)
            is_done.set()

        give_up = self.begin(key, micros, charges, owner, seconds=WAIT_SECONDS, done=done)
        answer = answers[0] if is_done.wait(WAIT_SECONDS) else give_up()
        if isinstance(answer, LedgerError):
            raise answer
        return answer

    def begin(
        self,
        key: str,
        micros: int,
        charges: Sequence[Charge],
        owner: ProvenOwner | None,
        *,
        seconds: float,
        done: Callable[[ReservationOutcome | LedgerError], None],
    ) -> Callable[[], ReservationOutcome | LedgerError]:
        """Begin to book a pod; see `Begins.begin`."""
        if micros < 0:
            raise ValueError(f"a rate of {micros} is below zero; a pod cannot earn money")
        if self._around.is_absent():
            answer: ReservationOutcome | LedgerError
            try:
                answer = self._local.memory.reserve(key, micros, charges, owner)
            except LedgerError as error:
                answer = error
            done(answer)
            return lambda: answer
        by_name = {charge.budget: charge for charge in reversed(charges)}
        ordered = [by_name[name] for name in sorted(by_name)]
        reservation = MultiBudgetReservation(
            self, key, micros, ordered, owner, self._around.monotonic() + seconds * _MARGIN, done
        )
        reservation.begin()
        return reservation.give_up

    def is_replacement(self, budget: str, micros: int, owner: ProvenOwner, *, without: str = "") -> bool:
        """Whether a new pod replaces what its controller was admitted with; see `LedgerStore.is_replacement`."""
        return self._local.memory.is_replacement(budget, micros, owner, without=without)

    def replacement(self, budget: str) -> int:
        """Return the part of `committed` that was let in beyond the budget; see `LedgerStore.replacement`."""
        sheet = self._sheet(budget)
        return sheet.beside if sheet is not None else self._local.memory.replacement(budget)

    def leave(self, key: str) -> None:
        """Note that a pod is being deleted, so that its controller may replace it at once."""
        self._local.leave(key)

    def wants(self, uid: str, pods: int) -> None:
        """Know how many pods a controller wants; see `LedgerStore.wants`."""
        self._local.wants(uid, pods)

    def release(self, key: str) -> bool:
        """Note that a pod has come to its end; the next reconciling gives back what it had."""
        return self._local.release(key)

    def committed(self, budget: str, *, without: str = "") -> int:
        """Return the rate of a budget as it was last heard of; see `LedgerStore.committed`.

        What replicas hold for pods that have not come counts nothing here, and neither does what others have booked
        from it a moment ago: a booking is judged by all of it.
        """
        sheet = self._sheet(budget)
        if sheet is None:
            return self._local.memory.committed(budget, without=without)
        pending = self._escrow.all_pending(budget)
        rate = sheet.known + sum(each.rate for key, each in pending.items() if key not in sheet.reservations)
        if not without:
            return rate
        own = sheet.reservations.get(without) or pending.get(without)
        return rate - (own.rate if own is not None else self._local.runs(without, budget) or 0)

    def spent(self, budget: str, period: balance.BudgetPeriod, begins_on: int = 1) -> int:
        """Return what a budget has spent in the current period; see `LedgerStore.spent`."""
        sheet, now = self._sheet(budget), self._around.now()
        if sheet is None:
            return self._local.memory.spent(budget, period, begins_on)
        pending = self._escrow.all_pending(budget)
        if pending:
            sheet = sheet.copy()
            for key, each in pending.items():
                if key not in sheet.reservations:
                    sheet.put(key, each, min(each.at, now))
        return sheet.spent(period, begins_on, now)

    def recount(self, pods: Iterable[Booking]) -> None:
        """Know the pods that run. The ledgers follow when the leader reconciles."""
        self._limit()
        self._local.recount(pods, self._ttl)
        self._drop_unseen()

    def _limit(self) -> None:
        """Let no replica approve more than a budget can pay for, whichever of them was asked for it."""
        now = self._around.now()
        self._local.memory.limit(
            {budget: self._greatest(budget, terms, now) for budget, terms in self._terms.items() if terms.refuses(now)}
        )

    def _greatest(self, budget: str, terms: balance.BudgetTerms, now: datetime) -> int:
        spent = self.spent(budget, terms.period, terms.begins_on) if terms.basis == "monthEnd" else 0
        return balance.rate_limit(terms, spent=spent, now=now)

    def unchanged(self) -> None:
        """Know that the pods that run are still those of the last `recount`."""
        self._local.unchanged()
        self._drop_unseen()

    def _drop_unseen(self) -> None:
        """Where no leader reconciles, drop what was booked for pods that did not come."""
        if self._news.look() and self._around.is_absent():
            self._local.memory.drop_unseen(self._news.ttl(self._ttl))

    def size(self) -> int:
        """Return the number of pods that this replica knows of."""
        return self._local.memory.size()

    # --- more than a store does -------------------------------------------------------------------------------------

    def follow(self, budgets: Mapping[str, balance.BudgetTerms], kept: Iterable[str] = ()) -> None:
        """Keep a ledger for exactly these budgets.

        Args:
            budgets: those in force, by name.
            kept: names of further ones whose ledgers stay as they are, such as of budgets that are malformed now.
        """
        self._terms = dict(budgets)
        self._limit()
        self._reconciler.follow(budgets, kept)

    def reconcile(self, leads: Callable[[], bool], *, seconds: float = SYNC_SECONDS) -> None:
        """Make every ledger true, and delete those of budgets that are gone. Never raises an `ApiError`.

        Args:
            leads: whether this replica may do so; asked again before every write.
            seconds: how long to wait until it is done, at most.
        """
        self._reconciler.look(leads, seconds)

    def flush(self, seconds: float = SYNC_SECONDS) -> None:
        """Write down what was booked without a write, and give back what is held and not needed.

        Args:
            seconds: how long to wait until it is done, at most.
        """
        waiting: list[threading.Event] = []
        for budget in self._escrow.budgets():
            if self._around.is_absent() or not self._must_write(budget):
                continue
            is_done = threading.Event()
            waiting.append(is_done)
            self._touch(budget, is_done.set)
        for is_done in waiting:
            is_done.wait(seconds)

    def _must_write(self, budget: str) -> bool:
        if self._escrow.all_pending(budget):
            return True
        sheet = self._sheet(budget)
        share = sheet.shares.get(self._escrow.holder) if sheet is not None else None
        return share is not None and (not share.rate or self._escrow.is_idle(budget))

    def _touch(self, budget: str, then: Callable[[], None]) -> None:
        """Write a ledger although nothing is to be booked."""
        until = self._around.monotonic() + SYNC_SECONDS
        self._writer.submit(budget, Waiter(_nothing, until, lambda _job, _verdict: then()))

    def _heard(self, copy: CachedLedger) -> None:
        """Give back what is held, where another replica asks for room."""
        self._writer.answers.heard()
        budget, sheet = copy.stored.name, copy.sheet
        share = sheet.shares.get(self._escrow.holder) if sheet is not None else None
        if sheet is None or share is None or not share.rate or not asks(sheet, self._escrow.holder):
            return
        if budget not in self._yielding:
            self._yielding.add(budget)
            self._touch(budget, lambda: self._yielding.discard(budget))

    def notices(self) -> list[str]:
        """Return what an operator should know; one line each."""
        if self._around.is_absent():
            return ["every replica books by itself: the kind BudgetLedger is not installed; apply manifests/crds"]
        problem = self._writer.answers.problem
        lines = [problem] if problem is not None else []
        for budget, copy in sorted(self.copies.all().items()):
            if copy.damage:
                lines.append(f"the ledger of budget {budget} was edited by hand; it is made anew from what runs")
        return lines

    @property
    def is_shared(self) -> bool:
        """Whether there is a ledger to share."""
        return not self._around.is_absent()

    def reservations(self) -> int:
        """Return the number of reservations in all ledgers."""
        return sum(len(copy.sheet.reservations) for copy in self.copies.all().values() if copy.sheet is not None)

    def held(self) -> int:
        """Return the number of shares in all ledgers."""
        return sum(len(copy.sheet.shares) for copy in self.copies.all().values() if copy.sheet is not None)

    def close(self) -> None:
        """Write down what is booked, give back what is held, and end the threads."""
        self._escrow.end()
        self.flush(_CLOSE_SECONDS)
        self._writer.close()

    def _sheet(self, budget: str) -> LedgerState | None:
        copy = self.copies.get(budget)
        return copy.sheet if copy is not None and not self._around.is_absent() else None

    # --- what errands need ------------------------------------------------------------------------------------------

    def submit(self, budget: str, job: Waiter) -> None:
        """Put a job into the line of a budget."""
        self._writer.submit(budget, job)

    def book_here(self, charge: Charge, key: str, micros: int, owner: ProvenOwner | None) -> Booked:
        """Book a pod without a write, where that can be done; see `webhook.ledger.escrow`."""
        budget, sheet = charge.budget, self._sheet(charge.budget)
        known = self._escrow.pending(budget, key)
        if known is None and sheet is not None:
            known = sheet.reservations.get(key)
        own = known.rate if known is not None else self._local.runs(key, budget)
        if own is not None or not micros:
            return "known" if (own or 0) == micros else ""
        entry = Reservation(micros, self._around.now(), _uid(owner), namespace=charge.namespace)
        if not self._escrow.book(budget, key, entry, partial(self._sheet, budget), charge.limit):
            return ""
        self._local.note(budget, {key: entry})
        return "booked"

    def booking(
        self, charge: Charge, key: str, micros: int, owner: ProvenOwner | None
    ) -> tuple[Callable[..., ReservationResult], ReservationRequest]:
        """Return what books a pod in a copy of a ledger."""
        ask = ReservationRequest(key, micros, charge.limit, _uid(owner), None, charge.namespace)

        def change(sheet: LedgerState, now: datetime) -> ReservationResult:
            live = self._local.runs(key, charge.budget)
            counted = self._local.counted_at
            if ask.owner and counted is not None and self._around.sees_pods():
                sheet.drop_stale(ask.owner, self._is_unseen, counted, now)
            return sheet.reserve(
                ask._replace(live=live), partial(self._local.replaces, charge.budget, owner, micros), now
            )

        return change, ask

    def hold(self, charge: Charge, micros: int, until: float, done: Callable[[], None]) -> None:
        """Hold room for a pod, unless none is needed or there is some."""
        if charge.limit is None or self._escrow.has_room(charge.budget, micros, partial(self._sheet, charge.budget)):
            done()
            return
        ask = ReservationRequest("", micros, charge.limit)
        self._escrow.count(charge.budget, ask)
        self._escrow.count(charge.budget, ask)
        self._writer.submit(charge.budget, Waiter(_nothing, until, lambda _job, _verdict: done(), holds=True))

    def give_back(self, budget: str, key: str, before: Reservation | None, until: float) -> None:
        """Undo a booking: put back what was there before."""
        if before is None and self._escrow.cancel(budget, key):
            self._local.forget(key)
            return

        def change(sheet: LedgerState, now: datetime) -> ReservationResult:
            sheet.give_back(key, before, now)
            return ReservationResult(ReservationOutcome(accepted=True), changed=sheet.is_changed)

        def told(_job: Waiter, answer: ReservationResult | LedgerError) -> None:
            # Not before: until then every version of the ledger brings it to mind again.
            if before is None and isinstance(answer, ReservationResult):
                self._local.forget(key)

        # It may take a little longer than the review; what is not given back expires.
        self._writer.submit(budget, Waiter(change, until + SYNC_SECONDS, told))

    def late(self, budget: str, job: Waiter) -> ReservationResult | LedgerError:
        """Return what is to be said of a job that nobody can wait for any more."""
        self.tally.count("expired")
        return job.late(self._sheet(budget), is_slow=self.is_slow)

    @property
    def is_slow(self) -> bool:
        """Whether the API server only takes its time."""
        return self._writer.answers.is_slow

    def _is_unseen(self, key: str) -> bool:
        return self._local.pod_phase(key) == "unknown"


def _nothing(_sheet: LedgerState, _now: datetime) -> ReservationResult:
    return ReservationResult(ReservationOutcome(accepted=True))


def _uid(owner: ProvenOwner | None) -> str:
    return owner.uid if owner is not None else ""
