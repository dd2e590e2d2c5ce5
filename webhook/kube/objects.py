"""The parts of Kubernetes objects that Podgate reads, as typed structs.

An admission review is mostly fields that no guardrail looks at (managed fields, status, probes). Decoding only
what is read costs a fifth of decoding everything, so each struct names exactly the fields that are used and the
decoder skips the rest. A guardrail that wants a new field adds it here.

Rules:

* ``null`` equals absent for every field, as in the API server.
* An empty object differs from an absent one where Kubernetes says so (``hostPath: {}`` is a host path volume);
  ``Present`` stands for "an object was there, its content does not matter".
* Structs are plain data. ``gc=False`` keeps the cyclic collector out of the hot path; no struct may hold a cycle.
"""

from typing import Any

import msgspec

from webhook.kube._object import Object as Object
from webhook.kube._object import RawQuantity as RawQuantity
from webhook.kube._object import ResourceMap as ResourceMap
from webhook.kube.pod_devices import ClaimedResources, ExtendedClaimStatus, PodClaimStatus, PodResourceClaim
from webhook.kube.security_objects import ContainerPort, Lifecycle, PodSecurityContext, ProbeHandler, SecurityContext

DEFAULT_NAMESPACE = "default"
"""Of a namespaced object in a manifest that names none."""


class Present(Object):
    """An object whose presence is all that matters."""


class OwnerReference(Object):
    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class ObjectMeta(Object):
    name: str | None = None
    generate_name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[OwnerReference] | None = None
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None
    creation_timestamp: str | None = None


# --- pods -----------------------------------------------------------------------------------------------------------


class ResourceRequirements(Object):
    requests: ResourceMap | None = None
    limits: ResourceMap | None = None
    claims: list[Present] | None = None


class Container(Object):
    name: str = ""
    image: str | None = None
    restart_policy: str | None = None
    resources: ResourceRequirements | None = None
    security_context: SecurityContext | None = None
    ports: list[ContainerPort] | None = None
    liveness_probe: ProbeHandler | None = None
    readiness_probe: ProbeHandler | None = None
    startup_probe: ProbeHandler | None = None
    lifecycle: Lifecycle | None = None


class Claim(Object):
    claim_name: str = ""


class ClaimMeta(Object):
    """Of a claim template; only its name is read."""

    name: str | None = None


class ClaimSpec(Object):
    """What a persistent volume claim asks for."""

    storage_class_name: str | None = None
    resources: ResourceRequirements | None = None


class ClaimTemplate(Object):
    """A claim that is made with a pod: of a generic ephemeral volume, or of a StatefulSet."""

    metadata: ClaimMeta | None = None
    spec: ClaimSpec | None = None


class EphemeralVolume(Object):
    volume_claim_template: ClaimTemplate | None = None


class PodVolume(Object):
    """A volume: at most one source is set in a valid pod. The sources are in the order of the API type."""

    name: str = ""
    host_path: Present | None = None
    empty_dir: Present | None = None
    gce_persistent_disk: Present | None = None
    aws_elastic_block_store: Present | None = None
    git_repo: Present | None = None
    secret: Present | None = None
    nfs: Present | None = None
    iscsi: Present | None = None
    glusterfs: Present | None = None
    persistent_volume_claim: Claim | None = None
    rbd: Present | None = None
    flex_volume: Present | None = None
    cinder: Present | None = None
    cephfs: Present | None = None
    flocker: Present | None = None
    downward_api: Present | None = msgspec.field(name="downwardAPI", default=None)
    fc: Present | None = None
    azure_file: Present | None = None
    config_map: Present | None = None
    vsphere_volume: Present | None = None
    quobyte: Present | None = None
    azure_disk: Present | None = None
    photon_persistent_disk: Present | None = None
    projected: Present | None = None
    portworx_volume: Present | None = None
    scale_io: Present | None = msgspec.field(name="scaleIO", default=None)
    storageos: Present | None = None
    csi: Present | None = None
    ephemeral: EphemeralVolume | None = None
    image: Present | None = None


