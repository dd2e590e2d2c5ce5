"""The one place where parts are put together.

`embedded` makes everything that judges (cluster view, ledger, policies, engine) over a directory of Kubernetes YAML,
`live` over the watches of an API server. The servers around it are the command line's.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from webhook.admission.bookings import bookings
from webhook.admission.engine import Answered, Engine
from webhook.admission.log import DecisionLog
from webhook.admission.metrics import Metrics, SizeCollector
from webhook.admission.patience import Patience
from webhook.admission.recorder import Listener, Recorder
from webhook.admission.ruleset import Ruleset, check_section
from webhook.audit.journal import Journal
from webhook.cluster.live import LiveView
from webhook.cluster.metrics import WatchCollector
from webhook.cluster.snapshot import Snapshot
from webhook.cluster.watches import Watches
from webhook.kube import client
from webhook.kube.objects import OwnerReference
from webhook.ledger.memory import MemoryLedger
from webhook.policy import _loader
from webhook.policy._policy_set import PolicySet
from webhook.policy._problems import PolicyProblem
from webhook.policy._reload import DirectoryWatcher, PolicyState
from webhook.policy._resources import Combined, ResourcePolicies, Standing
from webhook.settings import Settings

_log = logging.getLogger("podgate")


RESERVATION: Final = timedelta(seconds=120)
"""How long a budget keeps room for an admitted pod that no watch has seen: longer than a request and a watch's lag."""


class Parts(NamedTuple):
    """What `serve` puts servers around."""

    engine: Engine
    metrics: Metrics
    watcher: DirectoryWatcher | None
    """None where policies are custom resources alone."""
    log: DecisionLog
    journal: Journal
    sizes: Callable[[], Mapping[str, int]]
    """Entries of each cache."""
    cluster: "LiveCluster | None" = None
    """None over a directory, where nothing changes."""


def utc_now() -> datetime:
    """Return the time, with its zone; the only clock of the running process."""
    return datetime.now(UTC)


def load_policies(path: Path) -> PolicySet:
    """Load a policy directory, each section compiled as a check.

    Raises:
        PolicyErrors: with all errors of all files.
    """
    return _loader.load_directory(path, check=check_section)


def embedded(settings: Settings, log: DecisionLog, *, now: Callable[[], datetime] = utc_now) -> Parts:
    """Put everything together over the snapshot directory of the settings.

    Raises:
        SnapshotError: the directory cannot be read as Kubernetes objects.
    """
    if settings.cluster is None or settings.policies is None:
        raise ValueError("the settings name no directories; this is for embedded clusters")
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    view = Snapshot.from_directory(settings.cluster)
    ledger = MemoryLedger(clock=now)
    journal = Journal()
    engine = Engine(view=view, ledger=ledger, recorder=Recorder(log, metrics, now, view, [journal]), now=now)
    excluded = (settings.namespace, *settings.exclude_namespaces)

    def on_loaded(state: PolicyState) -> None:
        if state.set is None:
            return
        rules = Ruleset(state.set, excluded, settings.mode)
        ledger.recount(bookings(view, rules))
        engine.put_in_force(rules)
        _tell_loaded(metrics, state.set, state.generation)

    watcher = DirectoryWatcher(
        settings.policies, load_policies, on_loaded, _failure_teller(metrics, settings.policies), now=now
    )

    def sizes() -> Mapping[str, int]:
        rules = engine.rules
        return {
            **{f"cluster_{name}": size for name, size in view.sizes().items()},
            "ledger_pods": ledger.size(),
            **journal.sizes(),
            **(rules.sizes() if rules is not None else {}),
        }

    registry.register(SizeCollector(sizes))
    return Parts(engine, metrics, watcher, log, journal, sizes)


