"""The price of a pod before it runs: what the scheduler will set aside for it, at the prices of a book.

`webhook.pricing.quantities` says which quantities count. GPUs are resources whose name ends in ``/gpu``
(``nvidia.com/gpu``, ``amd.com/gpu``), and parts of them count as parts (`webhook.pricing.shares`). Volumes that come
with the pod are added, each by the price of its storage class, and devices by that of their class
(`webhook.pricing.devices`). What has no price is named, so nothing is free unseen.

All arithmetic is on whole numbers: millicores and bytes (rounded up as the scheduler does), pico-units of currency.
The price is rounded once, half up, to micro-units per hour.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from webhook.kube.containers import each_container
from webhook.kube.device_classes import NO_INVENTORY, Inventory, class_of
from webhook.kube.objects import PodSpec, PodStatus, RawQuantity, ResourceMap
from webhook.kube.quantity import QuantityError, memory_bytes
from webhook.pricing import devices, quantities, words
from webhook.pricing.book import SPOT, PriceBook, Rates, is_measured_in_bytes
from webhook.pricing.devices import NO_CLAIMS, Claims

MAX_MICROS: Final = 2**63 - 1
"""A price saturates here, about 9 trillion units per hour: what fits every log and metric."""

_SCALE: Final = devices.SCALE
_DENOMINATOR: Final = _SCALE * 10**6
_TWICE: Final = 2 * _DENOMINATOR
_NONE: Final[Mapping[str, RawQuantity | None]] = {}


class PricedVolume(NamedTuple):
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
    """Whole ones."""
    others: tuple[tuple[str, int], ...] = ()
    """Units, or bytes, of other priced resources, by name."""
    storage: int = 0
    """Bytes of the volumes that are paid for with it."""
    unpriced: tuple[str, ...] = ()
    """What it asks for that the price list has no price of, sorted: ``4 nvidia.com/mig-7g.80gb``."""
    gpu_thousandths: int = 0
    """Parts of GPUs, beside the whole ones."""
    devices: tuple[tuple[str, int], ...] = ()
    """Priced devices by device class; those that a resource of its own name stands for are among the others."""
    once: int = 0
    """Of a workload's template: what all its pods share, paid for once beside `micros` for each of them."""
    all_pods: int | None = None
    """Micro-units per hour of all pods of a DaemonSet, whose nodes may have different prices; None elsewhere."""

    def of(self, pods: int) -> int:
        """Return what so many pods of a workload cost, micro-units per hour."""
        return self.micros * pods + self.once if pods > 0 else 0


