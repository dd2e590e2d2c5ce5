"""The questions that may be asked about the cluster while a review is judged.

Every answer comes from memory; no implementation may call the API server here. Implemented by
`webhook.cluster.snapshot.Snapshot` (a directory of YAML). Objects are projected to what is
asked for. "Unknown" (None, or an empty tuple) is always a possible answer and each guardrail decides what it means.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from webhook.kube.device_claims import Requests
from webhook.kube.device_classes import Inventory
from webhook.kube.objects import LabelSelector, OwnerReference, Pod, RawQuantity, ResourceMap, Workload


class Namespace(msgspec.Struct, frozen=True):
    """A namespace's name, labels and annotations."""

    name: str
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


class Controller(NamedTuple):
    """The top-most known owner of a pod, such as the Deployment behind its ReplicaSet."""

    kind: str
    name: str
    api_version: str = ""
    derived: bool = False
    """True where the name was derived from a ReplicaSet's name and ``pod-template-hash`` because the ReplicaSet is
    not known yet."""


class ContainerRecommendation(msgspec.Struct, frozen=True):
    """One entry of ``status.recommendation.containerRecommendations``, as it stands there."""

    container_name: str
    target: ResourceMap = {}
    lower_bound: ResourceMap = {}
    upper_bound: ResourceMap = {}
    uncapped_target: ResourceMap = {}


class ContainerPolicy(msgspec.Struct, frozen=True):
    """One entry of ``spec.resourcePolicy.containerPolicies``; `container_name` may be ``*``."""

    container_name: str
    mode: str | None = None
    controlled_resources: tuple[str, ...] | None = None
    controlled_values: str | None = None
    min_allowed: ResourceMap = {}
    max_allowed: ResourceMap = {}
    boosts_cpu: bool | None = None
    """Whether its ``startupBoost`` raises the CPU while a container starts; None where it says nothing of it, so that
    what the VPA says of all containers holds."""


class VerticalPodAutoscaler(msgspec.Struct, frozen=True):
    """A VPA. `recommendations` is None where it has none yet."""

    namespace: str
    name: str
    target_kind: str
    target_name: str
    update_mode: str | None = None
    container_policies: tuple[ContainerPolicy, ...] = ()
    recommendations: tuple[ContainerRecommendation, ...] | None = None
    creation_timestamp: str = ""
    boosts_cpu: bool = False
    """Whether its ``startupBoost`` raises the CPU of its containers while they start."""

    @property
    def acts(self) -> bool:
        """Whether VPA itself applies its recommendation: updateMode neither Off nor Initial. Absent means Recreate."""
        return self.update_mode not in ("Off", "Initial")


class HorizontalPodAutoscaler(msgspec.Struct, frozen=True):
    """An HPA: its target, and the resources whose utilisation drives it (not ``averageValue``).

    A ScaledObject counts as the HPA that KEDA makes of it.
    """

    namespace: str
    name: str
    target_kind: str
    target_name: str
    min_replicas: int | None = None
    max_replicas: int = 0
    utilization_resources: frozenset[str] = frozenset()
    """Resource names over the whole pod (metric type ``Resource``)."""
    container_utilization: frozenset[tuple[str, str]] = frozenset()
    """(container, resource) pairs (metric type ``ContainerResource``)."""
    scaled_object: str = ""
    """Name of the ScaledObject that it is made of; `name` is then that of the HPA which KEDA makes."""

    @property
    def written(self) -> tuple[str, str]:
        """Kind and name of the object that people wrote."""
        return ("ScaledObject", self.scaled_object) if self.scaled_object else ("HorizontalPodAutoscaler", self.name)

    @property
    def label(self) -> str:
        """The object that people wrote: ``HorizontalPodAutoscaler 'web'``."""
        kind, name = self.written
        return f"{kind} {name!r}"

    def drives(self, container: str, resource: str) -> bool:
        """Whether it follows the utilisation of a container's resource."""
        return resource in self.utilization_resources or (container, resource) in self.container_utilization


class PodShare(NamedTuple):
    """A number of pods, or a percentage of them."""

    number: int
    is_percent: bool = False


