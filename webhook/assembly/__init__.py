"""The one place where parts are put together.

`embedded` makes everything that judges (cluster view, ledger, policies, engine) over a directory of Kubernetes YAML,
`live` over the watches of an API server. The servers around it are the command line's.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry

from webhook.admission import wanted_pods
from webhook.admission.bookings import bookings, terms
from webhook.admission.cache_wait import CacheWait
from webhook.admission.engine import Answered, Engine
from webhook.admission.loading import failure_teller, report_policy_load
from webhook.admission.log import DecisionLog
from webhook.admission.metrics import (
    ExceptionCollector,
    Metrics,
    SizeCollector,
    review_cache_collector,
    wait_collector,
)
from webhook.admission.recorder import Listener, Recorder
from webhook.admission.ruleset import Ruleset, check_section
from webhook.assembly.live_cluster import PolicySync
from webhook.cluster.live import LiveView
from webhook.cluster.metrics import WatchCollector
from webhook.cluster.snapshot import Snapshot
from webhook.cluster.watches import Watches
from webhook.kube import caches, client
from webhook.kube.objects import OwnerReference
from webhook.kube.pod_devices import PodResourceClaim
from webhook.kube.rest import Rest
from webhook.ledger import balance
from webhook.ledger.connect import connect
from webhook.ledger.memory import MemoryLedger
from webhook.ledger.news import PodNews
from webhook.ledger.shared import SharedLedger
from webhook.ledger.store import LedgerStore
from webhook.policy.loading import loader
from webhook.policy.loading.reload import DirectoryWatcher, PolicyState
from webhook.policy.loading.resources import ResourcePolicies
from webhook.policy.model.policy_set import PolicySet
from webhook.reporting.journal import Journal
from webhook.settings import Settings

__all__ = [
    "RESERVATION",
    "PolicySync",
    "Services",
    "answer",
    "budget_terms",
    "cluster_notices",
    "cluster_problem",
    "embedded",
    "live",
    "load_part",
    "load_policies",
    "policy_notices",
    "policy_problem",
    "utc_now",
    "watching",
]

RESERVATION: Final = timedelta(seconds=120)
"""How long a budget keeps room for an admitted pod that no watch has seen: longer than a request and a watch's lag."""


class Services(NamedTuple):
    """What `serve` puts servers around."""

    engine: Engine
    metrics: Metrics
    watcher: DirectoryWatcher | None
    """None where policies are custom resources alone."""
    log: DecisionLog
    ledger: LedgerStore
    """What budgets have committed."""
    journal: Journal
    sizes: Callable[[], Mapping[str, int]]
    """Entries of each cache."""
    cluster: PolicySync | None = None
    """None over a directory, where nothing changes."""


def utc_now() -> datetime:
    """Return the time, with its zone; the only clock of the running process."""
    return datetime.now(UTC)


def load_policies(path: Path) -> PolicySet:
    """Load a policy directory, each section compiled as a check.

    Raises:
        PolicyErrors: with all errors of all files.
    """
    return loader.load_directory(path, check=check_section)


def load_part(path: Path) -> PolicySet:
    """Load a policy directory beside which custom resources bring policies as well, above all prices.

    Raises:
        PolicyErrors: with all errors of all files.
    """
    return loader.load_directory(path, check=check_section, is_whole=False)


def embedded(settings: Settings, log: DecisionLog, *, now: Callable[[], datetime] = utc_now) -> Services:
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
        ledger.recount(bookings(view, rules, now))
        engine.put_in_force(rules)
        report_policy_load(metrics, state.set, state.generation)

    watcher = DirectoryWatcher(
        settings.policies, load_policies, on_loaded, failure_teller(metrics, settings.policies), now=now
    )

    def sizes() -> Mapping[str, int]:
        return {
            **{f"cluster_{name}": size for name, size in view.sizes().items()},
            "ledger_pods": ledger.size(),
            **journal.sizes(),
            **engine.sizes(),
            **caches.sizes(),
        }

    registry.register(SizeCollector(sizes))
    registry.register(review_cache_collector(engine.lookups))
    registry.register(ExceptionCollector(lambda: engine.rules, now))
    return Services(engine, metrics, watcher, log, ledger, journal, sizes)


