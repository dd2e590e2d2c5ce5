"""One pass over a pod that serves all checks.

Nearly every check looks at every container, so the three lists are flattened once, and a container without a security
context gets an empty one to look at. Checks then read plain attributes and pay for text only where something is wrong.
"""

from collections.abc import Iterable, Mapping

import msgspec

from webhook.kube.containers import ContainerList, ContainerRef
from webhook.kube.objects import Container, ObjectMeta, PodSpec, PodVolume
from webhook.kube.security_objects import PodSecurityContext, SecurityContext

_NO_CONTEXT = SecurityContext()
_NO_POD_CONTEXT = PodSecurityContext()
_NO_ANNOTATIONS: Mapping[str, str] = {}
_NO_NAMES: frozenset[str] = frozenset()


class ContainerView(msgspec.Struct, frozen=True, gc=False):
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


class PodView:
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
        self.volumes: Iterable[PodVolume] = spec.volumes or ()
        self.exempt = exempt
        """Names of containers that are not looked at."""
        self.seats: list[ContainerView] = _seats(spec, exempt)
        """Init, regular and ephemeral containers, in this order."""

    @property
    def is_windows(self) -> bool:
        """Whether the pod says that it runs on Windows; exact, lower case."""
        os = self.spec.os
        return os is not None and os.name == "windows"

    @property
    def has_user_namespace(self) -> bool:
        """Whether the pod gives up the host's user namespace explicitly."""
        return self.spec.host_users is False


def _seats(spec: PodSpec, exempt: frozenset[str]) -> list[ContainerView]:
    seats: list[ContainerView] = []
    lists: tuple[tuple[ContainerList, list[Container] | None], ...] = (
        ("initContainers", spec.init_containers),
        ("containers", spec.containers),
        ("ephemeralContainers", spec.ephemeral_containers),
    )
    for name, containers in lists:
        if containers:
            for index, container in enumerate(containers):
                if container.name not in exempt:
                    seats.append(ContainerView(name, index, container, container.security_context or _NO_CONTEXT))
    return seats