def price_pod(
    spec: PodSpec,
    book: PriceBook,
    *,
    limit_range_defaults: Mapping[str, RawQuantity | None] = _NONE,
    spot: bool = False,
    volumes: Sequence[PricedVolume] = (),
    overhead: ResourceMap | None = None,
    status: PodStatus | None = None,
    claims: Claims = NO_CLAIMS,
    inventory: Callable[[], Inventory] = lambda: NO_INVENTORY,
) -> PodPrice:
    """Return what a pod costs per hour.

    Args:
        spec: the pod's spec, as written or as defaulted by the API server; both give the same price.
        book: prices.
        limit_range_defaults: by resource name, what the namespace's LimitRanges give a container with no request.
        spot: price as spot capacity.
        volumes: what is paid for with it; counted where the book prices storage.
        overhead: of the pod's RuntimeClass, for a spec into which no API server has written it.
        status: of a pod that runs; while it is resized in place, the most of what it asks for and has counts.
        claims: devices that are paid for with it.
        inventory: tells what the cluster says of its devices; only asked where a pod has any.

    Raises:
        QuantityError: a quantity is malformed or negative; the text names the field.
    """
    try:
        cpu, memory, asked, sources = quantities.of_pod(spec, book, limit_range_defaults, overhead, status)
    except QuantityError as error:
        raise _located(spec, limit_range_defaults, overhead, status, error) from None
    prices = book.spot if spot else book.on_demand
    memory = -(-memory // 1000)
    pico = cpu * prices.cpu * (1 << 30) + memory * prices.memory * 1000
    source = book.sources[sources | SPOT if spot else sources]
    if not asked and not volumes and claims is NO_CLAIMS:
        return PodPrice(min((2 * pico + _DENOMINATOR) // _TWICE, MAX_MICROS), source, cpu, memory)
    others, by_class, unpriced, costs = _others(asked, prices, inventory)
    pico += costs
    found = devices.NOTHING
    if by_class or claims is not NO_CLAIMS:
        found = devices.price(claims, by_class, prices, inventory())
        pico += found.pico * _SCALE + found.cpu * prices.cpu * (1 << 30) + found.memory * prices.memory * 1000
        cpu, memory, unpriced = cpu + found.cpu, memory + found.memory, (*unpriced, *found.unpriced)
    denominator, storage = _DENOMINATOR, 0
    if volumes and book.storage is not None:
        storage = sum(each.size for each in volumes)
        monthly = sum(each.size * book.storage.price_of(each.storage_class) for each in volumes)
        pico = pico * book.hours_per_month + monthly * 1000
        denominator *= book.hours_per_month
    micros = (2 * pico + denominator) // (2 * denominator)
    gpus, parts = divmod(sum(thousandths for name, thousandths in asked.items() if _is_gpu(name)), 1000)
    once = (2 * found.once + _DENOMINATOR) // (2 * _DENOMINATOR)
    return PodPrice(
        min(micros, MAX_MICROS),
        source,
        cpu,
        memory,
        gpus,
        others,
        storage,
        unpriced,
        parts,
        found.devices,
        min(once, MAX_MICROS),
    )


def _others(
    asked: Mapping[str, int], prices: Rates, inventory: Callable[[], Inventory]
) -> tuple[tuple[tuple[str, int], ...], dict[str, int], tuple[str, ...], int]:
    """Return the other resources that have a price but GPUs, the devices of classes, those that have none in words,
    and what they cost, devices left out, in pico-units by `_SCALE`."""
    priced: list[tuple[str, int]] = []
    by_class: dict[str, int] = {}
    unpriced: list[tuple[str, int]] = []
    pico = 0
    for name, thousandths in sorted(asked.items()):
        units = -(-thousandths // 1000)
        device_class = class_of(name)
        if device_class:
            by_class[device_class] = units
            continue
        price = devices.resource_price(name, prices, inventory)
        if price is None:
            unpriced.append((name, units))
            continue
        pico += units * price * 1000 if is_measured_in_bytes(name) else thousandths * price * (_SCALE // 1000)
        if not _is_gpu(name):
            priced.append((name, units))
    return tuple(priced), by_class, words.amounts(unpriced), pico


def _is_gpu(resource: str) -> bool:
    return resource.endswith("/gpu") and not class_of(resource)


def _located(
    spec: PodSpec,
    defaults: Mapping[str, RawQuantity | None],
    overhead: ResourceMap | None,
    status: PodStatus | None,
    error: QuantityError,
) -> QuantityError:
    """Return the error with the path of the field that it is about."""
    for path, resources in _fields(spec, defaults, overhead, status):
        for name, raw in (resources or _NONE).items():
            try:
                quantities.not_negative(memory_bytes(raw))
            except QuantityError as found:
                return QuantityError(found.kind, f"{path}[{words.short(name)}]: {found}")
    return error


def _fields(
    spec: PodSpec, defaults: Mapping[str, RawQuantity | None], overhead: ResourceMap | None, status: PodStatus | None
) -> Iterator[tuple[str, Mapping[str, RawQuantity | None] | None]]:
    for reference in each_container(spec):
        resources = reference.container.resources
        if resources is not None:
            named = reference.container.name
            whose = f"container {words.short(named)!r}, " if named else f"{reference.path}."
            yield f"{whose}resources.requests", resources.requests
            yield f"{whose}resources.limits", resources.limits
    if spec.resources is not None:
        yield "spec.resources.requests", spec.resources.requests
        yield "spec.resources.limits", spec.resources.limits
    yield "spec.overhead", spec.overhead
    yield f"RuntimeClass {words.short(spec.runtime_class_name or '')}, overhead.podFixed", overhead
    yield "the namespace's LimitRange default", defaults
    if status is not None:
        yield "status.allocatedResources", status.allocated_resources
        for each in (*(status.init_container_statuses or ()), *(status.container_statuses or ())):
            yield f"status of container {words.short(each.name)}: allocatedResources", each.allocated_resources
            if each.resources is not None:
                yield f"status of container {words.short(each.name)}: resources.requests", each.resources.requests