class PodDisruptionBudget(msgspec.Struct, frozen=True):
    """A PodDisruptionBudget: which pods it counts, and how many of them may be evicted. At most one of both is set."""

    namespace: str
    name: str
    selector: LabelSelector | None = None
    """None selects no pod, an empty one every pod of the namespace."""
    min_available: PodShare | None = None
    max_unavailable: PodShare | None = None


class LimitRangeItem(msgspec.Struct, frozen=True):
    """One entry of a LimitRange's ``spec.limits``."""

    type: str
    max: ResourceMap = {}
    min: ResourceMap = {}
    default: ResourceMap = {}
    default_request: ResourceMap = {}
    max_limit_request_ratio: ResourceMap = {}


class QuotaScope(NamedTuple):
    """One condition on the pods that a quota counts."""

    name: str
    """``BestEffort``, ``NotBestEffort``, ``Terminating``, ``NotTerminating``, ``PriorityClass`` …"""
    operator: str = "Exists"
    values: tuple[str, ...] = ()


class ResourceQuota(msgspec.Struct, frozen=True):
    """What the pods of a namespace may ask for together, and what they ask for already."""

    namespace: str
    name: str
    hard: ResourceMap = {}
    """As enforced: of the status, where there is one."""
    used: ResourceMap = {}
    scopes: tuple[QuotaScope, ...] = ()
    """All must hold of a pod that it counts."""


class Node(msgspec.Struct, frozen=True):
    """A node: labels (capacity type, instance type), taints, and what pods may use of it."""

    name: str
    labels: Mapping[str, str] = {}
    taints: tuple[tuple[str, str, str], ...] = ()
    """(key, value, effect)"""
    allocatable: ResourceMap = {}
    unschedulable: bool = False
    capacity: ResourceMap = {}
    """All there is of it, what the system keeps for itself included: what its price is paid for."""


class ClusterPod(msgspec.Struct, frozen=True):
    """A pod that exists: what budgets need to count it."""

    uid: str
    namespace: str
    pod: Pod
    node: str = ""
    """Name of the node that it runs on; empty before it is scheduled."""
    claims: tuple[str, ...] = ()
    """Names of the persistent volume claims that it mounts; those of generic ephemeral volumes left out."""
    made_claims: tuple[tuple[str, str], ...] = ()
    """ResourceClaims that were made for it: the name of the entry of ``spec.resourceClaims``, empty for that of its
    extended resources, and the claim's name, empty where it needs none."""


class DeviceClaim(msgspec.Struct, frozen=True):
    """A ResourceClaim: which devices it asks for or, once it is allocated, has."""

    namespace: str
    name: str
    requests: Requests = ()
    owner: str = ""
    """UID of the pod that it was made for; empty for one that stands by itself."""


class ClaimUser(NamedTuple):
    """A pod that uses a ResourceClaim."""

    created: str
    uid: str
    labels: Mapping[str, str]


class StorageClaim(msgspec.Struct, frozen=True):
    """A persistent volume claim: how much of which storage it holds."""

    namespace: str
    name: str
    storage: RawQuantity | None = None
    """What the volume has, or what is asked for as long as there is no volume."""
    storage_class: str = ""


class RuntimeClass(msgspec.Struct, frozen=True):
    """A RuntimeClass: what each of its pods takes beside its containers."""

    name: str
    overhead: ResourceMap = {}


