"""One pass over a pod that serves all checks.

Nearly every check looks at every container, so the three lists are flattened once, and a container without a security
context gets an empty one to look at. Checks then read plain attributes and pay for text only where something is wrong.
"""

from collections.abc import Iterable, Mapping

import msgspec

from webhook.kube.containers import ContainerList, ContainerRef
from webhook.kube.objects import Container, ObjectMeta, PodSpec, Volume
from webhook.kube.security_objects import Handler, PodSecurityContext, SecurityContext

_NO_CONTEXT = SecurityContext()
_NO_POD_CONTEXT = PodSecurityContext()
_NO_ANNOTATIONS: Mapping[str, str] = {}
_NO_NAMES: frozenset[str] = frozenset()
_RARE_ANNOTATION = "container.apparmor.security.beta.kubernetes.io/"


class Seat(msgspec.Struct, frozen=True, gc=False):
    """A container, its security context, and where it stands."""

    list: ContainerList
    index: int
    container: Container
    context: SecurityContext
    """Never None; an empty one where the container has none. To be read only, it may be shared."""

    @property
    def name(self) -> str:
        """Name of the container."""
        return self.container.name

    @property
    def path(self) -> str:
        """Field path of the container: ``spec.initContainers[0]``."""
        return f"spec.{self.list}[{self.index}]"

    @property
    def ref(self) -> ContainerRef:
        """The container as a draft takes it."""
        return ContainerRef(self.list, self.index, self.container)


class Visit:
    """A pod as the checks see it: absent objects replaced by empty ones where that makes no difference."""

    __slots__ = ("annotations", "exempt", "is_silent", "pod_context", "seats", "spec", "volumes")

    def __init__(
        self,
        metadata: ObjectMeta | None,
        spec: PodSpec,
        exempt: frozenset[str] = _NO_NAMES,
        *,
        is_silent: bool = False,
    ) -> None:
        self.spec = spec
        self.is_silent = is_silent
        """Whether nobody will read the texts, so that a check whose fields can be filled in need not write them."""
        self.annotations: Mapping[str, str] = (
            metadata.annotations if metadata is not None else None
        ) or _NO_ANNOTATIONS
        self.pod_context: PodSecurityContext = spec.security_context or _NO_POD_CONTEXT
        self.volumes: Iterable[Volume] = spec.volumes or ()
        self.exempt = exempt
        """Names of containers that are not looked at."""
        self.seats: list[Seat] = _seats(spec, exempt)
        """Init, regular and ephemeral containers, in this order."""

    def sets_rare_fields(self) -> bool:
        """Whether the pod sets any of the fields that few pods set and that a check marked ``rare`` looks at.

        One look at these fields spares nearly every pod a dozen checks, each of which would walk all containers.
        """
        spec, context = self.spec, self.pod_context
        if spec.host_network or spec.host_pid or spec.host_ipc:
            return True
        if (
            context.app_armor_profile is not None
            or context.se_linux_options is not None
            or context.windows_options is not None
            or context.sysctls
            or context.run_as_user == 0
        ):
            return True
        for key in self.annotations:
            if key.startswith(_RARE_ANNOTATION):
                return True
        return any(_sets_rare_fields(seat.container, seat.context) for seat in self.seats)

    @property
    def is_windows(self) -> bool:
        """Whether the pod says that it runs on Windows; exact, lower case."""
        os = self.spec.os
        return os is not None and os.name == "windows"

    @property
    def has_user_namespace(self) -> bool:
        """Whether the pod gives up the host's user namespace explicitly."""
        return self.spec.host_users is False


def _sets_rare_fields(container: Container, context: SecurityContext) -> bool:
    if context is not _NO_CONTEXT and (
        context.privileged
        or context.proc_mount is not None
        or context.se_linux_options is not None
        or context.app_armor_profile is not None
        or context.windows_options is not None
        or context.run_as_user == 0
        or (context.capabilities is not None and context.capabilities.add)
    ):
        return True
    if container.ports:
        for port in container.ports:
            if port.host_port:
                return True
    return container.lifecycle is not None or (
        (container.liveness_probe is not None and _has_host(container.liveness_probe))
        or (container.readiness_probe is not None and _has_host(container.readiness_probe))
        or (container.startup_probe is not None and _has_host(container.startup_probe))
    )


def _has_host(handler: Handler) -> bool:
    get, socket = handler.http_get, handler.tcp_socket
    return (get is not None and get.host is not None) or (socket is not None and socket.host is not None)


def _seats(spec: PodSpec, exempt: frozenset[str]) -> list[Seat]:
    seats: list[Seat] = []
    lists: tuple[tuple[ContainerList, list[Container] | None], ...] = (
        ("initContainers", spec.init_containers),
        ("containers", spec.containers),
        ("ephemeralContainers", spec.ephemeral_containers),
    )
    for name, containers in lists:
        if containers:
            for index, container in enumerate(containers):
                if container.name not in exempt:
                    seats.append(Seat(name, index, container, container.security_context or _NO_CONTEXT))
    return seats
