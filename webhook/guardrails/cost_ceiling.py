"""costCeiling: no pod, and no workload, may cost more a month than the platform team allows.

Rule
    ``podMonthly``: the monthly price of one pod is not above the ceiling; exactly at it is within.
    ``workloadMonthly``: the number of pods times the price of one is not above the ceiling.
    ``unpriced``: where it is ``deny``, the pod asks for nothing that the price list has no price of; by default that is
    only told.

    The price is what the scheduler sets aside for the pod, the overhead of its RuntimeClass included, at the prices
    of the PriceList of the nodes that it runs on, and the volumes that come with it. Of a container it is the
    request, else the limit, else the namespace's LimitRange default, else ``assumedRequest``; the message says
    which, and names the PriceList. A Deployment counts its replicas, a DaemonSet the nodes it matches, each at its own
    price, a Job its parallelism. A Job is priced for the time that it runs, at most for a month; a CronJob for that of
    all runs of a month, those that overlap side by side. While it is suspended, a Job or CronJob costs nothing; what
    it will cost once it is resumed is told. Where a HorizontalPodAutoscaler may raise a workload above the ceiling, it
    is told; such a workload costs what its fewest pods cost, and what its author asks for beyond them is held against
    the ceiling all the same. A ScaledObject counts as the HorizontalPodAutoscaler that KEDA makes of it.

    The time that a run takes is what the annotation ``podgate.dev/expected-runtime`` says, such as ``90m``: it is
    believed up to ``activeDeadlineSeconds``, which ends the run, and without that only with ``trustExpectedRuntime``.
    Without the annotation it is ``activeDeadlineSeconds``, and without both the whole month. The text says which.

Fields
    ``podMonthly``, ``workloadMonthly``: decimal strings in the price list's currency; at least one of them.
    ``unpriced``: ``allow`` or ``deny``.

When
    * pod CREATE and ``pods/resize``; a resize only where it makes the pod dearer than it was;
    * pod UPDATE, where node selector, affinity or tolerations send a pod that has no node yet to dearer nodes;
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

from webhook.guardrails.base import pod_cost
from webhook.guardrails.base.contract import Context, Finding, Guardrail, WorkloadScale, moves
from webhook.kube.quantity import QuantityError
from webhook.policy.cost_ceiling import CostCeilingSection
from webhook.pricing import money


class CostCeilingRule(NamedTuple):
    """The compiled section: ceilings in whole micro-units of the currency; None means no ceiling."""

    pod_monthly: int | None
    workload_monthly: int | None
    trusts_runtime: bool = False
    """Whether the running time that a Job is annotated with is believed."""
    denies_unpriced: bool = False
    """Whether it refuses what has no price."""


def compile_rule(section: CostCeilingSection) -> CostCeilingRule:
    """Compile the section."""
    return CostCeilingRule(
        pod_monthly=_micros(section.pod_monthly),
        workload_monthly=_micros(section.workload_monthly),
        trusts_runtime=section.trust_expected_runtime,
        denies_unpriced=section.unpriced == "deny",
    )


def _micros(amount: Decimal | None) -> int | None:
    return None if amount is None else money.to_micros(amount)


def judges(context: Context) -> bool:
    """Whether this operation can raise a cost: pod CREATE, ``pods/resize``, updates that move a pod, and workloads."""
    if context.scale is not None:
        return True
    if context.subresource:
        return context.subresource == "resize"
    return context.operation == "CREATE" or moves(context)


def inspect(rule: CostCeilingRule, context: Context) -> Sequence[Finding]:
    """Compare the prices with the ceilings."""
    try:
        price = pod_cost.context_price(context)
    except QuantityError as error:
        return (pod_cost.not_priced(error, notice=context.scale is not None),)
    old = pod_cost.old_price(context) if context.operation == "UPDATE" else None
    findings = list(pod_cost.unpriced(context, denies=rule.denies_unpriced))
    received = context.received_price or price
    scale = context.scale.believed(rule.trusts_runtime) if context.scale is not None else None
    if rule.pod_monthly is not None and (old is None or received.of(1) > old.of(1)):
        findings.extend(_judge_pod(rule.pod_monthly, context, price, scale))
    if rule.workload_monthly is not None and scale is not None:
        findings.extend(_judge_workload(rule, rule.workload_monthly, context, scale, price, old))
    return findings


def _judge_pod(
    ceiling: int, context: Context, price: pod_cost.PodPrice, scale: WorkloadScale | None
) -> Sequence[Finding]:
    cost = price.of(1) * _hours(scale, context.prices.hours_per_month)
    if cost <= ceiling:
        return ()
    is_workload = scale is not None
    shown, bound = _apart(cost, ceiling, context.prices.currency)
    what = "each pod costs" if is_workload else "costs"
    return (
        Finding(
            rule="podMonthly",
            message=f"{what} {shown} a {_span(scale)}, above the ceiling of {bound} ({pod_cost.quantities(price)})",
            cure=f"{pod_cost.how_to_undo(context)}, or ask the platform team to raise costCeiling.podMonthly",
            notice=is_workload,
        ),
    )


def _judge_workload(
    rule: CostCeilingRule,
    ceiling: int,
    context: Context,
    scale: WorkloadScale,
    price: pod_cost.PodPrice,
    old: pod_cost.PodPrice | None,
) -> Sequence[Finding]:
    month = context.prices.hours_per_month
    cost = pod_cost.at_once(price, scale) * _hours(scale, month)
    if cost <= ceiling:
        return _judge_most(ceiling, context, scale, price)
    if old is not None and context.old_scale is not None:
        before = context.old_scale.believed(rule.trusts_runtime)
        if not _rises(context, (price, scale), (old, before)):
            return ()
    currency = context.prices.currency
    shown, bound = _apart(cost, ceiling, currency)
    hours = _hours(scale, month)
    each = f"{money.format_money(money.over_hours(price.micros, hours), currency)} a pod"
    if pod_cost.of_all(price, scale) != price.of(scale.replicas):
        each = f"up to {each}"
    if price.once:
        each += f", and {money.format_money(money.over_hours(price.once, hours), currency)} for claims that they share"
    return (
        Finding(
            rule="workloadMonthly",
            message=(
                f"costs {shown} a {_span(scale)} ({pod_cost.pods_at_once(scale)}), above the ceiling of {bound} "
                f"({each}: {pod_cost.quantities(price)})"
            ),
            cure=(
                f"run fewer pods, {pod_cost.how_to_cost_less(context)}, or ask the platform team to raise "
                "costCeiling.workloadMonthly"
            ),
            refuses_workload=True,
        ),
    )


def _judge_most(ceiling: int, context: Context, scale: WorkloadScale, price: pod_cost.PodPrice) -> Sequence[Finding]:
    """Say that an autoscaler, or resuming a suspended Job, may raise the workload above its ceiling, where it will be
    refused."""
    cost = price.of(max(scale.most, scale.resumed)) * _hours(scale, context.prices.hours_per_month)
    if cost <= ceiling:
        return ()
    shown, bound = _apart(cost, ceiling, context.prices.currency)
    cure = f"{pod_cost.how_to_cost_less(context)}, or ask for a higher ceiling"
    if scale.resumed:
        message = (
            f"would cost {shown} a {_span(scale)} ({pod_cost.pods(scale)}), above the ceiling of {bound}; resuming it "
            "will be refused"
        )
        cure = f"run fewer pods, {cure}"
    else:
        message = (
            f"would cost {shown} a {_span(scale)} at {scale.most} replicas, the {scale.most_source}: above the "
            f"ceiling of {bound}, where scaling ends"
        )
        cure = f"lower {scale.most_source.partition(' ')[0]}, {cure}"
    return (Finding(rule="workloadMonthly", message=message, cure=cure, notice=True),)


def _rises(
    context: Context, now: tuple[pod_cost.PodPrice, WorkloadScale], then: tuple[pod_cost.PodPrice, WorkloadScale]
) -> bool:
    """Whether the author's change makes the workload dearer; what proposals do to its pods does not count."""
    (price, scale), (old, before) = now, then
    if context.subresource == "scale":
        return scale.replicas > before.replicas
    month = context.prices.hours_per_month
    received = context.received_price or price
    now_costs = pod_cost.at_once(received, scale) * _hours(scale, month)
    return now_costs > pod_cost.at_once(old, before) * _hours(before, month)


def _apart(cost: int, ceiling: int, currency: str) -> tuple[str, str]:
    return money.format_apart(money.over_hours(cost, 1), money.over_hours(ceiling, 1), currency)


def _hours(scale: WorkloadScale | None, month: int) -> int:
    """Return the hours that a monthly cost is computed with: those of a month, or of a Job's run if that is less."""
    return month if scale is None or scale.hours is None else min(scale.hours, month)


def _span(scale: WorkloadScale | None) -> str:
    return "month" if scale is None or scale.is_monthly else "run"


GUARDRAIL = Guardrail(
    name="costCeiling",
    order=60,
    compile=compile_rule,
    inspect=inspect,
    severity="medium",
    judges=judges,
    trusts_runtime=lambda rule: rule.trusts_runtime,
)
