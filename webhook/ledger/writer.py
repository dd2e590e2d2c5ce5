"""Writes shared ledgers: one at a time for each budget, and one write for all that wait for it.

Where another replica was faster (409) the newer ledger is read and all that wait are judged anew, until their time runs
out. Where it is not known whether a write was done, the ledger is read again; what is in it was done.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Final, NamedTuple

from webhook.kube import client as api
from webhook.kube.budget_ledgers import Ledgers, Stored
from webhook.ledger import _wire
from webhook.ledger.copies import Copies, Copy
from webhook.ledger.lanes import Lanes
from webhook.ledger.local import LocalLedger
from webhook.ledger.sheet import MOST_RESERVATIONS, Restored, Sheet, Verdict
from webhook.ledger.store import LedgerError
from webhook.ledger.tally import Tally

_FIRST_PAUSE: Final = 0.004
_LONGEST_PAUSE: Final = 0.03
_CONTENDED_SECONDS: Final = 1.0
"""After a conflict a ledger counts as contended for so long."""
_COURTESY: Final = 2.0
"""Writes of others that a replica which has just written lets pass, about; what comes meanwhile shares its next one."""
_LONGEST_COURTESY: Final = 0.25
_MOST_FAULTS: Final = 3
_UNCERTAIN: Final = frozenset({0, 429, 500, 502, 503, 504})
"""Statuses after which it makes sense to look again: nobody answered, or the API server could not at that moment."""

_log = logging.getLogger("podgate.ledger")


class Surroundings(NamedTuple):
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


class Job:
    """Something that is to be done to a ledger, and who is to be told."""

    __slots__ = ("before", "change", "changed", "told", "until")

    def __init__(
        self,
        change: Callable[[Sheet, datetime], Verdict],
        until: float,
        told: Callable[["Job", Verdict | LedgerError], None],
    ) -> None:
        self.change = change
        self.until = until
        self.told = told
        self.changed = False
        """Whether it has tried to change the ledger; a lost answer may hide that it did."""
        self.before: Verdict | None = None
        """Its first verdict that changed something."""

    def judge(self, sheet: Sheet, now: datetime) -> Verdict:
        verdict = self.change(sheet, now)
        if verdict.changed and not self.changed:
            self.changed, self.before = True, verdict
        return verdict


class Writer:
    """Changes ledgers in threads of its own. May be used from any thread."""

    def __init__(self, ledgers: Ledgers, around: Surroundings, local: LocalLedger, ttl: timedelta) -> None:
        """Args:
        ledgers: where they are kept.
        around: clocks and news.
        local: the pods that this replica knows of.
        ttl: how long a reservation waits for its pod to be seen.
        """
        self._ledgers = ledgers
        self._around = around
        self._local = local
        self._ttl = ttl
        self.copies = Copies(local)
        self.tally = Tally()
        self.problem: str | None = None
        """Why the last write failed; None where it did not."""
        self._contended: dict[str, float] = {}
        self._last_seconds = 0.0
        self._lanes: Lanes[Job] = Lanes(self._serve)

    def submit(self, budget: str, job: "Job") -> None:
        """Let a job wait for the next write of a ledger."""
        self._lanes.put(budget, job)

    def close(self) -> None:
        """End the threads."""
        self._lanes.close()

    def told(self, problem: str) -> None:
        """Note what went wrong."""
        if problem != self.problem:
            _log.warning("%s", problem)
        self.problem = problem

    def _serve(self, budget: str, take: Callable[[], list[Job]]) -> None:
        """Serve the line of a budget until nobody waits; runs in a thread of the lanes."""
        jobs: list[Job] = []
        faults = 0
        is_old = False
        while True:
            jobs = self._in_time([*jobs, *take()])
            if not jobs:
                return
            try:
                is_live, told = self._attempt(budget, jobs, read=is_old)
            except api.ConflictError:
                self.tally.count("conflict")
                is_old = True
                self._contended[budget] = self._around.monotonic() + _CONTENDED_SECONDS
                # Somebody else got on, so this is no reason to fall back more and more.
                self._pause(0)
            except api.ApiError as error:
                self.tally.count("failed")
                faults += 1
                is_old = True
                self.told(str(error))
                if error.status not in _UNCERTAIN or faults >= _MOST_FAULTS:
                    self._fail(jobs, str(error))
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
                if told is None and not is_live:
                    is_old = True  # Nobody is refused by what may be old.
                    continue
                for job, verdict in told or ():
                    _tell(job, verdict)
                jobs, is_old, faults = [], False, 0
                self._let_others(budget)

    def _attempt(
        self, budget: str, jobs: Sequence[Job], *, read: bool
    ) -> tuple[bool, list[tuple[Job, Verdict]] | None]:
        """Judge all jobs and write once.

        Returns:
            Whether they were judged by what the API server has now, and the verdicts; None where that has to be so
            first.
        """
        is_live, copy = self._newest(budget, read=read)
        now = self._around.now()
        sheet = copy.sheet.copy() if copy.sheet is not None else self._made_anew(copy, now)
        told = [(job, job.judge(sheet, now)) for job in jobs]
        if not is_live and not all(verdict.outcome.accepted for _, verdict in told):
            return False, None
        if sheet.is_changed:
            self._write(copy.stored, sheet, now)
        return is_live, told

    def _newest(self, budget: str, *, read: bool) -> tuple[bool, Copy]:
        copy = None if read else self.copies.get(budget)
        if copy is not None:
            return False, copy
        stored = self._ledgers.read(budget)
        if stored is None:
            stored = self._ledgers.create(budget)
        return True, self.copies.adopt(stored)

    def _write(self, before: Stored, sheet: Sheet, now: datetime) -> None:
        status = _wire.encode(sheet, now)
        started = self._around.monotonic()
        stored = self._ledgers.write(before, status)
        self._last_seconds = self._around.monotonic() - started
        self.tally.written(self._last_seconds)
        if not _wire.is_kept(status, stored.status):
            raise api.ApiError("the API server does not keep the status of BudgetLedgers; apply manifests/crds", 422)
        sheet.is_changed = False
        self.copies.adopt(stored, sheet)
        self.problem = None

    def _made_anew(self, copy: Copy, now: datetime) -> Sheet:
        """Return a ledger made of the pods that run, of reservations that are left, and of what was spent."""
        if self._local.counted_at is None:
            raise LedgerError("the pods that run were not counted yet")
        budget, last = copy.stored.name, self.copies.last_good(copy.stored.name)
        left = {**_wire.salvage(copy.stored.status), **(last.reservations if last is not None else {})}
        left = dict(islice(left.items(), MOST_RESERVATIONS))
        running = self._local.running(budget, left)
        spent = last.spending.advanced(last.rate, now) if last is not None else Sheet.counted(0, now).spending
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
        made = Sheet(running.total, 0, {key: each._replace(held=0) for key, each in left.items()}, spent, restored)
        # What of this is still to be counted is judged as at any other time.
        made.recount(running, self._local.whereabouts, None, now, self._ttl)
        made.is_changed = True
        return made

    def _in_time(self, jobs: Iterable[Job]) -> list[Job]:
        now = self._around.monotonic()
        left: list[Job] = []
        for job in jobs:
            if now < job.until:
                left.append(job)
            else:
                _tell(job, LedgerError("too many others wrote to the ledger at the same time"))
        return left

    def _fail(self, jobs: Iterable[Job], reason: str) -> None:
        for job in jobs:
            _tell(job, LedgerError(reason))

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


def _tell(job: Job, verdict: Verdict | LedgerError) -> None:
    try:
        job.told(job, verdict)
    except Exception:  # noqa: BLE001  the others still wait for theirs
        _log.exception("nobody takes the answer of the ledger")
