"""What a whole pod asks for: the sum that the scheduler sets aside, that quotas count and that prices are for.

A pod asks for what its containers and native sidecars ask for together or, resource by resource, for the highest moment
of its init phase: an init container beside the sidecars that were started before it. Resources at pod level replace
that, and ``spec.overhead`` comes on top. Ephemeral containers ask for nothing.

A manifest is as its author wrote it. The API server completes it when it reads it: a container requests what it limits
where it says nothing else, a pod with limits at pod level requests there what its containers do or, where none of them
does, what it limits, and everything is rounded up to thousandths. `read` does the same, and changes nothing in what an
API server has completed already.

While a pod is resized in place, it holds what was allocated to it and what it really has as well, and the scheduler
counts the most of these.

Amounts are whole billionths of a unit (`NANO`), so nothing is rounded that Kubernetes does not round.
Source: Kubernetes 1.36, component-helpers/resource (PodRequests, PodLimits) and the defaults of core/v1.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal, NamedTuple

from webhook.kube import quantity
from webhook.kube.objects import Container, ContainerStatus, PodSpec, PodStatus, ResourceMap

Amounts = Mapping[str, int]
"""By resource name. That a name is there at all may matter, though its amount be zero."""

NANO: Final = 10**9
"""Billionths in a unit."""
_MILLI: Final = 10**6
_NO_AMOUNTS: Final[Amounts] = {}
_NO_STATUSES: Final[Mapping[str, ContainerStatus]] = {}
_HUGE_PAGES: Final = "hugepages-"


ContainerKind = Literal["init", "sidecar", "regular"]
"""Of a container: an init container runs to its end before the others start, a native sidecar goes on beside them."""


class ContainerResources(NamedTuple):
    """A container and what it asks for."""

    container: Container
    kind: ContainerKind
    requests: Amounts
    limits: Amounts


class Resources(NamedTuple):
    """All that a pod states about resources."""

    parts: tuple[ContainerResources, ...]
    """Init containers and sidecars in order, then containers."""
    requests: Amounts
    """At pod level."""
    limits: Amounts
    overhead: Amounts


def read(spec: PodSpec, *, completed: bool = True) -> Resources:
    """Return what a pod states.

    Args:
        spec: of the pod.
        completed: whether to fill in and round as the API server does; doing it twice equals doing it once.

    Raises:
        QuantityError: a quantity is malformed.
    """
    parts = tuple(_part(container, kind, completed=completed) for kind, container in kinds(spec))
    own = spec.resources
    requests = amounts(own.requests) if own is not None else _NO_AMOUNTS
    limits = amounts(own.limits) if own is not None else _NO_AMOUNTS
    overhead = amounts(spec.overhead)
    if not completed:
        return Resources(parts, requests, limits, overhead)
    if limits:
        requests, limits = _completed_pod_level(parts, requests, limits)
    rounded = tuple(each._replace(requests=_rounded(each.requests), limits=_rounded(each.limits)) for each in parts)
    return Resources(rounded, _rounded(requests), _rounded(limits), _rounded(overhead))


def kinds(spec: PodSpec) -> list[tuple[ContainerKind, Container]]:
    """Return init containers and sidecars in their order, then containers, each with its kind."""
    found: list[tuple[ContainerKind, Container]] = [
        ("sidecar" if each.restart_policy == "Always" else "init", each) for each in spec.init_containers or ()
    ]
    found.extend([("regular", each) for each in spec.containers or ()])
    return found


def amounts(resources: ResourceMap | None) -> dict[str, int]:
    """Return the amounts of a resource map.

    Raises:
        QuantityError: a quantity is malformed.
    """
    return {name: quantity.of(raw).nano for name, raw in (resources or {}).items()}


def _part(container: Container, kind: ContainerKind, *, completed: bool) -> ContainerResources:
    resources = container.resources
    requests = amounts(resources.requests) if resources is not None else _NO_AMOUNTS
    limits = amounts(resources.limits) if resources is not None else _NO_AMOUNTS
    if completed and limits:
        requests = {**limits, **requests}
    return ContainerResources(container, kind, requests, limits)


def _completed_pod_level(
    parts: Iterable[ContainerResources], requests: Amounts, limits: Amounts
) -> tuple[Amounts, Amounts]:
    """Return what a pod with limits at pod level requests and limits there."""
    parts = tuple(parts)
    asked = together((each.kind, each.requests) for each in parts)
    pages = {
        name: amount
        for name, amount in together((each.kind, each.limits) for each in parts).items()
        if name.startswith(_HUGE_PAGES) and name not in requests
    }
    limits = {**pages, **limits}
    summed = {name: amount for name, amount in asked.items() if name in ("cpu", "memory")}
    rest = {name: amount for name, amount in limits.items() if is_of_pods(name)}
    return {**rest, **summed, **requests}, limits


def is_of_pods(resource: str) -> bool:
    """Whether a resource may be asked for at pod level."""
    return resource in ("cpu", "memory") or resource.startswith(_HUGE_PAGES)


def _rounded(given: Amounts) -> Amounts:
    if all(amount % _MILLI == 0 for amount in given.values()):
        return given
    return {name: _round(amount) for name, amount in given.items()}


def _round(amount: int) -> int:
    return -(-amount // _MILLI) * _MILLI if amount >= 0 else amount // _MILLI * _MILLI


# --- sums -----------------------------------------------------------------------------------------------------------


def together(asked: Iterable[tuple[ContainerKind, Amounts]]) -> dict[str, int]:
    """Return what containers ask for together: all that keep running, or the highest moment of the init phase.

    Args:
        asked: kind and amounts, in whatever unit, of each container; init containers and sidecars in their order.
    """
    running: dict[str, int] = {}
    sidecars: dict[str, int] = {}
    highest: dict[str, int] = {}
    for kind, given in asked:
        if kind == "init":
            for name, amount in given.items():
                moment = amount + sidecars.get(name, 0)
                if name not in highest or moment > highest[name]:
                    highest[name] = moment
            continue
        _add(running, given)
        if kind == "sidecar":
            _add(sidecars, given)
    if highest:
        _raise_to(running, highest)
    return running


def requests(resources: Resources, status: PodStatus | None = None, *, with_overhead: bool = True) -> dict[str, int]:
    """Return what the pod requests.

    Args:
        resources: from `read`.
        status: of a pod that runs; it also counts what is allocated, what the pod has until it is resized, and the cpu
            and memory that it takes through resource claims.
        with_overhead: whether ``spec.overhead`` counts.

    Raises:
        QuantityError: a quantity of the status is malformed.
    """
    total = together((part.kind, counted) for part, counted in counted_requests(resources, status))
    for each in (status.node_allocatable_resource_claim_statuses if status is not None else None) or ():
        _add(total, amounts(each.resources))
    total.update({name: amount for name, amount in level_requests(resources, status).items() if is_of_pods(name)})
    if with_overhead:
        _add(total, resources.overhead)
    return total


def counted_requests(
    resources: Resources, status: PodStatus | None = None
) -> Iterable[tuple[ContainerResources, Amounts]]:
    """Return each container with what counts as its request; arguments and errors as of `requests`."""
    return _with_status(resources.parts, status, lambda part: part.requests, _held_requests)


def level_requests(resources: Resources, status: PodStatus | None = None) -> Amounts:
    """Return what counts as requested at pod level; arguments and errors as of `requests`."""
    if not resources.requests or status is None or status.resources is None:
        return resources.requests
    held = [amounts(status.allocated_resources), amounts(status.resources.requests)]
    return _effective_level(status, resources.requests, held)


def limits(resources: Resources, status: PodStatus | None = None, *, with_overhead: bool = True) -> dict[str, int]:
    """Return what the pod is limited to; arguments and errors as of `requests`."""
    counted = _with_status(resources.parts, status, lambda part: part.limits, _held_limits)
    total = together((part.kind, each) for part, each in counted)
    level: Amounts = resources.limits
    if status is not None and status.resources is not None and level:
        level = _effective_level(status, level, [amounts(status.resources.limits)])
    total.update({name: amount for name, amount in level.items() if is_of_pods(name)})
    if with_overhead:
        for name, amount in resources.overhead.items():
            if total.get(name):
                total[name] += amount
    return total


def _with_status(
    parts: Iterable[ContainerResources],
    status: PodStatus | None,
    stated: Callable[[ContainerResources], Amounts],
    held: Callable[[ContainerStatus], Iterable[ResourceMap | None]],
) -> Iterable[tuple[ContainerResources, Amounts]]:
    """Yield each container with what is counted for it."""
    known = _statuses(status)
    is_refused = status is not None and is_resize_infeasible(status)
    for part in parts:
        own = stated(part)
        found = known.get(part.container.name)
        if found is not None and found.resources is not None and part.kind != "init":
            counted: dict[str, int] = {} if is_refused else dict(own)
            for each in held(found):
                _raise_to(counted, amounts(each))
            own = counted
        yield part, own


def _held_requests(status: ContainerStatus) -> Iterable[ResourceMap | None]:
    yield status.resources.requests if status.resources is not None else None
    yield status.allocated_resources


def _held_limits(status: ContainerStatus) -> Iterable[ResourceMap | None]:
    yield status.resources.limits if status.resources is not None else None


def _effective_level(status: PodStatus, stated: Amounts, held: Iterable[Amounts]) -> Amounts:
    """Return the most of what is stated at pod level and what the pod has of the same resources; of what it asks for in
    vain, what it has."""
    most: dict[str, int] = {}
    for each in held:
        _raise_to(most, {name: amount for name, amount in each.items() if name in stated})
    if is_resize_infeasible(status):
        return {name: most.get(name, 0) for name in stated}
    _raise_to(most, stated)
    return most


def _statuses(status: PodStatus | None) -> Mapping[str, ContainerStatus]:
    if status is None or not (status.container_statuses or status.init_container_statuses):
        return _NO_STATUSES
    listed = (*(status.init_container_statuses or ()), *(status.container_statuses or ()))
    return {each.name: each for each in listed}


def is_resize_infeasible(status: PodStatus) -> bool:
    """Whether the node can never do the resize that the pod asks for, so that it keeps what it has."""
    for condition in status.conditions or ():
        if condition.type == "PodResizePending":
            return condition.reason == "Infeasible"
    return False


def _add(total: dict[str, int], more: Amounts) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount


def _raise_to(total: dict[str, int], other: Amounts) -> None:
    for name, amount in other.items():
        if name not in total or amount > total[name]:
            total[name] = amount
