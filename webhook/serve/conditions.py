"""Tells authors what came of their policies: the condition ``Accepted`` of policies that are custom resources, and
beside it the version that is in force, by which replicas that start later go on where a newer one is malformed.

One replica writes, the leader. It compares what each object says with what it should say and writes the difference, so
what its own write brings back through the watch is no reason to write again. It waits for that news before it looks at
the object again, and never writes one object more than once in `PAUSE_SECONDS`, whoever else changes it.

No verdict waits for these writes. What goes wrong is told by a notice, a log line and a metric, and tried again:

=====================  ================================================================================================
409                    the object has changed; when the watch brings it, the verdict is made anew
401, 403               its kind is left alone for a minute
404, 422, not kept     the object is left alone for a minute: it is gone, or its kind is of an older installation
429, 5xx, no answer    everything waits: as long as the API server asks, else a second, doubling up to a minute
=====================  ================================================================================================
"""

import asyncio
import contextlib
import datetime as dt
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Final, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from webhook.kube import client as api
from webhook.kube import conditions
from webhook.kube.daemon_threads import background_task, run_in_daemon_thread
from webhook.kube.rest import Rest
from webhook.policy.loading.resources import Standing

LEASE: Final = "podgate-conditions"
"""Name of the Lease where no other election is held: replicas that share no certificates."""

LOOK_SECONDS: Final = 1.0
BURST: Final = 20
"""Writes in one look."""

PAUSE_SECONDS: Final = 5.0
"""Between two writes to one object."""

RETRY_SECONDS: Final = 60.0
"""Until something that needs a person is tried again."""

_TOLD: Final = 3
"""Objects that notices name."""

_NO_STATUS: Final = "the API server does not keep all of the status of this kind; apply manifests/crds"

_log = logging.getLogger("podgate.conditions")


class _Try(NamedTuple):
    """The last write to an object: the version it was for, when it is due again for that version, and for any."""

    version: str
    again: float
    soonest: float


