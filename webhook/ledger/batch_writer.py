"""Writes shared ledgers: one at a time for each budget, and one write for all that wait for it.

Each write puts the pods that were booked without one into the ledger, and decides how much this replica holds for the
next ones (`webhook.ledger.escrow`).

Where another replica was faster (409) the newer ledger is taken and all that wait are judged anew, until their time
runs out. Where it is not known whether a write was done, the ledger is read again; what is in it was done. A pod for
which there would be room if others gave back what they hold asks them, and waits for that.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Final, NamedTuple

from webhook.kube import client as api
from webhook.kube.budget_ledgers import Ledgers, StoredLedger, is_newer
from webhook.ledger import wire as ledger_wire
from webhook.ledger.answers import Answers
from webhook.ledger.escrow import Escrow
from webhook.ledger.ledger_cache import CachedLedger, LedgerCache
from webhook.ledger.ledger_metrics import LedgerMetrics
from webhook.ledger.ledger_state import MOST_IN_ALL, EscrowShare, LedgerState, ReservationResult, Restored
from webhook.ledger.observed_pods import ObservedPods
from webhook.ledger.store import LedgerError
from webhook.ledger.waiter import Waiter, tell
from webhook.ledger.work_queue import Execute, KeyedWorkQueue, Threads

_FIRST_PAUSE: Final = 0.004
_LONGEST_PAUSE: Final = 0.03
_CONTENDED_SECONDS: Final = 1.0
"""After a conflict a ledger counts as contended for so long."""
_COURTESY: Final = 2.0
"""Writes of others that a replica which has just written lets pass, about; what comes meanwhile shares its next one."""
_LONGEST_COURTESY: Final = 0.25
_NEWS_LOOKS: Final = 8
_MOST_FAULTS: Final = 3
_UNCERTAIN: Final = frozenset({0, 429, 500, 502, 503, 504})
"""Statuses after which it makes sense to look again: nobody answered, or the API server could not at that moment."""

_log = logging.getLogger("podgate.ledger")


class Dependencies(NamedTuple):
    """What a shared ledger needs of the process around it."""

    now: Callable[[], datetime]
    """The time, aware; the same for all replicas as far as can be."""
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    random: Callable[[], float]
    """A number from 0 up to 1."""
    is_absent: Callable[[], bool]
    """Whether the kind is not installed."""
    sees_pods: Callable[[], bool]
    """Whether news of pods come in; without them nothing may be concluded from a pod that is not seen."""
    holder: str = ""
    """Names this process among all that ever were; empty where it is to name itself."""
    execute: Execute | None = None
    """Runs what waits for the API server; None for threads of the ledger's own."""


class _Attempt(NamedTuple):
    """What came of one look at a ledger."""

    told: Sequence[tuple[Waiter, ReservationResult]] = ()
    waiting: Sequence[Waiter] = ()
    """Those that wait until others give back what they hold."""
    must_read: bool = False
    """Whether all have to be judged by what the API server has now."""