class Toleration(Object):
    key: str | None = None
    operator: str | None = None
    value: str | None = None
    effect: str | None = None
    toleration_seconds: int | None = None


class SelectorRequirement(Object):
    """``matchExpressions`` of label selectors and of node selectors (which also know Gt and Lt)."""

    key: str = ""
    operator: str = ""
    values: list[str] | None = None


class LabelSelector(Object):
    match_labels: dict[str, str] | None = None
    match_expressions: list[SelectorRequirement] | None = None


class NodeSelectorTerm(Object):
    match_expressions: list[SelectorRequirement] | None = None
    match_fields: list[SelectorRequirement] | None = None


class PreferredSchedulingTerm(Object):
    weight: int | None = None
    preference: NodeSelectorTerm | None = None


class NodeSelector(Object):
    node_selector_terms: list[NodeSelectorTerm] | None = None


class NodeAffinity(Object):
    required: NodeSelector | None = msgspec.field(name="requiredDuringSchedulingIgnoredDuringExecution", default=None)
    preferred: list[PreferredSchedulingTerm] | None = msgspec.field(
        name="preferredDuringSchedulingIgnoredDuringExecution", default=None
    )


class PodAffinityTerm(Object):
    """Which namespaces a term looks into; neither field means the pod's own."""

    namespaces: list[str] | None = None
    namespace_selector: Present | None = None


class WeightedPodAffinityTerm(Object):
    pod_affinity_term: PodAffinityTerm | None = None


class PodAffinity(Object):
    """What a pod wants to be near; as anti-affinity, what it wants to be far from."""

    required: list[PodAffinityTerm] | None = msgspec.field(
        name="requiredDuringSchedulingIgnoredDuringExecution", default=None
    )
    preferred: list[WeightedPodAffinityTerm] | None = msgspec.field(
        name="preferredDuringSchedulingIgnoredDuringExecution", default=None
    )


class Affinity(Object):
    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None


class TopologySpreadConstraint(Object):
    max_skew: int | None = None
    topology_key: str | None = None
    when_unsatisfiable: str | None = None


class PodOS(Object):
    name: str | None = None


class PodSpec(Object):
    containers: list[Container] | None = None
    init_containers: list[Container] | None = None
    ephemeral_containers: list[Container] | None = None
    volumes: list[PodVolume] | None = None
    node_name: str | None = None
    node_selector: dict[str, str] | None = None
    affinity: Affinity | None = None
    tolerations: list[Toleration] | None = None
    topology_spread_constraints: list[TopologySpreadConstraint] | None = None
    scheduler_name: str | None = None
    priority: int | None = None
    priority_class_name: str | None = None
    runtime_class_name: str | None = None
    active_deadline_seconds: int | None = None
    termination_grace_period_seconds: int | None = None
    restart_policy: str | None = None
    host_network: bool | None = None
    host_pid: bool | None = msgspec.field(name="hostPID", default=None)
    host_ipc: bool | None = msgspec.field(name="hostIPC", default=None)
    host_users: bool | None = None
    security_context: PodSecurityContext | None = None
    os: PodOS | None = None
    overhead: ResourceMap | None = None
    resources: ResourceRequirements | None = None
    resource_claims: list[PodResourceClaim] | None = None


class ContainerStatus(Object):
    """What a container that runs has; it differs from its spec while the pod is resized in place."""

    name: str = ""
    resources: ResourceRequirements | None = None
    allocated_resources: ResourceMap | None = None


class PodCondition(Object):
    type: str = ""
    reason: str | None = None


