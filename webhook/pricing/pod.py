"""The price of a pod before it runs: what the scheduler will set aside for it, at the prices of a book.

Priced quantity of a container, for cpu and memory apart: its request, else its limit (the API server makes it the
request), else the LimitRange default of the namespace (the API server fills it in), else the price list's assumed
request. A quantity of zero says nothing, so nothing is ever free.

Quantity of the pod, as ``PodRequests`` of the scheduler computes it: containers and native sidecars together, or the
highest moment of the init phase (an init container beside the sidecars started before it), whichever is more; requests
at pod level replace that; ``spec.overhead`` comes on top. Ephemeral containers have no resources and cost nothing.
GPUs are resources whose name ends in ``/gpu`` (``nvidia.com/gpu``, ``amd.com/gpu``). They and what else the price list
names (a slice of a GPU, ephemeral storage, huge pages) count by request, else limit, else LimitRange default; nothing
is assumed of them.

Volumes that come with the pod are added, each by the price of its storage class.

All arithmetic is on whole numbers: millicores and bytes (rounded up as the scheduler does), pico-units of currency.
The price is rounded once, half up, to micro-units per hour.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from webhook.kube.containers import walk
from webhook.kube.objects import Container, PodSpec, RawQuantity, ResourceMap, ResourceRequirements
from webhook.kube.quantity import QuantityError, cpu_milli, memory_bytes
from webhook.pricing.book import (
    ASSUMED,
    DEFAULT,
    LIMIT,
    REQUEST,
    SPOT,
    PriceBook,
    Rates,
    is_measured_in_bytes,
)

MAX_MICROS: Final = 2**63 - 1
"""A price saturates here, about 9 trillion units per hour: what fits every log and metric."""

_SCALE: Final = 1000 << 30
"""Millicores x GiB: the common denominator of cpu and memory prices."""
_DENOMINATOR: Final = _SCALE * 10**6
_NONE: Final[Mapping[str, RawQuantity | None]] = {}
_NO_OTHERS: Final[Mapping[str, int]] = {}

_Quantities = tuple[int, int, Mapping[str, int], int]
"""Millicores, bytes of memory, units of other priced resources by name, and the set of sources."""


class Volume(NamedTuple):
    """A volume that is paid for with a pod."""

    size: int
    """Bytes."""
    storage_class: str
    """Empty for the cluster's default class."""


class PodPrice(NamedTuple):
    """What a pod costs, and what that was computed from."""

    micros: int
    """Micro-units of the currency per hour."""
    source: str
    """Where the quantities came from, the capacity type and the price list: ``requests and assumed request, on-demand,
    price list default``."""
    cpu: int = 0
    """Millicores."""
    memory: int = 0
    """Bytes."""
    gpus: int = 0
    others: tuple[tuple[str, int], ...] = ()
    """Units, or bytes, of other priced resources, by name."""
    storage: int = 0
    """Bytes of the volumes that are paid for with it."""
    all_pods: int | None = None
    """Micro-units per hour of all pods of a DaemonSet, whose nodes may have different prices; None elsewhere."""


def price_pod(
    spec: PodSpec,
    book: PriceBook,
    *,
    limit_range_defaults: Mapping[str, RawQuantity | None] = _NONE,
    spot: bool = False,
    volumes: Sequence[Volume] = (),
) -> PodPrice:
    """Return what a pod costs per hour.

    Args:
        spec: the pod's spec, as written or as defaulted by the API server; both give the same price.
        book: prices.
        limit_range_defaults: by resource name, what the namespace's LimitRanges give a container with no request.
        spot: price as spot capacity.
        volumes: what is paid for with it; counted where the book prices storage.

    Raises:
        QuantityError: a quantity is malformed or negative; the text names the field.
    """
    try:
        cpu, memory, others, sources = _effective(spec, book, limit_range_defaults)
    except QuantityError as error:
        raise _located(spec, book, limit_range_defaults, error) from None
    prices = book.spot if spot else book.on_demand
    pico = cpu * prices.cpu * (1 << 30) + memory * prices.memory * 1000
    source = book.sources[sources | SPOT if spot else sources]
    if not others and not volumes:
        micros = (2 * pico + _DENOMINATOR) // (2 * _DENOMINATOR)
        return PodPrice(min(micros, MAX_MICROS), source, cpu, memory)
    pico += sum(_price_of(name, units, prices) for name, units in others.items())
    denominator, storage = _DENOMINATOR, 0
    if volumes and book.storage is not None:
        storage = sum(each.size for each in volumes)
        monthly = sum(each.size * book.storage.price_of(each.storage_class) for each in volumes)
        pico = pico * book.hours_per_month + monthly * 1000
        denominator *= book.hours_per_month
    micros = (2 * pico + denominator) // (2 * denominator)
    gpus = sum(units for name, units in others.items() if name.endswith("/gpu"))
    rest = tuple(sorted((name, units) for name, units in others.items() if units and not name.endswith("/gpu")))
    return PodPrice(min(micros, MAX_MICROS), source, cpu, memory, gpus, rest, storage)


