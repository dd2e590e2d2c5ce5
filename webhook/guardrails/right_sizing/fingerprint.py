"""What a plan reads of a pod beside its annotation of originals: by it, plans of like pods are the same."""

from collections.abc import Mapping
from typing import Final

from webhook.kube.objects import PodSpec, ResourceRequirements

_BOOST: Final = "vpaCpuStartupBoost/"
"""VPA's annotation of a container that it has boosted: this, and the container's name."""
_NO_AMOUNTS: Final = (None, None, None, None)
NO_NAMES: Final[frozenset[str]] = frozenset()


def boosted(annotations: Mapping[str, str]) -> frozenset[str]:
    """Return the names of the containers that VPA has boosted, by its annotations on the pod."""
    names = [key.removeprefix(_BOOST) for key in annotations if key.startswith(_BOOST)]
    return frozenset(names) if names else NO_NAMES


def of(spec: PodSpec) -> tuple[object, ...]:
    """Return all that the plan reads of the containers."""
    parts: list[object] = []
    for container in spec.init_containers or ():
        parts += (container.restart_policy == "Always", container.name)
        _add_amounts(parts, container.resources)
    parts.append(None)
    for container in spec.containers or ():
        parts.append(container.name)
        _add_amounts(parts, container.resources)
    return tuple(parts)


def _add_amounts(parts: list[object], resources: ResourceRequirements | None) -> None:
    if resources is None:
        parts += _NO_AMOUNTS
        return
    for values in (resources.requests, resources.limits):
        parts += (values.get("cpu"), values.get("memory")) if values else (None, None)
