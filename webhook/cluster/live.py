"""The cluster view over watches of a real API server.

`LiveView` answers from memory alone: it holds no client, so no answer can ever become a call. What fills it are the
reflectors of `webhook.cluster.watches`, one thread and one store each.

An answer may be older than the cluster by the lag of a watch, usually some milliseconds. Where that lag matters, for a
pod that is faster than the watch of its owner or of its namespace, `lacks` tells that waiting a moment may help.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

from webhook.cluster import disruption, leases, matching, owners, view
from webhook.cluster.live_devices import LiveDevices
from webhook.cluster.pod_store import PodStore, PodsView
from webhook.cluster.projections import KnownWorkload, LimitRange, NamedLease
from webhook.kube.objects import WORKLOAD_KINDS, LabelSelector, OwnerReference, Workload, controller_of
from webhook.kube.pod_devices import PodResourceClaim
from webhook.kube.stores import Grouped, Store

_WorkloadKey = tuple[str, str, str]
"""(namespace, kind, name)"""

_MOST_LIMITS: Final = 1_024
"""Namespaces with several LimitRanges whose items are kept together."""

SCHEDULER_NAMESPACES: Final = frozenset({"kube-system"})
"""Where Leases of schedulers are believed. Anybody with a namespace of his own can write a Lease there."""


class WorkloadStore(Grouped[KnownWorkload]):
    """Workloads of one kind, by the UID of their controller."""

    def __init__(self) -> None:
        super().__init__(_owner_uid)
        self.on_change: Callable[[Workload], object] | None = None
        """Told of each workload whose spec changes, without its pod template, by the thread of the watch."""

    def put(self, key: str, value: KnownWorkload) -> None:
        """Add or change one workload."""
        old = self.items.get(key)
        super().put(key, value)
        if self.on_change is not None and old is not None and old.head.spec != value.head.spec:
            self.on_change(value.head)


class LiveView(LiveDevices):
    """A `webhook.cluster.view.View` that changes as the cluster does. All methods may be called from any thread."""

    def __init__(
        self, now: Callable[[], datetime], scheduler_namespaces: frozenset[str] = SCHEDULER_NAMESPACES
    ) -> None:
        """Args:
        now: the time, with its zone; Leases are compared with it.
        scheduler_namespaces: where Leases of schedulers are believed.
        """
        self._now = now
        self.scheduler_namespaces = scheduler_namespaces
        self.namespaces: Store[view.Namespace] = Store()
        self.nodes_by_name: Store[view.Node] = Store()
        self.claims: Store[view.StorageClaim] = Store()
        self.runtime_classes: Store[view.RuntimeClass] = Store()
        self.pods_by_uid = PodStore()
        super().__init__(self.pods_by_uid, self.pods_by_uid.users_of)
        self.workloads = {kind: WorkloadStore() for kind in sorted(WORKLOAD_KINDS)}
        self.replica_sets = self.workloads["ReplicaSet"]
        self.limit_ranges_by_namespace: Grouped[LimitRange] = Grouped(lambda each: each.namespace)
        self.disruption_budgets_by_namespace: Grouped[disruption.Selecting] = Grouped(
            lambda each: each.budget.namespace, disruption.by_name
        )
        self.quotas_by_namespace: Grouped[view.ResourceQuota] = Grouped(lambda each: each.namespace)
        self.vertical: Grouped[view.VerticalPodAutoscaler] = Grouped(_target, matching.in_order)
        self.horizontal: Grouped[view.HorizontalPodAutoscaler] = Grouped(_target)
        self.scaled: Grouped[view.HorizontalPodAutoscaler] = Grouped(_target)
        """ScaledObjects, as the HPAs that KEDA makes of them."""
        self.leases: dict[str, Store[NamedLease]] = {}
        """Of the schedulers that policies name, by that name."""
        self.not_alive: Counter[str] = Counter()
        """How often a scheduler was asked for and was not alive, for those that policies name."""
        self._nodes: tuple[int, tuple[view.Node, ...]] = (-1, ())
        self._limits: dict[str, tuple[tuple[LimitRange, ...], tuple[view.LimitRangeItem, ...]]] = {}

    # --- answers ----------------------------------------------------------------------------------------------------

    def namespace(self, name: str) -> view.Namespace | None:
        """Return the namespace, or None where it is not known (yet)."""
        return self.namespaces.items.get("/" + name)

    def top_controller(
        self, namespace: str, owner: OwnerReference | None, labels: Mapping[str, str]
    ) -> view.Controller | None:
        """Return the top-most known controller; see `webhook.cluster.owners`."""
        return owners.top_controller(
            owner,
            labels,
            find=lambda kind, name: self._head(namespace, kind, name),
            is_target=lambda kind, name: any(
                store.of((namespace, kind, name)) for store in (self.vertical, self.horizontal, self.scaled)
            ),
        )

    def workload(self, namespace: str, kind: str, name: str) -> Workload | None:
        """Return a workload, with its pod template unless a controller owns it."""
        known = self._known(namespace, kind, name)
        return known.whole() if known is not None else None

    def head(self, namespace: str, kind: str, name: str) -> Workload | None:
        """Return a workload without its pod template."""
        return self._head(namespace, kind, name)

    def replica_sets_of(self, uid: str) -> Sequence[Workload]:
        """Return the ReplicaSets of a controller, without their pod templates."""
        return tuple(known.head for known in self.replica_sets.of(uid))

    def pods_of(self, uid: str) -> int:
        """Return how many pods of a controller are not being deleted."""
        return self.pods_by_uid.owned.get(uid, 0)

    def vertical_pod_autoscaler(
        self, namespace: str, controller: view.Controller, labels: Mapping[str, str]
    ) -> view.VerticalPodAutoscaler | None:
        """Return the VPA of a controller's pods; see `webhook.cluster.matching`."""
        found = self.vertical_pod_autoscalers(namespace, controller, labels)
        return found[0] if found else None

    def vertical_pod_autoscalers(
        self, namespace: str, controller: view.Controller, labels: Mapping[str, str]
    ) -> Sequence[view.VerticalPodAutoscaler]:
        """Return the VPAs of a controller's pods, the one that counts first."""
        found = self.vertical.of((namespace, controller.kind, controller.name))
        if not found:
            return ()
        known = self._known(namespace, controller.kind, controller.name)
        return found if known is None or known.selects()(labels) else ()

    def contested_targets(self) -> Sequence[Sequence[view.VerticalPodAutoscaler]]:
        """Return the VPAs of each target that has several, the one that counts first."""
        groups = {_target(each): self.vertical.of(_target(each)) for each in self.vertical.values()}
        return tuple(found for key, found in groups.items() if key is not None and len(found) > 1)

    def horizontal_pod_autoscalers(
        self, namespace: str, controller: view.Controller
    ) -> Sequence[view.HorizontalPodAutoscaler]:
        """Return the HPAs whose target is `controller`, those that KEDA makes included."""
        key = (namespace, controller.kind, controller.name)
        found, scaled = self.horizontal.of(key), self.scaled.of(key)
        return matching.without_made((*found, *scaled)) if scaled else found

    def disruption_budgets(self, namespace: str, labels: Mapping[str, str]) -> Sequence[view.PodDisruptionBudget]:
        """Return the PodDisruptionBudgets that select pods with these labels, by name."""
        known = self.disruption_budgets_by_namespace.of(namespace)
        return disruption.matching(known, labels) if known else ()

    def replicas(self, namespace: str, controller: view.Controller) -> int | None:
        """Return how many pods a workload with ``spec.replicas`` is to have; see `webhook.cluster.matching`."""
        return matching.replicas_of(self._head(namespace, controller.kind, controller.name))

    def limit_ranges(self, namespace: str) -> Sequence[view.LimitRangeItem]:
        """Return all items of all LimitRanges of the namespace."""
        found = self.limit_ranges_by_namespace.of(namespace)
        if len(found) == 1:
            return found[0].items
        # The same items until one of them changes, for whoever keeps what they come to.
        known = self._limits.get(namespace)
        if known is None or known[0] is not found:
            if len(self._limits) >= _MOST_LIMITS:
                self._limits.clear()
            known = self._limits[namespace] = found, tuple(item for each in found for item in each.items)
        return known[1]

    def resource_quotas(self, namespace: str) -> Sequence[view.ResourceQuota]:
        """Return the ResourceQuotas of the namespace."""
        return self.quotas_by_namespace.of(namespace)

    def owner_selector(self, namespace: str, controller: view.Controller) -> LabelSelector | None:
        """Return the label selector of a controller, or None."""
        known = self._known(namespace, controller.kind, controller.name)
        return known.selector if known is not None else None

    def nodes(self) -> Sequence[view.Node]:
        """Return all nodes."""
        changes, found = self._nodes
        if changes != self.nodes_by_name.changes:
            changes = self.nodes_by_name.changes
            found = self.nodes_by_name.values()
            self._nodes = (changes, found)
        return found

    def node(self, name: str) -> view.Node | None:
        """Return the node of that name, or None where it is not known (yet)."""
        return self.nodes_by_name.items.get("/" + name)

    def claim(self, namespace: str, name: str) -> view.StorageClaim | None:
        """Return the persistent volume claim, or None where it is not known (yet)."""
        return self.claims.items.get(f"{namespace}/{name}")

    def claim_payer(self, namespace: str, name: str) -> str | None:
        """Return the UID of the oldest pod that mounts the claim."""
        users = self.pods_by_uid.mounted.get((namespace, name))
        return users[0][1] if users else None

    def runtime_class(self, name: str) -> view.RuntimeClass | None:
        """Return the RuntimeClass, or None where it is not known (yet)."""
        return self.runtime_classes.items.get("/" + name)

    def is_scheduler_alive(self, name: str) -> bool:
        """Whether the scheduler of that name holds a fresh Lease; see `webhook.cluster.leases`."""
        followed = self.leases.get(name)
        if followed is None:
            return False
        alive = self._holds_fresh_lease(followed)
        if not alive:
            self.not_alive[name] += 1
        return alive

    def knows_scheduler(self, name: str) -> bool:
        """Whether the scheduler of that name has a Lease where Leases of schedulers are believed."""
        followed = self.leases.get(name)
        return followed is not None and any(each.namespace in self.scheduler_namespaces for each in followed.values())

    def pods(self) -> Sequence[view.ClusterPod]:
        """Return the pods that exist, terminal ones excluded."""
        return PodsView(self.pods_by_uid.values())

    def sizes(self) -> Mapping[str, int]:
        """Return the number of entries of each cache."""
        return {
            "namespaces": len(self.namespaces),
            "pods": len(self.pods_by_uid),
            "podSpecs": len(self.pods_by_uid.project.specs),
            "podLabels": len(self.pods_by_uid.project.labels),
            "podOwners": len(self.pods_by_uid.project.owners),
            "workloads": sum(map(len, self.workloads.values())),
            "verticalPodAutoscalers": len(self.vertical),
            "horizontalPodAutoscalers": len(self.horizontal),
            "scaledObjects": len(self.scaled),
            "limitRanges": len(self.limit_ranges_by_namespace),
            "disruptionBudgets": len(self.disruption_budgets_by_namespace),
            "resourceQuotas": len(self.quotas_by_namespace),
            "nodes": len(self.nodes_by_name),
            "persistentVolumeClaims": len(self.claims),
            **self.sizes_of_devices(),
            "runtimeClasses": len(self.runtime_classes),
            "leases": sum(len(store) for store in list(self.leases.values())),
        }

    # --- more than a view answers -----------------------------------------------------------------------------------

    def lacks(
        self, namespace: str, owner: OwnerReference | None, claims: Sequence[PodResourceClaim] = ()
    ) -> tuple[str, ...]:
        """Return what a pod needs to be judged by and the caches have not seen yet, as kinds; empty for nearly all.

        Args:
            namespace: of the request.
            owner: the pod's controller reference. Custom kinds are never watched, so they are never missing.
            claims: for devices, of the pod.
        """
        missing: tuple[str, ...] = ()
        if self.namespace(namespace) is None:
            missing = ("Namespace",)
        if owner is not None and owner.kind in self.workloads:
            known = self._head(namespace, owner.kind, owner.name)
            uid = known.metadata.uid if known is not None and known.metadata is not None else ""
            if known is None or (owner.uid and uid and owner.uid != uid):
                missing = (*missing, owner.kind)
        return (*missing, *self.lacks_of_devices(namespace, claims)) if claims else missing

    def schedulers(self) -> Mapping[str, bool]:
        """Return the schedulers that policies name, and whether each is alive."""
        return {name: self._holds_fresh_lease(store) for name, store in list(self.leases.items())}

    def namespaces_of_leases(self, name: str) -> list[str]:
        """Return the namespaces in which there are Leases of that name, believed or not."""
        followed = self.leases.get(name)
        return sorted({each.namespace for each in followed.values()}) if followed is not None else []

    def _holds_fresh_lease(self, followed: Store[NamedLease]) -> bool:
        now = self._now()
        return any(
            each.namespace in self.scheduler_namespaces and leases.is_fresh(each.lease, now)
            for each in followed.values()
        )

    def _known(self, namespace: str, kind: str, name: str) -> KnownWorkload | None:
        store = self.workloads.get(kind)
        return store.items.get(f"{namespace}/{name}") if store is not None else None

    def _head(self, namespace: str, kind: str, name: str) -> Workload | None:
        known = self._known(namespace, kind, name)
        return known.head if known is not None else None


def _owner_uid(known: KnownWorkload) -> str | None:
    owner = controller_of(known.head.metadata)
    return owner.uid or None if owner is not None else None


def _target(autoscaler: view.VerticalPodAutoscaler | view.HorizontalPodAutoscaler) -> _WorkloadKey | None:
    if not autoscaler.target_kind or not autoscaler.target_name:
        return None
    return autoscaler.namespace, autoscaler.target_kind, autoscaler.target_name
