"""What is priced of a pod: what the scheduler sets aside for it, and an assumed request where it says nothing.

Of a container, for cpu and memory apart: its request, else its limit (the API server makes it the request), else the
LimitRange default of the namespace (the API server fills it in), else the price list's assumed request. A quantity of
zero says nothing, so nothing is ever free. Of all other resources nothing is assumed.

Of the whole pod: the sum of `webhook.kube.pod_resources`. A request at pod level, written or filled in by the API
server, replaces what its containers are priced with.
"""

from collections.abc import Mapping
from typing import Final

from webhook.kube import pod_resources
from webhook.kube.objects import Container, PodSpec, PodStatus, RawQuantity, ResourceMap
from webhook.kube.pod_resources import ContainerKind
from webhook.kube.quantity import QuantityError, cpu_milli, memory_bytes
from webhook.pricing import shares
from webhook.pricing.book import ASSUMED, DEFAULT, LIMIT, REQUEST, PriceBook, is_measured_in_bytes

Defaults = Mapping[str, RawQuantity | None]

NO_OTHERS: Final[Mapping[str, int]] = {}
_PLAIN: Final = frozenset({"cpu", "memory"})
_MILLI: Final = 1000
_NANO_IN_MILLI: Final = 1_000_000


RequestedAmounts = tuple[int, int, Mapping[str, int], int]
"""What is priced, in thousandths of units: millicores, thousandths of bytes, of other resources by name, and where it
comes from, the set of bits of `webhook.pricing.book`."""


def of_pod(
    spec: PodSpec,
    book: PriceBook,
    defaults: Defaults,
    overhead: ResourceMap | None = None,
    status: PodStatus | None = None,
) -> RequestedAmounts:
    """Return what a pod is priced with.

    Args:
        spec: of the pod.
        book: gives the assumed request, and names the resources that have a price.
        defaults: request of a container that has none, by resource name.
        overhead: of the pod's RuntimeClass; counts where the pod has none of its own.
        status: of a pod that runs, where it may have more than it asks for.

    Raises:
        QuantityError: a quantity is malformed or negative.
    """
    overhead = spec.overhead or overhead
    if spec.init_containers or spec.resources is not None or overhead or status is not None:
        return _of_any(spec, book, defaults, overhead, status)
    containers = spec.containers or ()
    if len(containers) == 1:
        return _container(containers[0], book, defaults)
    cpu = memory = sources = 0
    others = NO_OTHERS
    for container in containers:
        one = _container(container, book, defaults)
        cpu += one[0]
        memory += one[1]
        if one[2]:
            others = {**others, **{name: others.get(name, 0) + units for name, units in one[2].items()}}
        sources |= one[3]
    return cpu, memory, others, sources


def _of_any(
    spec: PodSpec, book: PriceBook, defaults: Defaults, overhead: ResourceMap | None, status: PodStatus | None
) -> RequestedAmounts:
    """Return what a pod with init containers, resources at pod level, overhead or a resize is priced with."""
    stated = pod_resources.read(spec) if spec.resources is not None or status is not None else None
    if stated is None:
        priced = [(kind, _container(each, book, defaults)) for kind, each in pod_resources.kinds(spec)]
    else:
        priced = [
            (part.kind, _with_counted(_container(part.container, book, defaults), counted, status))
            for part, counted in pod_resources.counted_requests(stated, status)
        ]
    total = _together(priced)
    sources = of_init = 0
    for kind, one in priced:
        if kind == "init":
            of_init |= one[3]
        else:
            sources |= one[3]
    # What init containers say counts where they decide.
    if of_init & ~sources and total != _together([each for each in priced if each[0] != "init"]):
        sources |= of_init
    if stated is not None:
        total, sources = _with_pod_level(stated, spec, status, total, sources)
    if overhead:
        for name, nano in pod_resources.amounts(overhead).items():
            total[name] = total.get(name, 0) + _milli(nano)
    cpu, memory = total.pop("cpu", 0), total.pop("memory", 0)
    others = {name: units for name, units in total.items() if units} if total else NO_OTHERS
    return cpu, memory, others, sources


def _together(priced: list[tuple[ContainerKind, RequestedAmounts]]) -> dict[str, int]:
    return pod_resources.together([(kind, {"cpu": one[0], "memory": one[1], **one[2]}) for kind, one in priced])


def _with_counted(
    priced: RequestedAmounts, counted: pod_resources.Amounts, status: PodStatus | None
) -> RequestedAmounts:
    """Return the quantities of a container that runs: what it has and what is allocated to it counts as its request.

    Only cpu and memory can be resized.
    """
    if status is None:
        return priced
    cpu, memory = (_milli(counted.get(name, 0)) for name in ("cpu", "memory"))
    return cpu or priced[0], memory or priced[1], priced[2], priced[3]