def live(
    settings: Settings,
    log: DecisionLog,
    *,
    now: Callable[[], datetime] = utc_now,
    api: client.Api | None = None,
    watch_options: Mapping[str, object] | None = None,
    listeners: Sequence[Callable[[LiveView], Listener]] = (),
) -> Parts:
    """Put everything together over watches of an API server.

    Args:
        settings: of `serve`.
        log: takes the decisions.
        now: the clock.
        api: the API server; None connects as the settings say.
        watch_options: see `webhook.cluster.watches.Watches`; for tests.
        listeners: make what is told of every decision, besides the journal.

    Raises:
        ConfigError: there is no configuration to connect with.
    """
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    view = LiveView(now, frozenset((*settings.scheduler_namespaces, settings.namespace)))
    watches = Watches(api or client.connect(settings.kubeconfig), view, options=watch_options)
    resources = ResourcePolicies(check_section)
    for source in resources.sources:
        watches.add(source.resource, source.decode, source)
    ledger = MemoryLedger(clock=now, ttl=RESERVATION)
    # A pod that ends between two recounts was never confirmed, and would keep its room for as long as one never seen.
    view.pods_by_uid.on_end = ledger.release

    def lacks(namespace: str, owner: OwnerReference | None) -> bool:
        missing = view.lacks(namespace, owner)
        return bool(missing) and all(map(watches.is_watching, missing))

    journal = Journal()
    recorder = Recorder(log, metrics, now, view, [journal, *(make(view) for make in listeners)])
    engine = Engine(view=view, ledger=ledger, recorder=recorder, now=now, lacks=lacks)
    cluster = LiveCluster(settings, engine, metrics, ledger, view, watches, resources, Patience(lacks))
    watcher: DirectoryWatcher | None = None
    if settings.policies is not None:
        watcher = DirectoryWatcher(
            settings.policies, load_policies, cluster.on_loaded, _failure_teller(metrics, settings.policies), now=now
        )

    def sizes() -> Mapping[str, int]:
        rules = engine.rules
        return {
            **{f"cluster_{name}": size for name, size in view.sizes().items()},
            "policy_resources": len(resources),
            "ledger_pods": ledger.size(),
            **journal.sizes(),
            **(rules.sizes() if rules is not None else {}),
        }

    registry.register(SizeCollector(sizes))
    registry.register(WatchCollector(watches, view))
    registry.register(_WaitCollector(cluster.patience))
    return Parts(engine, metrics, watcher, log, journal, sizes, cluster)


class LiveCluster:
    """What moves while a live cluster is served: watches, policies that are custom resources, and the recount of what
    runs already."""

    LOOK: Final = 0.2
    """Seconds between two looks at what has changed; an edit of a policy holds after that."""
    RECOUNT_SHARE: Final = 20
    """A recount of all pods takes at most one twentieth of the time."""
    RECOUNT: Final = 2.0
    """Seconds between two recounts at least."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        metrics: Metrics,
        ledger: MemoryLedger,
        view: LiveView,
        watches: Watches,
        resources: ResourcePolicies,
        patience: Patience,
    ) -> None:
        self.view = view
        self.watches = watches
        self.patience = patience
        self._engine = engine
        self._metrics = metrics
        self.ledger = ledger
        self._resources = resources
        self.excluded = (settings.namespace, *settings.exclude_namespaces)
        self._cap = settings.mode
        self._needs_directory = settings.policies is not None
        self._directory: PolicySet | None = None
        self._generation = 0
        self._seen: tuple[object, ...] = ()
        self._recounted: tuple[object, ...] = ()
        self._next_recount = 0.0
        self._combined: Combined | None = None
        self.problems: tuple[PolicyProblem, ...] = ()
        """What is wrong with custom resources as they are now."""

    def on_loaded(self, state: PolicyState) -> None:
        """Take a policy directory over; it holds from the next look on."""
        self._directory = state.set

    def standings(self) -> list[Standing] | None:
        """Return what each policy that is a custom resource should say of itself; None while that is not known.

        May be called from any thread.
        """
        combined = self._combined
        return self._resources.standings(combined) if combined is not None else None

    @property
    def policies(self) -> PolicySet | None:
        """The policies in force; None before any were, and while they change."""
        return self._combined.set if self._combined is not None else None

    async def run(self) -> None:
        """Follow changes until cancelled."""
        while True:
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001  what was in force stays so, and the next change is tried anew
                _log.error("a change could not be taken over: %s: %s; please report this", type(error).__name__, error)
            await asyncio.sleep(self.LOOK)

    async def look(self) -> None:
        """Put in force what has changed, once all of it is there."""
        if self.watches.problem() is not None or (self._needs_directory and self._directory is None):
            return
        changes = (id(self._directory), self._resources.changes)
        if changes != self._seen:
            # Before the attempt: what fails is tried again when something changes, not five times a second.
            self._seen = changes
            await self._put_in_force()
        await self._recount()

    async def _put_in_force(self) -> None:
        combined = self._resources.combine(self._directory)
        for problem in combined.problems:
            if problem not in self.problems:
                _log.error("policy refused: %s", problem)
        self._combined, self.problems = None, combined.problems
        rules = Ruleset(combined.set, self.excluded, self._cap)
        self.watches.follow_schedulers(combined.set.schedulers)
        # A budget must know what runs before the first pod is judged by it: to an empty ledger everything fits.
        try:
            await self._count(rules)
        except Exception as error:  # noqa: BLE001  the other guardrails do not wait for money
            _log.error("the budgets start without what runs: %s: %s; please report this", type(error).__name__, error)
        self._engine.put_in_force(rules)
        self._combined = combined
        self._generation += 1
        _tell_loaded(self._metrics, combined.set, self._generation, len(combined.problems))

    async def _recount(self) -> None:
        rules = self._engine.rules
        if rules is not None and self._recounted != self._countable(rules) and time.monotonic() >= self._next_recount:
            await self._count(rules)

    async def _count(self, rules: Ruleset) -> None:
        started = time.monotonic()
        self._recounted = self._countable(rules)
        # Many pods take seconds; reviews go on meanwhile.
        await asyncio.to_thread(lambda: self.ledger.recount(list(bookings(self.view, rules))))
        took = time.monotonic() - started
        self._next_recount = time.monotonic() + max(self.RECOUNT, took * self.RECOUNT_SHARE)

    def _countable(self, rules: Ruleset) -> tuple[object, ...]:
        """Return what a count depends on, to tell whether it is old."""
        return rules, self.view.pods_by_uid.changes, self.view.namespaces.changes


class _WaitCollector(Collector):
    """``podgate_cache_waits_total{outcome}``."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience

    def collect(self) -> Iterable[CounterMetricFamily]:
        family = CounterMetricFamily(
            "podgate_cache_waits", "Reviews that waited for the caches, by what came of it.", labels=("outcome",)
        )
        for outcome in ("seen", "timeout", "crowded"):
            family.add_metric((outcome,), self._patience.outcomes[outcome])
        return [family]


