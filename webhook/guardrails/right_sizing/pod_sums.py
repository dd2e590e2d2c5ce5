"""Bounds on the whole pod: LimitRange items of type Pod, and the last look at what the API server will check.

The sum of a pod is that of `webhook.kube.pod_resources`; overhead does not count. Too much is cut from
the headroom first and from the requests last, never below what the author asked for; too little is made up from what
the recommendations had lowered, then from the recommendations in proportion.
Source: Kubernetes, plugin/pkg/admission/limitranger (podRequests, podLimits).
"""

from typing import Final

from webhook.guardrails.right_sizing import decide
from webhook.guardrails.right_sizing.limit_range import Bounds, Ranges
from webhook.guardrails.right_sizing.resource_plan import ContainerPlan, ResourcePlan
from webhook.guardrails.right_sizing.rule import CPU, RESOURCES, RightSizingRule
from webhook.kube import pod_resources, quantity
from webhook.kube.objects import RawQuantity, ResourceMap

CpuAndMemory = tuple[int, int]
"""Of cpu in millicores and of memory in bytes."""

UNITS: Final = (1_000_000, 1_000_000_000)
"""Nano-units in a millicore and in a byte."""


def steps(members: list[ContainerPlan]) -> list[list[ContainerPlan]]:
    """Return the groups of containers that run at the same time: all that keep running, then each init step."""
    running = [member for member in members if member.kind != "init"]
    groups = [running]
    sidecars: list[ContainerPlan] = []
    for member in members:
        if member.kind == "sidecar":
            sidecars.append(member)
        elif member.kind == "init":
            groups.append([*sidecars, member])
    return groups