def _price_of(name: str, units: int, prices: Rates) -> int:
    """Return the price of a quantity of a resource, in pico-units by `_SCALE`."""
    price = prices.resources.get(name)
    if price is None:
        return units * prices.gpu * _SCALE if name.endswith("/gpu") else 0
    return units * price * (1000 if is_measured_in_bytes(name) else _SCALE)


def _effective(spec: PodSpec, book: PriceBook, defaults: Mapping[str, RawQuantity | None]) -> _Quantities:
    """Return the quantities of a whole pod."""
    cpu = memory = sources = 0
    others = _NO_OTHERS
    for container in spec.containers or ():
        one_cpu, one_memory, one_others, source = _container(container, book, defaults)
        cpu += one_cpu
        memory += one_memory
        if one_others:
            others = _sum(others, one_others)
        sources |= source
    if spec.init_containers:
        cpu, memory, others, sources = _with_init(spec.init_containers, book, defaults, (cpu, memory, others, sources))
    if spec.resources is not None:
        cpu, memory, others, sources = _with_pod_level(spec, spec.resources, book, (cpu, memory, others, sources))
    if spec.overhead:
        cpu += _not_negative(cpu_milli(spec.overhead.get("cpu")))
        memory += _not_negative(memory_bytes(spec.overhead.get("memory")))
        others = _sum(others, _others(book, spec.overhead))
    return cpu, memory, others, sources


def _container(container: Container, book: PriceBook, defaults: Mapping[str, RawQuantity | None]) -> _Quantities:
    """Return the quantities of one container. This is the hot path."""
    resources = container.resources
    requests: ResourceMap | None = None
    limits: ResourceMap | None = None
    if resources is not None:
        requests, limits = resources.requests, resources.limits
    if not requests and not limits and not defaults:
        return book.assumed_cpu, book.assumed_memory, _NO_OTHERS, ASSUMED
    cpu = memory = 0
    sources = REQUEST
    if requests:
        cpu = cpu_milli(requests.get("cpu"))
        memory = memory_bytes(requests.get("memory"))
        if (
            cpu > 0
            and memory > 0
            and len(requests) == 2
            and (not limits or limits.keys() <= _PLAIN)
            and (not defaults or defaults.keys() <= _PLAIN)
        ):
            return cpu, memory, _NO_OTHERS, sources
    if cpu <= 0 or memory <= 0:
        sources = REQUEST if cpu > 0 or memory > 0 else 0
        if cpu <= 0:
            cpu, source = _fallback(_not_negative(cpu), "cpu", limits, defaults)
            if source == ASSUMED:
                cpu = book.assumed_cpu
            sources |= source
        if memory <= 0:
            memory, source = _fallback(_not_negative(memory), "memory", limits, defaults)
            if source == ASSUMED:
                memory = book.assumed_memory
            sources |= source
    others = _NO_OTHERS
    if (
        (requests and not requests.keys() <= _PLAIN)
        or (limits and not limits.keys() <= _PLAIN)
        or (defaults and not defaults.keys() <= _PLAIN)
    ):
        others = _others(book, requests, limits, defaults)
    return cpu, memory, others, sources


_PLAIN: Final = frozenset({"cpu", "memory"})


def _fallback(
    quantity: int, name: str, limits: ResourceMap | None, defaults: Mapping[str, RawQuantity | None]
) -> tuple[int, int]:
    """Return the quantity of a container that requests none of a resource, and where it comes from."""
    read = cpu_milli if name == "cpu" else memory_bytes
    if limits:
        quantity = _not_negative(read(limits.get(name)))
        if quantity:
            return quantity, LIMIT
    if defaults:
        quantity = _not_negative(read(defaults.get(name)))
        if quantity:
            return quantity, DEFAULT
    return quantity, ASSUMED


