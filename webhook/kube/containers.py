"""One walk over the containers of a pod, for every guardrail.

The three lists and the two meanings of an init container (run to completion, or native sidecar with
``restartPolicy: Always``) are told apart here and nowhere else.
"""

from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from webhook.kube.objects import Container, PodSpec

ContainerList = Literal["initContainers", "containers", "ephemeralContainers"]

MOST_CONTAINERS: Final = 500
"""Of a pod whose containers are changed, and named one by one in what is said about it. A pod of many thousands, which
nobody means to run, must not hold up all reviews, nor make an answer of megabytes."""


def count(spec: PodSpec | None) -> int:
    """Return the number of containers of all three lists."""
    if spec is None:
        return 0
    return len(spec.init_containers or ()) + len(spec.containers or ()) + len(spec.ephemeral_containers or ())


def is_crowded(spec: PodSpec) -> bool:
    """Whether there are more than `MOST_CONTAINERS`."""
    return count(spec) > MOST_CONTAINERS


class ContainerRef(msgspec.Struct, frozen=True, gc=False):
    """A container and where it stands: ``spec.<list>[index]``."""

    list: ContainerList
    index: int
    container: Container

    @property
    def path(self) -> str:
        """Field path as people write it: ``spec.containers[0]``."""
        return f"spec.{self.list}[{self.index}]"


def each_container(spec: PodSpec) -> Iterator[ContainerRef]:
    """Yield init, regular and ephemeral containers, in the order in which Pod Security visits them."""
    for index, container in enumerate(spec.init_containers or ()):
        yield ContainerRef("initContainers", index, container)
    for index, container in enumerate(spec.containers or ()):
        yield ContainerRef("containers", index, container)
    for index, container in enumerate(spec.ephemeral_containers or ()):
        yield ContainerRef("ephemeralContainers", index, container)


def running(spec: PodSpec) -> Iterator[ContainerRef]:
    """Yield what runs for the whole life of the pod: native sidecars, then regular containers."""
    for index, container in enumerate(spec.init_containers or ()):
        if container.restart_policy == "Always":
            yield ContainerRef("initContainers", index, container)
    for index, container in enumerate(spec.containers or ()):
        yield ContainerRef("containers", index, container)
