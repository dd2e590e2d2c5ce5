"""One request and one limit: the arithmetic of a single container and resource, with no look at the rest of the pod."""

from webhook.guardrails.right_sizing.advice import LARGEST, SizingAdvice
from webhook.guardrails.right_sizing.limit_range import NO_BOUNDS, Bounds
from webhook.guardrails.right_sizing.resource_plan import ResourcePlan
from webhook.guardrails.right_sizing.rule import CPU, MEMORY, MIB, ResourceRule, RightSizingRule


def request(
    rule: RightSizingRule,
    resource: int,
    cell: ResourcePlan,
    advice: SizingAdvice,
    bounds: Bounds,
    *,
    is_guaranteed: bool,
) -> int | None:
    """Return the request that should be written, or None where the author's stays.

    Order: the rule's bounds, the LimitRange, a limit that stays or has to stay equal, the memory guard, `when`, and
    last the smallest change worth a patch.
    """
    wanted = advice.value[resource]
    own = cell.own
    if wanted is None or (rule.when == "missing" and own is not None) or (rule.when == "oversized" and own is None):
        return None
    wanted = _bounded(rule.resources[resource], cell, wanted, is_guaranteed=is_guaranteed)
    if bounds is not NO_BOUNDS:
        wanted = max(wanted, bounds.low)
        if bounds.high is not None:
            wanted = min(wanted, bounds.high)
    if is_guaranteed:
        wanted = _guaranteed(rule, resource, cell, wanted, bounds)
    elif not cell.computes_limit and cell.cap is not None:
        wanted = max(min(wanted, cell.cap), bounds.smallest_request(cell.cap))
    elif not rule.lower_limits and cell.cap is not None:
        wanted = max(wanted, bounds.smallest_request(cell.cap))
    if own is None:
        return wanted
    if resource == MEMORY and wanted < own and advice.lower_memory is not None:
        wanted = min(own, max(wanted, advice.lower_memory))
    if wanted == own or (rule.when == "oversized" and wanted > own):
        return None
    return None if abs(wanted - own) * 100 < rule.min_change_percent * own else wanted


def _bounded(per: ResourceRule, cell: ResourcePlan, wanted: int, *, is_guaranteed: bool) -> int:
    """Apply the rule's own minimum and maximum, which never lower the author's request by themselves."""
    if wanted < per.minimum:
        wanted = per.minimum
    upper = per.maximum
    if per.limit_maximum is not None and (cell.computes_limit or is_guaranteed):
        upper = per.limit_maximum if upper is None else min(upper, per.limit_maximum)
    if upper is None or wanted <= upper:
        return wanted
    own = cell.own
    return own if own is not None and upper < own <= wanted else upper


def _guaranteed(rule: RightSizingRule, resource: int, cell: ResourcePlan, wanted: int, bounds: Bounds) -> int:
    """Return what request and limit of a Guaranteed pod may both be: whole CPUs stay whole, limits keep their rules."""
    own = cell.own or 0
    wanted = max(wanted, min(rule.resources[resource].limit_floor, bounds.high or wanted))
    if resource == CPU and own and own % 1000 == 0:
        wanted = -(-wanted // 1000) * 1000
        if bounds.high is not None and wanted > bounds.high:
            wanted = bounds.high - bounds.high % 1000 or own
    return own if wanted < own and not rule.lower_limits else wanted


def limit(rule: RightSizingRule, resource: int, cell: ResourcePlan, bounds: Bounds) -> int | None:
    """Return the limit beside the cell's request: headroom, floor, maximum, LimitRange; never below the request."""
    amount = cell.request
    per = rule.resources[resource]
    if per.headroom is None or not amount:
        return cell.cap
    numerator, denominator = per.headroom
    computed = -(-amount * numerator // denominator)
    if resource == MEMORY:
        computed = -(-computed // MIB) * MIB
    computed = max(computed, per.limit_floor)
    if per.limit_maximum is not None and computed > per.limit_maximum:
        if amount > per.limit_maximum:
            return amount if cell.cap is not None and cell.cap < amount else cell.cap
        computed = fit_below(resource, per.limit_maximum, amount)
    if not rule.lower_limits and cell.cap is not None and cell.cap > computed:
        computed = cell.cap
    if bounds is not NO_BOUNDS:
        upper = bounds.largest_limit(amount)
        if upper is not None and computed > upper:
            computed = fit_below(resource, upper, amount)
    return max(min(computed, LARGEST), amount)


def fit_below(resource: int, bound: int, least: int) -> int:
    """Return the largest tidy limit that `bound` allows: whole MiB for memory, unless that falls below `least`."""
    if resource == CPU:
        return bound
    tidy = bound - bound % MIB
    return tidy if tidy >= least else bound
