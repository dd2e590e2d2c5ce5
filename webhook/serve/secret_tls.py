"""Certificates that replicas share through a Secret: kept in order by the leader, served by everybody.

Every replica looks at the webhook objects and at the Secret now and then, and serves the Secret's certificate once
every live ``caBundle`` vouches for it; until then it goes on with what it has. What has to be changed in the Secret
and in the webhook objects is decided by `certs.rotation`, one step at a time, and done by the leader alone.

Times are the API server's where it tells them: certificates are made for it to judge, and stored waits have to mean the
same on every replica, whatever their own clocks say.

Nothing that goes wrong here ends the process or takes a good certificate out of service. Readiness fails where calls
would fail: nothing is served, or what is served has ended or is not trusted by the live objects.
"""

import asyncio
import contextlib
import datetime as dt
import logging
import random
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Final, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

import certs
from certs import bundle, rotation
from webhook.kube import client as api
from webhook.kube.daemon_threads import background_task, run_in_daemon_thread
from webhook.kube.leader import Election
from webhook.kube.leases import LeaseStore
from webhook.kube.rest import Rest
from webhook.kube.secrets import SecretStore
from webhook.kube.webhooks import WebhookObjects
from webhook.serve.tls import ServerTls, TlsError

LOOK_SECONDS: Final = 30.0
"""Between two looks where all is well; far below `certs.rotation.SETTLE`."""

HURRY_SECONDS: Final = 2.0
"""Between two looks of a replica that serves nothing, or something that is not trusted."""

SKEW_SECONDS: Final = 60.0
"""From here on a clock that differs from the API server's is worth a notice."""

LEASE: Final = "podgate-leader"
"""Name of the Lease, in Podgate's own namespace."""

_MOST_STEPS: Final = 12
"""Steps in one look; a rotation has six, and a conflict costs one."""

_log = logging.getLogger("podgate.certificates")


class Look(NamedTuple):
    """What was found at a moment."""

    data: dict[str, bytes] | None
    """The Secret; None where there is none."""
    live: tuple[bytes, ...]
    """Every live ``caBundle``."""
    now: dt.datetime
    problem: str | None = None
    """What stands in the way of putting things in order."""


