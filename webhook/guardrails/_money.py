"""What a pod costs in the context of a review, and how prices are said; shared by all that judge money."""

from collections.abc import Sequence
from typing import Final

import msgspec

from webhook.cluster.view import LimitRangeItem, Node, View
from webhook.guardrails._contract import Context, Finding, WorkloadScale, moves
from webhook.guardrails._volumes import NO_VOLUMES, volumes_of
from webhook.kube.objects import LabelSelector, Pod, PodSpec, ResourceMap, ResourceRequirements
from webhook.kube.quantity import QuantityError, cpu_milli, format_cpu, format_memory, memory_bytes
from webhook.policy.price_list import POOL_LABELS, PriceListSpec, RatesModel
from webhook.pricing import book
from webhook.pricing.placement import SPOT_LABELS, bound_nodes, capacity_of, is_spot
from webhook.pricing.pod import PodPrice, price_pod

__all__ = ["PodPrice", "compile_pool", "compile_price_list", "context_price", "of_all", "old_price"]

_NO_DEFAULTS: Final[ResourceMap] = {}
_MAXIMUM_DEFAULTS: Final = 1_024
_REQUEST_DEFAULTS: Final[dict[int, tuple[Sequence[LimitRangeItem], ResourceMap]]] = {}
"""Merged defaults by the identity of the items, which are held so that no other object takes that identity. The view
gives the same items until a LimitRange changes."""
_PRINTABLE: Final = 10**15


def compile_price_list(spec: PriceListSpec) -> book.PriceBook:
    """Compile the price list ``default``; without spot prices, spot capacity costs what on-demand capacity does."""
    on_demand = _rates(spec.on_demand)
    storage = None
    if spec.storage is not None:
        classes = {name: book.pico(price) for name, price in spec.storage.classes.items()}
        storage = book.Storage(book.pico(spec.storage.volume_gib_month), classes)
    return book.PriceBook(
        currency=spec.currency,
        hours_per_month=spec.hours_per_month,
        on_demand=on_demand,
        spot=_rates(spec.spot, on_demand) if spec.spot is not None else on_demand,
        assumed_cpu=cpu_milli(spec.assumed_request.cpu),
        assumed_memory=memory_bytes(spec.assumed_request.memory),
        storage=storage,
    )


def compile_pool(name: str, spec: PriceListSpec, default: book.PriceBook) -> book.PriceBook:
    """Compile the price list of a node pool; what it leaves open is as in the default book."""
    own = compile_price_list(spec)
    assumed = own if "assumed_request" in spec.model_fields_set else default
    taints: list[tuple[str, str, str]] = []
    if spec.nodes is None:
        selectors = [LabelSelector(match_labels={key: name}) for key in POOL_LABELS]
    else:
        selectors = [each.to_kube() for each in spec.nodes.selectors]
        taints = [(each.key, each.value, each.effect) for each in spec.nodes.taints]
    return msgspec.structs.replace(
        own,
        name=name,
        hours_per_month=default.hours_per_month,
        storage=default.storage,
        assumed_cpu=assumed.assumed_cpu,
        assumed_memory=assumed.assumed_memory,
        capacity=spec.nodes.capacity if spec.nodes is not None else "any",
        pool=book.pool(selectors, taints),
    )


def _rates(model: RatesModel, otherwise: book.Rates | None = None) -> book.Rates:
    made = book.rates(model.cpu_core_hour, model.memory_gib_hour, model.gpu_hour, model.resources)
    return made if otherwise is None else made._replace(resources={**otherwise.resources, **made.resources})


def context_price(context: Context) -> PodPrice:
    """Return what the pod costs per hour, as it is now: one pod, whatever the scale of its workload; of a DaemonSet the
    one on the dearest of its nodes.

    Raises:
        QuantityError: a quantity is malformed or negative; the text names the field.
    """
    price = context.price
    if price is None:
        price = context.price = _price(context, context.pod, context.scale, as_spot=context.priced_as_spot)
    return price


def old_price(context: Context) -> PodPrice | None:
    """Return what the stored pod (or the stored template's pod) of an UPDATE costs; None where there is none, or
    where it cannot be priced."""
    if context.old_pod is None:
        return None
    try:
        return _price(context, context.old_pod, context.old_scale, as_spot=context.old_priced_as_spot)
    except QuantityError:
        return None


def of_all(price: PodPrice, scale: WorkloadScale | None) -> int:
    """Return what all pods of a workload cost at a time, micro-units per hour; of a pod, what it costs."""
    if scale is None:
        return price.micros
    return price.micros * scale.replicas if price.all_pods is None else price.all_pods


def _price(context: Context, pod: Pod, scale: WorkloadScale | None, *, as_spot: bool) -> PodPrice:
    spec = pod.spec if pod.spec is not None else PodSpec()
    if scale is not None and scale.nodes:
        return _on_nodes(context, spec, scale.nodes)
    nodes: Sequence[Node] = ()
    if spec.affinity is not None or spec.node_selector or spec.node_name or context.running is not None:
        nodes = nodes_of(context, spec)
    if len(nodes) > 1:
        # The scheduler chooses among nodes that the author named.
        return _on_nodes(context, spec, nodes)._replace(all_pods=None)
    node = nodes[0] if nodes else None
    return _on_node(context, spec, node, spot=_is_spot(spec, node, as_spot=as_spot))


