"""Pods that nobody may evict: whoever takes their node away breaks what was promised about them.

By annotation, as node autoscalers read it, or by a PodDisruptionBudget that lets no pod go however well all of them
are. That is judged by the numbers that are written, never by how many pods are healthy at this moment.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from webhook.cluster.matching import REPLICATED
from webhook.cluster.view import PodDisruptionBudget, Share
from webhook.guardrails._contract import Context

_HUNDRED: Final = 100
_KARPENTER: Final = "karpenter.sh/do-not-disrupt"
_CLUSTER_AUTOSCALER: Final = "cluster-autoscaler.kubernetes.io/safe-to-evict"
_GO_DURATION: Final = re.compile(r"([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+", re.ASCII)


def forbids_eviction(annotations: Mapping[str, str]) -> bool:
    """Whether the author annotated the pod as one that a node autoscaler must not evict."""
    if not annotations:
        return False
    if annotations.get(_CLUSTER_AUTOSCALER) == "false":
        return True
    value = annotations.get(_KARPENTER)
    # Either for good, or for some time after the pod has started.
    return value is not None and (value == "true" or _GO_DURATION.fullmatch(value) is not None)


def blocking_budget(context: Context) -> PodDisruptionBudget | None:
    """Return the first PodDisruptionBudget that selects the pod and never lets one go."""
    for budget in context.view.disruption_budgets(context.namespace, context.labels):
        if lets_none_go(budget, lambda: _pods_at_most(context)):
            return budget
    return None


def lets_none_go(budget: PodDisruptionBudget, pods: Callable[[], int | None]) -> bool:
    """Whether a budget forbids every eviction while all pods that it counts are healthy.

    Args:
        budget: of the pod's namespace, selecting the pod.
        pods: how many pods there may be at most; None where that is not known. Asked only where it decides.
    """
    if budget.max_unavailable is not None:
        # A percentage above zero is rounded up to at least one pod.
        return budget.max_unavailable.number == 0
    needed = budget.min_available
    if needed is None or needed.number == 0:
        return False
    if needed.is_percent and needed.number == _HUNDRED:
        return True
    count = pods()
    return count is not None and _least(needed, count) >= count


def _least(needed: Share, count: int) -> int:
    """Return how many of so many pods have to stay; a percentage is rounded up, as the disruption controller does."""
    return -(-needed.number * count // _HUNDRED) if needed.is_percent else needed.number


def _pods_at_most(context: Context) -> int | None:
    controller = context.controller
    if controller is None:
        return None
    if context.scale is not None and controller.kind in REPLICATED:
        count: int | None = context.scale.replicas
    else:
        count = context.view.replicas(context.namespace, controller)
    # What an autoscaler may add makes room for an eviction.
    autoscalers = context.view.horizontal_pod_autoscalers(context.namespace, controller)
    count = max(count or 0, *(each.max_replicas for each in autoscalers)) if autoscalers else count
    # Unknown, or scaled to zero: then there is no pod that could be evicted.
    return count or None
