"""The ledger that all replicas share: one object a budget, changed only under the version that was read.

**Booking.** Whoever asks waits in the line of its budget. One thread takes all that wait, judges them one after the
other on a copy of the ledger, and writes the result once (`webhook.ledger.writer`). So two pods never both take the
last of the money, whichever replicas they came through, and one write serves many reviews.

**Several budgets** are booked one after the other, by name. Where one refuses, those before it get back what they gave.
A replica that dies in between leaves a reservation whose pod never comes; it expires.

**Lost answers.** Where it is not known whether a write was done, the ledger is read again: a reservation that is there
is found by the UID of its pod. The same goes for a review that the API server repeats.

**Reconciling**, by the leader alone and by the same writes: pods that were seen go into the sum, reservations of pods
that are not seen within the time to live are dropped, and the sum becomes what runs.

**A ledger that is not there**, or that was edited by hand, is made anew from the pods that run, from what is left of
its reservations, and from what was spent as this replica knew it, in the same write that gives out the next money.

Where the kind is not installed at all, every replica books by itself, see `webhook.ledger.local`.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from webhook.kube import client as api
from webhook.kube.budget_ledgers import Ledgers
from webhook.ledger import balance
from webhook.ledger.local import LocalLedger
from webhook.ledger.sheet import Ask, Sheet, Verdict
from webhook.ledger.store import Booking, Charge, LedgerError, Outcome, Owner
from webhook.ledger.writer import Job, Surroundings, Writer

WAIT_SECONDS: Final = 5.0
"""How long `SharedLedger.reserve` waits; reviews say themselves how long they can."""

SYNC_SECONDS: Final = 10.0
"""How long a reconciling write may take."""

UNUSED: Final = timedelta(minutes=10)
"""A ledger whose budget is gone is kept for so long: longer than a rollout that moves a budget from one file to
another."""

_log = logging.getLogger("podgate.ledger")


class SharedLedger:
    """A `LedgerStore` and `Begins` that all replicas share. All methods may be called from any thread."""

    def __init__(self, ledgers: Ledgers, around: Surroundings, *, ttl: timedelta) -> None:
        """Args:
        ledgers: where they are kept.
        around: clocks and news.
        ttl: how long a reservation waits for its pod to be seen.
        """
        self._ledgers = ledgers
        self._around = around
        self._ttl = ttl
        self._local = LocalLedger(clock=around.now, ttl=ttl)
        self._writer = Writer(ledgers, around, self._local, ttl)
        self.copies = self._writer.copies
        """What the watch of the ledgers keeps in step."""
        self.tally = self._writer.tally
        """What was done, for metrics."""
        self._followed: Mapping[str, balance.Terms] | None = None
        self._kept: frozenset[str] = frozenset()
        self._unused: dict[str, datetime] = {}

    # --- LedgerStore ------------------------------------------------------------------------------------------------

    def reserve(self, key: str, micros: int, charges: Sequence[Charge], owner: Owner | None = None) -> Outcome:
        """Book a pod and wait for the outcome; see `LedgerStore.reserve`."""
        answers: list[Outcome | LedgerError] = []
        is_done = threading.Event()

        def done(answer: Outcome | LedgerError) -> None:
            answers.append(answer)
            is_done.set()

        self.begin(key, micros, charges, owner, seconds=WAIT_SECONDS, done=done)
        if not is_done.wait(WAIT_SECONDS + 1.0):
            raise LedgerError("the API server did not answer in time")
        if isinstance(answers[0], LedgerError):
            raise answers[0]
        return answers[0]

    def begin(
        self,
        key: str,
        micros: int,
        charges: Sequence[Charge],
        owner: Owner | None,
        *,
        seconds: float,
        done: Callable[[Outcome | LedgerError], None],
    ) -> None:
        """Begin to book a pod; see `Begins.begin`."""
        if micros < 0:
            raise ValueError(f"a rate of {micros} is below zero; a pod cannot earn money")
        if self._around.is_absent():
            try:
                done(self._local.memory.reserve(key, micros, charges, owner))
            except LedgerError as error:
                done(error)
            return
        by_name = {charge.budget: charge for charge in reversed(charges)}
        ordered = [by_name[name] for name in sorted(by_name)]
        _Errand(self, key, micros, ordered, owner, self._around.monotonic() + seconds, done).go_on()

    def is_replacement(self, budget: str, micros: int, owner: Owner, *, without: str = "") -> bool:
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
        """Return the rate of a budget as it was last heard of; see `LedgerStore.committed`."""
        sheet = self._sheet(budget)
        if sheet is None:
            return self._local.memory.committed(budget, without=without)
        own = sheet.reservations.get(without) if without else None
        runs = self._local.runs(without, budget) if without and own is None else None
        return sheet.rate - (own.rate if own is not None else runs or 0)

    def spent(self, budget: str, period: balance.Period, begins_on: int = 1) -> int:
        """Return what a budget has spent in the current period; see `LedgerStore.spent`."""
        return self._spent(budget, self._sheet(budget), period, begins_on)

    def _spent(self, budget: str, sheet: Sheet | None, period: balance.Period, begins_on: int) -> int:
        if sheet is None:
            return self._local.memory.spent(budget, period, begins_on)
        return sheet.spent(period, begins_on, self._around.now())

    def recount(self, pods: Iterable[Booking]) -> None:
        """Know the pods that run. The ledgers follow when the leader reconciles."""
        self._local.recount(pods, self._ttl)

    def unchanged(self) -> None:
        """Know that the pods that run are still those of the last `recount`."""
        self._local.unchanged()

    def size(self) -> int:
        """Return the number of pods that this replica knows of."""
        return self._local.memory.size()

    # --- more than a store does -------------------------------------------------------------------------------------

    def follow(self, budgets: Mapping[str, balance.Terms], kept: Iterable[str] = ()) -> None:
        """Keep a ledger for exactly these budgets.

        Args:
            budgets: those in force, by name.
            kept: names of further ones whose ledgers stay as they are, such as of budgets that are malformed now.
        """
        self._followed, self._kept = dict(budgets), frozenset(kept)

    def reconcile(self, leads: Callable[[], bool]) -> None:
        """Make every ledger true, and delete those of budgets that are gone; blocking. Never raises an `ApiError`."""
        followed, counted = self._followed, self._local.counted_at
        if followed is None or counted is None or self._around.is_absent() or not self._around.sees_pods():
            return
        waiting: list[threading.Event] = []
        for budget, terms in followed.items():
            if not leads():
                return
            change = partial(self._true, budget, terms, counted)
            known = self._sheet(budget)
            if known is not None:
                tried = known.copy()
                change(tried, self._around.now())
                if not tried.is_changed:
                    continue
            is_done = threading.Event()
            waiting.append(is_done)
            until = self._around.monotonic() + SYNC_SECONDS
            self._writer.submit(budget, Job(change, until, lambda _job, _verdict, done=is_done: done.set()))  # type: ignore[misc]  # of this turn
        for is_done in waiting:
            is_done.wait(SYNC_SECONDS)
        self._clear(followed, leads)

    def notices(self) -> list[str]:
        """Return what an operator should know; one line each."""
        if self._around.is_absent():
            return ["every replica books by itself: the kind BudgetLedger is not installed; apply manifests/crds"]
        lines = [self._writer.problem] if self._writer.problem is not None else []
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

    def close(self) -> None:
        """End the threads."""
        self._writer.close()

    def _sheet(self, budget: str) -> Sheet | None:
        copy = self.copies.get(budget)
        return copy.sheet if copy is not None and not self._around.is_absent() else None

    # --- booking ----------------------------------------------------------------------------------------------------

    def submit(self, budget: str, job: Job) -> None:
        """Put a job into the line of a budget."""
        self._writer.submit(budget, job)

    def ask(self, charge: Charge, key: str, micros: int, owner: Owner | None) -> Callable[[Sheet, datetime], Verdict]:
        """Return what books a pod in one ledger."""

        def change(sheet: Sheet, now: datetime) -> Verdict:
            live = self._local.runs(key, charge.budget)
            wanted = Ask(key, micros, charge.limit, owner.uid if owner is not None else "", live)
            verdict = sheet.reserve(wanted, partial(self._local.replaces, charge.budget, owner, micros), now)
            return verdict._replace(
                outcome=verdict.outcome._replace(budget="" if verdict.outcome.accepted else charge.budget)
            )

        return change

    def forget(self, key: str) -> None:
        """Forget a pod that is not to come."""
        self._local.forget(key)

    def _true(
        self,
        budget: str,
        terms: balance.Terms,
        counted: datetime,
        sheet: Sheet,
        now: datetime,
    ) -> Verdict:
        spent = self._spent(budget, sheet, terms.period, terms.begins_on)
        limit = balance.rate_limit(terms, spent=spent, now=now)
        running = self._local.running(budget, sheet.reservations)
        sheet.recount(running, self._local.whereabouts, limit, counted, self._ttl)
        return Verdict(Outcome(accepted=True), changed=sheet.is_changed)

    def _clear(self, followed: Mapping[str, balance.Terms], leads: Callable[[], bool]) -> None:
        """Delete the ledgers of budgets that have been gone for a while."""
        now = self._around.now()
        found = self.copies.all()
        unused = {name for name in found if name not in followed and name not in self._kept}
        self._unused = {name: self._unused.get(name, now) for name in unused}
        for name, since in self._unused.items():
            if now - since < UNUSED or not leads():
                continue
            try:
                self._ledgers.delete(found[name].stored)
            except api.ConflictError:
                continue  # It is in use after all; the next look tells.
            except api.ApiError as error:
                self._writer.told(str(error))
                return
            self.copies.forget(name)
            _log.info("deleted the ledger of budget %s, which is gone", name)


class _Errand:
    """One pod on its way through the ledgers of its budgets."""

    def __init__(
        self,
        shared: SharedLedger,
        key: str,
        micros: int,
        charges: Sequence[Charge],
        owner: Owner | None,
        until: float,
        done: Callable[[Outcome | LedgerError], None],
    ) -> None:
        self._shared = shared
        self._key = key
        self._micros = micros
        self._charges = charges
        self._owner = owner
        self._until = until
        self._done = done
        self._booked: list[tuple[str, Job]] = []

    def go_on(self) -> None:
        """Ask the next budget; where all have been asked, tell."""
        if len(self._booked) == len(self._charges):
            self._done(Outcome(accepted=True))
            return
        charge = self._charges[len(self._booked)]
        change = self._shared.ask(charge, self._key, self._micros, self._owner)
        self._shared.submit(charge.budget, Job(change, self._until, self._told))

    def _told(self, job: Job, verdict: Verdict | LedgerError) -> None:
        if isinstance(verdict, Verdict) and verdict.outcome.accepted:
            self._booked.append((self._charges[len(self._booked)].budget, job))
            self.go_on()
            return
        for budget, earlier in self._booked:
            if earlier.before is not None:
                self._give_back(budget, earlier.before)
        self._done(verdict.outcome if isinstance(verdict, Verdict) else verdict)

    def _give_back(self, budget: str, verdict: Verdict) -> None:
        key = self._key

        def change(sheet: Sheet, now: datetime) -> Verdict:
            sheet.give_back(key, verdict.before, now)
            return Verdict(Outcome(accepted=True), changed=sheet.is_changed)

        def told(_job: Job, answer: Verdict | LedgerError) -> None:
            # Not before: until then every version of the ledger brings it to mind again.
            if verdict.before is None and isinstance(answer, Verdict):
                self._shared.forget(key)

        # It may take a little longer than the review; what is not given back expires.
        self._shared.submit(budget, Job(change, self._until + SYNC_SECONDS, told))