class ConditionWriter:
    """Looks, and where it leads writes. A background task, notices and counters."""

    def __init__(
        self,
        standings: Callable[[], Sequence[Standing] | None],
        rest: Rest,
        *,
        leads: Callable[[], bool],
        now: Callable[[], dt.datetime],
        monotonic: Callable[[], float],
    ) -> None:
        """Args:
        standings: what objects say and should say, None while that is not known; called from other threads.
        rest: the API server.
        leads: whether this replica may write.
        now: this machine's time, aware; used where the API server's is not known.
        monotonic: seconds of a clock that only goes forward.
        """
        self._standings = standings
        self._rest = rest
        self._leads = leads
        self._now = now
        self._monotonic = monotonic
        self._tries: dict[str, _Try] = {}
        self._faults: dict[str, str] = {}
        self._blocked: dict[str, tuple[float, str]] = {}
        """Until when a kind is left alone, and why."""
        self._resume = 0.0
        self._failures = 0
        self._problem: str | None = None
        self.outcomes = {"written": 0, "conflict": 0, "failed": 0}

    def look(self) -> None:
        """Compare all objects and write what differs; blocking. Never raises an `ApiError`."""
        if not self._leads():
            self._forget()
            return
        found = self._standings() if self._monotonic() >= self._resume else None
        if found is None:
            return
        pending = [each for each in found if not each.is_told]
        self._keep(found, pending)
        left = BURST
        for each in pending:
            if self._is_due(each):
                if not left or not self._leads() or not self._write(each):
                    return
                left -= 1

    def notices(self) -> list[str]:
        """Return why authors may not be told; one line each."""
        lines = [self._problem] if self._problem is not None else []
        lines += [text for _, text in list(self._blocked.values())]
        faults = sorted(dict(self._faults).values())
        lines += faults[:_TOLD]
        if len(faults) > _TOLD:
            lines.append(f"{len(faults) - _TOLD} more conditions could not be written")
        return lines

    @contextlib.asynccontextmanager
    async def watching(self, interval: float = LOOK_SECONDS) -> AsyncIterator[None]:
        """Look every `interval` seconds while the block runs."""
        async with background_task(self._watch(interval)):
            yield

    async def _watch(self, interval: float) -> None:
        while True:
            await asyncio.sleep(interval)
            if not self._leads():
                self._forget()
                continue
            try:
                await run_in_daemon_thread(self.look)
            except Exception as error:  # noqa: BLE001  verdicts do not depend on it, and the next look may succeed
                _log.error("conditions: %s: %s; please report this", type(error).__name__, error)

    def _keep(self, found: Sequence[Standing], pending: Sequence[Standing]) -> None:
        """Forget what is about nothing any more."""
        paths = {each.held.path for each in found}
        self._tries = {path: tried for path, tried in self._tries.items() if path in paths}
        paths = {each.held.path for each in pending}
        self._faults = {path: text for path, text in self._faults.items() if path in paths}
        kinds = {each.kind for each in pending}
        self._blocked = {kind: why for kind, why in self._blocked.items() if kind in kinds}
        if not pending:
            self._problem, self._failures = None, 0

    def _is_due(self, each: Standing) -> bool:
        now = self._monotonic()
        if each.kind in self._blocked and now < self._blocked[each.kind][0]:
            return False
        tried = self._tries.get(each.held.path)
        if tried is None:
            return True
        return now >= tried.soonest and (each.held.version != tried.version or now >= tried.again)

    def _write(self, each: Standing) -> bool:
        """Write one condition; return whether to go on with others."""
        path, version = each.held.path, each.held.version
        now = self._monotonic()
        try:
            time = self._rest.server_time() or self._now()
            kept = conditions.write(self._rest, each.held, each.condition, time, each.status)
        except api.ConflictError:
            self.outcomes["conflict"] += 1
            self._tries[path] = _Try(version, now + RETRY_SECONDS, now)
            return True
        except api.ForbiddenError as error:
            self.outcomes["failed"] += 1
            self._block(each.kind, now + RETRY_SECONDS, str(error))
            return True
        except api.ApiError as error:
            self.outcomes["failed"] += 1
            if error.status in (400, 404, 413, 422):
                cure = f"; {_NO_STATUS}" if error.status == 404 else ""
                self._fail(path, f"{error}{cure}", _Try(version, now + RETRY_SECONDS, now))
                return True
            self._wait(error, now)
            return False
        self._problem, self._failures = None, 0
        self._blocked.pop(each.kind, None)
        if not kept:
            self.outcomes["failed"] += 1
            self._fail(path, f"{path}/status: {_NO_STATUS}", _Try(version, now + RETRY_SECONDS, now + RETRY_SECONDS))
            return True
        self.outcomes["written"] += 1
        self._faults.pop(path, None)
        # The watch brings the news; until then the object only seems to lack what was written.
        self._tries[path] = _Try(version, float("inf"), now + PAUSE_SECONDS)
        return True

    def _block(self, kind: str, until: float, text: str) -> None:
        if self._blocked.get(kind, (0.0, ""))[1] != text:
            _log.warning("%s", text)
        self._blocked[kind] = (until, text)

    def _fail(self, path: str, text: str, tried: _Try) -> None:
        if self._faults.get(path) != text:
            _log.warning("%s", text)
        self._faults[path] = text
        self._tries[path] = tried

    def _wait(self, error: api.ApiError, now: float) -> None:
        if self._problem is None:
            _log.warning("conditions of policies are not written: %s", error)
        self._problem = str(error)
        pause = error.retry_after if error.retry_after is not None else 2.0**self._failures
        self._failures = min(self._failures + 1, 6)
        self._resume = now + min(max(pause, LOOK_SECONDS), RETRY_SECONDS)

    def _forget(self) -> None:
        """Start afresh: another replica tells authors now, and what stood in the way of this one says nothing."""
        self._tries, self._faults, self._blocked = {}, {}, {}
        self._problem, self._failures, self._resume = None, 0, 0.0


class ConditionCollector(Collector):
    """What is known about conditions, as metrics; asked when they are scraped."""

    def __init__(self, writer: ConditionWriter, leads: Callable[[], bool] | None = None) -> None:
        """Args:
        writer: what counts.
        leads: whether this replica leads, where nobody else tells.
        """
        self._writer = writer
        self._leads = leads

    def collect(self) -> Iterable[Metric]:
        """Return the current values."""
        writes = CounterMetricFamily(
            "podgate_condition_writes", "Writes of conditions of policies, by outcome.", labels=("outcome",)
        )
        for outcome, count in self._writer.outcomes.items():
            writes.add_metric((outcome,), count)
        yield writes
        if self._leads is not None:
            yield GaugeMetricFamily("podgate_leader", "1 on the replica that leads.", int(self._leads()))
