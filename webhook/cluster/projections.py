"""What is kept of an object that is watched: a few hundred bytes of it, straight from the bytes of the API server.

Pods and workloads come by the ten thousand and are nearly all alike, so they are projected here with care: pods of one
template share one spec, one set of labels and one owner in memory, and of a workload the template lies compressed
until somebody asks for it. Kinds that come by the hundred are read like any manifest (`webhook.cluster._read`).
"""

import sys
import zlib
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from webhook.cluster import _read, disruption, leases, matching, pod_claims, view
from webhook.cluster.shared import Shared
from webhook.kube import objects
from webhook.kube.objects import LabelSelector, Object, ObjectMeta, OwnerReference, PodSpec, Workload
from webhook.kube.selectors import LabelPredicate
from webhook.kube.watch_wire import Malformed, Meta

TERMINAL: Final = frozenset({"Succeeded", "Failed"})
_OWN_PREFIX: Final = "podgate.dev/"
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
"""A second copy of the whole object, written by ``kubectl apply``."""

_ANY = msgspec.json.Decoder(dict[str, Any])
_WORKLOAD = msgspec.json.Decoder(Workload)
_TEMPLATE = msgspec.json.Decoder(objects.PodTemplate)
_JOB_TEMPLATE = msgspec.json.Decoder(objects.JobTemplate)
_SPEC = msgspec.json.Decoder(PodSpec)
_STATUS = msgspec.json.Decoder(objects.PodStatus)
_RESIZE_PENDING: Final = "PodResizePending"
_NO_RESOURCES: Final[objects.ResourceMap] = {}
_ENCODER = msgspec.json.Encoder(order="sorted")


# --- kinds that come by the hundred -----------------------------------------------------------------------------------


def reader(api_version: str, kind: str) -> Callable[[msgspec.Raw, Meta], Any]:
    """Return a projection of objects of a kind to what the cluster view answers with.

    Items of a list do not say their own kind, so it is given here.
    """

    def read(raw: msgspec.Raw, _meta: Meta) -> Any:  # noqa: ANN401  the kind decides
        try:
            document = _ANY.decode(raw)
        except msgspec.DecodeError as error:
            raise Malformed(f"does not decode: {error}") from None
        document["apiVersion"], document["kind"] = api_version, kind
        metadata = document.get("metadata")
        if isinstance(metadata, dict):
            metadata.pop("managedFields", None)
            annotations = metadata.get("annotations")
            if isinstance(annotations, dict):
                annotations.pop(_LAST_APPLIED, None)
        try:
            item = _read.read(document)
        except _read.ReadError as error:
            raise Malformed(str(error)) from None
        assert item is not None  # noqa: S101  the kind is one of those that are read
        return item.value

    return read


class LimitRange(msgspec.Struct, frozen=True):
    """The items of one LimitRange."""

    namespace: str
    items: tuple[view.LimitRangeItem, ...]


_LIMIT_RANGE = reader("v1", "LimitRange")


def limit_range(raw: msgspec.Raw, meta: Meta) -> LimitRange:
    """Project a LimitRange."""
    return LimitRange(meta.namespace, _LIMIT_RANGE(raw, meta))


_DISRUPTION_BUDGET = reader("policy/v1", "PodDisruptionBudget")


def disruption_budget(raw: msgspec.Raw, meta: Meta) -> disruption.Selecting | None:
    """Project a PodDisruptionBudget; None for one that selects no pod."""
    return disruption.selecting(_DISRUPTION_BUDGET(raw, meta))


class NamedLease(msgspec.Struct, frozen=True):
    """A Lease and where it is."""

    namespace: str
    lease: leases.Lease


def lease(raw: msgspec.Raw, meta: Meta) -> NamedLease:
    """Project a Lease."""
    try:
        return NamedLease(meta.namespace, leases.decode(raw))
    except ValueError as error:
        raise Malformed(f"{error}; its holder should write it anew") from None


# --- workloads --------------------------------------------------------------------------------------------------------


