"""From manifests of autoscalers to the values of the cluster view."""

import sys
from typing import Any, TypeGuard

import msgspec

from webhook.cluster import matching, view
from webhook.kube import quantity
from webhook.kube.objects import DEFAULT_NAMESPACE, Object, ObjectMeta, RawQuantity, ResourceMap


class _AutoscalerTarget(Object):
    kind: str = ""
    name: str = ""


class _UpdatePolicy(Object):
    update_mode: str | None = None


class _CpuBoost(Object):
    type: str = ""
    factor: RawQuantity | None = None
    quantity: RawQuantity | None = None


class _StartupBoost(Object):
    cpu: _CpuBoost | None = None


class _ContainerPolicy(Object):
    container_name: str = ""
    mode: str | None = None
    controlled_resources: list[str] | None = None
    controlled_values: str | None = None
    min_allowed: ResourceMap | None = None
    max_allowed: ResourceMap | None = None
    startup_boost: _StartupBoost | None = None


class _ResourcePolicy(Object):
    container_policies: list[_ContainerPolicy] | None = None


class _VpaSpec(Object):
    target_ref: _AutoscalerTarget | None = None
    update_policy: _UpdatePolicy | None = None
    resource_policy: _ResourcePolicy | None = None
    startup_boost: _StartupBoost | None = None


class _ContainerRecommendation(Object):
    container_name: str = ""
    target: ResourceMap | None = None
    lower_bound: ResourceMap | None = None
    upper_bound: ResourceMap | None = None
    uncapped_target: ResourceMap | None = None


class _Recommendation(Object):
    container_recommendations: list[_ContainerRecommendation] | None = None


class _VpaStatus(Object):
    recommendation: _Recommendation | None = None


class _VpaDocument(Object):
    spec: _VpaSpec | None = None
    status: _VpaStatus | None = None


class _MetricTarget(Object):
    type: str = ""


class _ResourceMetric(Object):
    name: str = ""
    container: str = ""
    target: _MetricTarget | None = None
    target_average_utilization: int | None = None
    """Of v2beta1, which had no `target`."""


class _Metric(Object):
    type: str = ""
    resource: _ResourceMetric | None = None
    container_resource: _ResourceMetric | None = None


class _HpaSpec(Object):
    scale_target_ref: _AutoscalerTarget | None = None
    min_replicas: int | None = None
    max_replicas: int = 0
    metrics: list[_Metric] | None = None


class _HpaDocument(Object):
    spec: _HpaSpec | None = None


def vertical_pod_autoscaler(metadata: ObjectMeta, document: dict[str, Any]) -> view.VerticalPodAutoscaler:
    read = msgspec.convert(document, _VpaDocument)
    spec = read.spec or _VpaSpec()
    target = spec.target_ref or _AutoscalerTarget()
    policies = (spec.resource_policy.container_policies if spec.resource_policy is not None else None) or ()
    recommendation = read.status.recommendation if read.status is not None else None
    timestamp = metadata.creation_timestamp or ""
    matching.created(timestamp)
    return view.VerticalPodAutoscaler(
        namespace=metadata.namespace or DEFAULT_NAMESPACE,
        name=metadata.name or "",
        target_kind=target.kind,
        target_name=target.name,
        update_mode=spec.update_policy.update_mode if spec.update_policy is not None else None,
        container_policies=tuple(_container_policy(policy) for policy in policies),
        recommendations=None
        if recommendation is None
        else tuple(_container_recommendation(each) for each in recommendation.container_recommendations or ()),
        creation_timestamp=timestamp,
        boosts_cpu=_boosts(spec.startup_boost) or False,
    )


def _container_policy(policy: _ContainerPolicy) -> view.ContainerPolicy:
    resources = policy.controlled_resources
    return view.ContainerPolicy(
        container_name=policy.container_name,
        mode=policy.mode,
        controlled_resources=None if resources is None else tuple(resources),
        controlled_values=policy.controlled_values,
        min_allowed=policy.min_allowed or {},
        max_allowed=policy.max_allowed or {},
        boosts_cpu=_boosts(policy.startup_boost),
    )


def _boosts(boost: _StartupBoost | None) -> bool | None:
    """Whether a start-up boost raises the CPU; None where there is none.

    A factor of 1 and a quantity of 0 change nothing, and so does a type that is not known.
    """
    if boost is None:
        return None
    cpu = boost.cpu
    if cpu is None or cpu.type not in ("Factor", "Quantity", ""):
        return False
    return (cpu.type != "Quantity" and _exceeds(cpu.factor, 1)) or (cpu.type != "Factor" and _exceeds(cpu.quantity, 0))


def _exceeds(raw: RawQuantity | None, bound: int) -> bool:
    """Whether an amount is above a bound; one that cannot be read counts as if it were, so that nothing is undone."""
    if raw is None:
        return False
    try:
        return quantity.of(raw).nano > bound * 1_000_000_000
    except quantity.QuantityError:
        return True


def _container_recommendation(each: _ContainerRecommendation) -> view.ContainerRecommendation:
    target = each.target or {}
    return view.ContainerRecommendation(
        container_name=sys.intern(each.container_name),
        target=target,
        lower_bound=each.lower_bound or {},
        upper_bound=each.upper_bound or {},
        # Nearly always both are the same, and there are many of them.
        uncapped_target=target if each.uncapped_target == target else each.uncapped_target or {},
    )


def horizontal_pod_autoscaler(metadata: ObjectMeta, document: dict[str, Any]) -> view.HorizontalPodAutoscaler:
    spec = msgspec.convert(document, _HpaDocument).spec or _HpaSpec()
    target = spec.scale_target_ref or _AutoscalerTarget()
    pod_wide: set[str] = set()
    by_container: set[tuple[str, str]] = set()
    for metric in spec.metrics or ():
        if metric.type == "Resource" and _is_utilization(metric.resource):
            pod_wide.add(metric.resource.name)
        elif metric.type == "ContainerResource" and _is_utilization(metric.container_resource):
            by_container.add((metric.container_resource.container, metric.container_resource.name))
    if not spec.metrics:
        # Version 1 knows CPU utilisation only, and every version defaults to it (80 %) where no metric is given.
        pod_wide.add("cpu")
    return view.HorizontalPodAutoscaler(
        namespace=metadata.namespace or DEFAULT_NAMESPACE,
        name=metadata.name or "",
        target_kind=target.kind,
        target_name=target.name,
        min_replicas=spec.min_replicas,
        max_replicas=spec.max_replicas,
        utilization_resources=frozenset(pod_wide),
        container_utilization=frozenset(by_container),
    )


def _is_utilization(metric: _ResourceMetric | None) -> TypeGuard[_ResourceMetric]:
    if metric is None:
        return False
    if metric.target is not None:
        return metric.target.type == "Utilization"
    return metric.target_average_utilization is not None
