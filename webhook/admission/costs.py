"""From the price of one pod to the cost of what is judged: all pods of a workload, and the most that there may be."""

from webhook.admission.decision import Cost
from webhook.guardrails.base import pod_cost
from webhook.guardrails.base.contract import WorkloadScale


def cost_of(
    before: pod_cost.PodPrice, after: pod_cost.PodPrice, scale: WorkloadScale | None, hours_per_month: int
) -> Cost:
    """Return what an object costs.

    Args:
        before: one pod, as received.
        after: one pod, as it will be.
        scale: of a workload; None of a pod.
        hours_per_month: those of a month; a workload may run for less.
    """
    if scale is None:
        return Cost(before.micros, after.micros, 1, after.source, hours_per_month, after.unpriced, after.once)
    hours = hours_per_month if scale.hours is None else min(scale.hours, hours_per_month)
    costs = pod_cost.of_all(before, scale), pod_cost.of_all(after, scale)
    cost = Cost(*costs, scale.replicas, after.source, hours, after.unpriced, after.once)
    return cost._replace(most_pods=scale.most, most=after.of(scale.most)) if scale.most > scale.replicas else cost
