"""What the API server fills in before anybody judges a pod.

A review carries a pod as the API server is about to store it; a manifest carries it as its author wrote it. Before a
manifest can be judged like a review, the defaults that change a verdict have to be applied to it:

* a volume that names no source becomes an empty directory;
* a pod on the host's network takes each container port on the host as well;
* an AppArmor annotation is copied into the field of its container.

The last two happen to pods only: the templates of workloads keep what was written until a pod is made of them.
"""

from typing import Any

from webhook.kube.objects import Container, Pod, PodSpec, PodVolume, Present
from webhook.kube.security_objects import SecurityContext, TypedProfile

_APP_ARMOR_ANNOTATION = "container.apparmor.security.beta.kubernetes.io/"


def apply_pod_defaults(pod: Pod, *, template: bool = False) -> None:
    """Apply the API server's defaults to a pod, in place.

    Args:
        pod: as written in a manifest; applying twice equals applying once.
        template: whether it is the template of a workload, of which fewer fields are defaulted.
    """
    spec = pod.spec
    if spec is None:
        return
    for volume in spec.volumes or ():
        if not _has_source(volume):
            volume.empty_dir = Present()
    if not template:
        if spec.host_network:
            _take_host_ports(spec)
        annotations = pod.metadata.annotations if pod.metadata is not None else None
        if annotations and not (spec.os is not None and spec.os.name == "windows"):
            _copy_app_armor_annotations(spec, annotations)


def _has_source(volume: PodVolume) -> bool:
    return any(getattr(volume, source) is not None for source in _VOLUME_SOURCES)


_VOLUME_SOURCES = tuple(field for field in PodVolume.__struct_fields__ if field != "name")


def _take_host_ports(spec: PodSpec) -> None:
    for container in (spec.init_containers or []) + (spec.containers or []):
        for port in container.ports or ():
            if not port.host_port:
                port.host_port = port.container_port


def _copy_app_armor_annotations(spec: PodSpec, annotations: dict[str, str]) -> None:
    pod_profile = spec.security_context.app_armor_profile if spec.security_context is not None else None
    pod_type = pod_profile.type if pod_profile is not None else None
    for container in _all_containers(spec):
        annotation = annotations.get(_APP_ARMOR_ANNOTATION + container.name)
        profile_type = _profile_type(annotation) if annotation is not None else None
        context = container.security_context
        if profile_type is None or (context is not None and context.app_armor_profile is not None):
            continue
        # Only the type is known here, so two local profiles count as the same one; both are allowed everywhere.
        if profile_type != pod_type:
            if context is None:
                context = container.security_context = SecurityContext()
            context.app_armor_profile = TypedProfile(type=profile_type)


def _all_containers(spec: PodSpec) -> list[Container]:
    return [*(spec.init_containers or ()), *(spec.containers or ()), *(spec.ephemeral_containers or ())]


def _profile_type(annotation: str) -> str | None:
    """Return the profile type that an annotation means; None for one that means nothing."""
    if annotation == "unconfined":
        return "Unconfined"
    if annotation == "runtime/default":
        return "RuntimeDefault"
    return "Localhost" if annotation.startswith("localhost/") and annotation != "localhost/" else None


def with_requests(document: dict[str, Any]) -> dict[str, Any]:
    """Return a manifest in which every container with a limit and no request for it requests as much as its limit.

    It works on the document, not on typed objects, because a patch is later applied to that document. What needs no
    default is shared with the one given, which stays as it was.

    Source: ``SetDefaults_Pod`` of core/v1.
    """
    spec = document.get("spec")
    if document.get("kind") != "Pod" or not isinstance(spec, dict):
        return document
    result = {**document, "spec": {**spec}}
    for field in ("initContainers", "containers"):
        containers = spec.get(field)
        if isinstance(containers, list):
            result["spec"][field] = [_with_requests(container) for container in containers]
    return result


def _with_requests(container: object) -> object:
    if not isinstance(container, dict):
        return container
    resources = container.get("resources")
    limits = resources.get("limits") if isinstance(resources, dict) else None
    if not isinstance(resources, dict) or not isinstance(limits, dict):
        return container
    given = resources.get("requests")
    requests: dict[str, object] = given if isinstance(given, dict) else {}
    missing = {name: limit for name, limit in limits.items() if name not in requests}
    if not missing:
        return container
    return {**container, "resources": {**resources, "requests": {**requests, **missing}}}
