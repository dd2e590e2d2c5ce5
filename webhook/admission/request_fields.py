"""``AdmissionReview.request`` as typed structs: the fields that Podgate reads, and no others."""

import msgspec

from webhook.kube.objects import Object, Pod, Workload

API_VERSION = "admission.k8s.io/v1"


class GroupVersionKind(Object):
    group: str = ""
    version: str = ""
    kind: str = ""


class GroupVersionResource(Object):
    group: str = ""
    version: str = ""
    resource: str = ""


class UserInfo(Object):
    username: str = ""
    uid: str = ""
    groups: list[str] | None = None


class RequestFields(Object):
    uid: str = ""
    kind: GroupVersionKind = msgspec.field(default_factory=GroupVersionKind)
    resource: GroupVersionResource = msgspec.field(default_factory=GroupVersionResource)
    sub_resource: str | None = None
    name: str | None = None
    namespace: str | None = None
    operation: str = ""
    user_info: UserInfo | None = None
    dry_run: bool | None = None


class PodRequest(RequestFields):
    """A request about a pod, or one of its subresources that carries a pod."""

    object: Pod | None = None
    old_object: Pod | None = None


class WorkloadRequest(RequestFields):
    """A request about an object with a pod template."""

    object: Workload | None = None
    old_object: Workload | None = None


class ScaleSpec(Object):
    replicas: int | None = None


class Scale(Object):
    """``autoscaling/v1`` Scale: what ``kubectl scale`` writes."""

    spec: ScaleSpec | None = None


class ScaleRequest(RequestFields):
    """A write to the scale subresource of a workload."""

    object: Scale | None = None
    old_object: Scale | None = None


class OtherRequest(RequestFields):
    """A request about something that is not guarded; its object is not read."""


Request = PodRequest | WorkloadRequest | ScaleRequest | OtherRequest