def _with_pod_level(
    stated: pod_resources.Resources, spec: PodSpec, status: PodStatus | None, total: dict[str, int], sources: int
) -> tuple[dict[str, int], int]:
    """Let the requests at pod level, as the API server completes them, replace the sum of the containers.

    A limit at pod level without a request does so where no container asks for the resource; where one does, the
    request is what the containers ask for, and nothing is assumed of the others.
    """
    replaced: dict[str, int] = {}
    given = spec.resources
    bits = 0
    for name, nano in pod_resources.level_requests(stated, status).items():
        if pod_resources.is_of_pods(name) and _milli(nano):
            replaced[name] = _milli(nano)
            is_limit = given is not None and name not in (given.requests or {}) and _is_asked_by_none(stated, name)
            bits |= LIMIT if is_limit else REQUEST
    if replaced.keys() >= _PLAIN:
        sources = 0
    return {**total, **replaced}, sources | bits


def _is_asked_by_none(stated: pod_resources.Resources, name: str) -> bool:
    return not any(name in part.requests for part in stated.parts)


def _container(container: Container, book: PriceBook, defaults: Defaults) -> RequestedAmounts:
    """Return the quantities of one container. This is the hot path."""
    resources = container.resources
    requests: ResourceMap | None = None
    limits: ResourceMap | None = None
    if resources is not None:
        requests, limits = resources.requests, resources.limits
    if not requests and not limits and not defaults:
        return book.assumed_cpu, book.assumed_memory * _MILLI, NO_OTHERS, ASSUMED
    cpu = memory = 0
    sources = REQUEST
    if requests:
        cpu = cpu_milli(requests.get("cpu"))
        memory = cpu_milli(requests.get("memory"))
        if (
            cpu > 0
            and memory > 0
            and len(requests) == 2
            and (not limits or limits.keys() <= _PLAIN)
            and (not defaults or defaults.keys() <= _PLAIN)
        ):
            return cpu, memory, NO_OTHERS, sources
    if cpu <= 0 or memory <= 0:
        sources = REQUEST if cpu > 0 or memory > 0 else 0
        if cpu <= 0:
            cpu, source = _fallback(not_negative(cpu), "cpu", limits, defaults)
            if source == ASSUMED:
                cpu = book.assumed_cpu
            sources |= source
        if memory <= 0:
            memory, source = _fallback(not_negative(memory), "memory", limits, defaults)
            if source == ASSUMED:
                memory = book.assumed_memory * _MILLI
            sources |= source
    others = NO_OTHERS
    if (
        (requests and not requests.keys() <= _PLAIN)
        or (limits and not limits.keys() <= _PLAIN)
        or (defaults and not defaults.keys() <= _PLAIN)
    ):
        others = _others(book, requests, limits, defaults)
    return cpu, memory, others, sources


def _fallback(quantity: int, name: str, limits: ResourceMap | None, defaults: Defaults) -> tuple[int, int]:
    """Return the quantity of a container that requests none of a resource, and where it comes from."""
    if limits:
        quantity = not_negative(cpu_milli(limits.get(name)))
        if quantity:
            return quantity, LIMIT
    if defaults:
        quantity = not_negative(cpu_milli(defaults.get(name)))
        if quantity:
            return quantity, DEFAULT
    return quantity, ASSUMED


def _others(book: PriceBook, *maps: Mapping[str, RawQuantity | None] | None) -> Mapping[str, int]:
    """Return what is asked for beside cpu and memory; of each resource, the first map that states it counts."""
    found: dict[str, int] = {}
    for map_ in maps:
        for name, raw in (map_ or {}).items():
            if name not in found and raw is not None and name not in _PLAIN:
                # Devices come whole, and are refused by the API server where they do not.
                units = cpu_milli(raw) if is_measured_in_bytes(name) else memory_bytes(raw) * _MILLI
                found[name] = not_negative(units)
    if shares.has_shares(found):
        found = shares.divided(found, book.on_demand.resources)
    return {name: units for name, units in found.items() if units} or NO_OTHERS


def _milli(nano: int) -> int:
    return -(-not_negative(nano) // _NANO_IN_MILLI)


def not_negative(number: int) -> int:
    """Return the number.

    Raises:
        QuantityError: it is negative.
    """
    if number < 0:
        raise QuantityError("numeric", "a quantity of resources must not be negative; remove the minus sign")
    return number
