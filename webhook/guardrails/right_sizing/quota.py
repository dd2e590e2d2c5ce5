"""ResourceQuotas: whether the pod, as it will be, still fits into what its namespace has left.

A quota on requests or limits of cpu or memory counts the sums of a pod, overhead included, and the API server refuses
a pod that does not fit. Sizing may also make a quota count a pod that it did not count before: one with scope
NotBestEffort counts a pod from its first request on, and then wants a value in every container.

What does not fit is cut from the headroom of limits; where that is not enough, the resource is left as it is written.
What is used is read from the quota's status, which follows the cluster by moments: of two pods that are sized at the
same moment the API server may still refuse the second.

Whom a scope is about says `webhook.kube.pod_quota`; the rest is the admission plugin ResourceQuota of Kubernetes.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from webhook.cluster.view import ResourceQuota
from webhook.guardrails.base.contract import Finding
from webhook.guardrails.right_sizing import notices, pod_sums
from webhook.guardrails.right_sizing.advice import ContainerAdvice
from webhook.guardrails.right_sizing.limit_range import NO_BOUNDS, Ranges
from webhook.guardrails.right_sizing.originals import ResourceField
from webhook.guardrails.right_sizing.pod_sums import CpuAndMemory
from webhook.guardrails.right_sizing.resource_plan import ContainerPlan, ResourcePlan
from webhook.guardrails.right_sizing.rule import RightSizingRule
from webhook.kube import pod_quota
from webhook.kube.objects import PodSpec, ResourceMap

_UNITS: Final = pod_sums.UNITS
_KEYS: Final[dict[str, tuple[ResourceField, int]]] = {
    "cpu": ("requests", 0),
    "requests.cpu": ("requests", 0),
    "limits.cpu": ("limits", 0),
    "memory": ("requests", 1),
    "requests.memory": ("requests", 1),
    "limits.memory": ("limits", 1),
}
"""What a key of a quota counts: which field, of which resource."""
_ONE: Final = 1_000_000_000
_PODS: Final = ("pods", "count/pods")
_BY_QUALITY: Final = frozenset({"BestEffort", "NotBestEffort"})


class Sums(NamedTuple):
    """What a pod asks for, as a quota counts it, without overhead."""

    requests: CpuAndMemory
    """Of cpu in millicores and of memory in bytes."""
    limits: CpuAndMemory
    is_best_effort: bool
    lacking: frozenset[tuple[ResourceField, int]]
    """What some container has no value for."""

    def of(self, field: ResourceField, resource: int) -> int:
        """Return one sum."""
        return (self.requests if field == "requests" else self.limits)[resource]


class Excess(NamedTuple):
    """A quota that has no place for the pod."""

    quota: str
    key: str
    field: ResourceField | None
    """None where the quota wants what the pod does not have."""
    resource: int
    room: int


def counting(quotas: Sequence[ResourceQuota], spec: PodSpec) -> tuple[ResourceQuota, ...]:
    """Return the quotas that may have a say about a pod's cpu and memory, whatever its QoS class."""
    return tuple(
        [
            quota
            for quota in quotas
            if any(key in _KEYS or key in _PODS for key in quota.hard)
            and all(
                scope.name in _BY_QUALITY
                # Quality is left to be judged with the sizes.
                or pod_quota.is_in_scope(scope.name, scope.operator, scope.values, spec, "Burstable")
                for scope in quota.scopes
            )
        ]
    )


