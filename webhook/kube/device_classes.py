"""Classes of devices, and how many devices there are: DeviceClasses and ResourceSlices (``resource.k8s.io``).

Containers may ask for devices of a class by an extended resource as well: by one that the class names, or by the
implicit one that every class has.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from webhook.kube.device_claims import MOST
from webhook.kube.objects import Object

IMPLICIT: Final = "deviceclass.resource.kubernetes.io/"
"""Before the name of a class: the extended resource of every DeviceClass."""


def class_of(resource: str) -> str:
    """Return the device class that an extended resource names by itself; empty for every other resource."""
    return resource[len(IMPLICIT) :] if resource.startswith(IMPLICIT) else ""


class Selector(Object):
    """Of a DeviceClass; only CEL expressions exist."""

    cel: "Cel | None" = None


class Cel(Object):
    expression: str = ""


class ClassSpec(Object):
    """``spec`` of a DeviceClass."""

    extended_resource_name: str | None = None
    selectors: list[Selector] | None = None


class DeviceClass(msgspec.Struct, frozen=True):
    """A DeviceClass."""

    name: str
    extended_resource: str = ""
    """By which containers may ask for its devices; empty where there is none beside the implicit one."""
    driver: str = ""
    """Of all its devices; empty where its selectors do not say so in so many words."""
    created: str = ""


class DevicePool(msgspec.Struct, frozen=True):
    """The devices that one ResourceSlice offers."""

    driver: str
    node: str
    """Empty where not one node alone has them."""
    devices: int


class Inventory(NamedTuple):
    """What a cluster says of its devices."""

    classes: Mapping[str, str] = {}
    """The class behind each extended resource."""
    resources: Mapping[str, str] = {}
    """The extended resource of each class that has one."""
    drivers: Mapping[str, str] = {}
    """The driver of each class that names it."""
    most: Mapping[str, int] = {}
    """By driver, and under the empty name of all drivers: the most devices that one node can have."""

    def every(self, device_class: str) -> int:
        """Return how many devices ``allocationMode: All`` can be, at most `MOST`, which is what counts where no pool
        is known."""
        known = self.most.get(self.drivers.get(device_class, ""), 0)
        return min(known or MOST, MOST)


NO_INVENTORY: Final = Inventory()


def inventory(classes: Iterable[DeviceClass], pools: Iterable[DevicePool]) -> Inventory:
    """Put together what is known. Where several classes have one extended resource the newest counts, then the smaller
    name, as for the scheduler."""
    behind: dict[str, DeviceClass] = {}
    resources: dict[str, str] = {}
    drivers: dict[str, str] = {}
    for each in sorted(classes, key=lambda each: each.name):
        if each.driver:
            drivers[each.name] = each.driver
        resource = each.extended_resource
        if resource:
            resources[each.name] = resource
            if resource not in behind or each.created > behind[resource].created:
                behind[resource] = each
    names = {resource: each.name for resource, each in behind.items()}
    return Inventory(names, resources, drivers, _most_of_a_node(pools))


def driver_of(spec: ClassSpec | None) -> str:
    """Return the driver that all devices of a class are of, where the class says so in so many words; else nothing."""
    for selector in (spec.selectors or ()) if spec is not None else ():
        expression = selector.cel.expression if selector.cel is not None else ""
        parts = expression.split("&&")
        # All that is not plainly one condition beside another may mean anything.
        if "||" in expression or "?" in expression or not all(map(_is_whole, parts)):
            continue
        found = next(filter(None, map(_driver, parts)), "")
        if found:
            return found
    return ""


def _is_whole(part: str) -> bool:
    """Whether brackets and quotes that a part opens end in it."""
    return (
        part.count("(") == part.count(")")
        and part.count("[") == part.count("]")
        and part.count("{") == part.count("}")
        and part.count('"') % 2 == 0
        and part.count("'") % 2 == 0
    )


def _driver(part: str) -> str:
    left, equals, right = part.strip().partition("==")
    right = right.strip()
    if equals and left.strip() == "device.driver" and len(right) > 2 and right[0] == right[-1] and right[0] in "'\"":
        name = right[1:-1]
        return name if name.replace("-", "").replace(".", "").isalnum() else ""
    return ""


class _SliceSpec(Object):
    driver: str = ""
    node_name: str | None = None
    devices: list["_Device"] | None = None


class _Device(Object):
    pass


class Slice(Object):
    """A ResourceSlice."""

    spec: _SliceSpec | None = None


def pool_of(document: Slice) -> DevicePool | None:
    """Return what a ResourceSlice offers; None where that is nothing."""
    spec = document.spec
    if spec is None or not spec.devices:
        return None
    return DevicePool(spec.driver, spec.node_name or "", len(spec.devices))


def _most_of_a_node(pools: Iterable[DevicePool]) -> dict[str, int]:
    """Return how many devices of each driver, and under the empty name of all drivers, any one node can have."""
    anywhere: dict[str, int] = {}
    by_node: dict[str, dict[str, int]] = {}
    for pool in pools:
        counts = by_node.setdefault(pool.node, {}) if pool.node else anywhere
        for driver in {pool.driver, ""}:
            counts[driver] = counts.get(driver, 0) + pool.devices
    most = dict(anywhere)
    for counts in by_node.values():
        for driver, devices in counts.items():
            most[driver] = max(most.get(driver, 0), devices + anywhere.get(driver, 0))
    return most
