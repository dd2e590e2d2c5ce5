"""What a pod costs in the context of a review, and how prices are said; shared by all that judge money."""

from collections.abc import Sequence
from typing import Final

from webhook.cluster.view import LimitRangeItem, View
from webhook.guardrails._contract import Context, Finding, WorkloadScale
from webhook.kube.objects import NodeSelectorTerm, Pod, PodSpec, ResourceMap, ResourceRequirements
from webhook.kube.quantity import QuantityError, cpu_milli, format_cpu, format_memory, memory_bytes
from webhook.policy.price_list import PriceListSpec
from webhook.pricing import book
from webhook.pricing.pod import PodPrice, price_pod

__all__ = ["PodPrice", "compile_price_list", "context_price", "old_price", "only_runs_on_spot"]

_SPOT_LABELS: Final = {
    "karpenter.sh/capacity-type": frozenset({"spot"}),
    "eks.amazonaws.com/capacityType": frozenset({"SPOT"}),
    "cloud.google.com/gke-spot": frozenset({"true"}),
    "cloud.google.com/gke-preemptible": frozenset({"true"}),
    "kubernetes.azure.com/scalesetpriority": frozenset({"spot"}),
    "node.kubernetes.io/lifecycle": frozenset({"spot"}),
    "lifecycle": frozenset({"EC2Spot"}),
}
"""Node labels by which the platforms mark spot capacity: Karpenter, EKS, GKE, AKS, and the older generic ones."""

_NO_DEFAULTS: Final[ResourceMap] = {}
_MAXIMUM_DEFAULTS: Final = 1_024
_REQUEST_DEFAULTS: Final[dict[int, tuple[Sequence[LimitRangeItem], ResourceMap]]] = {}
"""Merged defaults by the identity of the items, which are held so that no other object takes that identity. The view
gives the same items until a LimitRange changes."""
_PRINTABLE: Final = 10**15


def compile_price_list(spec: PriceListSpec) -> book.PriceBook:
    """Compile a price list; without spot prices, spot capacity costs what on-demand capacity does."""
    on_demand = book.rates(spec.on_demand.cpu_core_hour, spec.on_demand.memory_gib_hour, spec.on_demand.gpu_hour)
    spot = on_demand
    if spec.spot is not None:
        spot = book.rates(spec.spot.cpu_core_hour, spec.spot.memory_gib_hour, spec.spot.gpu_hour)
    return book.PriceBook(
        currency=spec.currency,
        hours_per_month=spec.hours_per_month,
        on_demand=on_demand,
        spot=spot,
        assumed_cpu=cpu_milli(spec.assumed_request.cpu),
        assumed_memory=memory_bytes(spec.assumed_request.memory),
    )


def context_price(context: Context) -> PodPrice:
    """Return what the pod costs per hour, as it is now: one pod, whatever the scale of its workload.

    Raises:
        QuantityError: a quantity is malformed or negative; the text names the field.
    """
    price = context.price
    if price is None:
        price = context.price = _price(context, context.pod)
    return price


def old_price(context: Context) -> PodPrice | None:
    """Return what the stored pod (or the stored template's pod) of an UPDATE costs; None where there is none, or
    where it cannot be priced."""
    if context.old_pod is None:
        return None
    try:
        return _price(context, context.old_pod)
    except QuantityError:
        return None


def _price(context: Context, pod: Pod) -> PodPrice:
    spec = pod.spec
    if spec is None:
        spec = PodSpec()
    spot = context.priced_as_spot or only_runs_on_spot(spec)
    defaults = request_defaults(context.view, context.namespace)
    return price_pod(spec, context.prices, limit_range_defaults=defaults, spot=spot)


