"""Whether Pod Security looks at a request at all.

A running pod is judged again only where the change could bring new code in: another image, another container. All else
that may change on a pod, such as labels, resources or removed ephemeral containers, leaves the verdict as it was.
"""

from webhook.guardrails.base.contract import Context
from webhook.kube.objects import Container, Pod, PodSpec

_NEVER = frozenset({"attach", "binding", "eviction", "exec", "log", "portforward", "proxy", "resize", "status"})
"""Subresources that cannot change what was judged. One that is not known is judged, to be on the safe side."""

_EMPTY = PodSpec()


def judges(context: Context) -> bool:
    """Whether the request is one that Pod Security judges: new pods, templates, and significant updates of pods."""
    if context.scale is not None:
        return True
    if context.subresource in _NEVER:
        return False
    if context.operation == "CREATE":
        return True
    return context.operation == "UPDATE" and is_significant(context.pod, context.old_pod)


def is_significant(pod: Pod, old_pod: Pod | None) -> bool:
    """Whether an update adds or removes containers, changes an image, or adds an ephemeral container.

    A stored pod that is not known counts as changed.
    """
    if old_pod is None:
        return True
    new, old = pod.spec or _EMPTY, old_pod.spec or _EMPTY
    return (
        _differ(new.containers or [], old.containers or [])
        or _differ(new.init_containers or [], old.init_containers or [])
        or _has_new(new.ephemeral_containers or [], old.ephemeral_containers or [])
    )


def _differ(new: list[Container], old: list[Container]) -> bool:
    """Whether number or images differ, compared by place."""
    return [container.image or "" for container in new] != [container.image or "" for container in old]


def _has_new(new: list[Container], old: list[Container]) -> bool:
    """Whether a container was added, by name, or runs another image; the first of a name counts."""
    images: dict[str, str] = {}
    for container in old:
        images.setdefault(container.name, container.image or "")
    return any(images.get(container.name) != (container.image or "") for container in new)