def fit(
    rule: RightSizingRule,
    members: list[ContainerPlan],
    received: list[ContainerPlan],
    ranges: Ranges | None,
    quotas: Sequence[ResourceQuota],
    overhead: ResourceMap | None,
    advised: ContainerAdvice,
) -> tuple[list[Finding], str | None]:
    """Cut what the plan would add until the quotas have a place for the pod.

    Args:
        rule: the compiled section.
        members: the containers as they will be; changed here.
        received: the containers as their author wrote them.
        ranges: the merged LimitRanges.
        quotas: from `counting`.
        overhead: of the pod.
        advised: what bounds the recommendation, for the cure.

    Returns:
        What to say, and the name of a quota that nothing but the pod as it was received would fit.
    """
    before = _sums(received)
    used = pod_sums.overhead(overhead)
    bound = notices.bound(advised.name, acts=advised.acts, is_capped=rule.recommendation != "uncappedTarget")
    said: list[Finding] = []
    for resource in (0, 1):
        found = [each for each in _excesses(quotas, before, _sums(members), used) if each.resource == resource]
        if not found:
            continue
        if all(each.field == "limits" for each in found):
            tightest = min(found, key=lambda each: each.room)
            _cut_limits(rule, members, resource, ranges, max(tightest.room, before.of("limits", resource)))
            if all(each.resource != resource for each in _excesses(quotas, before, _sums(members), used)):
                said.append(notices.quota_cut(tightest.quota, resource))
                continue
        for member in members:
            _leave(member.cells[resource], ranges, resource)
        # Where both are short it is the requests that have to shrink: limits follow from them.
        worst = next((each for each in found if each.field == "requests"), found[0])
        said.append(notices.quota_left(worst.quota, worst.key, resource, bound, is_limit=worst.field == "limits"))
    rest = _excesses(quotas, before, _sums(members), used)
    return said, rest[0].quota if rest else None


def _excesses(quotas: Sequence[ResourceQuota], before: Sums, after: Sums, overhead: CpuAndMemory) -> list[Excess]:
    """Return where the pod as it will be does not fit, and the pod as it was received was not larger."""
    found: list[Excess] = []
    for quota in quotas:
        if not _counts(quota, after):
            continue
        is_new = not _counts(quota, before)
        for key, raw in quota.hard.items():
            counted = _KEYS.get(key)
            hard, used = pod_sums.nano(raw), pod_sums.nano(quota.used.get(key))
            if hard is None or used is None:
                continue
            if counted is None:
                if is_new and key in _PODS and hard - used < _ONE:
                    found.append(Excess(quota.name, key, None, -1, 0))
                continue
            field, resource = counted
            room = (hard - used) // _UNITS[resource] - overhead[resource]
            asked = after.of(field, resource)
            if asked > room and (is_new or asked > before.of(field, resource)):
                found.append(Excess(quota.name, key, field, resource, room))
            elif is_new and counted in after.lacking:
                found.append(Excess(quota.name, key, None, -1, 0))
    return found


def _sums(members: list[ContainerPlan]) -> Sums:
    requests, limits = pod_sums.totals(members)
    cells = [cell for member in members for cell in member.cells]
    return Sums(
        requests=(requests.get("cpu", 0), requests.get("memory", 0)),
        limits=(limits.get("cpu", 0), limits.get("memory", 0)),
        is_best_effort=not any(cell.request or cell.limit for cell in cells),
        lacking=frozenset(
            (field, resource)
            for member in members
            for resource, cell in enumerate(member.cells)
            for field, amount in _amounts(cell)
            if amount is None
        ),
    )


def _amounts(cell: ResourcePlan) -> tuple[tuple[ResourceField, int | None], tuple[ResourceField, int | None]]:
    return ("requests", cell.request), ("limits", cell.limit)


def _cut_limits(
    rule: RightSizingRule, members: list[ContainerPlan], resource: int, ranges: Ranges | None, room: int
) -> None:
    bounds = ranges.container[resource] if ranges is not None else NO_BOUNDS
    for group in pod_sums.steps(members):
        cells = [member.cells[resource] for member in group]
        excess = sum(cell.limit or 0 for cell in cells) - room
        if excess > 0:
            pod_sums.cut_limits(rule, cells, resource, bounds, excess)


def _leave(cell: ResourcePlan, ranges: Ranges | None, resource: int) -> None:
    """Go on with what stands in the pod."""
    cell.computes_limit = cell.is_movable = cell.is_sized = False
    cell.settle(ranges.container[resource] if ranges is not None else NO_BOUNDS)


def _counts(quota: ResourceQuota, sums: Sums) -> bool:
    """Whether the scopes about the QoS class hold; all others were looked at before."""
    return all(
        (scope.name == "BestEffort") is sums.is_best_effort for scope in quota.scopes if scope.name in _BY_QUALITY
    )