def _on_nodes(context: Context, spec: PodSpec, nodes: Sequence[Node]) -> PodPrice:
    """Return the price of the dearest node, and that of all pods of a DaemonSet, each at the prices of its node."""
    keys = (*SPOT_LABELS, *context.prices.pool_keys)
    alike: dict[tuple[str | None, ...], list[Node]] = {}
    for node in nodes:
        alike.setdefault(tuple([node.labels.get(key) for key in keys]), []).append(node)
    groups = [(_on_node(context, spec, same[0], spot=is_spot(same[0].labels)), len(same)) for same in alike.values()]
    dearest = max(groups, key=lambda group: group[0].micros)[0]
    return dearest._replace(all_pods=sum(price.micros * count for price, count in groups))


def _on_node(context: Context, spec: PodSpec, node: Node | None, *, spot: bool) -> PodPrice:
    """Return the price of a pod on a node, or where the scheduler puts it."""
    default = context.prices
    defaults = request_defaults(context.view, context.namespace)
    if default.storage is None and not default.pools:
        return price_pod(spec, default, limit_range_defaults=defaults, spot=spot)
    volumes = volumes_of(context, spec) if default.storage is not None else NO_VOLUMES
    books: Sequence[book.PriceBook] = (default,)
    if default.pools:
        books = book.books_of_node(default, node.labels) if node is not None else book.books_of_pod(default, spec)
    price: PodPrice | None = None
    for each in books:
        is_spot_there = spot if each.capacity == "any" else each.capacity == "spot"
        found = price_pod(spec, each, limit_range_defaults=defaults, spot=is_spot_there, volumes=volumes.known)
        # Where the scheduler may choose, the dearest counts, so that its choice never breaks a budget.
        if price is None or found.micros > price.micros:
            price = found
    assert price is not None  # noqa: S101  there is always a book
    if volumes.unknown:
        price = price._replace(source=f"{price.source}, {volumes.unknown} not known yet")
    return price


def _is_spot(spec: PodSpec, node: Node | None, *, as_spot: bool) -> bool:
    """Whether spot prices count: by the node, unless the policy prices the pod as spot and its author chose no node:
    then it stays what it was admitted as, wherever the scheduler has put it."""
    if node is not None and not (as_spot and not bound_nodes(spec)):
        return is_spot(node.labels)
    capacity = capacity_of(spec)
    return as_spot if capacity == "any" else capacity == "spot"


def nodes_of(context: Context, spec: PodSpec) -> Sequence[Node]:
    """Return the node that the pod runs on, or else those that its author chose for it; empty where one of them is not
    known, or where the scheduler may choose any."""
    name = spec.node_name or (context.running.node if context.running is not None else "")
    found = [context.view.node(each) for each in ((name,) if name else sorted(bound_nodes(spec)))]
    known = [node for node in found if node is not None]
    return known if len(known) == len(found) else ()


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


def quantities(price: PodPrice) -> str:
    """Return what was priced, in words: ``2 CPU, 8Gi by requests, on-demand, price list default``."""
    cpu = format_cpu(price.cpu) if price.cpu < _PRINTABLE else "over 10^12"
    parts = [f"{cpu} CPU", _size(price.memory)]
    if price.gpus:
        parts.append(f"{price.gpus if price.gpus < _PRINTABLE else 'over 10^15'} GPU{'' if price.gpus == 1 else 's'}")
    parts.extend(_amount(name, units) for name, units in price.others)
    if price.storage:
        parts.append(f"{_size(price.storage)} of volumes")
    return f"{', '.join(parts)} by {price.source}"


def _amount(name: str, units: int) -> str:
    if book.is_measured_in_bytes(name):
        return f"{_size(units)} {name}"
    return f"{units if units < _PRINTABLE else 'over 10^15'} {name}"


def _size(size: int) -> str:
    rounded = size if size % (1 << 30) == 0 else -(-size >> 20) << 20
    return format_memory(rounded) if rounded < _PRINTABLE << 10 else "over 900Ti"


def pods(scale: WorkloadScale) -> str:
    """Return how many pods are paid for, in words: ``3 replicas``."""
    return scale.source or f"{scale.replicas} pod{'' if scale.replicas == 1 else 's'}"


def how_to_cost_less(context: Context) -> str:
    """Return which field to change for a lower price: that of the container that costs most."""
    spec = context.pod.spec or PodSpec()
    if spec.resources is not None and (spec.resources.requests or spec.resources.limits):
        return "lower spec.resources of the pod"
    defaults = request_defaults(context.view, context.namespace)
    whole = context_price(context)
    if whole.storage:
        running = price_pod(spec, context.prices, limit_range_defaults=defaults)
        if whole.micros > 2 * running.micros:
            return "ask for smaller volumes, or a cheaper storage class"
    best, name, resources = -1, "", None
    for container in (*(spec.containers or ()), *(spec.init_containers or ())):
        price = price_pod(PodSpec(containers=[container]), context.prices, limit_range_defaults=defaults)
        if price.micros > best:
            best, name, resources = price.micros, container.name, container.resources
    if best < 0:
        return "give the pod a container"
    return _advice(name, resources)


def how_to_undo(context: Context) -> str:
    """Return how an object costs less: where an update moves a pod, by not moving it, since nothing else of a pod can
    be changed; else see `how_to_cost_less`."""
    if moves(context):
        return "leave spec.nodeSelector, spec.affinity and spec.tolerations as they were"
    return how_to_cost_less(context)


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