class BatchWriter:
    """Changes ledgers in threads of its own. May be used from any thread."""

    def __init__(
        self,
        ledgers: Ledgers,
        around: Dependencies,
        local: ObservedPods,
        escrow: Escrow,
        copies: LedgerCache,
        ttl: timedelta,
    ) -> None:
        """Args:
        ledgers: where they are kept.
        around: clocks and news.
        local: the pods that this replica knows of.
        escrow: what this replica holds.
        copies: the ledgers as they were last heard of.
        ttl: how long a reservation waits for its pod to be seen.
        """
        self._ledgers = ledgers
        self._around = around
        self._local = local
        self._escrow = escrow
        self._ttl = ttl
        self.copies = copies
        self.tally = LedgerMetrics()
        self.answers = Answers(around.monotonic)
        """Whether the API server answers."""
        self._contended: dict[str, float] = {}
        self._last_seconds = 0.0
        self._tried: dict[str, CachedLedger] = {}
        """What the last attempt went by."""
        self._threads = Threads() if around.execute is None else None
        self._lanes: KeyedWorkQueue[Waiter] = KeyedWorkQueue(self._serve, around.execute or self._threads or Threads())

    def submit(self, budget: str, job: Waiter) -> None:
        """Let a job wait for the next write of a ledger."""
        self._lanes.put(budget, job)

    def close(self) -> None:
        """End the threads."""
        if self._threads is not None:
            self._threads.close()

    def _serve(self, budget: str, take: Callable[[], list[Waiter]]) -> None:
        """Serve the line of a budget until nobody waits; runs in a thread of the lanes."""
        jobs: list[Waiter] = []
        faults = 0
        is_old = False
        while True:
            jobs = self._in_time(budget, [*jobs, *take()])
            if not jobs:
                return
            try:
                attempt = self._attempt(budget, jobs, read=is_old)
            except api.ConflictError:
                is_old = self._lost(budget, jobs)
            except api.ApiError as error:
                self.tally.count("failed")
                faults += 1
                is_old = True
                self.answers.failed(error)
                if error.status not in _UNCERTAIN or faults >= _MOST_FAULTS:
                    self._give_up(budget, jobs, str(error))
                    return
                self._pause(3 + faults)
            except LedgerError as error:
                self._fail(jobs, str(error))
                return
            except Exception as error:  # noqa: BLE001  whatever fails, each review gets its answer
                _log.exception("the ledger of budget %s", budget)
                self._fail(jobs, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
                return
            else:
                if attempt.must_read:
                    is_old = True  # Nobody is refused by what may be old.
                    continue
                for job, verdict in attempt.told:
                    tell(job, verdict)
                jobs, is_old, faults = list(attempt.waiting), bool(attempt.waiting), 0
                if jobs:
                    self._await_news(budget)
                else:
                    self._let_others(budget)

    def _lost(self, budget: str, jobs: Iterable[Waiter]) -> bool:
        """Know that another replica was faster; return whether the newer ledger has to be read."""
        self.answers.came()
        self.tally.count("conflict")
        self._escrow.not_written(budget)
        self._contended[budget] = self._around.monotonic() + _CONTENDED_SECONDS
        for job in jobs:
            job.races += 1
        # Somebody else got on, so this is no reason to fall back more and more.
        self._pause(0)
        tried = self._tried.get(budget)
        newest = self.copies.get(budget)
        return tried is None or newest is None or not is_newer(newest.stored, tried.stored)

    def _attempt(self, budget: str, jobs: Sequence[Waiter], *, read: bool) -> _Attempt:
        """Judge all jobs and write once."""
        is_live, copy = self._newest(budget, read=read)
        self._tried[budget] = copy
        now = self._around.now()
        sheet = copy.sheet.copy() if copy.sheet is not None else self._made_anew(copy, now)
        before = sheet.shares.get(self._escrow.holder)
        keys = self._escrow.settle(budget, copy.stored, sheet, now)
        judged = [(job, job.judge(sheet, now)) for job in jobs]
        if not is_live and not all(verdict.outcome.accepted for _, verdict in judged):
            self._escrow.not_written(budget)
            return _Attempt(must_read=True)
        waiting = [job for job, verdict in judged if job.may_wait(verdict, sheet.shared)]
        for job, verdict in judged:
            if verdict.changed and job.ask is not None and not job.is_counted:
                job.is_counted = True
                self._escrow.count(budget, job.ask)
        self._escrow.take(budget, sheet, now, wants=bool(waiting))
        holds = any(job.holds for job in jobs)
        if sheet.is_changed or _must_tell(before, sheet.shares.get(self._escrow.holder), holds=holds):
            self._write(copy.stored, sheet, keys, now)
        else:
            self._escrow.not_written(budget)
        return _Attempt([(job, verdict) for job, verdict in judged if job not in waiting], waiting)

    def _newest(self, budget: str, *, read: bool) -> tuple[bool, CachedLedger]:
        copy = None if read else self.copies.get(budget)
        if copy is not None:
            return False, copy
        self.answers.asked()
        stored = self._ledgers.read(budget)
        if stored is None:
            stored = self._ledgers.create(budget)
        self.answers.heard()
        return True, self.copies.adopt(stored)

    def _write(self, before: StoredLedger, sheet: LedgerState, keys: frozenset[str], now: datetime) -> None:
        status = ledger_wire.encode(sheet, now)
        started = self._around.monotonic()
        self.answers.asked()
        try:
            stored = self._ledgers.write(before, status)
        except api.ApiError as error:
            if error.status not in _UNCERTAIN:
                self._escrow.not_written(before.name)
            raise
        self.answers.came()
        self._last_seconds = self._around.monotonic() - started
        self.tally.written(self._last_seconds)
        if not ledger_wire.is_kept(status, stored.status):
            raise api.ApiError("the API server does not keep the status of BudgetLedgers; apply manifests/crds", 422)
        sheet.is_changed = False
        self.copies.adopt(stored, sheet)
        # In this order: what is not known to be in the ledger is compared with a copy that is not older than that.
        self._escrow.written(before.name, keys, started)
        self.answers.written()

    def _made_anew(self, copy: CachedLedger, now: datetime) -> LedgerState:
        """Return a ledger made of the pods that run, of reservations that are left, and of what was spent."""
        if self._local.counted_at is None:
            raise LedgerError("the pods that run were not counted yet")
        budget, last = copy.stored.name, self.copies.last_good(copy.stored.name)
        left, shares = ledger_wire.salvage(copy.stored.status)
        if last is not None:
            left, shares = {**left, **last.reservations}, {**shares, **last.shares}
        left = dict(islice(left.items(), MOST_IN_ALL))
        running = self._local.running(budget, left)
        began = min((each.at for each in self._escrow.all_pending(budget).values()), default=now)
        spent = last.spending.advanced(last.known, now) if last is not None else LedgerState.counted(0, began).spending
        restored: Restored | None = None
        if copy.damage or last is not None:
            reason = "EditedByHand" if copy.damage else "Deleted"
            kept = "" if last is not None else "; what was spent before is not known"
            message = (
                f"The ledger was {'edited by hand' if copy.damage else 'deleted'} and made anew from what runs{kept}."
            )
            restored = Restored(reason, message, now)
            self.tally.restored[reason] += 1
            _log.warning("budget %s: %s", budget, message)
        reservations = {key: each._replace(held=0) for key, each in left.items()}
        made = LedgerState(running.total, 0, reservations, spent, restored, shares)
        # What of this is still to be counted is judged as at any other time.
        made.recount(running, self._local.pod_phase, None, now, self._ttl)
        made.is_changed = True
        return made

    def _in_time(self, budget: str, jobs: Iterable[Waiter]) -> list[Waiter]:
        now = self._around.monotonic()
        left: list[Waiter] = []
        for job in jobs:
            if now < job.until:
                left.append(job)
            else:
                self.tally.count("expired")
                self._tell_late(budget, job)
        return left

    def _tell_late(self, budget: str, job: Waiter) -> None:
        copy = self.copies.get(budget)
        tell(job, job.late(copy.sheet if copy is not None else None, is_slow=self.answers.is_slow))

    def _give_up(self, budget: str, jobs: Sequence[Waiter], reason: str) -> None:
        """End what waits, as at the end of its time where time is all that was the matter."""
        if not self.answers.is_slow:
            self._fail(jobs, reason)
            return
        for job in jobs:
            self._tell_late(budget, job)

    def _fail(self, jobs: Iterable[Waiter], reason: str) -> None:
        for job in jobs:
            tell(job, LedgerError(reason))

    def _await_news(self, budget: str) -> None:
        """Wait a moment for others to write."""
        known = self.copies.get(budget)
        for _ in range(_NEWS_LOOKS):
            self._around.sleep(_FIRST_PAUSE)
            if self.copies.get(budget) is not known:
                return

    def _let_others(self, budget: str) -> None:
        """Leave the ledger to other replicas for as long as some writes take, where they want it.

        Who has just written has the newest copy without reading it, and would win again and again.
        """
        until = self._contended.get(budget)
        if until is None:
            return
        if self._around.monotonic() >= until:
            del self._contended[budget]
            return
        courtesy = min(self._last_seconds * _COURTESY, _LONGEST_COURTESY)
        self._around.sleep(courtesy * (0.5 + self._around.random()))

    def _pause(self, times: int) -> None:
        longest = min(_FIRST_PAUSE * 2 ** min(times, 10), _LONGEST_PAUSE)
        self._around.sleep(longest * (0.25 + 0.75 * self._around.random()))


def _must_tell(before: EscrowShare | None, after: EscrowShare | None, *, holds: bool) -> bool:
    """Whether what a replica holds has to be written although nothing else is: it gives back, asks, or asks no more."""
    had, has = (each.rate if each is not None else None for each in (before, after))
    return had != has and (holds or not has)
