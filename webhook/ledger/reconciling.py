"""What the leader does: ledgers become what runs, shares of replicas that are gone come back, and ledgers of budgets
that are gone are deleted."""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Final, NamedTuple

from webhook.kube import client as api
from webhook.kube.budget_ledgers import Ledgers
from webhook.ledger import balance
from webhook.ledger.batch_writer import BatchWriter, Dependencies
from webhook.ledger.escrow import Escrow
from webhook.ledger.ledger_state import EscrowShare, LedgerState, ReservationResult
from webhook.ledger.news import PodNews
from webhook.ledger.observed_pods import ObservedPods
from webhook.ledger.store import ReservationOutcome
from webhook.ledger.waiter import Waiter

SYNC_SECONDS: Final = 10.0
"""How long a reconciling write may take."""

UNUSED: Final = timedelta(minutes=10)
"""A ledger whose budget is gone is kept for so long: longer than a rollout that moves a budget from one file to
another."""

GONE_SECONDS: Final = 30.0
"""A replica whose share has stood as it is for so long is gone. It would have stopped to book from it long before, see
`webhook.ledger.escrow`, and the pods that it booked last have been seen by now."""

_log = logging.getLogger("podgate.ledger")


class _Seen(NamedTuple):
    share: EscrowShare
    since: float


class Reconciler:
    """Keeps ledgers true. One thread at a time."""

    def __init__(
        self,
        ledgers: Ledgers,
        around: Dependencies,
        writer: BatchWriter,
        local: ObservedPods,
        escrow: Escrow,
        ttl: timedelta,
    ) -> None:
        """Args:
        ledgers: where they are kept.
        around: clocks and news.
        writer: writes them.
        local: the pods that run.
        escrow: what this replica holds.
        ttl: how long a reservation waits for its pod where it is not sure that news of it would have come.
        """
        self._ledgers = ledgers
        self._around = around
        self._writer = writer
        self._local = local
        self._escrow = escrow
        self._ttl = ttl
        self._followed: Mapping[str, balance.BudgetTerms] | None = None
        self._kept: frozenset[str] = frozenset()
        self._unused: dict[str, datetime] = {}
        self._shares: dict[tuple[str, str], _Seen] = {}
        self._news = PodNews(around.sees_pods, around.monotonic)

    def follow(self, budgets: Mapping[str, balance.BudgetTerms], kept: Iterable[str] = ()) -> None:
        """Keep a ledger for exactly these budgets; see `SharedLedger.follow`."""
        self._followed, self._kept = dict(budgets), frozenset(kept)

    def look(self, leads: Callable[[], bool], seconds: float = SYNC_SECONDS) -> None:
        """Make every ledger true, and delete those of budgets that are gone; see `SharedLedger.reconcile`."""
        followed, counted = self._followed, self._local.counted_at
        if followed is None or counted is None or self._around.is_absent() or not self._news.look():
            return
        ttl = self._news.ttl(self._ttl)
        waiting: list[threading.Event] = []
        for budget, terms in followed.items():
            if not leads():
                return
            change = partial(self._true, budget, terms, counted, ttl, self._gone(budget))
            copy = self._writer.copies.get(budget)
            if copy is not None and copy.sheet is not None and not self._escrow.all_pending(budget):
                tried = copy.sheet.copy()
                change(tried, self._around.now())
                if not tried.is_changed:
                    continue
            is_done = threading.Event()
            waiting.append(is_done)
            until = self._around.monotonic() + SYNC_SECONDS
            self._writer.submit(budget, Waiter(change, until, lambda _job, _verdict, done=is_done: done.set()))  # type: ignore[misc]  # of this turn
        for is_done in waiting:
            is_done.wait(seconds)
        self._clear(followed, leads)

    def _gone(self, budget: str) -> Mapping[str, EscrowShare]:
        """Return the shares of replicas that have not written for a long time. No clock but our own is believed."""
        copy = self._writer.copies.get(budget)
        shares = copy.sheet.shares if copy is not None and copy.sheet is not None else {}
        now = self._around.monotonic()
        gone: dict[str, EscrowShare] = {}
        seen: dict[tuple[str, str], _Seen] = {}
        for holder, share in shares.items():
            before = self._shares.get((budget, holder))
            known = before if before is not None and before.share == share else _Seen(share, now)
            seen[budget, holder] = known
            is_old = now - known.since >= GONE_SECONDS and self._news.seconds() >= GONE_SECONDS
            if is_old and holder != self._escrow.holder:
                gone[holder] = share
        self._shares = {pair: each for pair, each in self._shares.items() if pair[0] != budget} | seen
        return gone

    def _true(
        self,
        budget: str,
        terms: balance.BudgetTerms,
        counted: datetime,
        ttl: timedelta,
        gone: Mapping[str, EscrowShare],
        sheet: LedgerState,
        now: datetime,
    ) -> ReservationResult:
        spent = sheet.spent(terms.period, terms.begins_on, now)
        limit = balance.rate_limit(terms, spent=spent, now=now)
        running = self._local.running(budget, sheet.reservations)
        still = {holder for holder, share in gone.items() if sheet.shares.get(holder) == share}
        sheet.recount(running, self._local.pod_phase, limit, counted, ttl, still)
        return ReservationResult(ReservationOutcome(accepted=True), changed=sheet.is_changed)

    def _clear(self, followed: Mapping[str, balance.BudgetTerms], leads: Callable[[], bool]) -> None:
        """Delete the ledgers of budgets that have been gone for a while."""
        now = self._around.now()
        found = self._writer.copies.all()
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
                self._writer.answers.failed(error)
                return
            self._writer.copies.forget(name)
            _log.info("deleted the ledger of budget %s, which is gone", name)