class PodStatus(Object):
    phase: str | None = None
    container_statuses: list[ContainerStatus] | None = None
    init_container_statuses: list[ContainerStatus] | None = None
    resources: ResourceRequirements | None = None
    allocated_resources: ResourceMap | None = None
    conditions: list[PodCondition] | None = None
    resource_claim_statuses: list[PodClaimStatus] | None = None
    extended_resource_claim_status: ExtendedClaimStatus | None = None
    node_allocatable_resource_claim_statuses: list[ClaimedResources] | None = None


class Pod(Object):
    metadata: ObjectMeta | None = None
    spec: PodSpec | None = None
    status: PodStatus | None = None


# --- workloads ------------------------------------------------------------------------------------------------------


class PodTemplate(Object):
    metadata: ObjectMeta | None = None
    spec: PodSpec | None = None


class PodFailureCondition(Object):
    type: str = ""


class PodFailureRule(Object):
    action: str = ""
    on_pod_conditions: list[PodFailureCondition] | None = None


class PodFailurePolicy(Object):
    rules: list[PodFailureRule] | None = None


class JobSpec(Object):
    template: PodTemplate | None = None
    parallelism: int | None = None
    completions: int | None = None
    active_deadline_seconds: int | None = None
    backoff_limit: int | None = None
    backoff_limit_per_index: int | None = None
    pod_failure_policy: PodFailurePolicy | None = None
    suspend: bool | None = None


class JobTemplate(Object):
    metadata: ObjectMeta | None = None
    spec: JobSpec | None = None


class RollingUpdate(Object):
    max_surge: int | str | None = None
    """A number of pods, or per cent of them such as ``25%``."""


class UpdateStrategy(Object):
    type: str | None = None
    rolling_update: RollingUpdate | None = None


class WorkloadSpec(Object):
    """The union of the specs of all workload kinds; which fields are set depends on the kind."""

    replicas: int | None = None
    template: PodTemplate | None = None
    job_template: JobTemplate | None = None
    parallelism: int | None = None
    completions: int | None = None
    active_deadline_seconds: int | None = None
    backoff_limit: int | None = None
    backoff_limit_per_index: int | None = None
    pod_failure_policy: PodFailurePolicy | None = None
    suspend: bool | None = None
    volume_claim_templates: list[ClaimTemplate] | None = None
    schedule: str | None = None
    """Of a CronJob, as is the next one."""
    concurrency_policy: str | None = None
    strategy: UpdateStrategy | None = None
    """Of a Deployment."""
    update_strategy: UpdateStrategy | None = None
    """Of a DaemonSet."""
    selector: Any = None
    """A LabelSelector, or for a ReplicationController a plain map of labels."""


class Workload(Object):
    api_version: str = ""
    kind: str = ""
    metadata: ObjectMeta | None = None
    spec: WorkloadSpec | None = None


WORKLOAD_KINDS = frozenset(
    {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "CronJob"}
)
"""Kinds that are judged through their pod template."""


def pod_template(workload: Workload) -> PodTemplate | None:
    """Return the pod template of a workload: ``spec.template``, or ``spec.jobTemplate.spec.template`` of a CronJob."""
    spec = workload.spec
    if spec is None:
        return None
    if spec.job_template is not None:
        return spec.job_template.spec.template if spec.job_template.spec is not None else None
    return spec.template


def controller_of(metadata: ObjectMeta | None) -> OwnerReference | None:
    """Return the owner reference with ``controller: true``, or None."""
    if metadata is None or metadata.owner_references is None:
        return None
    for reference in metadata.owner_references:
        if reference.controller:
            return reference
    return None


_MAKERS = {"ReplicaSet": ("Deployment", "apps/v1"), "Job": ("CronJob", "batch/v1")}
"""Workloads that a built-in controller makes of another workload, which has their pod template."""


def is_made_by(kind: str, owner: OwnerReference | None) -> bool:
    """Whether workloads of a kind are made for owners such as this one: ReplicaSets for Deployments, Jobs for CronJobs.

    Whether that owner exists is another question.
    """
    return owner is not None and _MAKERS.get(kind) == (owner.kind, owner.api_version)