def _others(book: PriceBook, *maps: Mapping[str, RawQuantity | None] | None) -> Mapping[str, int]:
    """Return the units of priced resources beside cpu and memory; of each, the first map that states it counts."""
    found: dict[str, int] = {}
    priced = book.on_demand.resources
    for map_ in maps:
        for name, raw in (map_ or _NONE).items():
            if name not in found and raw is not None and (name.endswith("/gpu") or name in priced):
                found[name] = _not_negative(memory_bytes(raw))
    return found or _NO_OTHERS


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> Mapping[str, int]:
    if not one or not other:
        return one or other
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}


def _highest(one: Mapping[str, int], other: Mapping[str, int]) -> Mapping[str, int]:
    if not one or not other:
        return one or other
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in {**one, **other}}


def _with_init(
    containers: Iterable[Container],
    book: PriceBook,
    defaults: Mapping[str, RawQuantity | None],
    running: _Quantities,
) -> _Quantities:
    """Add native sidecars, and raise each resource to the highest moment of the init phase."""
    cpu, memory, others, sources = running
    side_cpu = side_memory = 0
    peak_cpu = peak_memory = peak_sources = 0
    side_others = peak_others = _NO_OTHERS
    for container in containers:
        one_cpu, one_memory, one_others, source = _container(container, book, defaults)
        if container.restart_policy == "Always":
            side_cpu += one_cpu
            side_memory += one_memory
            side_others = _sum(side_others, one_others)
            sources |= source
        else:
            peak_cpu = max(peak_cpu, side_cpu + one_cpu)
            peak_memory = max(peak_memory, side_memory + one_memory)
            peak_others = _highest(peak_others, _sum(side_others, one_others))
            peak_sources |= source
    cpu, memory, others = cpu + side_cpu, memory + side_memory, _sum(others, side_others)
    most = _highest(others, peak_others)
    if peak_cpu > cpu or peak_memory > memory or most != others:
        sources |= peak_sources
    return max(cpu, peak_cpu), max(memory, peak_memory), most, sources


def _with_pod_level(
    spec: PodSpec, resources: ResourceRequirements, book: PriceBook, summed: _Quantities
) -> _Quantities:
    """Let ``spec.resources`` replace the sum of the containers, resource by resource.

    A request at pod level replaces it. A limit at pod level without a request does so where no container asks for the
    resource, as the API server's defaulting does (KEP-2837). Of other resources, only huge pages can be asked for at
    pod level.
    """
    cpu, memory, others, sources = summed
    found: dict[str, tuple[int, int]] = {}
    for name, read in (("cpu", cpu_milli), ("memory", memory_bytes)):
        request = _not_negative(read((resources.requests or _NONE).get(name)))
        limit = _not_negative(read((resources.limits or _NONE).get(name)))
        if request:
            found[name] = request, REQUEST
        elif limit and not _any_container_states(spec, name):
            found[name] = limit, LIMIT
    if len(found) == 2:
        sources = 0
    for _, source in found.values():
        sources |= source
    pages = _others(book, resources.requests, resources.limits)
    if pages:
        others = {**others, **{name: size for name, size in pages.items() if name.startswith("hugepages-")}}
    return found.get("cpu", (cpu,))[0], found.get("memory", (memory,))[0], others, sources


def _any_container_states(spec: PodSpec, name: str) -> bool:
    for containers in (spec.containers, spec.init_containers):
        for container in containers or ():
            resources = container.resources
            if resources is not None and (name in (resources.requests or _NONE) or name in (resources.limits or _NONE)):
                return True
    return False


def _not_negative(number: int) -> int:
    if number < 0:
        raise QuantityError("numeric", "a quantity of resources must not be negative; remove the minus sign")
    return number


def _located(
    spec: PodSpec, book: PriceBook, defaults: Mapping[str, RawQuantity | None], error: QuantityError
) -> QuantityError:
    """Return the error with the path of the field it is about."""
    maps: list[tuple[str, Mapping[str, RawQuantity | None] | None]] = []
    for reference in walk(spec):
        resources = reference.container.resources
        if resources is not None:
            maps.append((f"{reference.path}.resources.requests", resources.requests))
            maps.append((f"{reference.path}.resources.limits", resources.limits))
    if spec.resources is not None:
        maps.append(("spec.resources.requests", spec.resources.requests))
        maps.append(("spec.resources.limits", spec.resources.limits))
    maps.append(("spec.overhead", spec.overhead))
    maps.append(("the namespace's LimitRange default", defaults))
    for path, map_ in maps:
        for name, raw in (map_ or _NONE).items():
            if name in _PLAIN or name.endswith("/gpu") or name in book.on_demand.resources:
                try:
                    _not_negative(memory_bytes(raw))
                except QuantityError as found:
                    return QuantityError(found.kind, f"{path}[{name}]: {found}")
    return error