class KnownWorkload:
    """A workload as it is kept: who it is and whom it selects; its template, if anybody may ask for it, compressed."""

    __slots__ = ("_predicate", "_template", "head", "selector")

    def __init__(self, head: Workload, selector: LabelSelector | None, template: bytes | None) -> None:
        self.head = head
        """Without template and selector; for looking up owners."""
        self.selector = selector
        self._template = template
        self._predicate: LabelPredicate | None = None

    def __eq__(self, other: object) -> bool:
        """Whether both say the same."""
        if not isinstance(other, KnownWorkload):
            return NotImplemented
        return (self.head, self.selector, self._template) == (other.head, other.selector, other._template)

    __hash__ = None  # type: ignore[assignment]  # what it holds may be changed

    def selects(self) -> LabelPredicate:
        """Return whether pods with given labels are this workload's; compiled when it is first asked for."""
        if self._predicate is None:
            self._predicate = matching.predicate_of(self.head.kind, self.selector)
        return self._predicate

    def whole(self) -> Workload:
        """Return the workload with its selector, and with its template unless a controller owns it."""
        spec = self.head.spec
        if spec is None:
            return self.head
        changes: dict[str, Any] = {}
        if self.selector is not None and self.head.kind != "CronJob":
            is_plain = self.head.kind == "ReplicationController"
            changes["selector"] = (
                dict(self.selector.match_labels or {}) if is_plain else msgspec.to_builtins(self.selector)
            )
        if self._template is not None:
            text = zlib.decompress(self._template)
            if self.head.kind == "CronJob":
                changes["job_template"] = _JOB_TEMPLATE.decode(text)
            else:
                changes["template"] = _TEMPLATE.decode(text)
        return msgspec.structs.replace(self.head, spec=msgspec.structs.replace(spec, **changes))


def workload(api_version: str, kind: str) -> Callable[[msgspec.Raw, Meta], KnownWorkload]:
    """Return a projection of workloads of a kind."""

    def project(raw: msgspec.Raw, _meta: Meta) -> KnownWorkload:
        try:
            full = _WORKLOAD.decode(raw)
        except msgspec.DecodeError as error:
            raise Malformed(f"does not decode: {error}") from None
        full.kind, full.api_version = kind, api_version
        try:
            matching.compile_predicate(full)
            selector = matching.selector_of(full)
        except ValueError as error:
            raise Malformed(str(error)) from None
        metadata = full.metadata or ObjectMeta()
        owner = objects.controller_of(metadata)
        head = Workload(api_version, kind, _head_metadata(metadata, owner), None)
        template: bytes | None = None
        if full.spec is not None:
            body = full.spec.job_template if kind == "CronJob" else full.spec.template
            # What a built-in controller owns is judged through its owner, so nobody asks for its template.
            if body is not None and not objects.is_made_by(kind, owner):
                template = zlib.compress(msgspec.json.encode(body), 1)
            head.spec = msgspec.structs.replace(full.spec, template=None, job_template=None, selector=None)
        return KnownWorkload(head, selector, template)

    return project


def _head_metadata(metadata: ObjectMeta, owner: OwnerReference | None) -> ObjectMeta:
    annotations = {key: text for key, text in (metadata.annotations or {}).items() if key.startswith(_OWN_PREFIX)}
    if owner is not None:
        owner.api_version, owner.kind = sys.intern(owner.api_version), sys.intern(owner.kind)
    return ObjectMeta(
        name=metadata.name,
        namespace=sys.intern(metadata.namespace or ""),
        uid=metadata.uid,
        annotations=annotations or None,
        owner_references=[owner] if owner is not None else None,
    )


# --- pods -------------------------------------------------------------------------------------------------------------


_ANNOTATIONS: Final = (
    "podgate.dev/skip",
    "karpenter.sh/do-not-disrupt",
    "cluster-autoscaler.kubernetes.io/safe-to-evict",
    "kubernetes.io/config.mirror",
)
"""What authors say about where a pod may run, which its price may depend on."""


