"""The price of a pod before it runs: what the scheduler will set aside for it, at the prices of a book.

Priced quantity of a container, for cpu and memory apart: its request, else its limit (the API server makes it the
request), else the LimitRange default of the namespace (the API server fills it in), else the price list's assumed
request. A quantity of zero says nothing, so nothing is ever free.

Quantity of the pod, as ``PodRequests`` of the scheduler computes it: containers and native sidecars together, or the
highest moment of the init phase (an init container beside the sidecars started before it), whichever is more; requests
at pod level replace that; ``spec.overhead`` comes on top. Ephemeral containers have no resources and cost nothing.
GPUs are resources whose name ends in ``/gpu`` (``nvidia.com/gpu``, ``amd.com/gpu``); they are counted together.

All arithmetic is on whole numbers: millicores and bytes (rounded up as the scheduler does), pico-units of currency.
The price is rounded once, half up, to micro-units per hour.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from webhook.kube.containers import walk
from webhook.kube.objects import Container, PodSpec, RawQuantity, ResourceMap, ResourceRequirements
from webhook.kube.quantity import QuantityError, cpu_milli, memory_bytes
from webhook.pricing.book import PriceBook

MAX_MICROS: Final = 2**63 - 1
"""A price saturates here, about 9 trillion units per hour: what fits every log and metric."""

_REQUEST, _LIMIT, _DEFAULT, _ASSUMED = 1, 2, 4, 8
_SCALE: Final = 1000 << 30
"""Millicores x GiB: the common denominator of cpu and memory prices."""
_DENOMINATOR: Final = _SCALE * 10**6
_NONE: Final[Mapping[str, RawQuantity | None]] = {}


class PodPrice(NamedTuple):
    """What a pod costs, and what that was computed from."""

    micros: int
    """Micro-units of the currency per hour."""
    source: str
    """Where the quantities came from, and the capacity type: ``requests and assumed request, on-demand``."""
    cpu: int = 0
    """Millicores."""
    memory: int = 0
    """Bytes."""
    gpus: int = 0


def price_pod(
    spec: PodSpec,
    book: PriceBook,
    *,
    limit_range_defaults: Mapping[str, RawQuantity | None] = _NONE,
    spot: bool = False,
) -> PodPrice:
    """Return what a pod costs per hour.

    Args:
        spec: the pod's spec, as written or as defaulted by the API server; both give the same price.
        book: prices.
        limit_range_defaults: by resource name, what the namespace's LimitRanges give a container with no request.
        spot: price as spot capacity.

    Raises:
        QuantityError: a quantity is malformed or negative; the text names the field.
    """
    try:
        cpu, memory, gpus, sources = _effective(spec, book, limit_range_defaults)
    except QuantityError as error:
        raise _located(spec, limit_range_defaults, error) from None
    prices = book.spot if spot else book.on_demand
    pico = cpu * prices.cpu * (1 << 30) + memory * prices.memory * 1000
    if gpus:
        pico += gpus * prices.gpu * _SCALE
    micros = (2 * pico + _DENOMINATOR) // (2 * _DENOMINATOR)
    return PodPrice(min(micros, MAX_MICROS), _SOURCES[sources | 16 if spot else sources], cpu, memory, gpus)


def _effective(spec: PodSpec, book: PriceBook, defaults: Mapping[str, RawQuantity | None]) -> tuple[int, int, int, int]:
    """Return millicores, bytes, GPUs and the set of sources of a whole pod."""
    cpu = memory = gpus = sources = 0
    for container in spec.containers or ():
        one_cpu, one_memory, one_gpus, source = _container(container, book, defaults)
        cpu += one_cpu
        memory += one_memory
        gpus += one_gpus
        sources |= source
    if spec.init_containers:
        cpu, memory, gpus, sources = _with_init(spec.init_containers, book, defaults, (cpu, memory, gpus, sources))
    if spec.resources is not None:
        cpu, memory, gpus, sources = _with_pod_level(spec, spec.resources, (cpu, memory, gpus, sources))
    if spec.overhead:
        cpu += _not_negative(cpu_milli(spec.overhead.get("cpu")))
        memory += _not_negative(memory_bytes(spec.overhead.get("memory")))
        gpus += _gpus(spec.overhead, None, _NONE)
    return cpu, memory, gpus, sources


def _container(
    container: Container, book: PriceBook, defaults: Mapping[str, RawQuantity | None]
) -> tuple[int, int, int, int]:
    """Return millicores, bytes, GPUs and the set of sources of one container. This is the hot path."""
    resources = container.resources
    requests: ResourceMap | None = None
    limits: ResourceMap | None = None
    if resources is not None:
        requests, limits = resources.requests, resources.limits
    cpu = memory = gpus = 0
    sources = _REQUEST
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
            return cpu, memory, 0, sources
    if cpu <= 0 or memory <= 0:
        sources = _REQUEST if cpu > 0 or memory > 0 else 0
        if cpu <= 0:
            cpu, source = _fallback(_not_negative(cpu), "cpu", limits, defaults)
            if source == _ASSUMED:
                cpu = book.assumed_cpu
            sources |= source
        if memory <= 0:
            memory, source = _fallback(_not_negative(memory), "memory", limits, defaults)
            if source == _ASSUMED:
                memory = book.assumed_memory
            sources |= source
    gpus = _gpus(requests, limits, defaults)
    return cpu, memory, gpus, sources


_PLAIN: Final = frozenset({"cpu", "memory"})


def _fallback(
    quantity: int, name: str, limits: ResourceMap | None, defaults: Mapping[str, RawQuantity | None]
) -> tuple[int, int]:
    """Return the quantity of a container that requests none of a resource, and where it comes from."""
    read = cpu_milli if name == "cpu" else memory_bytes
    if limits:
        quantity = _not_negative(read(limits.get(name)))
        if quantity:
            return quantity, _LIMIT
    if defaults:
        quantity = _not_negative(read(defaults.get(name)))
        if quantity:
            return quantity, _DEFAULT
    return quantity, _ASSUMED


def _gpus(requests: ResourceMap | None, limits: ResourceMap | None, defaults: Mapping[str, RawQuantity | None]) -> int:
    names = {name for map_ in (requests, limits, defaults) if map_ for name in map_ if name.endswith("/gpu")}
    total = 0
    for name in names:
        for map_ in (requests, limits, defaults):
            if map_ and map_.get(name) is not None:
                total += _not_negative(memory_bytes(map_[name]))
                break
    return total


def _with_init(
    containers: Iterable[Container],
    book: PriceBook,
    defaults: Mapping[str, RawQuantity | None],
    running: tuple[int, int, int, int],
) -> tuple[int, int, int, int]:
    """Add native sidecars, and raise each resource to the highest moment of the init phase."""
    cpu, memory, gpus, sources = running
    side_cpu = side_memory = side_gpus = 0
    peak_cpu = peak_memory = peak_gpus = peak_sources = 0
    for container in containers:
        one_cpu, one_memory, one_gpus, source = _container(container, book, defaults)
        if container.restart_policy == "Always":
            side_cpu += one_cpu
            side_memory += one_memory
            side_gpus += one_gpus
            sources |= source
        else:
            peak_cpu = max(peak_cpu, side_cpu + one_cpu)
            peak_memory = max(peak_memory, side_memory + one_memory)
            peak_gpus = max(peak_gpus, side_gpus + one_gpus)
            peak_sources |= source
    cpu, memory, gpus = cpu + side_cpu, memory + side_memory, gpus + side_gpus
    if peak_cpu > cpu or peak_memory > memory or peak_gpus > gpus:
        sources |= peak_sources
    return max(cpu, peak_cpu), max(memory, peak_memory), max(gpus, peak_gpus), sources


def _with_pod_level(
    spec: PodSpec, resources: ResourceRequirements, summed: tuple[int, int, int, int]
) -> tuple[int, int, int, int]:
    """Let ``spec.resources`` replace the sum of the containers, resource by resource.

    A request at pod level replaces it. A limit at pod level without a request does so where no container asks for the
    resource, as the API server's defaulting does (KEP-2837).
    """
    cpu, memory, gpus, sources = summed
    found: dict[str, tuple[int, int]] = {}
    for name, read in (("cpu", cpu_milli), ("memory", memory_bytes)):
        request = _not_negative(read((resources.requests or _NONE).get(name)))
        limit = _not_negative(read((resources.limits or _NONE).get(name)))
        if request:
            found[name] = request, _REQUEST
        elif limit and not _any_container_states(spec, name):
            found[name] = limit, _LIMIT
    if len(found) == 2:
        sources = 0
    for _, source in found.values():
        sources |= source
    return found.get("cpu", (cpu,))[0], found.get("memory", (memory,))[0], gpus, sources


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


def _located(spec: PodSpec, defaults: Mapping[str, RawQuantity | None], error: QuantityError) -> QuantityError:
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
            if name in _PLAIN or name.endswith("/gpu"):
                try:
                    _not_negative(memory_bytes(raw))
                except QuantityError as found:
                    return QuantityError(found.kind, f"{path}[{name}]: {found}")
    return error


def _source_text(mask: int) -> str:
    bits = ((_REQUEST, "requests"), (_LIMIT, "limits"), (_DEFAULT, "LimitRange default"), (_ASSUMED, "assumed request"))
    names = [text for bit, text in bits if mask & bit] or ["no containers"]
    joined = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{joined}, {'spot' if mask & 16 else 'on-demand'}"


_SOURCES: Final = tuple(_source_text(mask) for mask in range(32))