def answer(parts: Parts, path: str, body: bytes, timeout: float | None) -> Answered | Awaitable[Answered]:
    """Judge one call; where the cluster is live, perhaps a moment later (see `webhook.admission.patience`).

    Raises:
        BadReview: the body is no AdmissionReview v1, or no policies are in force yet.
    """
    if parts.cluster is None:
        return parts.engine.answer(path, body)
    return parts.cluster.patience.answer(parts.engine, path, body, timeout)


def _tell_loaded(metrics: Metrics, policies: PolicySet, generation: int, problems: int = 0) -> None:
    documents: dict[str, int] = {}
    for document in policies.documents:
        documents[document.kind] = documents.get(document.kind, 0) + 1
    metrics.policies(ok=not problems, generation=generation, problems=problems, documents=documents)
    counted = ", ".join(f"{count} {kind}" for kind, count in sorted(documents.items()))
    _log.info("policies in force: %s (generation %d)", counted or "none", generation)


def _failure_teller(metrics: Metrics, directory: Path) -> Callable[[PolicyState], None]:
    def on_failed(state: PolicyState) -> None:
        metrics.policies(ok=False, generation=state.generation, problems=len(state.problems), documents={})
        for problem in state.problems:
            _log.error("policy refused: %s", problem)
        kept = "the last good set stays in force" if state.set else "nothing can be judged until they are mended"
        _log.error("%d problem(s) in %s; %s", len(state.problems), directory, kept)

    return on_failed


@contextlib.asynccontextmanager
async def watching(parts: Parts) -> AsyncIterator[None]:
    """Load the policies, then follow them and the cluster while the block runs; write what is left of the log at the
    end."""
    following: asyncio.Task[None] | None = None
    if parts.cluster is not None:
        parts.cluster.watches.start()
    if parts.watcher is not None:
        await parts.watcher.refresh()
        parts.watcher.start()
    if parts.cluster is not None:
        following = asyncio.create_task(parts.cluster.run(), name="podgate-cluster")
    try:
        yield
    finally:
        if parts.watcher is not None:
            await parts.watcher.stop()
        if following is not None:
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following
        if parts.cluster is not None:
            await asyncio.to_thread(parts.cluster.watches.stop)
        parts.log.close()


def policy_problem(parts: Parts) -> str | None:
    """Return why nothing can be judged, for readiness; None where a good set is in force."""
    if parts.engine.rules is not None:
        return None
    problems = parts.watcher.state.problems if parts.watcher is not None else ()
    return f"no valid policies: {problems[0]}" if problems else "no policies are loaded yet"


def policy_notices(parts: Parts) -> list[str]:
    """Return what is wrong with the policies as they are now while the last good ones serve."""
    if parts.engine.rules is None:
        return []
    files = parts.watcher.state.problems if parts.watcher is not None else ()
    return [str(problem) for problem in (*files, *(parts.cluster.problems if parts.cluster is not None else ()))]


def cluster_problem(parts: Parts) -> str | None:
    """Return what of the cluster is not known yet, for readiness; None once everything was, and over a directory."""
    return parts.cluster.watches.problem() if parts.cluster is not None else None


def cluster_notices(parts: Parts) -> list[str]:
    """Return which watches are behind, and which schedulers pods are not handed to."""
    if parts.cluster is None:
        return []
    dead = [name for name, alive in sorted(parts.cluster.view.schedulers().items()) if not alive]
    lines = [f"scheduler {name} holds no fresh Lease; its pods stay with the default scheduler" for name in dead]
    return [*parts.cluster.watches.notices(), *lines]
