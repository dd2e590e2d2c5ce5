"""Devices as Kubernetes lets pods ask for them: Dynamic Resource Allocation (``resource.k8s.io``).

A pod names ResourceClaims, which exist and may be shared, or ResourceClaimTemplates, of which it gets a claim of its
own. A claim has requests for devices of a class; a request may offer alternatives, of which the scheduler takes the
first that fits. The versions v1, v1beta2 and v1beta1 differ in one thing: v1beta1 writes the fields of ``exactly`` into
the request itself.

Once a claim is allocated its status says which devices it has.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final, NamedTuple

from webhook.kube.objects import Object, RawQuantity, ResourceMap

GROUP: Final = "resource.k8s.io"
VERSIONS: Final = ("v1", "v1beta2", "v1beta1")
"""Of the API group, the newest first."""
MOST: Final = 32
"""Devices that one claim can get. What ``allocationMode: All`` counts where the pool is not known, as in quotas."""
_EXACT_COUNT: Final = "ExactCount"
_ALL: Final = "All"


class Alternative(NamedTuple):
    """Devices of one class, all of which a request gets if it gets this."""

    device_class: str
    devices: int
    """How many; of mode ``All`` the most that there can be; 0 where the mode is not known."""
    is_all: bool = False
    """Whether it asks for every device of the pool."""
    cpu: RawQuantity | None = None
    """CPU that it asks of each device as capacity."""
    memory: RawQuantity | None = None
    """Memory that it asks of each device as capacity; of a GPU this is the GPU's own."""


class DeviceRequest(NamedTuple):
    """One request of a claim."""

    alternatives: tuple[Alternative, ...]
    """Exactly one of them is allocated; empty where the form of the request is not known."""
    is_admin: bool = False
    """Whether it looks at devices that others have, which takes none from anybody."""


Requests = tuple[DeviceRequest, ...]


class _Capacity(Object):
    requests: ResourceMap | None = None


class _DeviceRequest(Object):
    device_class_name: str = ""
    allocation_mode: str | None = None
    count: int | None = None
    admin_access: bool | None = None
    capacity: _Capacity | None = None
    name: str = ""


class _Request(_DeviceRequest):
    exactly: _DeviceRequest | None = None
    first_available: list[_DeviceRequest] | None = None


class _Devices(Object):
    requests: list[_Request] | None = None


class ResourceClaimSpec(Object):
    """``spec`` of a ResourceClaim."""

    devices: _Devices | None = None


class _Result(Object):
    request: str = ""
    admin_access: bool | None = None


class _Results(Object):
    results: list[_Result] | None = None


class _Allocation(Object):
    devices: _Results | None = None


class ClaimStatus(Object):
    """``status`` of a ResourceClaim."""

    allocation: _Allocation | None = None


class TemplateSpec(Object):
    """``spec`` of a ResourceClaimTemplate."""

    spec: ResourceClaimSpec | None = None


def read(spec: ResourceClaimSpec | None, status: ClaimStatus | None = None) -> Requests:
    """Return what a claim asks for or, once it is allocated, what it has.

    Raises:
        ValueError: a number that the API server refuses; one line with the field and the cure.
    """
    listed = (spec.devices.requests or ()) if spec is not None and spec.devices is not None else ()
    found = tuple(_request(each, f"devices.requests[{n}]") for n, each in enumerate(listed))
    allocation = status.allocation if status is not None else None
    if allocation is None or allocation.devices is None:
        return found
    results = allocation.devices.results or ()
    return tuple(_allocated(each, request, results) for each, request in zip(listed, found, strict=True))


def _request(written: _Request, where: str) -> DeviceRequest:
    if written.first_available:
        offered = written.first_available
        return DeviceRequest(
            tuple(_alternative(each, f"{where}.firstAvailable[{n}]") for n, each in enumerate(offered))
        )
    if written.exactly is not None:
        asked, where = written.exactly, f"{where}.exactly"
    elif written.device_class_name:
        asked = written
    else:
        return DeviceRequest(())
    return DeviceRequest((_alternative(asked, where),), bool(asked.admin_access))


def _alternative(asked: _DeviceRequest, where: str) -> Alternative:
    count = 1 if asked.count is None else asked.count
    # Of mode All no count is given, and zero means that, too.
    if count < 0 or count >= 2**63 or (count == 0 and asked.allocation_mode in (None, "", _EXACT_COUNT)):
        raise ValueError(f"{where}.count is {count}; write a number of devices from 1 to {MOST}")
    is_all = asked.allocation_mode == _ALL
    if is_all:
        count = MOST
    elif asked.allocation_mode not in (None, "", _EXACT_COUNT):
        count = 0
    capacity = (asked.capacity.requests or {}) if asked.capacity is not None else {}
    return Alternative(asked.device_class_name, count, is_all, _named(capacity, "cpu"), _named(capacity, "memory"))


def _named(capacity: ResourceMap, name: str) -> RawQuantity | None:
    """Return what is asked of a capacity, with or without the domain of its driver."""
    return next((raw for key, raw in capacity.items() if key.rpartition("/")[2] == name), None)


def _allocated(written: _Request, request: DeviceRequest, results: Iterable[_Result]) -> DeviceRequest:
    """Return what a request got: the alternative that was taken, and as many devices as there are."""
    taken = Counter(each.request for each in results)
    if not written.first_available:
        count = taken[written.name]
        if not request.alternatives or not count:
            return request
        return request._replace(alternatives=(request.alternatives[0]._replace(devices=count, is_all=False),))
    for offered, alternative in zip(written.first_available, request.alternatives, strict=True):
        count = taken[f"{written.name}/{offered.name}"]
        if count:
            return DeviceRequest((alternative._replace(devices=count, is_all=False),))
    return request


def counted(requests: Requests) -> dict[str, int]:
    """Return how many devices of each class a claim may hold at most, as quotas count it: of alternatives the most of
    each class, and administrators' access as well."""
    total: dict[str, int] = {}
    for request in requests:
        most: dict[str, int] = {}
        for each in request.alternatives:
            most[each.device_class] = max(most.get(each.device_class, 0), each.devices)
        for name, count in most.items():
            total[name] = total.get(name, 0) + count
    return total
