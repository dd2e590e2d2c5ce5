"""One replica of several, elected through a Lease, for work that must be done once: rotation, reconciling, reports.

Answering reviews needs no leader. What is led here must also be safe where two believe for a moment that they lead,
for no Lease can rule that out: every write it does is conditional on what was read.

Times that another replica wrote are never compared with our own clock. A candidate watches whether the record
changes, and takes over once it has not changed for the lease's duration as measured here, by a clock that only goes
forward. The holder stops believing in itself `RENEW_SECONDS` after it last began a renewal that succeeded, well
before anybody else may take over; clocks of replicas may disagree about the time by years, and about the length of a
second by a third.

The numbers are those of Kubernetes' own controllers: a lease of 15 s, given up after 10 s without renewal, tried every
2 s with some jitter, so that replicas which start together do not go on in step.
"""

import asyncio
import contextlib
import datetime as dt
import logging
import threading
from collections.abc import AsyncIterator, Callable
from typing import Final

from webhook.kube import client as api
from webhook.kube.daemon_threads import run_in_daemon_thread
from webhook.kube.leases import LeaseRecord, LeaseStore, StoredLease, micro_time

LEASE_SECONDS: Final = 15
RENEW_SECONDS: Final = 10.0
RETRY_SECONDS: Final = 2.0
JITTER: Final = 0.2
"""Part of `RETRY_SECONDS` that is added at random, at most."""

RELEASE_SECONDS: Final = 3.0
"""How long giving the Lease back may hold up the end of the process; it runs out by itself."""

_log = logging.getLogger("podgate.leader")


class Election:
    """One candidate."""

    def __init__(
        self,
        store: LeaseStore,
        identity: str,
        *,
        now: Callable[[], dt.datetime],
        monotonic: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        """Args:
        store: the Lease.
        identity: unique among all candidates, restarts of the same one included.
        now: the time, aware; written into the Lease for people to read, decides nothing.
        monotonic: seconds of a clock that only goes forward.
        random: a number from 0 up to 1.
        """
        self._store = store
        self._identity = identity
        self._now = now
        self._monotonic = monotonic
        self._random = random
        self._seen: LeaseRecord | None = None
        self._seen_at = 0.0
        self._leads_until: float | None = None
        self._is_stopped = False
        # An attempt that is under way when the process stops must not take the Lease back that was just given away.
        self._lock = threading.Lock()
        self.problem: str | None = None
        """Why the last attempt failed; None where it did not. Having another leader is no failure."""
        self.transitions = 0
        """How often this candidate became leader."""

    def is_leader(self) -> bool:
        """Whether this candidate may do the work now; ask again before every step."""
        return self._leads_until is not None and self._monotonic() < self._leads_until

    @property
    def holder(self) -> str:
        """Who held the Lease when it was last seen; empty where nobody did."""
        return self._seen.holder if self._seen is not None else ""

    def attempt(self) -> bool:
        """Acquire or renew once; blocking. Return whether this candidate leads. Never raises: see `problem`."""
        with self._lock:
            return not self._is_stopped and self._try()

    def _try(self) -> bool:
        led = self.is_leader()
        # The lease runs from when the renewal was begun: how long it took to arrive is not known.
        begin = self._monotonic()
        try:
            leads = self._attempt(begin)
        except api.ConflictError:
            # Another candidate was faster; what it wrote is seen by the next attempt.
            leads = self.is_leader()
            self.problem = None
        except api.ApiError as error:
            leads = self.is_leader()
            self.problem = str(error)
        else:
            self.problem = None
        if leads and not led:
            self.transitions += 1
            _log.info("leading as %s", self._identity)
        elif led and not leads:
            _log.warning("no longer leading; %s", self._why_not())
        return leads

    def _why_not(self) -> str:
        if self.problem is not None:
            return self.problem
        if self.holder == self._identity:
            # The Lease still names this candidate: it was not renewed in time, as after an outage of the API server.
            return "its lease ran out before it was renewed"
        return f"{self.holder or 'nobody'} holds the lease"

    def release(self) -> None:
        """Give the Lease back, so that another need not wait for it to run out; blocking. Never raises."""
        with self._lock:
            self._is_stopped = True
            self._leads_until = None
            self._give_back()

    def _give_back(self) -> None:
        try:
            stored = self._store.read()
            if stored is None or stored.record.holder != self._identity:
                return
            # A duration of one second: candidates that look only at times take over at once as well.
            freed = stored.record._replace(holder="", seconds=1, renewed=micro_time(self._now()))
            self._store.write(freed, stored)
        except api.ApiError as error:
            _log.info("the lease could not be given back and will run out: %s", error)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Stand for election while the block runs; give the Lease back at the end."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RELEASE_SECONDS):
                    await run_in_daemon_thread(self.release)

    async def _run(self) -> None:
        told: str | None = None
        while True:
            await run_in_daemon_thread(self.attempt)
            if self.problem is not None and self.problem != told:
                _log.warning("%s", self.problem)
            told = self.problem
            await asyncio.sleep(RETRY_SECONDS * (1 + JITTER * self._random()))

    def _attempt(self, begin: float) -> bool:
        stored = self._store.read()
        if stored is not None and stored.record != self._seen:
            # Not `begin`: what is seen for the first time may have been written while the answer was on its way.
            self._seen, self._seen_at = stored.record, self._monotonic()
        if stored is not None and not self._may_take(stored.record, begin):
            self._leads_until = None
            return False
        written = self._store.write(self._claim(stored), stored)
        self._seen, self._seen_at = written.record, begin
        self._leads_until = begin + RENEW_SECONDS
        return self.is_leader()

    def _may_take(self, record: LeaseRecord, begin: float) -> bool:
        if record.holder in ("", self._identity):
            return True
        # A record that was written by hand may name no duration, or an absurd one.
        seconds = min(max(record.seconds, 1), 4 * LEASE_SECONDS)
        return begin - self._seen_at >= seconds

    def _claim(self, stored: StoredLease | None) -> LeaseRecord:
        moment = micro_time(self._now())
        if stored is None:
            return LeaseRecord(self._identity, LEASE_SECONDS, 0, moment, moment)
        before = stored.record
        if before.holder == self._identity:
            return LeaseRecord(self._identity, LEASE_SECONDS, before.transitions, before.acquired or moment, moment)
        return LeaseRecord(self._identity, LEASE_SECONDS, before.transitions + 1, moment, moment)
