"""costCeiling: no pod, and no workload, may cost more a month than the platform team allows.

Rule
    ``podMonthly``: the monthly price of one pod is not above the ceiling; exactly at it is within.
    ``workloadMonthly``: the number of pods times the price of one is not above the ceiling.
    ``unpriced``: where it is ``deny``, the pod asks for nothing that the price list has no price of; by default that is
    only told.

    The price is what the scheduler sets aside for the pod, the overhead of its RuntimeClass included, at the prices
    of the PriceList of the nodes that it runs on, and the volumes that come with it. Of a container it is the
    request, else the limit, else the namespace's LimitRange default, else ``assumedRequest``; the message says
    which, and names the PriceList. A Deployment counts its replicas, a DaemonSet the nodes it matches, a Job its
    parallelism. A Job is priced for its expected running time where that is known, at most for a month; a CronJob
    for that of all runs of a month, those that overlap side by side. While it is suspended, a Job or CronJob costs
    nothing; what it will cost once it is resumed is told. Where a HorizontalPodAutoscaler may raise a workload
    above the ceiling, it is told.

Fields
    ``podMonthly``, ``workloadMonthly``: decimal strings in the price list's currency; at least one of them.
    ``unpriced``: ``allow`` or ``deny``.

When
    * pod CREATE and ``pods/resize``; a resize only where it makes the pod dearer than it was;
    * workloads on CREATE, and on UPDATE and scale only where the cost rises. ``workloadMonthly`` may refuse them;
      ``podMonthly`` warns there, and refuses the pods themselves.

Example
    ``costs $412.30 a month, above the ceiling of $300.00 (4 CPU, 8Gi by requests, on-demand, price list default)``

How to comply
    Lower the requests of the container that is named, run fewer replicas, or ask the platform team for a higher
    ceiling or a PolicyException.

A quantity that Kubernetes could not read is a violation of its own (rule ``quantity``): a pod without a price could
otherwise pass every ceiling.

Source of the rule: OpenCost's cost model (requests times hourly prices, 730 hours a month).
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from webhook.guardrails import _money
from webhook.guardrails._contract import Context, Finding, Guardrail
from webhook.kube.quantity import QuantityError
from webhook.policy.cost_ceiling import CostCeilingSection
from webhook.pricing import money


class CostCeilingRule(NamedTuple):
    """The compiled section: ceilings in whole micro-units of the currency; None means no ceiling."""

    pod_monthly: int | None
    workload_monthly: int | None
    denies_unpriced: bool = False
    """Whether it refuses what has no price."""


def compile_rule(section: CostCeilingSection) -> CostCeilingRule:
    """Compile the section."""
    return CostCeilingRule(_micros(section.pod_monthly), _micros(section.workload_monthly), section.unpriced == "deny")


def _micros(amount: Decimal | None) -> int | None:
    return None if amount is None else money.to_micros(amount)


def judges(context: Context) -> bool:
    """Whether this operation can raise a cost: pod CREATE, ``pods/resize``, and workloads."""
    if context.scale is not None:
        return True
    return context.operation == "CREATE" if not context.subresource else context.subresource == "resize"


def inspect(rule: CostCeilingRule, context: Context) -> Sequence[Finding]:
    """Compare the prices with the ceilings."""
    try:
        price = _money.context_price(context)
    except QuantityError as error:
        return (_money.not_priced(error, notice=context.scale is not None),)
    old = _money.old_price(context) if context.operation == "UPDATE" else None
    findings = list(_money.unpriced(context, denies=rule.denies_unpriced))
    received = context.received_price or price
    if rule.pod_monthly is not None and (old is None or received.of(1) > old.of(1)):
        findings.extend(_judge_pod(rule.pod_monthly, context, price))
    if rule.workload_monthly is not None and context.scale is not None:
        findings.extend(_judge_workload(rule.workload_monthly, context, price, old))
    return findings


def _judge_pod(ceiling: int, context: Context, price: _money.PodPrice) -> Sequence[Finding]:
    cost = price.of(1) * hours_priced(context)
    if cost <= ceiling:
        return ()
    is_workload = context.scale is not None
    shown, bound = _apart(cost, ceiling, context.prices.currency)
    what = "each pod costs" if is_workload else "costs"
    return (
        Finding(
            rule="podMonthly",
            message=f"{what} {shown} a {_span(context)}, above the ceiling of {bound} ({_money.quantities(price)})",
            cure=f"{_money.how_to_cost_less(context)}, or ask the platform team to raise costCeiling.podMonthly",
            notice=is_workload,
        ),
    )


def _judge_workload(
    ceiling: int, context: Context, price: _money.PodPrice, old: _money.PodPrice | None
) -> Sequence[Finding]:
    scale = context.scale
    assert scale is not None  # noqa: S101  the caller has looked
    cost = price.of(scale.replicas) * hours_priced(context)
    if cost <= ceiling:
        return _judge_most(ceiling, context, price)
    if old is not None and context.old_scale is not None and not _rises(context, price, old):
        return ()
    currency = context.prices.currency
    shown, bound = _apart(cost, ceiling, currency)
    hours = hours_priced(context)
    each = f"{money.format_money(money.over_hours(price.micros, hours), currency)} a pod"
    if price.once:
        each += f", and {money.format_money(money.over_hours(price.once, hours), currency)} for claims that they share"
    return (
        Finding(
            rule="workloadMonthly",
            message=(
                f"costs {shown} a {_span(context)} ({_money.pods(scale)}), above the ceiling of {bound} "
                f"({each}: {_money.quantities(price)})"
            ),
            cure=(
                f"run fewer pods, {_money.how_to_cost_less(context)}, or ask the platform team to raise "
                "costCeiling.workloadMonthly"
            ),
            refuses_workload=True,
        ),
    )


def _judge_most(ceiling: int, context: Context, price: _money.PodPrice) -> Sequence[Finding]:
    """Say that an autoscaler, or resuming a suspended Job, may raise the workload above its ceiling, where it will be
    refused."""
    scale = context.scale
    assert scale is not None  # noqa: S101  the caller has looked
    cost = price.of(max(scale.most, scale.resumed)) * hours_priced(context)
    if cost <= ceiling:
        return ()
    shown, bound = _apart(cost, ceiling, context.prices.currency)
    cure = f"{_money.how_to_cost_less(context)}, or ask for a higher ceiling"
    if scale.resumed:
        message = (
            f"would cost {shown} a {_span(context)} ({_money.pods(scale)}), above the ceiling of {bound}; resuming it "
            "will be refused"
        )
        cure = f"run fewer pods, {cure}"
    else:
        message = (
            f"would cost {shown} a {_span(context)} at {scale.most} replicas, the {scale.most_source}: above the "
            f"ceiling of {bound}, where scaling ends"
        )
        cure = f"lower maxReplicas, {cure}"
    return (Finding(rule="workloadMonthly", message=message, cure=cure, notice=True),)


def _rises(context: Context, price: _money.PodPrice, old: _money.PodPrice) -> bool:
    """Whether the author's change makes the workload dearer; what proposals do to its pods does not count."""
    scale, before = context.scale, context.old_scale
    assert scale is not None  # noqa: S101  the caller has looked
    assert before is not None  # noqa: S101  the caller has looked
    if context.subresource == "scale":
        return scale.replicas > before.replicas
    month = context.prices.hours_per_month
    received = context.received_price or price
    now_costs = received.of(scale.replicas) * hours_priced(context)
    return now_costs > old.of(before.replicas) * _hours(before.hours, month)


def _apart(cost: int, ceiling: int, currency: str) -> tuple[str, str]:
    return money.format_apart(money.over_hours(cost, 1), money.over_hours(ceiling, 1), currency)


def hours_priced(context: Context) -> int:
    """Return the hours that a monthly cost is computed with: those of a month, or of a Job's run if that is less."""
    return _hours(context.scale.hours if context.scale is not None else None, context.prices.hours_per_month)


def _hours(expected: int | None, month: int) -> int:
    return month if expected is None else min(expected, month)


def _span(context: Context) -> str:
    return "month" if context.scale is None or context.scale.is_monthly else "run"


GUARDRAIL = Guardrail(
    name="costCeiling",
    order=60,
    compile=compile_rule,
    inspect=inspect,
    judges=judges,
)
