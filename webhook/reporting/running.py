"""What runs costs where it runs: by the node of each pod, as budgets count it.

The verdict of a scan is about the successor, which the scheduler may put elsewhere; the money is about what is there.
So a pod that is on a spot node, or on one of a pool, costs that today, and what enforcing would save is the difference
that its changes make there.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from webhook.admission.bookings import price_of_running
from webhook.admission.ruleset import Ruleset
from webhook.admission.subject import Subject
from webhook.cluster.snapshot import cluster_pod
from webhook.cluster.view import ClusterPod, View
from webhook.guardrails.base import pod_cost
from webhook.guardrails.base.contract import Context
from webhook.kube.objects import Pod, controller_of
from webhook.kube.quantity import QuantityError
from webhook.reporting.fold import ENDING
from webhook.reporting.journal import DecisionOwner

MOST_NODES: Final = 50
"""Nodes of the pods of one Job or CronJob that its price is compared on."""


class RunningCost(NamedTuple):
    """What an object costs with all its pods, micro-units per hour."""

    before: int
    after: int
    ordinary: int
    """What it would cost as changed, on the nodes where it runs, were it not priced as spot by a policy."""


class RunningPricer:
    """Prices what runs, before and after it is changed."""

    def __init__(self, view: View, admitted: Ruleset, judged: Ruleset, now: Callable[[], datetime]) -> None:
        """Args:
        view: the cluster.
        admitted: the policies as they are in force, which pods were admitted by.
        judged: the same, as a scan judges by them.
        now: the time, with its zone.
        """
        self._view = view
        self._admitted = admitted
        self._judged = judged
        self._now = now

    def pod(self, document: dict[str, Any], subject: Subject) -> RunningCost | None:
        """Return what a stored pod costs; None where it cannot be priced.

        Args:
            document: as it is stored, with its node.
            subject: its successor as it would be changed.
        """
        stored = msgspec.convert(document, Pod)
        metadata = stored.metadata
        item = cluster_pod((metadata.uid if metadata is not None else None) or "", subject.namespace, stored)
        try:
            before = price_of_running(item, self._view, self._admitted, self._now).micros
            changed = self._changed(subject, item)
            changed.priced_as_spot = self._judged.prices_as_spot(changed, self._now, would=True)
            ordinary = pod_cost.context_price(self._changed(subject, item)).micros
            return RunningCost(before, pod_cost.context_price(changed).micros, ordinary)
        except QuantityError:
            return None

    def runs(self, written: Subject, subject: Subject, nodes: Iterable[str]) -> RunningCost | None:
        """Return what the runs of a Job or CronJob cost on the nodes where its pods are, the dearest of them; None
        where none of those is known, or where it cannot be priced.

        Args:
            written: the workload as it is stored.
            subject: as it would be changed.
            nodes: names of the nodes of its pods.
        """
        known = [name for name in sorted(nodes) if self._view.node(name) is not None][:MOST_NODES]
        found: list[RunningCost] = []
        try:
            for name in known:
                item = cluster_pod("", subject.namespace, subject.pod, name)
                before, after = self._changed(written, item), self._changed(subject, item)
                before.priced_as_spot = self._admitted.prices_as_spot(before, self._now)
                after.priced_as_spot = self._judged.prices_as_spot(after, self._now, would=True)
                pods = subject.scale.replicas if subject.scale is not None else 1
                is_now, will_be = (pod_cost.context_price(each).of(pods) for each in (before, after))
                ordinary = pod_cost.context_price(self._changed(subject, item)).of(pods)
                found.append(RunningCost(is_now, will_be, ordinary))
        except QuantityError:
            return None
        return max(found, default=None)

    def _changed(self, subject: Subject, item: ClusterPod) -> Context:
        context = Context(
            pod=subject.pod,
            namespace=subject.namespace,
            view=self._view,
            prices=self._judged.prices,
            namespace_info=self._view.namespace(subject.namespace),
            scale=subject.scale,
            controller=subject.controller,
            claim_templates=subject.claim_templates,
            running=item,
        )
        self._admitted.count_charges(context, self._now)
        return context


def nodes_of_owners(view: View) -> dict[DecisionOwner, frozenset[str]]:
    """Return the top-most owners that run a pod; of those whose pods run to an end, with the nodes of their pods."""
    found: dict[DecisionOwner, set[str]] = {}
    for item in view.pods():
        metadata = item.pod.metadata
        owner = view.top_controller(
            item.namespace, controller_of(metadata), (metadata.labels if metadata is not None else None) or {}
        )
        if owner is not None:
            nodes = found.setdefault(DecisionOwner(item.namespace, owner.kind, owner.name), set())
            if owner.kind in ENDING and item.node and len(nodes) < MOST_NODES:
                nodes.add(item.node)
    return {owner: frozenset(nodes) if nodes else _NO_NODES for owner, nodes in found.items()}


_NO_NODES: Final[frozenset[str]] = frozenset()
