"""What the pages of `podgate serve` are given: the parts of the process, as `webhook.dashboard` asks for them."""

from collections.abc import Callable, Mapping
from functools import partial

from webhook import assembly
from webhook.dashboard.sources import CurrentPolicies, Sources
from webhook.serve import listener, ops
from webhook.settings import Settings


def sites(
    chosen: Settings,
    parts: assembly.Services,
    health: ops.Health,
    certificates: Callable[[], Mapping[str, float]],
) -> list[listener.Site]:
    """Return the port of the pages; none where it is switched off."""
    if not chosen.dashboard_port:
        return []
    # Where the pages are off, as in every shipped manifest, their templates cost neither start-up nor memory.
    from webhook.serve import dashboard

    cluster = parts.cluster
    source = Sources(
        now=assembly.utc_now,
        journal=parts.journal,
        ledger=parts.engine.ledger,
        rules=lambda: parts.engine.rules,
        policies=partial(_policies, parts),
        sizes=parts.sizes,
        watches=cluster.watches.report if cluster is not None else list,
        schedulers=cluster.view.schedulers if cluster is not None else dict,
        certificates=certificates,
        checks=lambda: [(state.name, state.reason) for state in health.states()],
        notices=health.notices,
        cluster="live" if chosen.cluster is None else str(chosen.cluster),
        mode=chosen.mode,
        started=assembly.utc_now(),
    )
    app = dashboard.application(source, chosen.dashboard_host)
    host, port = chosen.dashboard_host, chosen.dashboard_port
    return [listener.Site("dashboard", "--dashboard-port", app, host, port, "--dashboard-host")]


def _policies(parts: assembly.Services) -> CurrentPolicies:
    state = parts.watcher.state if parts.watcher is not None else None
    files = state.problems if state is not None else ()
    if parts.cluster is None:
        assert state is not None  # noqa: S101  without a cluster policies are a directory
        return CurrentPolicies(state.set, files, state.generation, state.loaded_at)
    generation = int(parts.metrics.registry.get_sample_value("podgate_policy_generation") or 0)
    loaded_at = state.loaded_at if state is not None else None
    return CurrentPolicies(parts.cluster.policies, (*files, *parts.cluster.problems), generation, loaded_at)
