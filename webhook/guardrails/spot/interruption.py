"""Pods that nobody may evict: whoever takes their node away breaks what was promised about them.

By annotation, as node autoscalers read it, or by a PodDisruptionBudget that lets no pod go however well all of them
are. That is judged by the numbers that are written, never by how many pods are healthy at this moment.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from webhook.cluster.matching import REPLICATED
from webhook.cluster.view import PodDisruptionBudget, PodShare
from webhook.guardrails.base.contract import Context
from webhook.kube.objects import JobSpec, WorkloadSpec, controller_of

_HUNDRED: Final = 100
_KARPENTER: Final = "karpenter.sh/do-not-disrupt"
_CLUSTER_AUTOSCALER: Final = "cluster-autoscaler.kubernetes.io/safe-to-evict"
_GO_DURATION: Final = re.compile(r"([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+", re.ASCII)


def forbidding_annotation(annotations: Mapping[str, str]) -> str:
    """Return the annotation by which the author says that a node autoscaler must not evict the pod; empty without."""
    if not annotations:
        return ""
    if annotations.get(_CLUSTER_AUTOSCALER) == "false":
        return f'{_CLUSTER_AUTOSCALER}: "false"'
    value = annotations.get(_KARPENTER)
    # Either for good, or for some time after the pod has started.
    is_forbidden = value is not None and (value == "true" or _GO_DURATION.fullmatch(value) is not None)
    return _KARPENTER if is_forbidden else ""


def runs_alone(context: Context) -> bool:
    """Whether the pod is the only replica of its workload, and no autoscaler sees to more."""
    controller = context.controller
    if controller is None or controller.kind not in REPLICATED:
        return False
    is_asked_for = context.scale is not None and controller.kind in REPLICATED
    count = context.scale.replicas if is_asked_for and context.scale is not None else None
    if count is None:
        count = context.view.replicas(context.namespace, controller)
    if count != 1:
        return False
    autoscalers = context.view.horizontal_pod_autoscalers(context.namespace, controller)
    return all((1 if each.min_replicas is None else each.min_replicas) < 2 for each in autoscalers)


def is_never_retried(context: Context) -> str:
    """Return why nothing runs a pod again whose node is lost, in words; empty where something does."""
    if context.scale is not None:
        return _NO_BACKOFF if context.scale.is_never_retried else ""
    owner = controller_of(context.pod.metadata)
    spec = context.pod.spec
    if owner is None:
        is_ended = spec is not None and spec.restart_policy == "Never"
        return "restartPolicy Never without a controller" if is_ended else ""
    if owner.kind != "Job":
        return ""
    job = context.view.head(context.namespace, "Job", owner.name)
    return _NO_BACKOFF if job is not None and job.spec is not None and never_retries(job.spec) else ""


_NO_BACKOFF: Final = "backoffLimit 0"


def never_retries(job: JobSpec | WorkloadSpec) -> bool:
    """Whether a Job fails with the first pod that it loses."""
    if job.backoff_limit != 0 and job.backoff_limit_per_index != 0:
        return False
    policy = job.pod_failure_policy
    return not any(
        rule.action == "Ignore" and any(each.type == "DisruptionTarget" for each in rule.on_pod_conditions or ())
        for rule in (policy.rules or () if policy is not None else ())
    )


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


def _least(needed: PodShare, count: int) -> int:
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
