"""What is kept of pods: they come by the ten thousand and are nearly all alike, so those of one template share one
spec, one set of labels and one owner in memory."""

import sys
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from webhook.cluster import pod_claims, view
from webhook.cluster.interner import Interner
from webhook.kube import objects
from webhook.kube.objects import Object, ObjectMeta, OwnerReference, PodSpec
from webhook.kube.pod_devices import ExtendedClaimStatus, PodClaimStatus, PodResourceClaim
from webhook.kube.watch_wire import Malformed, Meta

TERMINAL: Final = frozenset({"Succeeded", "Failed"})
_SPEC = msgspec.json.Decoder(PodSpec)
_STATUS = msgspec.json.Decoder(objects.PodStatus)
_RESIZE_PENDING: Final = "PodResizePending"
_NO_RESOURCES: Final[objects.ResourceMap] = {}
_ENCODER = msgspec.json.Encoder(order="sorted")
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
    host_path: objects.Present | None = None


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
    restart_policy: str | None = None
    termination_grace_period_seconds: int | None = None
    resource_claims: list[PodResourceClaim] | None = None


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
    resource_claim_statuses: list[PodClaimStatus] | None = None
    extended_resource_claim_status: ExtendedClaimStatus | None = None


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
        self.specs: Interner[PodSpec] = Interner()
        self.labels: Interner[dict[str, str]] = Interner()
        self.owners: Interner[OwnerReference] = Interner()

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
            # Which claims it mounts differs from pod to pod, and other volumes decide nothing.
            volumes=[each for each in volumes if each.ephemeral is not None or each.host_path is not None] or None,
            priority=spec.priority or None,
            priority_class_name=spec.priority_class_name,
            restart_policy="Never" if spec.restart_policy == "Never" else None,
            termination_grace_period_seconds=spec.termination_grace_period_seconds,
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
