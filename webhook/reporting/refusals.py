"""Tells the owners of refused pods: one Event on the top-most owner, so that ``kubectl describe deployment`` says why
nothing runs.

A pod that a controller creates is refused in the controller's face, and what people look at, the Deployment, stays
silent. Refusals are gathered after the answer, folded by owner, and told beside the event loop: a bounded number at a
time, and one owner again only after a pause, however often its controller tries. Dry runs and pods that a person
creates by hand are not told; who asked has the answer already.

Every replica tells what it refused itself; they add to the same Event (`webhook.kube.events`).
"""

import asyncio
import contextlib
import datetime as dt
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from itertools import zip_longest
from typing import Final, NamedTuple

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from webhook.admission.recorder import Recorded
from webhook.cluster.view import View
from webhook.kube import client as api
from webhook.kube import events
from webhook.kube.daemon_threads import background_task, run_in_daemon_thread
from webhook.kube.objects import OwnerReference, controller_of
from webhook.kube.rest import Rest

REASON: Final = "PodRefused"
LOOK_SECONDS: Final = 2.0
BURST: Final = 10
"""Events written in one look."""
PAUSE_SECONDS: Final = 30.0
"""Between two writes about one owner."""
RETRY_SECONDS: Final = 60.0
"""Until Events are tried again after the API server refused or could not be reached."""
MAXIMUM_OWNERS: Final = 1_000
"""Owners that wait to be told; refusals of further ones are counted as dropped."""
MAXIMUM_OWNERS_OF_NAMESPACE: Final = 100
"""Of them, those of one namespace: owner references can be made up, and must crowd out nobody else's."""

_log = logging.getLogger("podgate.events")


class Waiting(NamedTuple):
    """What is to be told of one owner."""

    namespace: str
    kind: str
    name: str
    api_version: str
    direct: OwnerReference
    """The pod's own owner: it is told where the UID of the top-most one is not known."""
    message: str
    times: int


_RefusalKey = tuple[str, str, str]


class Refusals:
    """Gathers refusals and tells them."""

    def __init__(
        self, rest: Rest, view: View, *, now: Callable[[], dt.datetime], monotonic: Callable[[], float]
    ) -> None:
        """Args:
        rest: the API server.
        view: knows the UIDs of owners.
        now: aware; used where the API server's time is not known.
        monotonic: seconds of a clock that only goes forward.
        """
        self._rest = rest
        self._view = view
        self._now = now
        self._monotonic = monotonic
        self._waiting: dict[str, OrderedDict[_RefusalKey, Waiting]] = {}
        """By namespace, in the order in which they take their turns."""
        self._again: dict[_RefusalKey, float] = {}
        self._resume = 0.0
        self._problem: str | None = None
        self.outcomes = {"written": 0, "failed": 0, "dropped": 0}

    def told(self, recorded: Recorded) -> None:
        """Take a decision; one that is no refusal of an owned pod is of no interest. Called from the event loop."""
        decision, subject, owner = recorded.decision, recorded.subject, recorded.owner
        if decision.allowed or subject.dry_run or owner is None or not subject.is_patchable:
            return
        direct = controller_of(subject.pod.metadata)
        if direct is None:
            return
        key = (subject.namespace, owner.kind, owner.name)
        waiting = self._waiting.setdefault(subject.namespace, OrderedDict())
        before = waiting.get(key)
        if before is None and (len(waiting) >= MAXIMUM_OWNERS_OF_NAMESPACE or self.size() >= MAXIMUM_OWNERS):
            self.outcomes["dropped"] += 1
            return
        times = 1 + (before.times if before is not None else 0)
        waiting[key] = Waiting(
            subject.namespace, owner.kind, owner.name, owner.api_version, direct, decision.message, times
        )

    def due(self) -> list[Waiting]:
        """Take out what may be told now; namespaces take turns, and in each the longest waiting is first. Called from
        the event loop."""
        now = self._monotonic()
        if now < self._resume:
            return []
        self._again = {key: until for key, until in self._again.items() if until > now}
        turns = [[key for key in waiting if key not in self._again][:BURST] for waiting in self._waiting.values()]
        keys = [key for turn in zip_longest(*turns) for key in turn if key is not None][:BURST]
        return [self._take(key) for key in keys]

    def _take(self, key: _RefusalKey) -> Waiting:
        """Take an owner out, and let its namespace be the last to have its next turn."""
        waiting = self._waiting.pop(key[0])
        found = waiting.pop(key)
        if waiting:
            self._waiting[key[0]] = waiting
        return found

    def tell(self, taken: Iterable[Waiting]) -> None:
        """Write Events; blocking, called from any one thread. Never raises an `ApiError`."""
        for each in taken:
            now = self._monotonic()
            if now < self._resume:
                self.outcomes["dropped"] += 1
                continue
            self._again[each.namespace, each.kind, each.name] = now + PAUSE_SECONDS
            told = events.EventText(REASON, each.message, each.times)
            try:
                events.tell(self._rest, self._involved(each), told, self._rest.server_time() or self._now())
            except (api.NotFoundError, api.ConflictError):
                self.outcomes["failed"] += 1  # The namespace is gone, or others were faster: the next refusal tells.
            except api.ApiError as error:
                self.outcomes["failed"] += 1
                if self._problem is None:
                    _log.warning("refusals are not told by events: %s", error)
                self._problem = str(error)
                self._resume = now + max(RETRY_SECONDS, error.retry_after or 0.0)
            else:
                self.outcomes["written"] += 1
                self._problem = None

    def notices(self) -> list[str]:
        """Return why owners may not be told; one line or none."""
        return [self._problem] if self._problem is not None else []

    def size(self) -> int:
        """Return how many owners wait."""
        return sum(map(len, self._waiting.values()))

    @contextlib.asynccontextmanager
    async def telling(self, interval: float = LOOK_SECONDS) -> AsyncIterator[None]:
        """Tell what is gathered every `interval` seconds while the block runs."""
        async with background_task(self._run(interval)):
            yield

    async def _run(self, interval: float) -> None:
        while True:
            await asyncio.sleep(interval)
            taken = self.due()
            if not taken:
                continue
            try:
                await run_in_daemon_thread(partial(self.tell, taken))
            except Exception as error:  # noqa: BLE001  verdicts do not depend on it
                _log.error("events: %s: %s; please report this", type(error).__name__, error)

    def _involved(self, each: Waiting) -> events.Involved:
        known = self._view.workload(each.namespace, each.kind, each.name)
        uid = known.metadata.uid if known is not None and known.metadata is not None else None
        if uid:
            return events.Involved(each.kind, each.namespace, each.name, each.api_version, uid)
        direct = each.direct
        return events.Involved(direct.kind, each.namespace, direct.name, direct.api_version, direct.uid)


class RefusalCollector(Collector):
    """``podgate_refusal_events_total{outcome}``."""

    def __init__(self, refusals: Refusals) -> None:
        self._refusals = refusals

    def collect(self) -> Iterable[Metric]:
        """Return the current counts."""
        family = CounterMetricFamily(
            "podgate_refusal_events", "Events on owners of refused pods, by outcome.", labels=("outcome",)
        )
        for outcome, count in self._refusals.outcomes.items():
            family.add_metric((outcome,), count)
        return [family]
