"""From the price of one pod to the cost of what is judged: all pods of a workload, and the most that there may be."""

from webhook.admission.decision import Cost
from webhook.guardrails import _money
from webhook.guardrails._contract import WorkloadScale


def cost_of(before: _money.PodPrice, after: _money.PodPrice, scale: WorkloadScale | None, hours_per_month: int) -> Cost:
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
    costs = _money.of_all(before, scale), _money.of_all(after, scale)
    cost = Cost(*costs, scale.replicas, after.source, hours, after.unpriced, after.once)
    return cost._replace(most_pods=scale.most, most=after.of(scale.most)) if scale.most > scale.replicas else cost