def request_defaults(view: View, namespace: str) -> ResourceMap:
    """Return the request that LimitRanges give a container with neither request nor limit, by resource name.

    For each item of type Container: ``defaultRequest``, else ``default``, else ``max``, else ``min``, as the API
    server fills them in. Where several items name a resource, the first counts.
    """
    items = view.limit_ranges(namespace)
    if not items:
        return _NO_DEFAULTS
    known = _REQUEST_DEFAULTS.get(id(items))
    if known is not None:
        return known[1]
    found = _merged_defaults(items)
    if len(_REQUEST_DEFAULTS) >= _MAXIMUM_DEFAULTS:
        _REQUEST_DEFAULTS.clear()
    _REQUEST_DEFAULTS[id(items)] = (items, found)
    return found


def _merged_defaults(items: Sequence[LimitRangeItem]) -> ResourceMap:
    found: ResourceMap = {}
    for item in items:
        if item.type == "Container":
            for values in (item.default_request, item.default, item.max, item.min):
                for name, raw in values.items():
                    if raw is not None:
                        found.setdefault(name, raw)
    return found


def only_runs_on_spot(spec: PodSpec) -> bool:
    """Whether node selector or required node affinity leave a pod nothing but spot capacity."""
    for key, value in (spec.node_selector or _NO_DEFAULTS).items():
        if key in _SPOT_LABELS and value in _SPOT_LABELS[key]:
            return True
    node_affinity = spec.affinity.node_affinity if spec.affinity is not None else None
    required = node_affinity.required if node_affinity is not None else None
    terms = (required.node_selector_terms or ()) if required is not None else ()
    return bool(terms) and all(_is_spot_term(term) for term in terms)


def _is_spot_term(term: NodeSelectorTerm) -> bool:
    return any(
        requirement.operator == "In"
        and requirement.values
        and _SPOT_LABELS[requirement.key].issuperset(requirement.values)
        for requirement in term.match_expressions or ()
        if requirement.key in _SPOT_LABELS
    )


def quantities(price: PodPrice) -> str:
    """Return what was priced, in words: ``2 CPU, 8Gi by requests, on-demand``."""
    cpu = format_cpu(price.cpu) if price.cpu < _PRINTABLE else "over 10^12"
    memory = price.memory if price.memory % (1 << 30) == 0 else -(-price.memory >> 20) << 20
    parts = [f"{cpu} CPU", format_memory(memory) if memory < _PRINTABLE << 10 else "over 900Ti"]
    if price.gpus:
        parts.append(f"{price.gpus if price.gpus < _PRINTABLE else 'over 10^15'} GPU{'' if price.gpus == 1 else 's'}")
    return f"{', '.join(parts)} by {price.source}"


def pods(scale: WorkloadScale) -> str:
    """Return how many pods are paid for, in words: ``3 replicas``."""
    return scale.source or f"{scale.replicas} pod{'' if scale.replicas == 1 else 's'}"


def how_to_cost_less(context: Context) -> str:
    """Return which field to change for a lower price: that of the container that costs most."""
    spec = context.pod.spec or PodSpec()
    if spec.resources is not None and (spec.resources.requests or spec.resources.limits):
        return "lower spec.resources of the pod"
    defaults = request_defaults(context.view, context.namespace)
    best, name, resources = -1, "", None
    for container in (*(spec.containers or ()), *(spec.init_containers or ())):
        price = price_pod(PodSpec(containers=[container]), context.prices, limit_range_defaults=defaults)
        if price.micros > best:
            best, name, resources = price.micros, container.name, container.resources
    if best < 0:
        return "give the pod a container"
    return _advice(name, resources)


def _advice(name: str, resources: ResourceRequirements | None) -> str:
    if resources is not None and resources.requests:
        return f'lower the requests of container "{name}"'
    if resources is not None and resources.limits:
        return f'give container "{name}" requests below its limits'
    return f'give container "{name}" lower requests of its own'


def not_priced(error: QuantityError, *, notice: bool) -> Finding:
    """Return the finding that a pod cannot be priced because a quantity is malformed."""
    return Finding(
        rule="quantity",
        message=f"cannot be priced: {error}",
        cure="write the quantity as Kubernetes does, such as 500m or 128Mi",
        notice=notice,
    )
