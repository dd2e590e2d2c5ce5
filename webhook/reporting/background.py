"""The scan that runs beside `serve`: the leader judges what runs, now and then, and writes the reports.

It is made to be no load. Lists come in pages at a pace, and judging takes at most a part of the time of one core, in a
thread of its own. An object whose version and environment are those of its last verdict is not judged again. What was
judged is kept, so a scan that was interrupted, by a change of policies, of the leader or by the API server, goes on
from what is known. Verdicts and answers of the webhook depend on none of it.
"""

import asyncio
import contextlib
import datetime as dt
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from typing import Final, NamedTuple

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from webhook.cluster.view import View
from webhook.kube import client as api
from webhook.kube import report_store
from webhook.kube.daemon_threads import run_in_daemon_thread
from webhook.kube.objects import Object, ObjectMeta
from webhook.kube.rest import Rest
from webhook.ledger.store import LedgerStore
from webhook.policy.model.policy_set import PolicySet
from webhook.reporting import policy_reports, report
from webhook.reporting.fold import ObjectResult, UnjudgedSummary, WorkloadSummary, fold
from webhook.reporting.judge import Judge, Skipped
from webhook.reporting.pager import Lister, Pager, RateLimiter, ScannedObject, Unlisted

FIRST_SECONDS: Final = 30.0
"""After a replica began to lead, until it scans."""
SHARE: Final = 5
"""Judging takes at most one fifth of the time of one core."""
BATCH: Final = 20
"""Objects between two pauses."""
READS_PER_SECOND: Final = 4.0
WRITES: Final = 500
"""Reports written after one scan at most; the next one writes the rest."""
MAXIMUM_KEPT: Final = 150_000
"""Verdicts that are remembered; objects beyond it are judged each time."""
OLDEST_SECONDS: Final = 6 * 3600.0
"""A verdict that is older is made again whatever has changed: the balance of budgets is no part of what is compared."""
_LOOK_SECONDS: Final = 1.0

_log = logging.getLogger("podgate.scan")


class _HeadSpec(Object):
    node_name: str | None = None


class _ObjectHead(Object):
    metadata: ObjectMeta | None = None
    spec: _HeadSpec | None = None


class _Version(Object):
    resource_version: str = ""


class _Versioned(Object):
    metadata: _Version | None = None


_HEAD = msgspec.json.Decoder(_ObjectHead)
_VERSION = msgspec.json.Decoder(_Versioned)


class _RememberedResult(NamedTuple):
    version: str
    stamp: tuple[object, ...]
    at: float
    found: ObjectResult | Skipped


class Interrupted(Exception):  # noqa: N818  it is no error
    """This replica no longer leads, or the process ends."""


class ScanBasis(NamedTuple):
    """What a scan judges by."""

    policies: PolicySet
    view: View
    ledger: LedgerStore
    excluded: tuple[str, ...]


