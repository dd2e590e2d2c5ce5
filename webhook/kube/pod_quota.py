"""What ResourceQuotas count of a pod: how much, under which scopes, and what they want to be told.

Source: Kubernetes 1.36, the evaluator of pods in pkg/quota, and the QoS classes of core/v1.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

import msgspec

from webhook.kube import pod_resources
from webhook.kube.objects import PodAffinityTerm, PodSpec, PodStatus
from webhook.kube.pod_resources import NANO, Amounts, ContainerResources, Resources

Quality = Literal["Guaranteed", "Burstable", "BestEffort"]

_OF_QUALITY: Final = ("cpu", "memory")
_DEVICE_CLASS: Final = "deviceclass.resource.kubernetes.io/"
_BOTH: Final = ("cpu", "memory", "ephemeral-storage")
"""Resources of which requests and limits are counted."""
_WANTED: Final = {
    "cpu": ("requests", "cpu"),
    "requests.cpu": ("requests", "cpu"),
    "limits.cpu": ("limits", "cpu"),
    "memory": ("requests", "memory"),
    "requests.memory": ("requests", "memory"),
    "limits.memory": ("limits", "memory"),
}
"""Keys that every container has to state something of, where a quota has them."""


def usage(resources: Resources, status: PodStatus | None = None) -> dict[str, int]:
    """Return what a pod counts, in billionths by key of a quota: ``requests.cpu``, ``pods``.

    Args:
        resources: of the pod.
        status: of a pod that runs; one that has ended is counted as an object alone.

    Raises:
        QuantityError: a quantity of the status is malformed.
    """
    if status is not None and status.phase in ("Succeeded", "Failed"):
        return {"count/pods": NANO}
    if status is not None:
        # Of a resize at pod level, a quota knows what is asked for and not what the pod has.
        status = msgspec.structs.replace(status, resources=None, allocated_resources=None)
    requests, limits = pod_resources.requests(resources, status), pod_resources.limits(resources, status)
    counted = {"count/pods": NANO, "pods": NANO}
    for name in _BOTH:
        if name in requests:
            counted[name] = counted[f"requests.{name}"] = requests[name]
        if name in limits:
            counted[f"limits.{name}"] = limits[name]
    for name, amount in requests.items():
        if name.startswith("hugepages-"):
            counted[name] = counted[f"requests.{name}"] = amount
        elif is_extended(name):
            counted[f"requests.{name}"] = amount
    return counted


def is_extended(resource: str) -> bool:
    """Whether a resource is no one of Kubernetes itself; devices of a class that are asked for by name are none."""
    if resource.startswith(_DEVICE_CLASS):
        return True
    return "/" in resource and "kubernetes.io/" not in resource and not resource.startswith("requests.")


def lacking(required: Iterable[str], resources: Resources) -> dict[str, list[str]]:
    """Return the containers that state nothing of what a quota wants to be told, by its key, both sorted.

    A pod with resources at pod level need not tell it of each container.
    """
    if resources.requests or resources.limits:
        return {}
    found: dict[str, list[str]] = {}
    for key in sorted(set(required) & _WANTED.keys()):
        field, name = _WANTED[key]
        names = {part.container.name for part in resources.parts if name not in _stated(part, field)}
        if names:
            found[key] = sorted(names)
    return found


def _stated(part: ContainerResources, field: str) -> Amounts:
    return part.requests if field == "requests" else part.limits


# --- scopes ---------------------------------------------------------------------------------------------------------


def is_in_scope(name: str, operator: str, values: Sequence[str], spec: PodSpec, quality: Quality) -> bool:
    """Whether a pod is one of those that a scope is about; a scope that is not known is about none.

    Args:
        name: of the scope, such as ``PriorityClass``.
        operator: ``Exists``, ``DoesNotExist``, ``In`` or ``NotIn``.
        values: for the last two.
        spec: of the pod.
        quality: its QoS class.
    """
    match name:
        case "BestEffort" | "NotBestEffort":
            return (quality == "BestEffort") is (name == "BestEffort")
        case "Terminating" | "NotTerminating":
            ends = spec.active_deadline_seconds is not None and spec.active_deadline_seconds >= 0
            return ends is (name == "Terminating")
        case "PriorityClass":
            return _is_selected(spec.priority_class_name or "", operator, values)
        case "CrossNamespacePodAffinity":
            return reaches_other_namespaces(spec)
        case _:
            return False


def _is_selected(priority_class: str, operator: str, values: Sequence[str]) -> bool:
    match operator:
        case "In":
            return bool(priority_class) and priority_class in values
        case "NotIn":
            return not priority_class or priority_class not in values
        case "DoesNotExist":
            return not priority_class
        case _:
            return bool(priority_class)


def reaches_other_namespaces(spec: PodSpec) -> bool:
    """Whether a pod wants to be near, or far from, pods of other namespaces."""
    affinity = spec.affinity
    if affinity is None:
        return False
    terms: list[PodAffinityTerm | None] = []
    for each in (affinity.pod_affinity, affinity.pod_anti_affinity):
        if each is not None:
            terms += each.required or ()
            terms += [weighted.pod_affinity_term for weighted in each.preferred or ()]
    return any(term is not None and (bool(term.namespaces) or term.namespace_selector is not None) for term in terms)


# --- quality of service ---------------------------------------------------------------------------------------------


def quality(resources: Resources) -> Quality:
    """Return the QoS class of a pod."""
    if _has_level(resources):
        stated = [(resources.requests, resources.limits)]
    else:
        stated = [(part.requests, part.limits) for part in resources.parts]
    requests: dict[str, int] = {}
    limits: dict[str, int] = {}
    has_all_limits = True
    for asked, bound in stated:
        for total, given in ((requests, _of_quality(asked)), (limits, _of_quality(bound))):
            for name, amount in given.items():
                total[name] = total.get(name, 0) + amount
        has_all_limits &= len(_of_quality(bound)) == len(_OF_QUALITY)
    if not requests and not limits:
        return "BestEffort"
    return "Guaranteed" if has_all_limits and requests == limits else "Burstable"


def _has_level(resources: Resources) -> bool:
    return any(map(pod_resources.is_of_pods, (*resources.requests, *resources.limits)))


def _of_quality(given: Mapping[str, int]) -> dict[str, int]:
    return {name: given[name] for name in _OF_QUALITY if given.get(name, 0) > 0}