class View(Protocol):
    """Read-only answers about the cluster. All of them are dictionary look-ups."""

    def namespace(self, name: str) -> Namespace | None:
        """Return the namespace, or None where it is not known (yet)."""

    def top_controller(
        self, namespace: str, owner: OwnerReference | None, labels: Mapping[str, str]
    ) -> Controller | None:
        """Follow the controller references from a pod's own owner to the top-most known controller.

        Args:
            namespace: the pod's namespace (of the request, never of the object).
            owner: the pod's controller reference; None gives None.
            labels: the pod's labels; ``pod-template-hash`` lets the Deployment of an unknown ReplicaSet be derived.
        """

    def workload(self, namespace: str, kind: str, name: str) -> Workload | None:
        """Return a workload with its pod template."""

    def head(self, namespace: str, kind: str, name: str) -> Workload | None:
        """Return a workload: who it is, whose it is, and how many pods it wants. Its pod template may be left out, so
        this costs one look-up and may be asked for every pod."""

    def replica_sets_of(self, uid: str) -> Sequence[Workload]:
        """Return the ReplicaSets that the controller with this UID owns; their pod templates may be left out."""

    def pods_of(self, uid: str) -> int:
        """Return how many pods name the controller with this UID as theirs and are not being deleted."""

    def vertical_pod_autoscaler(
        self, namespace: str, controller: Controller, labels: Mapping[str, str]
    ) -> VerticalPodAutoscaler | None:
        """Return the VPA that counts: the first of `vertical_pod_autoscalers`, or None."""

    def vertical_pod_autoscalers(
        self, namespace: str, controller: Controller, labels: Mapping[str, str]
    ) -> Sequence[VerticalPodAutoscaler]:
        """Return the VPAs whose target is `controller` and whose target selects `labels`, of every update mode.

        The first one counts: those that act come first, then the older ones, then the smaller names.
        """

    def contested_targets(self) -> Sequence[Sequence[VerticalPodAutoscaler]]:
        """Return the VPAs of each target that has several of them, the one that counts first; for lint, not for
        reviews."""

    def horizontal_pod_autoscalers(self, namespace: str, controller: Controller) -> Sequence[HorizontalPodAutoscaler]:
        """Return the HPAs whose target is `controller`; a ScaledObject stands for the HPA that KEDA makes of it."""

    def disruption_budgets(self, namespace: str, labels: Mapping[str, str]) -> Sequence[PodDisruptionBudget]:
        """Return the PodDisruptionBudgets that select pods with these labels, by name."""

    def replicas(self, namespace: str, controller: Controller) -> int | None:
        """Return how many pods a workload with ``spec.replicas`` is to have at a time; None for every other one."""

    def limit_ranges(self, namespace: str) -> Sequence[LimitRangeItem]:
        """Return all items of all LimitRanges of the namespace."""

    def resource_quotas(self, namespace: str) -> Sequence[ResourceQuota]:
        """Return the ResourceQuotas of the namespace."""

    def owner_selector(self, namespace: str, controller: Controller) -> LabelSelector | None:
        """Return the label selector of a controller, or None."""

    def nodes(self) -> Sequence[Node]:
        """Return all nodes."""

    def node(self, name: str) -> Node | None:
        """Return the node of that name, or None where it is not known (yet)."""

    def claim(self, namespace: str, name: str) -> StorageClaim | None:
        """Return the persistent volume claim, or None where it is not known (yet)."""

    def claim_payer(self, namespace: str, name: str) -> str | None:
        """Return the UID of the pod that a claim is counted with: of those that mount it, the oldest, then the smallest
        UID. None where no pod mounts it."""

    def device_claim(self, namespace: str, name: str) -> DeviceClaim | None:
        """Return the ResourceClaim, or None where it is not known (yet)."""

    def device_claim_template(self, namespace: str, name: str) -> Requests | None:
        """Return what the claims of a ResourceClaimTemplate ask for, or None where it is not known (yet)."""

    def device_claim_users(self, namespace: str, name: str) -> Iterator[ClaimUser]:
        """Yield the pods that use a ResourceClaim, those that it was made for included: the oldest, then the smallest
        UID, first."""

    def device_inventory(self) -> Inventory:
        """Return what DeviceClasses and ResourceSlices say; the same object until they change."""

    def runtime_class(self, name: str) -> RuntimeClass | None:
        """Return the RuntimeClass, or None where it is not known (yet)."""

    def is_scheduler_alive(self, name: str) -> bool:
        """Whether the scheduler of that name holds a fresh Lease."""

    def knows_scheduler(self, name: str) -> bool:
        """Whether the scheduler of that name has a Lease at all, fresh or not; without one it never ran here."""

    def pods(self) -> Sequence[ClusterPod]:
        """Return the pods that exist, terminal ones excluded."""

    def sizes(self) -> Mapping[str, int]:
        """Return the number of entries of each cache, for metrics."""
