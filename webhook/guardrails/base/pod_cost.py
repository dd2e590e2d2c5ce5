"""What a pod costs in the context of a review, and how prices are said; shared by all that judge money."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from webhook.cluster.view import LimitRangeItem, Node, View
from webhook.guardrails.base.contract import Context, Finding, WorkloadScale, moves
from webhook.guardrails.base.devices import NO_CLAIMS, claims_of
from webhook.guardrails.base.placed import place_of
from webhook.guardrails.base.volumes import NO_VOLUMES, volumes_of
from webhook.kube.caches import BoundedCache
from webhook.kube.objects import LabelSelector, Pod, PodSpec, PodStatus, ResourceMap, ResourceRequirements
from webhook.kube.quantity import QuantityError, cpu_milli, format_cpu, memory_bytes
from webhook.policy.price_list import POOL_LABELS, PriceListSpec, RatesModel
from webhook.pricing import book, devices, words
from webhook.pricing import unpriced as unpriced_texts
from webhook.pricing.placement import SPOT_LABELS, is_spot
from webhook.pricing.pod import PodPrice, price_pod

__all__ = ["PodPrice", "compile_pool", "compile_price_list", "context_price", "of_all", "old_price"]

_NO_DEFAULTS: Final[ResourceMap] = {}
_REQUEST_DEFAULTS: Final[BoundedCache[int, tuple[Sequence[LimitRangeItem], ResourceMap]]] = BoundedCache(
    "request_defaults", 1024
)
"""Merged defaults by the identity of the items, which are held so that no other object takes that identity. The view
gives the same items until a LimitRange changes."""


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
    made = book.rates(model.cpu_core_hour, model.memory_gib_hour, model.gpu_hour, model.resources, model.claims)
    if otherwise is None:
        return made
    return made._replace(
        resources={**otherwise.resources, **made.resources}, claims={**otherwise.claims, **made.claims}
    )


def context_price(context: Context) -> PodPrice:
    """Return what the pod costs per hour, as it is now: one pod, whatever the scale of its workload; of a DaemonSet the
    one on the dearest of its nodes.

    Raises:
        QuantityError: a quantity is malformed or negative; the text names the field.
    """
    price = context.price
    if price is None:
        price = context.price = _price(context, context.pod, context.scale)
    return price


def old_price(context: Context) -> PodPrice | None:
    """Return what the stored pod (or the stored template's pod) of an UPDATE costs; None where there is none, or
    where it cannot be priced."""
    if context.old_pod is None:
        return None
    try:
        return _price(context, context.old_pod, context.old_scale, is_old=True)
    except QuantityError:
        return None


def of_all(price: PodPrice, scale: WorkloadScale | None) -> int:
    """Return what all pods of a workload cost at a time, micro-units per hour; of a pod, what it costs."""
    if scale is None:
        return price.micros
    return price.of(scale.replicas) if price.all_pods is None else price.all_pods


def at_once(price: PodPrice, scale: WorkloadScale) -> int:
    """Return what the pods cost that there may be before an autoscaler has looked at the workload."""
    return of_all(price, scale._replace(replicas=scale.at_once))


def _price(context: Context, pod: Pod, scale: WorkloadScale | None, *, is_old: bool = False) -> PodPrice:
    spec = pod.spec if pod.spec is not None else PodSpec()
    if scale is not None and scale.nodes:
        return _on_nodes(context, pod, spec, scale.nodes, is_old=is_old)
    as_spot = context.old_priced_as_spot if is_old else context.priced_as_spot
    nodes, spot = place_of(context, spec, as_spot=as_spot)
    if len(nodes) > 1:
        # The scheduler chooses among nodes that the author named.
        return _on_nodes(context, pod, spec, nodes, is_old=is_old)._replace(all_pods=None)
    return _on_node(context, pod, spec, nodes[0] if nodes else None, spot=spot, is_old=is_old)


def _on_nodes(context: Context, pod: Pod, spec: PodSpec, nodes: Sequence[Node], *, is_old: bool) -> PodPrice:
    """Return the price of the dearest node, and that of all pods of a DaemonSet, each at the prices of its node."""
    keys = (*SPOT_LABELS, *context.prices.pool_keys)
    alike: dict[tuple[str | None, ...], list[Node]] = {}
    for node in nodes:
        alike.setdefault(tuple([node.labels.get(key) for key in keys]), []).append(node)
    groups: list[tuple[PodPrice, int]] = []
    for first, *others in alike.values():
        price = _on_node(context, pod, spec, first, spot=is_spot(first.labels), is_old=is_old)
        groups.append((price, 1 + len(others)))
    dearest = max(groups, key=lambda group: group[0].of(1))[0]
    return dearest._replace(all_pods=sum(price.micros * count for price, count in groups) + dearest.once)


def _on_node(context: Context, pod: Pod, spec: PodSpec, node: Node | None, *, spot: bool, is_old: bool) -> PodPrice:
    """Return the price of a pod on a node, or where the scheduler puts it."""
    default = context.prices
    defaults = request_defaults(context.view, context.namespace)
    overhead = class_overhead(context, spec) if spec.runtime_class_name else _NO_OVERHEAD
    status = _status(context, pod, is_old=is_old) if pod.status is not None else None
    claims = claims_of(context, pod) if spec.resource_claims else NO_CLAIMS
    inventory = context.view.device_inventory
    if default.storage is None and not default.pools:
        price = price_pod(
            spec,
            default,
            limit_range_defaults=defaults,
            spot=spot,
            overhead=overhead.amounts,
            status=status,
            claims=claims,
            inventory=inventory,
        )
        return price if not price.unpriced and not overhead.unknown else _noted(price, overhead)
    volumes = volumes_of(context, spec) if default.storage is not None else NO_VOLUMES
    books: Sequence[book.PriceBook] = (default,)
    if default.pools:
        books = book.books_of_node(default, node.labels) if node is not None else book.books_of_pod(default, spec)
    prices = [
        price_pod(
            spec,
            each,
            limit_range_defaults=defaults,
            spot=spot if each.capacity == "any" else each.capacity == "spot",
            volumes=volumes.known,
            overhead=overhead.amounts,
            status=status,
            claims=claims,
            inventory=inventory,
        )
        for each in books
    ]
    # Where the scheduler may choose, the dearest counts, so that its choice never breaks a budget; and what one of the
    # lists has no price of may land there.
    price = max(prices, key=lambda each: each.of(1))
    if len(prices) > 1:
        price = price._replace(unpriced=tuple(sorted({text for each in prices for text in each.unpriced})))
    return _noted(price, overhead, volumes.unknown)


def _noted(price: PodPrice, overhead: "Overhead", volumes: str = "") -> PodPrice:
    """Return the price with what is not in it, said beside where it comes from."""
    source = price.source
    if volumes:
        source = f"{source}, {volumes} not known yet"
    if overhead.unknown:
        source = f"{source}, overhead of RuntimeClass {overhead.unknown} not known"
    if price.unpriced:
        source = f"{source}, {unpriced_texts.listed(price.unpriced)} not priced"
    return price if source is price.source else price._replace(source=source)


def _status(context: Context, pod: Pod, *, is_old: bool) -> PodStatus | None:
    """Return the status of a pod that runs and may be in the midst of a resize; None for every other one."""
    status = pod.status
    if status is None or not (context.running is not None or context.operation == "UPDATE"):
        return None
    if not (status.container_statuses or status.init_container_statuses or status.resources):
        return None
    if context.running is None and not is_old:
        # What was never possible before may be possible now, so what is asked for counts.
        return msgspec.structs.replace(status, conditions=None)
    return status


class Overhead(NamedTuple):
    """What a pod takes beside its containers, by its RuntimeClass."""

    amounts: ResourceMap | None = None
    unknown: str = ""
    """Name of a RuntimeClass that is not known."""


_NO_OVERHEAD: Final = Overhead()


def class_overhead(context: Context, spec: PodSpec) -> Overhead:
    """Return the overhead that the API server will write into a new pod; none where it stands there already."""
    name = spec.runtime_class_name
    is_old = context.running is not None or (context.operation == "UPDATE" and context.scale is None)
    if not name or spec.overhead is not None or is_old:
        return _NO_OVERHEAD
    found = context.view.runtime_class(name)
    return Overhead(found.overhead) if found is not None else Overhead(unknown=words.short(name))


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
    found = merged_defaults(items)
    _REQUEST_DEFAULTS.remember(id(items), (items, found))
    return found


def merged_defaults(items: Sequence[LimitRangeItem]) -> ResourceMap:
    """Return the request that these items give a container with neither request nor limit; see `request_defaults`."""
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
    cpu = format_cpu(price.cpu) if price.cpu < words.PRINTABLE else "over 10^12"
    parts = [f"{cpu} CPU", words.size(price.memory)]
    if price.gpus or price.gpu_thousandths:
        parts.append(words.gpus(price.gpus, price.gpu_thousandths))
    parts.extend(words.amount(name, units) for name, units in price.others)
    parts.extend(devices.amount(name, count) for name, count in price.devices)
    if price.storage:
        parts.append(f"{words.size(price.storage)} of volumes")
    return f"{', '.join(parts)} by {price.source}"


def pods(scale: WorkloadScale) -> str:
    """Return how many pods are paid for, in words: ``3 replicas``."""
    return scale.source or f"{scale.replicas} pod{'' if scale.replicas == 1 else 's'}"


def pods_at_once(scale: WorkloadScale) -> str:
    """Return how many pods a ceiling is held against, in words."""
    return f"{scale.asked} replicas as written" if scale.asked > scale.replicas else pods(scale)


def how_to_cost_less(context: Context) -> str:
    """Return which field to change for a lower price: that of the container that costs most."""
    spec = context.pod.spec or PodSpec()
    if spec.resources is not None and (spec.resources.requests or spec.resources.limits):
        return "lower spec.resources of the pod"
    defaults = request_defaults(context.view, context.namespace)
    whole = context_price(context)
    if whole.storage and whole.micros > 2 * price_pod(spec, context.prices, limit_range_defaults=defaults).micros:
        return "ask for smaller volumes, or a cheaper storage class"
    if whole.devices and whole.of(1) > 2 * price_pod(spec, context.prices, limit_range_defaults=defaults).micros:
        return "claim fewer devices, or devices of a cheaper class"
    runtime = _dearer_runtime(context, spec, whole)
    if runtime:
        return runtime
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


def _dearer_runtime(context: Context, spec: PodSpec, whole: PodPrice) -> str:
    """Return what to do where the overhead of the RuntimeClass is the larger part of the price."""
    overhead = spec.overhead or class_overhead(context, spec).amounts
    if not overhead:
        return ""
    price = price_pod(PodSpec(overhead=overhead), context.prices, spot=context.priced_as_spot)
    if 2 * price.micros <= whole.micros:
        return ""
    of = f"{format_cpu(price.cpu)} CPU and {words.size(price.memory)} are the overhead"
    name = spec.runtime_class_name
    if not name:
        return f"remove spec.overhead: {of}"
    return f'choose another runtimeClassName than "{words.short(name)}": {of} of that RuntimeClass'


def _advice(name: str, resources: ResourceRequirements | None) -> str:
    if resources is not None and resources.requests:
        return f'lower the requests of container "{name}"'
    if resources is not None and resources.limits:
        return f'give container "{name}" requests below its limits'
    return f'give container "{name}" lower requests of its own'


def unpriced(context: Context, *, denies: bool, is_new: bool = False) -> Sequence[Finding]:
    """Return the finding that a part of the object has no price, and that its overhead is not known; empty where it
    has been told before of the stored object.

    Args:
        context: the object; its price can be computed.
        is_new: whether it was nobody's business before, although it is stored.
        denies: whether what has no price is refused; never of a workload, whose pods are judged by themselves.
    """
    price = context_price(context)
    spec = context.pod.spec
    runtime = spec.runtime_class_name if spec is not None else None
    if not price.unpriced and not runtime:
        return ()
    found: list[Finding] = []
    if spec is not None and runtime and context.operation != "UPDATE":
        unknown = class_overhead(context, spec).unknown
        if unknown:
            text = f'RuntimeClass "{unknown}" is not known, so its overhead is not in the price'
            cure = "create the RuntimeClass, or correct spec.runtimeClassName"
            found.append(Finding(rule="runtimeClass", message=text, cure=cure, notice=True))
    if price.unpriced:
        old = old_price(context) if context.operation == "UPDATE" and not is_new else None
        if old is None or old.unpriced != price.unpriced:
            is_notice = not denies or context.scale is not None
            text, cure = unpriced_texts.unpriced_text(price.unpriced)
            found.append(Finding(rule="unpriced", message=text, cure=cure, notice=is_notice))
    return tuple(found)


def not_priced(error: QuantityError, *, notice: bool) -> Finding:
    """Return the finding that a pod cannot be priced because a quantity is malformed; the error says what to write."""
    what, _, cure = str(error).rpartition("; ")
    return Finding(
        rule="quantity",
        message=f"cannot be priced: {what or error}",
        cure=cure if what else "write the quantity as Kubernetes does, such as 500m or 128Mi",
        notice=notice,
    )