class SecretCertificates:
    """Looks, puts in order where it leads, and serves. A background task, a check, notices and metrics."""

    def __init__(
        self,
        secret: SecretStore,
        webhooks: WebhookObjects,
        tls: ServerTls,
        names: Sequence[str],
        *,
        called: str,
        now: Callable[[], dt.datetime],
        server_time: Callable[[], dt.datetime | None],
        leads: Callable[[], bool],
    ) -> None:
        """Args:
        secret: where certificates are shared.
        webhooks: the objects whose bundles have to vouch for them.
        tls: gets the certificate that is served.
        names: what a new serving certificate carries.
        called: the name that API servers call, ``podgate.<namespace>.svc``.
        now: this machine's time, aware.
        server_time: the API server's, None where it is not known.
        leads: whether this replica may write.
        """
        self._secret = secret
        self._webhooks = webhooks
        self._tls = tls
        self._names = tuple(names)
        self._called = called
        self._now = now
        self._server_time = server_time
        self._leads = leads
        self._last: Look | None = None
        self._pair: bundle.KeyPair | None = None
        self._distrust: str | None = "no certificate was had yet"
        self._remark: str | None = None
        self.steps = {"write": 0, "publish": 0}
        self.conflicts = 0
        self.failures = 0

    def look(self) -> tuple[str, ...]:
        """Look once; return what changed, one line each. Blocking. Never raises: see `problem` and `notices`."""
        found, changes = self.fetch()
        return (*changes, *self.serve(found))

    def fetch(self) -> tuple[Look | None, list[str]]:
        """Read everything, and where this replica leads put it in order; blocking.

        Returns:
            What is there in the end, None where it cannot be read; and what was done.
        """
        changes: list[str] = []
        found: Look | None = None
        try:
            for _ in range(_MOST_STEPS):
                found, is_done = self._step(changes)
                if is_done:
                    return found, changes
        except api.ApiError as error:
            self.failures += 1
            self._remark = str(error)
            return (found._replace(problem=str(error)) if found is not None else None), changes
        self._remark = "the Secret or the webhook objects change faster than they can be put in order; who else writes?"
        return (found._replace(problem=self._remark) if found is not None else None), changes

    def serve(self, found: Look | None) -> tuple[str, ...]:
        """Serve what was found where the live objects vouch for it; in the thread of the event loop."""
        if found is None:
            return ()
        self._last = found
        self._remark = found.problem
        data = found.data or {}
        changes: tuple[str, ...] = ()
        offered = bundle.parse_pair(data.get(rotation.TLS_CRT), data.get(rotation.TLS_KEY))
        reason = "the Secret holds no serving certificate with its key"
        if offered is not None:
            reason = bundle.problem(offered, found.live, self._called, found.now) or ""
            if not reason:
                changes = self._load(offered, data)
        if self._pair is None:
            self._distrust = reason or self._distrust
        else:
            self._distrust = bundle.problem(self._pair, found.live, self._called, found.now)
            if reason and self._distrust is None:
                self._remark = f"{self._secret.path}: {reason}; going on with the certificate from before"
        return changes

    def problem(self) -> str | None:
        """Return why calls would fail, or None; for readiness."""
        if self._distrust is not None:
            return f"{self._distrust}; {self._remark or 'the leader puts it in order'}"
        assert self._pair is not None  # noqa: S101  something is served where nothing is wrong with it
        if self._pair.ends <= self._time():
            return f"the served certificate expired on {self._pair.ends:%Y-%m-%d}; {self._remark or 'renew it'}"
        return None

    def notices(self) -> list[str]:
        """Return what an operator should see while calls still succeed."""
        lines = [self._remark] if self._remark and self._distrust is None else []
        skew = self.skew()
        if skew is not None and abs(skew) >= SKEW_SECONDS:
            lines.append(f"this node's clock is {skew:+.0f} s from the API server's; have NTP set it right")
        now = self._time()
        alarming = min(_ALARMING, self._pair.life / 4) if self._pair is not None else _ALARMING
        for part, end in self._ends().items():
            if now >= end - alarming:
                lines.append(f"{part} ends on {end:%Y-%m-%d} and has not been renewed; see the leader's log")
        return lines

    def skew(self) -> float | None:
        """Return by how many seconds this machine's clock is ahead of the API server's; None where not known."""
        server = self._server_time()
        return (self._now() - server).total_seconds() if server is not None else None

    def seconds_left(self) -> dict[str, float]:
        """Return the seconds until ``ca``, ``leaf``, ``bundle`` and ``served`` end, as far as they are known."""
        now = self._time()
        return {part: (end - now).total_seconds() for part, end in self._ends().items()}

    @contextlib.asynccontextmanager
    async def watching(self, interval: float = LOOK_SECONDS, hurry: float = HURRY_SECONDS) -> AsyncIterator[None]:
        """Look once, then while the block runs every `interval` seconds, or `hurry` while calls would fail."""
        await self._look_aside()
        async with background_task(self._watch(interval, hurry)):
            yield

    async def _watch(self, interval: float, hurry: float) -> None:
        while True:
            await asyncio.sleep(interval if self.problem() is None else min(hurry, interval))
            await self._look_aside()

    async def _look_aside(self) -> None:
        before = self.problem(), self._remark
        found, changes = await run_in_daemon_thread(self.fetch)
        for change in (*changes, *self.serve(found)):
            _log.info("%s", change)
        problem = self.problem()
        for now, then in ((problem, before[0]), (self._remark if problem is None else None, before[1])):
            if now is not None and now != then:
                _log.warning("%s", now)

    def _step(self, changes: list[str]) -> tuple[Look, bool]:
        """Read; do one step where one is due. The order of the reads is part of the rotation's safety, see there."""
        objects = self._webhooks.read()
        stored = self._secret.read()
        data = stored.data if stored is not None else None
        found = Look(data, tuple(text for entry in objects for text in entry.bundles), self._time())
        plan = rotation.plan(data, found.live, self._names, found.now)
        found = found._replace(problem=plan.problem)
        step = plan.step
        if step is None or not self._leads():
            return found, True
        try:
            if isinstance(step, rotation.Write):
                self._secret.write(dict(step.data), stored)
                self.steps["write"] += 1
                changes.append(f"{self._secret.path}: {step.reason}")
            else:
                for entry in objects:
                    if self._webhooks.publish(entry, step.bundle):
                        self.steps["publish"] += 1
                        changes.append(f"{entry.path}: caBundle replaced: {step.reason}")
        except api.ConflictError:
            self.conflicts += 1
        except api.ApiError as error:
            self.failures += 1
            return found._replace(problem=str(error)), True
        return found, False

    def _load(self, offered: bundle.KeyPair, data: dict[str, bytes]) -> tuple[str, ...]:
        try:
            is_new = self._tls.load(data[rotation.TLS_CRT], data[rotation.TLS_KEY])
        except TlsError as error:
            self._remark = f"{self._secret.path}: {error}"
            return ()
        self._pair = offered
        self._distrust = None
        serial = f"{offered.chain[0].serial_number:x}"
        return (f"serving certificate {serial} (until {offered.ends:%Y-%m-%d}) from now on",) if is_new else ()

    def _ends(self) -> dict[str, dt.datetime]:
        ends = rotation.expiries(self._last.data, self._last.live) if self._last is not None else {}
        if self._pair is not None:
            ends["served"] = self._pair.ends
        return ends

    def _time(self) -> dt.datetime:
        return self._server_time() or self._now()


