"""From manifests to the values of the cluster view, one function a kind.

Only what the view answers is decoded, strictly: a manifest that the API server would refuse is an error here as well,
not a guess. Quantities stay as they are written; who computes with them says what is wrong with them.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from webhook.cluster import _autoscalers, _devices, _quotas, _scaled_objects, disruption, matching, view
from webhook.kube import device_claims, objects, type_errors
from webhook.kube.objects import DEFAULT_NAMESPACE, Object, ObjectMeta, ResourceMap

NAME_LABEL = "kubernetes.io/metadata.name"
"""The API server writes it to every namespace, so selectors may rely on it."""


class ReadError(ValueError):
    """A document of a known kind that does not decode; one line: what, and the cure."""


class TypedObject(NamedTuple):
    """One object of a known kind."""

    kind: str
    namespace: str
    """Empty for cluster-wide kinds."""
    name: str
    value: Any
    """The struct of `webhook.cluster.view` or `webhook.kube.objects` for that kind."""


class LeaseDocument(Object):
    """Of ``spec``: who holds it."""

    holder_identity: str | None = None


class _Named(Object):
    metadata: ObjectMeta | None = None


class _LeaseDocument(Object):
    spec: LeaseDocument | None = None


class _Taint(Object):
    key: str = ""
    value: str | None = None
    effect: str = ""


class _NodeSpec(Object):
    taints: list[_Taint] | None = None
    unschedulable: bool | None = None


class _NodeStatus(Object):
    allocatable: ResourceMap | None = None
    capacity: ResourceMap | None = None


class _NodeDocument(Object):
    spec: _NodeSpec | None = None
    status: _NodeStatus | None = None


class _ClaimStatus(Object):
    capacity: ResourceMap | None = None


class _ClaimDocument(Object):
    spec: objects.ClaimSpec | None = None
    status: _ClaimStatus | None = None


class _Overhead(Object):
    pod_fixed: ResourceMap | None = None


class _RuntimeClassDocument(Object):
    overhead: _Overhead | None = None


class _LimitRangeItem(Object):
    type: str = ""
    max: ResourceMap | None = None
    min: ResourceMap | None = None
    default: ResourceMap | None = None
    default_request: ResourceMap | None = None
    max_limit_request_ratio: ResourceMap | None = None


class _LimitRangeSpec(Object):
    limits: list[_LimitRangeItem] | None = None


class _LimitRangeDocument(Object):
    spec: _LimitRangeSpec | None = None


def _namespace(metadata: ObjectMeta, _document: dict[str, Any]) -> view.Namespace:
    name = metadata.name or ""
    return view.Namespace(name, {NAME_LABEL: name} | (metadata.labels or {}), metadata.annotations or {})


def _pod(_metadata: ObjectMeta, document: dict[str, Any]) -> objects.Pod:
    return msgspec.convert(document, objects.Pod)


def _workload(_metadata: ObjectMeta, document: dict[str, Any]) -> objects.Workload:
    workload = msgspec.convert(document, objects.Workload)
    matching.compile_predicate(workload)
    return workload


def _lease(_metadata: ObjectMeta, document: dict[str, Any]) -> LeaseDocument:
    return msgspec.convert(document, _LeaseDocument).spec or LeaseDocument()


def _node(metadata: ObjectMeta, document: dict[str, Any]) -> view.Node:
    read = msgspec.convert(document, _NodeDocument)
    spec, status = read.spec or _NodeSpec(), read.status or _NodeStatus()
    return view.Node(
        name=metadata.name or "",
        labels=metadata.labels or {},
        taints=tuple((taint.key, taint.value or "", taint.effect) for taint in spec.taints or ()),
        # The API server defaults what pods may use to all there is.
        allocatable=status.allocatable or status.capacity or {},
        unschedulable=bool(spec.unschedulable),
        capacity=status.capacity or status.allocatable or {},
    )


def _claim(metadata: ObjectMeta, document: dict[str, Any]) -> view.StorageClaim:
    read = msgspec.convert(document, _ClaimDocument)
    spec = read.spec or objects.ClaimSpec()
    asked = (spec.resources.requests or {}).get("storage") if spec.resources is not None else None
    held = (read.status.capacity or {}).get("storage") if read.status is not None else None
    return view.StorageClaim(
        namespace=metadata.namespace or DEFAULT_NAMESPACE,
        name=metadata.name or "",
        storage=held if held is not None else asked,
        storage_class=spec.storage_class_name or "",
    )


def _runtime_class(metadata: ObjectMeta, document: dict[str, Any]) -> view.RuntimeClass:
    overhead = msgspec.convert(document, _RuntimeClassDocument).overhead
    return view.RuntimeClass(metadata.name or "", (overhead.pod_fixed if overhead is not None else None) or {})


def _limit_range(_metadata: ObjectMeta, document: dict[str, Any]) -> tuple[view.LimitRangeItem, ...]:
    spec = msgspec.convert(document, _LimitRangeDocument).spec
    return tuple(_limit_range_item(item) for item in (spec.limits if spec is not None else None) or ())


def _limit_range_item(item: _LimitRangeItem) -> view.LimitRangeItem:
    """Complete an item as the API server does when it is stored (``SetDefaults_LimitRangeItem``)."""
    default, default_request = item.default or {}, item.default_request or {}
    if item.type == "Container":
        default = (item.max or {}) | default
        default_request = (item.min or {}) | default | default_request
    return view.LimitRangeItem(
        type=item.type,
        max=item.max or {},
        min=item.min or {},
        default=default,
        default_request=default_request,
        max_limit_request_ratio=item.max_limit_request_ratio or {},
    )


def _resource_quota(metadata: ObjectMeta, document: dict[str, Any]) -> view.ResourceQuota:
    return _quotas.read(metadata.namespace or DEFAULT_NAMESPACE, metadata.name or "", document)


def _pod_disruption_budget(metadata: ObjectMeta, document: dict[str, Any]) -> view.PodDisruptionBudget:
    return disruption.read(metadata, document, DEFAULT_NAMESPACE)


class _Kind(NamedTuple):
    groups: frozenset[str]
    """API groups; the versions of a group agree in what is read."""
    read: Callable[[ObjectMeta, dict[str, Any]], Any]
    namespaced: bool = True
    may_be_nameless: bool = False


_CORE = frozenset({""})
_APPS = frozenset({"apps", "extensions"})
_BATCH = frozenset({"batch"})
_DEVICES = frozenset({device_claims.GROUP})
_KINDS: Mapping[str, _Kind] = {
    "Namespace": _Kind(_CORE, _namespace, namespaced=False),
    "Node": _Kind(_CORE, _node, namespaced=False),
    "Pod": _Kind(_CORE, _pod, may_be_nameless=True),
    "PersistentVolumeClaim": _Kind(_CORE, _claim),
    "ReplicationController": _Kind(_CORE, _workload),
    "Deployment": _Kind(_APPS, _workload),
    "ReplicaSet": _Kind(_APPS, _workload),
    "DaemonSet": _Kind(_APPS, _workload),
    "StatefulSet": _Kind(_APPS, _workload),
    "Job": _Kind(_BATCH, _workload, may_be_nameless=True),
    "CronJob": _Kind(_BATCH, _workload),
    "VerticalPodAutoscaler": _Kind(frozenset({"autoscaling.k8s.io"}), _autoscalers.vertical_pod_autoscaler),
    "HorizontalPodAutoscaler": _Kind(frozenset({"autoscaling"}), _autoscalers.horizontal_pod_autoscaler),
    "ScaledObject": _Kind(frozenset({"keda.sh"}), _scaled_objects.read),
    "LimitRange": _Kind(_CORE, _limit_range),
    "PodDisruptionBudget": _Kind(frozenset({"policy"}), _pod_disruption_budget),
    "ResourceQuota": _Kind(_CORE, _resource_quota),
    "ResourceClaim": _Kind(_DEVICES, _devices.claim),
    "ResourceClaimTemplate": _Kind(_DEVICES, _devices.claim_template),
    "DeviceClass": _Kind(_DEVICES, _devices.device_class, namespaced=False),
    "ResourceSlice": _Kind(_DEVICES, _devices.pool, namespaced=False),
    "RuntimeClass": _Kind(frozenset({"node.k8s.io"}), _runtime_class, namespaced=False),
    "Lease": _Kind(frozenset({"coordination.k8s.io"}), _lease),
}


def read(document: dict[str, Any], origin: str = "") -> TypedObject | None:
    """Decode one object.

    Args:
        document: the object as plain data.
        origin: ``file:line`` where it stands, to name the lines of fields.

    Returns:
        None for a kind that the view has no use for.

    Raises:
        ReadError: a known kind whose content the API server would refuse.
    """
    kind_name = document.get("kind")
    version = document.get("apiVersion")
    if not isinstance(kind_name, str) or not isinstance(version, str):
        raise ReadError("has no apiVersion or no kind; a Kubernetes object has both")
    kind = _KINDS.get(kind_name)
    if kind is None or version.rpartition("/")[0] not in kind.groups:
        return None
    try:
        metadata = msgspec.convert(document, _Named).metadata or ObjectMeta()
        value = kind.read(metadata, document)
    except msgspec.ValidationError as error:
        told = type_errors.explain(error, document, origin)
        raise ReadError(f"{_called(kind_name, document)} does not decode: {told}") from None
    except ValueError as error:
        raise ReadError(f"{_called(kind_name, document)}: {error}") from None
    name = metadata.name or ""
    if not name and not (kind.may_be_nameless and metadata.generate_name):
        raise ReadError(f"{kind_name} has no metadata.name; give it one")
    namespace = (metadata.namespace or DEFAULT_NAMESPACE) if kind.namespaced else ""
    return TypedObject(kind_name, namespace, name, value)


def _called(kind: str, document: dict[str, Any]) -> str:
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return f"{kind} {name}" if isinstance(name, str) else kind
