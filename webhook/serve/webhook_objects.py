"""Looks after our two webhook objects: every replica tells when one is missing, or asks less than it has to.

An API server that is not told to ask says nothing about it, and while the mutating object is gone pods come unchanged.
Only reading is done here; what is in the objects belongs to whoever installs.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from webhook.kube import client as api
from webhook.kube.daemon_threads import background_task, run_in_daemon_thread
from webhook.kube.webhook_rules import REQUIRED, problems
from webhook.kube.webhooks import WebhookObjects

LOOK_SECONDS: Final = 15.0
"""Between two looks; whoever edits an object is told of it within twice that."""

_KINDS: Final = {"mutatingwebhookconfigurations": "mutating", "validatingwebhookconfigurations": "validating"}

_log = logging.getLogger("podgate.webhooks")


class WebhookObjectCheck:
    """Looks at the objects and keeps what was wrong with them. A background task, notices and a metric."""

    def __init__(self, objects: WebhookObjects) -> None:
        self._objects = objects
        self._found: Mapping[str, tuple[str, ...]] = {}
        self._unread: str | None = None

    def look(self) -> None:
        """Look once; blocking. Never raises an `ApiError`: what was known stays known."""
        try:
            live = {each.resource: each.document for each in self._objects.read()}
        except api.ApiError as error:
            self._unread = f"they cannot be read: {error}"
            return
        self._unread = None
        before = {line for lines in self._found.values() for line in lines}
        self._found = {
            resource: tuple(problems(resource, self._objects.name, live.get(resource))) for resource in REQUIRED
        }
        now = [line for lines in self._found.values() for line in lines]
        for line in now:
            if line not in before:
                _log.warning("%s", line)
        if before and not now:
            _log.info("the webhook objects are complete again")

    def notices(self) -> list[str]:
        """Return what is wrong with the objects, one line each."""
        found = [line for lines in self._found.values() for line in lines]
        return [*found, *([self._unread] if self._unread is not None else [])]

    def counts(self) -> Mapping[str, int]:
        """Return how many problems each object has; empty before the first look."""
        return {_KINDS[resource]: len(lines) for resource, lines in self._found.items()}

    @contextlib.asynccontextmanager
    async def watching(self, interval: float = LOOK_SECONDS) -> AsyncIterator[None]:
        """Look every `interval` seconds while the block runs, the first time at once."""
        async with background_task(self._watch(interval)):
            yield

    async def _watch(self, interval: float) -> None:
        while True:
            try:
                await run_in_daemon_thread(self.look)
            except Exception as error:  # noqa: BLE001  verdicts do not depend on it
                _log.error("webhook objects: %s: %s; please report this", type(error).__name__, error)
            await asyncio.sleep(interval)


class WebhookObjectCollector(Collector):
    """``podgate_webhook_object_problems{object}``."""

    def __init__(self, check: WebhookObjectCheck) -> None:
        self._check = check

    def collect(self) -> Iterable[Metric]:
        """Return the current values."""
        family = GaugeMetricFamily(
            "podgate_webhook_object_problems",
            "What keeps guardrails from being asked: problems of each webhook object as it was last seen.",
            labels=("object",),
        )
        for kind, count in sorted(self._check.counts().items()):
            family.add_metric((kind,), count)
        return [family]