_ALARMING = dt.timedelta(days=21)
"""A serving certificate is renewed when 30 days are left, an authority when 121 are: less is only seen where renewal
has failed for more than a week. Certificates of others may live shorter, so it is at most a quarter of the life."""


class SharedCertificates(NamedTuple):
    """Shared certificates, and the election of who keeps them in order."""

    certificates: SecretCertificates
    election: Election


def candidate(rest: Rest, namespace: str, lease: str, now: Callable[[], dt.datetime]) -> Election:
    """Return this process as a candidate for a Lease in Podgate's own namespace."""
    identity = f"{socket.gethostname()}_{secrets.token_hex(4)}"
    store = LeaseStore(rest, namespace, lease)
    return Election(store, identity, now=now, monotonic=time.monotonic, random=random.random)


def share(
    rest: Rest,
    tls: ServerTls,
    *,
    namespace: str,
    secret: str,
    webhooks: str,
    now: Callable[[], dt.datetime],
) -> SharedCertificates:
    """Put the parts together.

    Args:
        rest: the API server.
        tls: made without a certificate.
        namespace: Podgate's own, of the Secret and of the Lease.
        secret: name of the Secret.
        webhooks: name of both webhook objects.
        now: the time, aware.
    """
    election = candidate(rest, namespace, LEASE, now)
    certificates = SecretCertificates(
        SecretStore(rest, namespace, secret),
        WebhookObjects(rest, webhooks),
        tls,
        certs.server_names(namespace),
        called=f"podgate.{namespace}.svc",
        now=now,
        server_time=rest.server_time,
        leads=election.is_leader,
    )
    return SharedCertificates(certificates, election)


class CertificateCollector(Collector):
    """What is known about shared certificates, as metrics; asked when they are scraped."""

    def __init__(self, certificates: SecretCertificates, leads: Callable[[], bool]) -> None:
        self._certificates = certificates
        self._leads = leads

    def collect(self) -> Iterable[Metric]:
        """Return the current values."""
        kept = self._certificates
        expiry = GaugeMetricFamily(
            "podgate_certificate_expiry_seconds", "Seconds until a certificate ends.", labels=("part",)
        )
        for part, seconds in sorted(kept.seconds_left().items()):
            expiry.add_metric((part,), seconds)
        yield expiry
        steps = CounterMetricFamily(
            "podgate_certificate_steps", "Writes of the Secret and of webhook objects.", labels=("step",)
        )
        for step, count in kept.steps.items():
            steps.add_metric((step,), count)
        yield steps
        yield CounterMetricFamily(
            "podgate_certificate_conflicts", "Writes that met a change by somebody else.", kept.conflicts
        )
        yield CounterMetricFamily(
            "podgate_certificate_failures", "Looks at certificates that the API server failed.", kept.failures
        )
        skew = kept.skew()
        if skew is not None:
            yield GaugeMetricFamily(
                "podgate_clock_skew_seconds", "How far this clock is ahead of the API server's.", skew
            )
        yield GaugeMetricFamily("podgate_leader", "1 on the replica that leads.", int(self._leads()))
