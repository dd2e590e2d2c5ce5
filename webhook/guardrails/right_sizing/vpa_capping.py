"""What VPA itself would write as requests, so that where it acts nobody fights it.

The order is VPA's: the sums of a Pod LimitRange, the Container LimitRange, minAllowed and maxAllowed, and for
RequestsOnly the container's own limit. So is the arithmetic, with its rounding: amounts move in proportion to the
limits that VPA would set, which keep the container's own ratio of limit to request. Where VPA would write zero or less
(a known fault when a recommendation lacks one resource), there is no target.

Source: kubernetes/autoscaler, vertical-pod-autoscaler, recommendation capping and limit scaling.
"""

from collections.abc import Mapping

from webhook.guardrails.right_sizing.advice import SizingAdvice
from webhook.guardrails.right_sizing.limit_range import NO_BOUNDS, Bounds, Ranges
from webhook.guardrails.right_sizing.resource_plan import ContainerPlan, ResourcePlan
from webhook.guardrails.right_sizing.rule import CPU


def targets(
    members: list[ContainerPlan], containers: Mapping[str, SizingAdvice], ranges: Ranges | None
) -> list[tuple[int | None, int | None]]:
    """Return per member the capped targets of cpu and memory, None where VPA has none."""
    result: list[tuple[int | None, int | None]] = []
    raw = [
        [
            advice.target[resource] if (advice := containers.get(member.name)) is not None else None
            for resource in (0, 1)
        ]
        for member in members
    ]
    if ranges is not None:
        for resource in (0, 1):
            if ranges.has_pod[resource]:
                _fit_pod(members, containers, raw, resource, ranges)
    for member, values in zip(members, raw, strict=True):
        advice = containers.get(member.name)
        if advice is None:
            result.append((None, None))
            continue
        bounds = ranges.container if ranges is not None else (NO_BOUNDS, NO_BOUNDS)
        result.append(
            (
                _capped(values[0], 0, member.cells[0], advice, bounds[0]),
                _capped(values[1], 1, member.cells[1], advice, bounds[1]),
            )
        )
    return result


def _capped(value: int | None, resource: int, cell: ResourcePlan, advice: SizingAdvice, bounds: Bounds) -> int | None:
    """Cap one target by the Container LimitRange, the VPA's policy, and for RequestsOnly the own limit."""
    if value is None:
        return None
    if bounds is not NO_BOUNDS:
        low = max(_request_bound(cell, bounds.low, bounds), bounds.low)
        high = _request_bound(cell, bounds.high or 0, bounds)
        value = max(value, low)
        if high:
            value = min(value, high)
    low_allowed, high_allowed = advice.min_allowed[resource], advice.max_allowed[resource]
    if low_allowed is not None and value < low_allowed:
        value = low_allowed
    if high_allowed is not None and value > high_allowed:
        value = high_allowed
    if advice.requests_only and cell.cap and value > cell.cap:
        value = cell.cap
    return value if value > 0 else None


def _request_bound(cell: ResourcePlan, bound: int, bounds: Bounds) -> int:
    """Turn a bound on the limit into one on the request, by the own ratio. Zero is no bound."""
    limit = cell.cap or bounds.default_limit or 0
    if not bound or not limit:
        return 0
    return cell.own * bound // limit if cell.own else bound


def _scaled_limit(cell: ResourcePlan, value: int, bounds: Bounds) -> int:
    """Return the limit that VPA would set beside `value`; zero is none."""
    limit = cell.cap or bounds.default_limit or 0
    if not limit or not value:
        return 0
    own = cell.own
    if not own or own == limit:
        return value
    return limit * value // own


def _fit_pod(
    members: list[ContainerPlan],
    containers: Mapping[str, SizingAdvice],
    raw: list[list[int | None]],
    resource: int,
    ranges: Ranges,
) -> None:
    """Scale the targets of one resource until the sums over regular containers fit the Pod LimitRange, as VPA does."""
    places: list[int] = []
    values: list[int] = []
    for place, member in enumerate(members):
        if member.kind == "regular":
            places.append(place)
            own = member.cells[resource].own or 0
            values.append(raw[place][resource] or 0 if member.name in containers else own)
    container = ranges.container[resource]
    limits = sum(_scaled_limit(members[p].cells[resource], v, container) for p, v in zip(places, values, strict=True))
    requests = sum(values)
    low, high = ranges.pod[resource].low, ranges.pod[resource].high
    if low <= limits and low <= requests and (high is None or limits <= high):
        return
    if not limits or not requests:
        return
    if low > requests:
        fitted = [-(-v * low // requests) if resource == CPU else v * low // requests for v in values]
    else:
        bound = high if high is not None and high < limits else low
        fitted = [v * bound // limits for v in values]
    for place, value in zip(places, fitted, strict=True):
        if raw[place][resource] is not None:
            raw[place][resource] = value