class PodRecord(msgspec.Struct, frozen=True, gc=False):
    """A pod that exists, as budgets count it. Labels, owner and spec are shared with pods that have the same."""

    uid: str
    namespace: str
    labels: dict[str, str] | None
    owner: OwnerReference | None
    spec: PodSpec
    node: str = ""
    claims: tuple[str, ...] = ()
    created: str = ""
    """Only where it mounts a claim, or uses one for devices."""
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None
    annotations: dict[str, str] | None = None
    """Those of `_ANNOTATIONS` alone."""
    made_claims: tuple[tuple[str, str], ...] = ()
    """See `webhook.cluster.view.ClusterPod`."""
    status: objects.PodStatus | None = None
    """What it has, only while that is other than what its spec asks for."""

    def device_claims(self) -> frozenset[str]:
        """Return the names of the ResourceClaims that it uses."""
        return pod_claims.names(self.spec.resource_claims, self.made_claims)

    def as_pod(self) -> view.ClusterPod:
        """Return it as the view answers; the inner objects are shared and must not be changed."""
        metadata = ObjectMeta(
            namespace=self.namespace,
            uid=self.uid,
            labels=self.labels,
            annotations=self.annotations,
            owner_references=[self.owner] if self.owner is not None else None,
            deletion_timestamp=self.deletion_timestamp,
            deletion_grace_period_seconds=self.deletion_grace_period_seconds,
        )
        pod = objects.Pod(metadata=metadata, spec=self.spec, status=self.status)
        return view.ClusterPod(self.uid, self.namespace, pod, self.node, self.claims, self.made_claims)


class _PodContainer(Object, omit_defaults=True):
    name: str = ""
    restart_policy: str | None = None
    resources: objects.ResourceRequirements | None = None


class _RequiredAffinity(Object, omit_defaults=True):
    required: objects.NodeSelector | None = msgspec.field(
        name="requiredDuringSchedulingIgnoredDuringExecution", default=None
    )


class _PodAffinity(Object, omit_defaults=True):
    node_affinity: _RequiredAffinity | None = None


class _PodVolume(Object, omit_defaults=True):
    persistent_volume_claim: objects.Claim | None = None
    ephemeral: objects.EphemeralVolume | None = None


class _PodSpec(Object, omit_defaults=True):
    """What pricing reads and pods of one template have in common."""

    containers: list[_PodContainer] | None = None
    init_containers: list[_PodContainer] | None = None
    node_selector: dict[str, str] | None = None
    affinity: _PodAffinity | None = None
    overhead: objects.ResourceMap | None = None
    resources: objects.ResourceRequirements | None = None
    tolerations: list[objects.Toleration] | None = None
    volumes: list[_PodVolume] | None = None
    priority: int | None = None
    priority_class_name: str | None = None
    resource_claims: list[objects.PodResourceClaim] | None = None


class _WholePodSpec(_PodSpec):
    """What pricing reads of one pod."""

    node_name: str | None = None


class _PodMeta(Object):
    uid: str = ""
    creation_timestamp: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[OwnerReference] | None = None
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None


class _PodStatus(Object, omit_defaults=True):
    phase: str = ""
    container_statuses: list[objects.ContainerStatus] | None = None
    init_container_statuses: list[objects.ContainerStatus] | None = None
    resources: objects.ResourceRequirements | None = None
    allocated_resources: objects.ResourceMap | None = None
    conditions: list[objects.PodCondition] | None = None
    resource_claim_statuses: list[objects.PodClaimStatus] | None = None
    extended_resource_claim_status: objects.ExtendedClaimStatus | None = None


class _Pod(Object):
    metadata: _PodMeta = msgspec.field(default_factory=_PodMeta)
    spec: _WholePodSpec | None = None
    status: _PodStatus | None = None


_POD = msgspec.json.Decoder(_Pod)


def _resized(spec: _WholePodSpec, status: _PodStatus) -> objects.PodStatus | None:
    """Return what a pod has where that is other than what it asks for: while it is resized in place."""
    asked = {each.name: each.resources for each in (*(spec.containers or ()), *(spec.init_containers or ()))}
    listed = (*(status.container_statuses or ()), *(status.init_container_statuses or ()))
    differs = any(
        each.resources is not None and not _has_what_it_asks_for(asked.get(each.name), each) for each in listed
    )
    if not differs and status.resources is not None and spec.resources is not None and spec.resources.requests:
        differs = _differs(spec.resources.requests, status.resources.requests) or _differs(
            spec.resources.requests, status.allocated_resources
        )
    if not differs:
        return None
    kept = _PodStatus(
        "",
        status.container_statuses,
        status.init_container_statuses,
        status.resources,
        status.allocated_resources,
        [each for each in status.conditions or () if each.type == _RESIZE_PENDING] or None,
    )
    return _STATUS.decode(_ENCODER.encode(kept))


