"""The one place where parts are put together.

`embedded` makes everything that judges (cluster view, ledger, policies, engine) over a directory of Kubernetes YAML.
The servers around it are the command line's.
"""

import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from prometheus_client import CollectorRegistry

from webhook.admission.bookings import bookings
from webhook.admission.engine import Engine
from webhook.admission.log import DecisionLog
from webhook.admission.metrics import Metrics, SizeCollector
from webhook.admission.recorder import Recorder
from webhook.admission.ruleset import Ruleset, check_section
from webhook.cluster.snapshot import Snapshot
from webhook.ledger.memory import MemoryLedger
from webhook.policy import _loader
from webhook.policy._policy_set import PolicySet
from webhook.policy._reload import DirectoryWatcher, PolicyState
from webhook.settings import Settings

_log = logging.getLogger("podgate")


class Parts(NamedTuple):
    """What `serve` puts servers around."""

    engine: Engine
    metrics: Metrics
    watcher: DirectoryWatcher
    log: DecisionLog


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
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    view = Snapshot.from_directory(settings.cluster)
    ledger = MemoryLedger(clock=now)
    engine = Engine(view=view, ledger=ledger, recorder=Recorder(log, metrics, now), now=now)
    excluded = (settings.namespace, *settings.exclude_namespaces)

    def on_loaded(state: PolicyState) -> None:
        if state.set is None:
            return
        rules = Ruleset(state.set, excluded, settings.mode)
        ledger.recount(bookings(view, rules))
        engine.put_in_force(rules)
        documents: dict[str, int] = {}
        for document in state.set.documents:
            documents[document.kind] = documents.get(document.kind, 0) + 1
        metrics.policies(ok=True, generation=state.generation, problems=0, documents=documents)
        counted = ", ".join(f"{count} {kind}" for kind, count in sorted(documents.items()))
        _log.info("policies in force: %s (generation %d)", counted, state.generation)

    def on_failed(state: PolicyState) -> None:
        metrics.policies(ok=False, generation=state.generation, problems=len(state.problems), documents={})
        for problem in state.problems:
            _log.error("policy refused: %s", problem)
        kept = "the last good set stays in force" if state.set else "nothing can be judged until they are mended"
        _log.error("%d problem(s) in %s; %s", len(state.problems), settings.policies, kept)

    watcher = DirectoryWatcher(settings.policies, load_policies, on_loaded, on_failed, now=now)

    def sizes() -> Mapping[str, int]:
        rules = engine.rules
        return {
            **{f"cluster_{name}": size for name, size in view.sizes().items()},
            "ledger_pods": ledger.size(),
            **(rules.sizes() if rules is not None else {}),
        }

    registry.register(SizeCollector(sizes))
    return Parts(engine, metrics, watcher, log)


@contextlib.asynccontextmanager
async def watching(parts: Parts) -> AsyncIterator[None]:
    """Load the policies, then follow their directory while the block runs; write what is left of the log at the end."""
    await parts.watcher.refresh()
    parts.watcher.start()
    try:
        yield
    finally:
        await parts.watcher.stop()
        parts.log.close()


def policy_problem(parts: Parts) -> str | None:
    """Return why nothing can be judged, for readiness; None where a good set is in force."""
    if parts.engine.rules is not None:
        return None
    problems = parts.watcher.state.problems
    return f"no valid policies: {problems[0]}" if problems else "no policies are loaded yet"


def policy_notices(parts: Parts) -> list[str]:
    """Return what is wrong with the policy files as they are now while the last good set serves."""
    return [str(problem) for problem in parts.watcher.state.problems] if parts.engine.rules is not None else []