def live(
    settings: Settings,
    log: DecisionLog,
    *,
    now: Callable[[], datetime] = utc_now,
    api: client.Api | None = None,
    writes: Rest | None = None,
    watch_options: Mapping[str, object] | None = None,
    listeners: Sequence[Callable[[LiveView], Listener]] = (),
) -> Services:
    """Put everything together over watches of an API server.

    Args:
        settings: of `serve`.
        log: takes the decisions.
        now: the clock.
        api: the API server; None connects as the settings say.
        writes: where ledgers are written; None keeps them in this process alone.
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
    sees_pods = partial(watches.is_watching, "Pod")
    shared: SharedLedger | None = None
    if writes is not None:
        shared = connect(writes, watches.add, sees_pods=sees_pods, now=now, ttl=RESERVATION)
    ledger = shared or MemoryLedger(clock=now, ttl=RESERVATION, news=PodNews(sees_pods, time.monotonic))
    # A pod that ends between two recounts was never confirmed, and would keep its room for as long as one never seen.
    view.pods_by_uid.on_end = ledger.release
    view.pods_by_uid.on_leave = ledger.leave
    for store in view.workloads.values():
        store.on_change = partial(wanted_pods.report_wanted_pods, ledger)

    def lacks(namespace: str, owner: OwnerReference | None, claims: Sequence[PodResourceClaim]) -> bool:
        missing = view.lacks(namespace, owner, claims)
        return bool(missing) and all(map(watches.is_watching, missing))

    journal = Journal()
    recorder = Recorder(log, metrics, now, view, [journal, *(make(view) for make in listeners)])
    engine = Engine(view=view, ledger=ledger, recorder=recorder, now=now, lacks=lacks, later=shared)
    cluster = PolicySync(settings, engine, metrics, ledger, view, watches, resources, CacheWait(lacks), now)
    watcher: DirectoryWatcher | None = None
    if settings.policies is not None:
        watcher = DirectoryWatcher(
            settings.policies, load_part, cluster.on_loaded, failure_teller(metrics, settings.policies), now=now
        )

    def sizes() -> Mapping[str, int]:
        return {
            **{f"cluster_{name}": size for name, size in view.sizes().items()},
            "policy_resources": len(resources),
            "ledger_pods": ledger.size(),
            **journal.sizes(),
            **engine.sizes(),
            **caches.sizes(),
        }

    registry.register(SizeCollector(sizes))
    registry.register(review_cache_collector(engine.lookups))
    registry.register(ExceptionCollector(lambda: engine.rules, now))
    registry.register(WatchCollector(watches, view))
    registry.register(wait_collector(cluster.cache_wait.outcomes))
    return Services(engine, metrics, watcher, log, ledger, journal, sizes, cluster)


def budget_terms(parts: Services) -> Mapping[str, balance.BudgetTerms]:
    """Return what the budgets in force promise, by name."""
    rules = parts.engine.rules
    return terms(rules) if rules is not None else {}


def answer(parts: Services, path: str, body: bytes, timeout: float | None) -> Answered | Awaitable[Answered]:
    """Judge one call; where the cluster is live, perhaps a moment later (see `webhook.admission.cache_wait`).

    Raises:
        BadReview: the body is no AdmissionReview v1, or no policies are in force yet.
    """
    if parts.cluster is None:
        return parts.engine.answer(path, body)
    return parts.cluster.cache_wait.answer(parts.engine, path, body, timeout)


@contextlib.asynccontextmanager
async def watching(parts: Services) -> AsyncIterator[None]:
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


def policy_problem(parts: Services) -> str | None:
    """Return why nothing can be judged, for readiness; None where a good set is in force."""
    if parts.engine.rules is not None:
        return None
    problems = parts.watcher.state.problems if parts.watcher is not None else ()
    return f"no valid policies: {problems[0]}" if problems else "no policies are loaded yet"


def policy_notices(parts: Services) -> list[str]:
    """Return what is wrong with the policies as they are now while the last good ones serve."""
    if parts.engine.rules is None:
        return []
    files = parts.watcher.state.problems if parts.watcher is not None else ()
    return [str(problem) for problem in (*files, *(parts.cluster.problems if parts.cluster is not None else ()))]


def cluster_problem(parts: Services) -> str | None:
    """Return what of the cluster is not known yet, for readiness; None once everything was, and over a directory."""
    return parts.cluster.watches.problem() if parts.cluster is not None else None


def cluster_notices(parts: Services) -> list[str]:
    """Return which watches are behind, and which schedulers pods are not handed to."""
    if parts.cluster is None:
        return []
    ledger = parts.ledger.notices() if isinstance(parts.ledger, SharedLedger) else []
    return [*parts.cluster.watches.notices(), *parts.cluster.schedulers.notices(), *ledger]