class BackgroundScan:
    """Scans while it leads, and writes reports. A background task, notices and counters."""

    def __init__(
        self,
        basis: Callable[[], ScanBasis | None],
        lister: Lister,
        rest: Rest,
        *,
        leads: Callable[[], bool],
        now: Callable[[], dt.datetime],
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
        interval: float,
    ) -> None:
        """Args:
        basis: what to judge by; None while that is not known.
        lister: lists what runs.
        rest: writes reports.
        leads: whether this replica may write.
        now: the time, with its zone.
        monotonic: seconds of a clock that only goes forward.
        sleep: waits; None for a wait that ends with the process.
        interval: seconds from the end of one scan to the next.
        """
        self._basis = basis
        self._lister = lister
        self._rest = rest
        self._leads = leads
        self._now = now
        self._monotonic = monotonic
        self._ending = threading.Event()
        self._sleep = sleep or self._ending.wait
        self._interval = interval
        self._kept: dict[str, _RememberedResult] = {}
        self._problems: list[str] = []
        self.last: report.AuditReport | None = None
        """Of the last complete scan of this replica."""
        self.counts = {"judged": 0, "unchanged": 0, "failed": 0}
        self.writes = {"written": 0, "deleted": 0, "conflict": 0, "failed": 0}
        self.scans = 0
        self.seconds = 0.0
        """How long the last one took."""

    def scan(self) -> report.AuditReport | None:
        """Judge everything and write the reports; blocking. None where there is nothing to judge by yet.

        Raises:
            Interrupted: see there; what was judged is kept.
        """
        basis = self._basis()
        if basis is None:
            return None
        begin = self._monotonic()
        judge = Judge(basis.policies, basis.view, basis.ledger, self._now, excluded=basis.excluded, counts_uses=False)
        unjudged, seen = UnjudgedSummary(), set[str]()
        rows = fold(self._records(judge, unjudged, seen))
        if not unjudged.has_failures:
            self._kept = {uid: kept for uid, kept in self._kept.items() if uid in seen}
        made = report.make(
            title="audit",
            source="the live cluster",
            when=self._now(),
            currency=judge.rules.prices.currency,
            rows=rows,
            not_judged=unjudged,
            has_failures=unjudged.has_failures,
            policies=basis.policies,
            budgets=report.budget_lines(basis.policies, basis.ledger, judge.rules.prices.hours_per_month, self._now()),
        )
        problems = [f"{each.what}: {each.reason}" for each in made.failures[:3]]
        if not made.has_failures:
            # Reports of half of what runs would say that the other half is well.
            problems += self._publish(rows, made.currency)
        self._problems = problems
        self.last, self.scans, self.seconds = made, self.scans + 1, self._monotonic() - begin
        return made

    def notices(self) -> list[str]:
        """Return why the reports may be out of date; one line each."""
        return list(self._problems)

    def size(self) -> int:
        """Return how many verdicts are remembered."""
        return len(self._kept)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Scan now and then while the block runs."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self._ending.set()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        due = self._monotonic() + min(FIRST_SECONDS, self._interval)
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if not self._leads() or self._monotonic() < due:
                continue
            try:
                made = await run_in_daemon_thread(self.scan)
            except Interrupted:
                continue
            except Exception as error:  # noqa: BLE001  verdicts do not depend on it
                _log.error("the scan failed: %s: %s; please report this", type(error).__name__, error)
                due = self._monotonic() + self._interval
                continue
            if made is not None:
                due = self._monotonic() + self._interval
                total = made.total
                _log.info(
                    "scanned %d objects in %.1f s: %d would be refused, %d changed",
                    total.objects, self.seconds, total.refused, total.changed,
                )  # fmt: skip

    # --- judging ----------------------------------------------------------------------------------------------------

    def _records(self, judge: Judge, unjudged: UnjudgedSummary, seen: set[str]) -> Iterable[ObjectResult]:
        pace = RateLimiter(self._monotonic, self._sleep, READS_PER_SECOND)
        batch, begin = 0, self._monotonic()
        for found in Pager(self._lister, pace):
            self._check()
            if isinstance(found, Unlisted):
                unjudged.add(found.kind.resource, "", found.reason, "", is_failure=True)
                continue
            uid, result = self._one(judge, found)
            if uid in seen:
                continue
            seen.add(uid)
            if isinstance(result, ObjectResult):
                yield result
            else:
                unjudged.add(result.kind, result.namespace, result.reason, result.name)
            batch += 1
            if batch >= BATCH:
                self._sleep((self._monotonic() - begin) * (SHARE - 1))
                batch, begin = 0, self._monotonic()

    def _one(self, judge: Judge, found: ScannedObject) -> tuple[str, ObjectResult | Skipped]:
        try:
            head = _HEAD.decode(found.raw)
            metadata = head.metadata or ObjectMeta()
            version = (_VERSION.decode(found.raw).metadata or _Version()).resource_version
        except msgspec.DecodeError as error:
            self.counts["failed"] += 1
            return repr(found.raw)[:200], Skipped(found.kind.name, "", "", f"does not decode: {error}")
        namespace, name = metadata.namespace or "", metadata.name or ""
        uid = metadata.uid or f"{found.kind.name}/{namespace}/{name}"
        node = head.spec.node_name or "" if head.spec is not None else ""
        stamp = judge.stamp(found.kind.name, namespace, metadata, node)
        now = self._monotonic()
        kept = self._kept.get(uid)
        if kept is not None and kept.version == version and kept.stamp == stamp and now - kept.at < OLDEST_SECONDS:
            self.counts["unchanged"] += 1
            return uid, kept.found
        self.counts["judged"] += 1
        result = judge.judge(found.document(), f"{found.kind.name} {namespace}/{name}")
        if kept is not None or len(self._kept) < MAXIMUM_KEPT:
            self._kept[uid] = _RememberedResult(version, stamp, now, result)
        return uid, result

    def _check(self) -> None:
        if self._ending.is_set() or not self._leads():
            raise Interrupted

    # --- reports ----------------------------------------------------------------------------------------------------

    def _publish(self, rows: list[WorkloadSummary], currency: str) -> list[str]:
        """Write the reports in every dialect that is installed; return what went wrong."""
        pace = RateLimiter(self._monotonic, self._sleep, READS_PER_SECOND)
        problems: list[str] = []
        contents: list[policy_reports.Content] | None = None
        for dialect in policy_reports.DIALECTS:
            self._check()
            try:
                known = report_store.stored(
                    self._rest,
                    dialect,
                    policy_reports.NAME,
                    policy_reports.MANAGED,
                    policy_reports.DIGEST,
                    pace.wait,
                )
                if contents is None:
                    contents = policy_reports.contents(rows, currency)
                done = report_store.write(
                    self._rest,
                    [self._wanted(dialect, each) for each in contents],
                    known,
                    most=WRITES,
                    wait=partial(self._wait, pace),
                )
            except api.NotFoundError:
                continue  # The kind is not installed.
            except api.ApiError as error:
                self.writes["failed"] += 1
                problems.append(str(error))
                continue
            self.writes["written"] += done.written
            self.writes["deleted"] += done.deleted
            self.writes["conflict"] += done.conflicts
            if done.left:
                problems.append(f"{dialect.plural}: {done.left} reports are written after the next scan")
        return problems

    def _wait(self, pace: RateLimiter) -> None:
        self._check()
        pace.wait()

    def _wanted(self, dialect: policy_reports.Dialect, content: policy_reports.Content) -> report_store.Wanted:
        return report_store.Wanted(
            dialect.collection(content.namespace),
            policy_reports.NAME,
            content.digest,
            lambda: content.document(dialect, self._rest.server_time() or self._now()),
        )


class ScanCollector(Collector):
    """What the background scan did, as metrics."""

    def __init__(self, scan: BackgroundScan) -> None:
        self._scan = scan

    def collect(self) -> Iterable[Metric]:
        """Return the current values."""
        scan = self._scan
        objects = CounterMetricFamily(
            "podgate_scan_objects", "Objects that background scans looked at, by outcome.", labels=("outcome",)
        )
        for outcome, count in scan.counts.items():
            objects.add_metric((outcome,), count)
        yield objects
        yield CounterMetricFamily("podgate_scans", "Background scans that were completed.", scan.scans)
        yield GaugeMetricFamily("podgate_scan_seconds", "How long the last background scan took.", scan.seconds)
        yield GaugeMetricFamily("podgate_scan_kept", "Verdicts that the background scan remembers.", scan.size())
        writes = CounterMetricFamily(
            "podgate_report_writes", "Writes of policy reports, by outcome.", labels=("outcome",)
        )
        for outcome, count in scan.writes.items():
            writes.add_metric((outcome,), count)
        yield writes
