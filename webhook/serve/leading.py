"""What is done beside serving, by the one replica that leads: conditions, ledgers, budgets, the scan of what runs."""

import contextlib
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

import prometheus_client

from webhook import assembly
from webhook.admission.budget_status import BudgetStatus, budget_statuses
from webhook.kube.client import Client, connect, in_pod
from webhook.kube.conditions import Held
from webhook.kube.leader import Election
from webhook.kube.webhooks import WebhookObjects
from webhook.ledger.shared import SharedLedger
from webhook.reporting.background import BackgroundScan, ScanBasis, ScanCollector
from webhook.serve import actuals, budgets, conditions, ledgers, notifier, ops, secret_tls, webhook_objects
from webhook.settings import Settings

_LEDGER_SECONDS: Final = 2.0

_ALONE: Final = (
    "this process books budgets by itself: it runs outside the cluster; run it in a pod, or name the Secret that all "
    "replicas share by --certs-secret"
)

Background = list[contextlib.AbstractAsyncContextManager[None]]
"""Tasks that run while their blocks do."""


class LeaderContext(NamedTuple):
    """What the duties of a leader are done with."""

    chosen: Settings
    parts: assembly.Services
    rest: Client | None
    """None where there is no API server to write to."""
    health: ops.Health
    registry: prometheus_client.CollectorRegistry


def has_leader(chosen: Settings) -> bool:
    """Whether one of the replicas leads. Those that share certificates have a leader. Others elect one, but only in
    pods: who tries Podgate on a cluster from outside must not speak for the installation that is in it."""
    return bool(chosen.certs_secret) or (chosen.kubeconfig is None and in_pod())


def ledger_writes(chosen: Settings) -> Client | None:
    """Connect for writes that reviews wait for: an answer that takes longer than they have is worth nothing."""
    return connect(chosen.kubeconfig, read_seconds=_LEDGER_SECONDS) if has_leader(chosen) else None


def background(place: LeaderContext, election: Election | None) -> Background:
    """Return all that is to run beside serving.

    Args:
        place: see there.
        election: the one that certificates have, which runs already; None where they have none.
    """
    cluster, rest = place.parts.cluster, place.rest
    if cluster is None or rest is None:
        alone = _budgets(place, lambda: True) if place.chosen.notify_url else []
        return [*alone, *_ledgers(place, None)]
    found: Background = []
    is_own = election is None
    if election is None:
        if not has_leader(place.chosen):
            logging.getLogger("podgate").info(
                "policies get conditions, and budgets are shared, only by replicas in the cluster"
            )
            return _ledgers(place, None)
        election = secret_tls.candidate(rest, place.chosen.namespace, conditions.LEASE, assembly.utc_now)
        found.append(election.running())
    leads = election.is_leader
    return [
        *found,
        *_webhook_objects(place, rest),
        *_conditions(place, cluster, rest, leads, tells_leader=is_own),
        *_ledgers(place, leads),
        *_budgets(place, leads),
        *(_scan(place, cluster, rest, leads) if place.chosen.scan_interval else ()),
    ]


def _webhook_objects(place: LeaderContext, rest: Client) -> Background:
    """Tell, on every replica, when the API server is not asked to call."""
    check = webhook_objects.WebhookObjectCheck(WebhookObjects(rest, place.chosen.webhooks))
    place.health.add_notice("webhook objects", check.notices)
    place.registry.register(webhook_objects.WebhookObjectCollector(check))
    return [check.watching()]


def _conditions(
    place: LeaderContext, cluster: assembly.PolicySync, rest: Client, leads: Callable[[], bool], *, tells_leader: bool
) -> Background:
    """Tell authors of custom resources what came of them."""
    writer = conditions.ConditionWriter(
        cluster.standings, rest, leads=leads, now=assembly.utc_now, monotonic=time.monotonic
    )
    place.health.add_notice("conditions", writer.notices)
    place.registry.register(conditions.ConditionCollector(writer, leads if tells_leader else None))
    return [writer.watching()]


def _ledgers(place: LeaderContext, leads: Callable[[], bool] | None) -> Background:
    """Tell what budgets have committed, on every replica; where replicas share their ledgers, the leader keeps them
    true."""
    ledger = place.parts.ledger
    terms = partial(assembly.budget_terms, place.parts)
    place.registry.register(ledgers.LedgerBudgetCollector(ledger, terms, assembly.utc_now))
    if place.parts.cluster is None:
        return []
    if not isinstance(ledger, SharedLedger) or leads is None:
        place.registry.register(ledgers.AloneCollector())
        place.health.add_notice("ledgers", lambda: [_ALONE] if terms() else [])
        return []
    place.registry.register(ledgers.LedgerCollector(ledger))
    return [ledgers.LedgerKeeper(ledger, leads).watching()]


def _budgets(place: LeaderContext, leads: Callable[[], bool]) -> Background:
    """Tell how budgets stand."""
    chosen, parts, rest = place.chosen, place.parts, place.rest

    def stand() -> list[BudgetStatus]:
        rules = parts.engine.rules
        return budget_statuses(rules, parts.ledger, assembly.utc_now()) if rules is not None else []

    def objects() -> dict[str, Held]:
        return budgets.objects_of(parts.cluster.standings() if parts.cluster is not None else None)

    def asks() -> list[actuals.CostQuery]:
        rules, now = parts.engine.rules, assembly.utc_now()
        found = rules.budgets if rules is not None else ()
        return [actuals.CostQuery(each.name, each.scope, each.begin(now)) for each in found]

    costs: actuals.ActualCosts | None = None
    found: Background = []
    if chosen.allocation_url and rest is not None:
        costs = actuals.ActualCosts(chosen.allocation_url, asks, leads=leads, now=assembly.utc_now)
        place.health.add_notice("actual costs", costs.notices)
        place.registry.register(actuals.ActualsCollector(costs))
        found.append(costs.watching())
    teller = budgets.BudgetStatusController(
        stand,
        objects,
        rest,
        notifier.Notifier(chosen.notify_url, chosen.notify_form) if chosen.notify_url else None,
        actuals=costs,
        leads=leads,
        now=assembly.utc_now,
        monotonic=time.monotonic,
    )
    place.health.add_notice("budgets", teller.notices)
    place.registry.register(budgets.BudgetStatusCollector(teller))
    return [*found, teller.watching()]


def _scan(place: LeaderContext, cluster: assembly.PolicySync, rest: Client, leads: Callable[[], bool]) -> Background:
    """Judge what runs, and tell it in reports."""

    def basis() -> ScanBasis | None:
        policies = cluster.policies
        return ScanBasis(policies, cluster.view, cluster.ledger, cluster.excluded) if policies is not None else None

    scan = BackgroundScan(basis, rest, rest, leads=leads, now=assembly.utc_now, interval=place.chosen.scan_interval)
    place.health.add_notice("scan", scan.notices)
    place.registry.register(ScanCollector(scan))
    return [scan.running()]
