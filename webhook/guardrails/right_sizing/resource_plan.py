"""What each container asks for, as whole numbers: one cell per container and resource.

A cell starts with what the author wrote: the pod's present value, or the original where the annotation shows that the
present value is this guardrail's own. The *effective* values are what the API server would make of it: a missing
request beside a limit is the limit, and LimitRange defaults fill in the rest.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from webhook.guardrails.right_sizing.limit_range import Bounds, Ranges
from webhook.guardrails.right_sizing.originals import Original
from webhook.kube import quantity
from webhook.kube.objects import Container, PodSpec, RawQuantity, ResourceMap
from webhook.kube.pod_resources import ContainerKind

_READERS: Final = (("cpu", quantity.cpu_milli), ("memory", quantity.memory_bytes))
_NOTHING: Final[ResourceMap] = {}


class ResourcePlan:
    """One resource of one container. Amounts are millicores or bytes; None is absent."""

    __slots__ = (
        "cap",
        "computes_limit",
        "is_movable",
        "is_sized",
        "limit",
        "own",
        "present_limit",
        "present_request",
        "request",
        "restored",
    )

    def __init__(self, request: int | None, limit: int | None) -> None:
        self.present_request = request
        """As the pod has it now."""
        self.present_limit = limit
        self.own = limit if request is None else request
        """The author's effective request."""
        self.cap = limit
        """The author's effective limit."""
        self.request = self.own
        """As it will be."""
        self.limit = limit
        self.is_sized = False
        self.is_movable = False
        """Whether the request comes from a recommendation and may be cut to fit bounds on the whole pod."""
        self.computes_limit = False
        """Whether the limit is computed from the request, rather than left alone."""
        self.restored: tuple[bool, bool] = (False, False)
        """Whether request and limit were taken from the annotation."""

    def restore(self, request: int | None, limit: int | None, restored: tuple[bool, bool]) -> None:
        """Start again from what the author wrote."""
        self.restored = restored
        self.own = limit if request is None else request
        self.cap = limit
        self.request = self.own
        self.limit = limit

    def fill(self, bounds: Bounds) -> None:
        """Fill what is absent from LimitRange defaults."""
        if self.cap is None:
            self.cap = self.limit = bounds.default_limit
        if self.own is None:
            self.own = self.request = bounds.default_request

    def settle(self, bounds: Bounds) -> None:
        """Go on with the pod's present values: this cell is not sized."""
        self.cap = self.limit = self.present_limit
        self.own = self.request = self.present_limit if self.present_request is None else self.present_request
        self.fill(bounds)

    def keep_written(self) -> None:
        """Go on with a value that stands in the pod but not in the plan: keys are set, never removed."""
        if self.limit is None:
            self.limit = self.present_limit
        if self.request is None:
            self.request = self.present_request

    @property
    def writes_limit(self) -> bool:
        """Whether the limit has to be written. A LimitRange default that merely stays is not."""
        limit, present = self.limit, self.present_limit
        return (
            limit is not None and limit != present and (present is not None or self.computes_limit or limit != self.cap)
        )

    @property
    def writes_request(self) -> bool:
        """Whether the request has to be written: also where it is absent and the new limit would take its place."""
        request, present = self.request, self.present_request
        if request is None or request == present:
            return False
        return present is not None or request != self.own or self.writes_limit


class ContainerPlan(NamedTuple):
    """One container of the sums."""

    container: Container
    position: int
    """In its list."""
    name: str
    kind: ContainerKind
    cells: tuple[ResourcePlan, ResourcePlan]
    """Of cpu and of memory."""
    is_readable: bool
    """False where a quantity of the container is malformed or negative; the API server will refuse the pod."""


def read(spec: PodSpec, originals: Mapping[str, Original], ranges: Ranges | None) -> list[ContainerPlan]:
    """Return init containers, sidecars among them, then regular ones, in their order in the pod."""
    members: list[ContainerPlan] = []
    for index, container in enumerate(spec.init_containers or ()):
        kind: ContainerKind = "sidecar" if container.restart_policy == "Always" else "init"
        members.append(_member(container, index, kind, originals, ranges))
    for index, container in enumerate(spec.containers or ()):
        members.append(_member(container, index, "regular", originals, ranges))
    return members


def is_guaranteed(members: list[ContainerPlan]) -> bool:
    """Whether the pod's QoS class is Guaranteed: limits of both resources everywhere, and requests equal to them."""
    for member in members:
        for cell in member.cells:
            if not cell.cap or cell.own != cell.cap:
                return False
    return bool(members)


def _member(
    container: Container, index: int, kind: ContainerKind, originals: Mapping[str, Original], ranges: Ranges | None
) -> ContainerPlan:
    name = container.name
    resources = container.resources
    requests = (resources.requests or _NOTHING) if resources is not None else _NOTHING
    limits = (resources.limits or _NOTHING) if resources is not None else _NOTHING
    try:
        cpu_request = requests.get("cpu")
        memory_request = requests.get("memory")
        cpu_limit = limits.get("cpu")
        memory_limit = limits.get("memory")
        cpu = ResourcePlan(
            None if cpu_request is None else quantity.cpu_milli(cpu_request),
            None if cpu_limit is None else quantity.cpu_milli(cpu_limit),
        )
        memory = ResourcePlan(
            None if memory_request is None else quantity.memory_bytes(memory_request),
            None if memory_limit is None else quantity.memory_bytes(memory_limit),
        )
    except quantity.QuantityError:
        return ContainerPlan(container, index, name, kind, (ResourcePlan(None, None), ResourcePlan(None, None)), False)
    if _is_negative(cpu) or _is_negative(memory):
        return ContainerPlan(container, index, name, kind, (ResourcePlan(None, None), ResourcePlan(None, None)), False)
    cells = (cpu, memory)
    if originals and name in originals:
        _restore(cells, originals[name])
    if ranges is not None:
        cpu.fill(ranges.container[0])
        memory.fill(ranges.container[1])
    return ContainerPlan(container, index, name, kind, cells, True)


def _is_negative(cell: ResourcePlan) -> bool:
    request, limit = cell.present_request, cell.present_limit
    return (request is not None and request < 0) or (limit is not None and limit < 0)


def _restore(cells: tuple[ResourcePlan, ResourcePlan], original: Original) -> None:
    applied = original.applied
    for resource, cell in enumerate(cells):
        request, has_request = _before(resource, cell.present_request, original.requests, applied.requests)
        limit, has_limit = _before(resource, cell.present_limit, original.limits, applied.limits)
        if has_request or has_limit:
            cell.restore(request, limit, (has_request, has_limit))


def _before(resource: int, present: int | None, before: ResourceMap, applied: ResourceMap) -> tuple[int | None, bool]:
    """Return the author's value, and whether it comes from the annotation."""
    name, reader = _READERS[resource]
    written: RawQuantity | None = applied.get(name)
    if written is None or name not in before or present is None:
        return present, False
    try:
        if reader(written) != present:
            return present, False
        raw = before[name]
        value = None if raw is None else reader(raw)
    except quantity.QuantityError:
        return present, False
    return (present, False) if value is not None and value < 0 else (value, True)
