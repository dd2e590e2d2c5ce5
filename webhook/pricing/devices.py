"""What devices cost: those of ResourceClaims, and those behind extended resources.

A device costs what the price list says of its class (``claims``). Where it says nothing, it costs what the list says
of the extended resource of its class, so that the same GPU costs the same however it is asked for.

* Of a request with alternatives the dearest counts: which one it gets is the scheduler's choice.
* ``allocationMode: All`` is as many devices as one node can have, at most 32, which is also what counts where no pool
  is known.
* Administrators' access takes no device from anybody and costs nothing.
* CPU and memory that are asked of a device as capacity cost what they cost elsewhere, unless the device has a price of
  its own.
* What has no price is named and adds nothing; beside cpu that was asked for it is priced by that.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from webhook.kube.device_claims import Alternative, DeviceRequest, Requests
from webhook.kube.device_classes import IMPLICIT, Inventory
from webhook.kube.objects import RawQuantity
from webhook.kube.quantity import QuantityError, cpu_milli, memory_bytes
from webhook.pricing import words
from webhook.pricing.book import Rates

SCALE: Final = 1000 << 30
"""Millicores x GiB: the common denominator of all prices."""
MOST_NAMED: Final = 8
"""Things without a price that are named one by one."""


class Claims(NamedTuple):
    """What is paid for with a pod."""

    requests: Mapping[Requests, int] = {}
    """What claims ask for, and how many claims ask for just that."""
    shared: Mapping[Requests, int] = {}
    """The same of claims that all pods of a workload share, which are paid for once."""
    unknown: tuple[str, ...] = ()
    """Claims of which that is not known: ``claim gpus, which does not exist``."""


NO_CLAIMS: Final = Claims()


class DeviceCost(NamedTuple):
    """What devices come to."""

    pico: int
    """Pico-units of currency per hour for the devices that have a price."""
    cpu: int
    """Millicores, and bytes of memory, that are asked of devices without a price."""
    memory: int
    devices: tuple[tuple[str, int], ...]
    """Devices that have a price, by class."""
    unpriced: tuple[str, ...]
    """What has none, sorted and bounded: ``2 devices of class gold``."""
    once: int = 0
    """Of all pods of a workload together, beside what each of them costs: pico-units per hour by `SCALE`."""


NOTHING: Final = DeviceCost(0, 0, 0, (), ())


class _Option(NamedTuple):
    pico: int
    cpu: int
    memory: int
    device_class: str
    devices: int


class _Sum:
    def __init__(self, rates: Rates, inventory: Inventory) -> None:
        self.rates = rates
        self.inventory = inventory
        self.pico = self.cpu = self.memory = 0
        self.devices: dict[str, int] = {}
        self.unpriced: dict[str, int] = {}
        self.unknown: list[str] = []
        self._known: dict[str, int | None] = {}

    def add_claims(self, claims: Mapping[Requests, int]) -> None:
        """Add claims, so many of each."""
        for requests, times in claims.items():
            for request in requests:
                self._add_request(request, times)

    def worth(self) -> int:
        """Return what was added so far costs, in pico-units per hour by `SCALE`."""
        return self._worth(_Option(self.pico, self.cpu, self.memory, "", 0))

    def _add_request(self, request: DeviceRequest, times: int) -> None:
        if request.is_admin:
            return
        if not request.alternatives:
            self.unknown.append("a request for devices, which is of an unknown form")
            return
        best: _Option | None = None
        missing: dict[str, int] = {}
        for each in request.alternatives:
            option = self._option(each, missing)
            if option is not None and (best is None or self._worth(option) > self._worth(best)):
                best = option
        for name, count in missing.items():
            self.unpriced[name] = self.unpriced.get(name, 0) + count * times
        if best is not None:
            self.pico += best.pico * times
            self.cpu += best.cpu * times
            self.memory += best.memory * times
            if best.pico or not best.cpu:
                self.add(best.device_class, best.devices * times)

    def _option(self, asked: Alternative, missing: dict[str, int]) -> _Option | None:
        name = asked.device_class
        count = self.inventory.every(name) if asked.is_all else asked.devices
        if not count:
            self.unknown.append(f"devices of class {words.short(name)}, which has an unknown allocationMode")
            return None
        price = self.price_of(name)
        if price:
            return _Option(price * count, 0, 0, name, count)
        cpu = _capacity(asked.cpu, cpu_milli, name) * count
        memory = _capacity(asked.memory, memory_bytes, name) * count
        if price is None and not cpu:
            missing[name] = max(missing.get(name, 0), count)
            if not memory:
                return None
        return _Option(0, cpu, memory, name, 0 if price is None else count)

    def _worth(self, option: _Option) -> int:
        """Return what an option costs, in pico-units per hour by `SCALE`."""
        rates = self.rates
        return option.pico * SCALE + option.cpu * rates.cpu * (1 << 30) + option.memory * rates.memory * 1000

    def price_of(self, name: str) -> int | None:
        """Return the price of a device of a class; None where there is none."""
        if name not in self._known:
            price = self.rates.claims.get(name)
            if price is None:
                price = self.rates.resources.get(IMPLICIT + name)
            if price is None and name in self.inventory.resources:
                price = self.rates.price_of(self.inventory.resources[name])
            self._known[name] = price
        return self._known[name]

    def add(self, name: str, count: int) -> None:
        """Count devices that have a price."""
        if count:
            self.devices[name] = self.devices.get(name, 0) + count


def price(claims: Claims, by_resource: Mapping[str, int], rates: Rates, inventory: Inventory) -> DeviceCost:
    """Return what devices cost.

    Args:
        claims: of the pod.
        by_resource: devices that containers ask for by the implicit extended resources of classes, by class.
        rates: prices.
        inventory: what the cluster says of its devices.

    Raises:
        QuantityError: a capacity is malformed or negative; the text names the class.
    """
    total = _Sum(rates, inventory)
    total.add_claims(claims.shared)
    once, total.pico = total.worth(), 0
    total.cpu = total.memory = 0
    total.add_claims(claims.requests)
    for name, count in by_resource.items():
        one = total.price_of(name)
        if one is None:
            total.unpriced[name] = total.unpriced.get(name, 0) + count
        else:
            total.pico += one * count
            total.add(name, count)
    unpriced = [*(amount(name, count) for name, count in total.unpriced.items() if count), *total.unknown]
    return DeviceCost(
        total.pico,
        total.cpu,
        total.memory,
        tuple(sorted(total.devices.items())),
        bounded([*claims.unknown, *unpriced]),
        once,
    )


def resource_price(resource: str, rates: Rates, inventory: Callable[[], Inventory]) -> int | None:
    """Return what a unit of an extended resource costs per hour; None where the list has no price of it.

    What the list says of the resource by its name counts, else what it says of the device class behind it, else what it
    says of resources of the kind.
    """
    if rates.claims and resource not in rates.resources:
        price = rates.claims.get(inventory().classes.get(resource, ""))
        if price is not None:
            return price
    return rates.price_of(resource)


def amount(name: str, count: int) -> str:
    """Return a number of devices in words: ``8 devices of class gpu.nvidia.com``."""
    shown = str(count) if count < words.PRINTABLE else "over 10^15"
    return f"{shown} device{'' if count == 1 else 's'} of class {words.short(name)}"


def missing(kind: str, name: str) -> str:
    """Return what is said of a ``claim`` or a ``claim template`` that is asked for and does not exist."""
    return f"{kind} {words.short(name)}, which does not exist"


def bounded(texts: Iterable[str]) -> tuple[str, ...]:
    """Return texts sorted and once each; of many only the first, and how many there are beside them."""
    found = sorted(set(texts))
    if len(found) <= MOST_NAMED:
        return tuple(found)
    return (*found[:MOST_NAMED], f"{len(found) - MOST_NAMED} more")


def _capacity(raw: RawQuantity | None, read: Callable[[RawQuantity | None], int], device_class: str) -> int:
    try:
        amount = read(raw)
    except QuantityError as error:
        raise QuantityError(error.kind, f"capacity of class {words.short(device_class)}: {error}") from None
    if amount < 0:
        what = f"capacity of class {words.short(device_class)}: must not be negative; remove the minus sign"
        raise QuantityError("numeric", what)
    return amount