def _has_what_it_asks_for(asked: objects.ResourceRequirements | None, status: objects.ContainerStatus) -> bool:
    requests = (asked.requests if asked is not None else None) or _NO_RESOURCES
    held = status.resources.requests if status.resources is not None else None
    return not _differs(requests, held) and not _differs(requests, status.allocated_resources)


def _differs(asked: objects.ResourceMap, held: objects.ResourceMap | None) -> bool:
    """Whether cpu or memory that a pod has is other than what it asks for; what is not told is as asked."""
    return any(
        (name in asked or held[name] is not None) and held[name] != asked.get(name)
        for name in ("cpu", "memory")
        if held is not None and name in held
    )


class PodProjection:
    """Projects pods; one for all pods, called by one thread."""

    def __init__(self) -> None:
        self.specs: Shared[PodSpec] = Shared()
        self.labels: Shared[dict[str, str]] = Shared()
        self.owners: Shared[OwnerReference] = Shared()

    def __call__(self, raw: msgspec.Raw, meta: Meta) -> PodRecord | None:
        """Return the projection of a pod; None for one that has ended, which costs nothing any more."""
        try:
            pod = _POD.decode(raw)
        except msgspec.DecodeError as error:
            raise Malformed(f"does not decode: {error}") from None
        if pod.status is not None and pod.status.phase in TERMINAL:
            return None
        labels = pod.metadata.labels
        written = pod.metadata.annotations or {}
        annotations = {key: written[key] for key in _ANNOTATIONS if key in written} if written else None
        owner = next((each for each in pod.metadata.owner_references or () if each.controller), None)
        spec = pod.spec or _WholePodSpec()
        volumes = spec.volumes or ()
        claims = tuple(each.persistent_volume_claim.claim_name for each in volumes if each.persistent_volume_claim)
        shared = _PodSpec(
            containers=spec.containers,
            init_containers=spec.init_containers,
            node_selector=spec.node_selector,
            affinity=spec.affinity,
            overhead=spec.overhead,
            resources=spec.resources,
            tolerations=spec.tolerations,
            # Which claims it mounts differs from pod to pod, and other volumes cost nothing.
            volumes=[each for each in volumes if each.ephemeral is not None] or None,
            priority=spec.priority or None,
            priority_class_name=spec.priority_class_name,
            resource_claims=spec.resource_claims,
        )
        made = pod_claims.made_by(pod.status) if pod.status is not None else ()
        return PodRecord(
            uid=meta.uid or f"{meta.namespace}/{meta.name}",
            namespace=sys.intern(meta.namespace),
            labels=self.labels.get(_ENCODER.encode(labels), _labels) if labels else None,
            owner=self.owners.get(_ENCODER.encode(owner), _owner) if owner is not None else None,
            spec=self.specs.get(_ENCODER.encode(shared), _SPEC.decode),
            node=sys.intern(spec.node_name or ""),
            claims=claims,
            created=(pod.metadata.creation_timestamp or "") if claims or made or spec.resource_claims else "",
            deletion_timestamp=pod.metadata.deletion_timestamp,
            deletion_grace_period_seconds=pod.metadata.deletion_grace_period_seconds,
            annotations=self.labels.get(_ENCODER.encode(annotations), _labels) if annotations else None,
            made_claims=made,
            status=_resized(spec, pod.status) if pod.status is not None else None,
        )

    def sweep(self, records: Callable[[], Iterable[PodRecord]]) -> None:
        """Forget what no pod shares any more, where that has become much."""
        if self.specs.is_full:
            self.specs.sweep(record.spec for record in records())
        if self.labels.is_full:
            self.labels.sweep(each for record in records() for each in (record.labels, record.annotations))
        if self.owners.is_full:
            self.owners.sweep(record.owner for record in records())


def _labels(content: bytes) -> dict[str, str]:
    found = msgspec.json.decode(content, type=dict[str, str])
    return {sys.intern(key): sys.intern(value) for key, value in found.items()}


def _owner(content: bytes) -> OwnerReference:
    found = msgspec.json.decode(content, type=OwnerReference)
    found.api_version, found.kind = sys.intern(found.api_version), sys.intern(found.kind)
    return found
