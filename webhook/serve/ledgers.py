"""Writes down what this replica has booked, keeps shared ledgers true while it leads, and tells of both in metrics."""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import datetime
from itertools import accumulate, islice
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from webhook.kube.daemon_threads import run_in_daemon_thread
from webhook.ledger import balance
from webhook.ledger.ledger_metrics import BUCKETS
from webhook.ledger.shared import SharedLedger
from webhook.ledger.store import LedgerStore

LOOK_SECONDS: Final = 0.5
"""Pods that were booked from a share are in the ledger after that."""

LED_LOOKS: Final = 2
"""The leader makes ledgers true once in so many looks."""

MOST_BUDGETS: Final = 1_000
"""Budgets that have series of their own; of more, the first by name have."""

_MICROS: Final = 1_000_000

_log = logging.getLogger("podgate.ledger")


class LedgerKeeper:
    """Writes down what was booked, and where it leads reconciles. A background task."""

    def __init__(self, ledger: SharedLedger, leads: Callable[[], bool]) -> None:
        """Args:
        ledger: the shared one.
        leads: whether this replica may reconcile; asked again before every write.
        """
        self._ledger = ledger
        self._leads = leads

    @contextlib.asynccontextmanager
    async def watching(self, interval: float = LOOK_SECONDS) -> AsyncIterator[None]:
        """Look every `interval` seconds while the block runs."""
        task = asyncio.create_task(self._watch(interval))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await run_in_daemon_thread(self._ledger.close)

    async def _watch(self, interval: float) -> None:
        for look in itertools.count(1):
            await asyncio.sleep(interval)
            try:
                await run_in_daemon_thread(self._ledger.flush)
                if self._leads() and look % LED_LOOKS == 0:
                    await run_in_daemon_thread(self._look)
            except Exception as error:  # noqa: BLE001  bookings go on, and the next look may succeed
                _log.error("ledgers: %s: %s; please report this", type(error).__name__, error)

    def _look(self) -> None:
        self._ledger.reconcile(self._leads)


class LedgerBudgetCollector(Collector):
    """``podgate_budget_committed`` and ``podgate_budget_limit``: rates, in units of the currency per hour."""

    def __init__(
        self, ledger: LedgerStore, budgets: Callable[[], Mapping[str, balance.BudgetTerms]], now: Callable[[], datetime]
    ) -> None:
        """Args:
        ledger: what is committed.
        budgets: those in force, by name.
        now: the time, aware.
        """
        self._ledger = ledger
        self._budgets = budgets
        self._now = now

    def collect(self) -> Iterable[Metric]:
        """Return the current rates."""
        committed = GaugeMetricFamily(
            "podgate_budget_committed",
            "What the pods of a budget cost, in units of the currency per hour.",
            labels=("budget",),
        )
        limit = GaugeMetricFamily(
            "podgate_budget_limit",
            "What the pods of a budget may cost at most, in units of the currency per hour.",
            labels=("budget",),
        )
        now = self._now()
        for name, terms in islice(sorted(self._budgets().items()), MOST_BUDGETS):
            spent = self._ledger.spent(name, terms.period, terms.begins_on) if terms.basis == "monthEnd" else 0
            committed.add_metric((name,), self._ledger.committed(name) / _MICROS)
            limit.add_metric((name,), balance.rate_limit(terms, spent=spent, now=now) / _MICROS)
        return [committed, limit]


class AloneCollector(Collector):
    """Tells that this process books by itself although others may serve the same cluster."""

    def collect(self) -> Iterable[Metric]:
        """Return that nothing is shared."""
        yield _shared(False)


class LedgerCollector(Collector):
    """What a shared ledger has done, asked when it is scraped."""

    def __init__(self, ledger: SharedLedger) -> None:
        self._ledger = ledger

    def collect(self) -> Iterable[Metric]:
        """Return the current counts."""
        tally = self._ledger.tally
        yield _shared(self._ledger.is_shared)
        writes = CounterMetricFamily("podgate_ledger_writes", "Writes of ledgers.", labels=("outcome",))
        for outcome, count in tally.writes.items():
            writes.add_metric((outcome,), count)
        yield writes
        histogram = HistogramMetricFamily("podgate_ledger_write_duration_seconds", "How long a write took.")
        bounds = (*map(str, BUCKETS), "+Inf")
        histogram.add_metric((), list(zip(bounds, accumulate(tally.durations), strict=True)), tally.seconds)
        yield histogram
        restored = CounterMetricFamily(
            "podgate_ledger_restored", "Ledgers that were made anew from what runs.", labels=("reason",)
        )
        for reason in ("Deleted", "EditedByHand"):
            restored.add_metric((reason,), tally.restored[reason])
        yield restored
        yield GaugeMetricFamily(
            "podgate_ledger_reservations",
            "Pods that were admitted and are not counted among the running ones yet.",
            self._ledger.reservations(),
        )
        yield GaugeMetricFamily(
            "podgate_ledger_shares",
            "Shares of budgets that replicas hold to book pods from without a write.",
            self._ledger.held(),
        )


def _shared(is_shared: bool, /) -> Metric:
    return GaugeMetricFamily(
        "podgate_ledger_shared", "1 where replicas share their ledgers, 0 where each books by itself.", int(is_shared)
    )