def overhead(values: ResourceMap | None) -> CpuAndMemory:
    """Return what a pod needs beside its containers."""
    if not values:
        return 0, 0
    cpu, memory = (-(-(nano(values.get(name)) or 0) // unit) for name, unit in zip(RESOURCES, UNITS, strict=True))
    return cpu, memory


def nano(raw: RawQuantity | None) -> int | None:
    """Return a quantity; absent is zero, and None is what no API server could have stored."""
    if raw is None:
        return 0
    try:
        return quantity.of(raw).nano
    except quantity.QuantityError:
        return None


def raise_requests(rule: RightSizingRule, members: list[ContainerPlan], resource: int, ranges: Ranges) -> None:
    """Raise recommended requests where the pod asks for less than the Pod minimum.

    What was lowered is given back first, in proportion; where that is not enough, the recommendations are scaled up.
    """
    groups = steps(members)
    short = ranges.pod[resource].low - max(_requests(group, resource) for group in groups)
    if short <= 0:
        return
    short = ranges.pod[resource].low - _requests(groups[0], resource)
    movable = [m.cells[resource] for m in groups[0] if m.cells[resource].is_movable]
    gaps = [max((cell.own or 0) - (cell.request or 0), 0) for cell in movable]
    lowered = sum(gaps)
    given = min(short, lowered)
    for cell, gap in zip(movable, gaps, strict=True):
        if gap:
            cell.request = (cell.request or 0) - (-given * gap // lowered)
    part = sum(cell.request or 0 for cell in movable)
    if short <= lowered or rule.when == "oversized" or not part:
        return
    needed = part + short - lowered
    high = ranges.container[resource].high
    for cell in movable:
        raised = -(-(cell.request or 0) * needed // part)
        if not cell.computes_limit and cell.cap is not None:
            raised = min(raised, cell.cap)
        cell.request = raised if high is None else min(raised, high)


def cut(
    rule: RightSizingRule, members: list[ContainerPlan], resource: int, ranges: Ranges, *, is_guaranteed: bool
) -> None:
    """Cut headroom, then requests, until every step of the pod fits the Pod maximum and ratio, as far as it can."""
    pod = ranges.pod[resource]
    container = ranges.container[resource]
    groups = steps(members)
    upper = pod.high
    if pod.ratio is not None:
        by_ratio = pod.largest_limit(max(_requests(group, resource) for group in groups))
        upper = by_ratio if upper is None or (by_ratio is not None and by_ratio < upper) else upper
    if upper is None:
        return
    for group in groups:
        cells = [member.cells[resource] for member in group]
        excess = sum(cell.limit or 0 for cell in cells) - upper
        if excess > 0:
            excess -= cut_limits(rule, cells, resource, container, excess)
        over = 0 if pod.high is None else sum(cell.request or 0 for cell in cells) - pod.high
        if max(excess, over) > 0:
            _cut_requests(cells, resource, container, max(excess, over), is_guaranteed=is_guaranteed)


def cut_limits(rule: RightSizingRule, cells: list[ResourcePlan], resource: int, bounds: Bounds, excess: int) -> int:
    """Take `excess` from computed limits in proportion to their room above the requests; return what was taken."""
    room: list[tuple[ResourcePlan, int, int]] = []
    for cell in cells:
        if cell.computes_limit and cell.limit is not None:
            least = max(cell.request or 0, bounds.low)
            if not rule.lower_limits and cell.cap is not None:
                least = max(least, min(cell.cap, cell.limit))
            if cell.limit > least:
                room.append((cell, cell.limit, least))
    available = sum(limit - least for _, limit, least in room)
    wanted = min(excess, available)
    taken = 0
    for cell, limit, least in room:
        cell.limit = decide.fit_below(resource, limit - -(-wanted * (limit - least) // available), least)
        taken += limit - cell.limit
    return taken


def _cut_requests(
    cells: list[ResourcePlan], resource: int, bounds: Bounds, excess: int, *, is_guaranteed: bool
) -> None:
    """Take `excess` from recommended requests, at most down to what the author asked for; limits keep up."""
    room: list[tuple[ResourcePlan, int, int]] = []
    for cell in cells:
        if cell.is_movable and cell.request is not None:
            least = max(min(cell.own, cell.request) if cell.own is not None else 1, bounds.low)
            if cell.request > least:
                room.append((cell, cell.request, least))
    available = sum(request - least for _, request, least in room)
    wanted = min(excess, available)
    for cell, request, least in room:
        lowered = request - -(-wanted * (request - least) // available)
        if is_guaranteed and resource == CPU and cell.own and cell.own % 1000 == 0:
            lowered -= lowered % 1000
        if cell.limit is not None and (cell.computes_limit or is_guaranteed):
            cell.limit -= min(request - lowered, cell.limit - lowered)
        cell.request = lowered


def refusal(members: list[ContainerPlan], ranges: Ranges | None) -> str | None:
    """Return why the API server would refuse the pod as it will be, or None: one clause, with the numbers' owner."""
    for member in members:
        for resource, cell in enumerate(member.cells):
            what = f"container {member.name!r}: {RESOURCES[resource]}"
            if cell.request is not None and cell.limit is not None and cell.request > cell.limit:
                return f"{what} request would be above its limit"
            if ranges is not None and member.is_readable:
                reason = _outside(cell.request, cell.limit, ranges.container[resource])
                if reason is not None:
                    return f"{what} {reason} of the namespace's LimitRange for containers"
    if ranges is None:
        return None
    for resource in (0, 1):
        if ranges.has_pod[resource]:
            reason = _outside(*_totals(members, resource), ranges.pod[resource])
            if reason is not None:
                return f"{RESOURCES[resource]} of the whole pod {reason} of the namespace's LimitRange for pods"
    return None


def _outside(request: int | None, limit: int | None, bounds: Bounds) -> str | None:
    if bounds.low and (request is None or request < bounds.low or (limit is not None and limit < bounds.low)):
        return "would be below the minimum"
    if bounds.high is not None and (limit is None or limit > bounds.high or (request or 0) > bounds.high):
        return "would be above the maximum"
    if bounds.ratio is not None and not bounds.keeps_ratio(request or 0, limit or 0):
        return "would break maxLimitRequestRatio"
    return None


def _requests(group: list[ContainerPlan], resource: int) -> int:
    return sum(member.cells[resource].request or 0 for member in group)


def _totals(members: list[ContainerPlan], resource: int) -> tuple[int | None, int | None]:
    """Return the sums of requests and of limits; None where no container has any."""
    sums = totals(members)
    return sums[0].get(RESOURCES[resource]), sums[1].get(RESOURCES[resource])


def totals(members: list[ContainerPlan]) -> tuple[dict[str, int], dict[str, int]]:
    """Return the sums of the requests and of the limits of a pod by resource name, without overhead; what no container
    states is not there."""
    requests, limits = (
        pod_resources.together((member.kind, amounts(member)) for member in members)
        for amounts in (_stated_requests, _stated_limits)
    )
    return requests, limits


def asked(members: list[ContainerPlan], beside: CpuAndMemory, *, without_sized: bool = False) -> CpuAndMemory:
    """Return the requests of the pod, overhead included, or those without what is sized by a recommendation."""
    requests = pod_resources.together(
        (
            member.kind,
            {
                name: cell.request or 0
                for name, cell in zip(RESOURCES, member.cells, strict=True)
                if not (without_sized and cell.is_sized)
            },
        )
        for member in members
    )
    return requests.get("cpu", 0) + beside[0], requests.get("memory", 0) + beside[1]


def _stated_requests(member: ContainerPlan) -> dict[str, int]:
    return {name: cell.request for name, cell in zip(RESOURCES, member.cells, strict=True) if cell.request is not None}


def _stated_limits(member: ContainerPlan) -> dict[str, int]:
    return {name: cell.limit for name, cell in zip(RESOURCES, member.cells, strict=True) if cell.limit is not None}
