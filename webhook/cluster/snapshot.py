"""The cluster view over a directory of ordinary manifests: the embedded cluster, tests, and every offline command.

A snapshot is built once and never changes, so all look-ups are dictionary look-ups without locks. For who serves by it
it is all or nothing: a file that cannot be read would make every later answer a guess, so all errors are told at once
and there is no snapshot. Who reports takes what can be read, and names the rest beside the verdicts.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from webhook.cluster import disruption, matching, owners, pod_claims, typed_objects, view
from webhook.cluster.snapshot_devices import DEVICE_KINDS, SnapshotDevices
from webhook.kube import manifests
from webhook.kube.objects import WORKLOAD_KINDS, LabelSelector, OwnerReference, Pod, Workload, controller_of
from webhook.kube.selectors import LabelPredicate

_ObjectKey = tuple[str, str, str]
"""(namespace, kind, name)"""

_TERMINAL = frozenset({"Succeeded", "Failed"})

T = TypeVar("T", view.VerticalPodAutoscaler, view.HorizontalPodAutoscaler)


class SnapshotError(ValueError):
    """A directory or documents that give no snapshot; ``str()`` has one line for each error."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = tuple(errors)


class Snapshot(SnapshotDevices):
    """A `webhook.cluster.view.View` that does not change."""

    def __init__(self, items: Iterable[typed_objects.TypedObject], ignored: int = 0) -> None:
        """Index what was read; `from_directory` and `from_documents` read it first."""
        self._namespaces: dict[str, view.Namespace] = {}
        self._workloads: dict[_ObjectKey, Workload] = {}
        self._replica_sets: dict[str, tuple[Workload, ...]] = {}
        self._predicates: dict[_ObjectKey, LabelPredicate] = {}
        self._selectors: dict[_ObjectKey, LabelSelector] = {}
        self._limit_ranges: dict[str, tuple[view.LimitRangeItem, ...]] = {}
        self._disruption_budgets: dict[str, tuple[disruption.Selecting, ...]] = {}
        self._quotas: dict[str, tuple[view.ResourceQuota, ...]] = {}
        self._leases: dict[str, bool] = {}
        self._claims: dict[tuple[str, str], view.StorageClaim] = {}
        self._runtime_classes: dict[str, view.RuntimeClass] = {}
        by_name: dict[str, dict[str, Any]] = {"Namespace": self._namespaces, "RuntimeClass": self._runtime_classes}
        of_devices: list[typed_objects.TypedObject] = []
        nodes: list[view.Node] = []
        pods: list[view.ClusterPod] = []
        vertical: list[view.VerticalPodAutoscaler] = []
        horizontal: list[view.HorizontalPodAutoscaler] = []
        counts = {"limitRanges": 0, "disruptionBudgets": 0, "resourceQuotas": 0, "leases": 0}
        for item in items:
            if item.kind in by_name:
                by_name[item.kind][item.name] = item.value
            elif item.kind == "Pod":
                _add_pod(pods, item)
            elif item.kind in WORKLOAD_KINDS:
                self._add_workload(item)
            elif item.kind == "VerticalPodAutoscaler":
                vertical.append(item.value)
            elif item.kind in ("HorizontalPodAutoscaler", "ScaledObject"):
                horizontal.append(item.value)
            elif item.kind == "LimitRange":
                self._limit_ranges[item.namespace] = self._limit_ranges.get(item.namespace, ()) + item.value
                counts["limitRanges"] += 1
            elif item.kind == "PodDisruptionBudget":
                counts["disruptionBudgets"] += self._add_disruption_budget(item.value)
            elif item.kind == "ResourceQuota":
                self._quotas[item.namespace] = (*self._quotas.get(item.namespace, ()), item.value)
                counts["resourceQuotas"] += 1
            elif item.kind == "Node":
                nodes.append(item.value)
            elif item.kind == "PersistentVolumeClaim":
                self._claims[item.namespace, item.name] = item.value
            elif item.kind in DEVICE_KINDS:
                of_devices.append(item)
            elif item.kind == "Lease":
                self._leases[item.name] = self._leases.get(item.name, False) or bool(item.value.holder_identity)
                counts["leases"] += 1
        self._vertical = {key: matching.in_order(found) for key, found in _by_target(vertical).items()}
        scaled = [each for each in horizontal if each.scaled_object]
        self._horizontal = {key: matching.without_made(found) for key, found in _by_target(horizontal).items()}
        self._nodes = tuple(nodes)
        self._nodes_by_name = {node.name: node for node in nodes}
        self._pods = tuple(pods)
        self._payers = _payers(pods)
        super().__init__(of_devices, pods)
        self._owned = Counter(filter(None, map(_owned_by, pods)))
        self._sizes = {
            "namespaces": len(self._namespaces),
            "pods": len(pods),
            "workloads": len(self._workloads),
            "verticalPodAutoscalers": len(vertical),
            "horizontalPodAutoscalers": len(horizontal) - len(scaled),
            "scaledObjects": len(scaled),
            "nodes": len(nodes),
            "persistentVolumeClaims": len(self._claims),
            **self.sizes_of_devices(),
            "runtimeClasses": len(self._runtime_classes),
            **counts,
            "ignored": ignored,
        }

    @classmethod
    def from_directory(cls, path: Path) -> "Snapshot":
        """Read all YAML and JSON files below a directory (or one file).

        Raises:
            SnapshotError: with one line for everything that is wrong, in the order of the files.
        """
        return cls._collect(manifests.read_path(path))

    @classmethod
    def from_documents(cls, documents: Iterable[dict[str, Any]]) -> "Snapshot":
        """Take objects as plain data, such as a test or an API client has them.

        Raises:
            SnapshotError: with one line for each document that does not decode; they are counted from 1.
        """
        return cls._collect(manifests.Manifest(f"document {n}", each) for n, each in enumerate(documents, 1))

    @classmethod
    def of_readable(
        cls, found: Iterable[manifests.Manifest | manifests.ManifestError]
    ) -> tuple["Snapshot", list[manifests.ManifestError]]:
        """Take what can be read, the first of objects that contradict each other, and return what is wrong with the
        rest."""
        items: list[typed_objects.TypedObject] = []
        origins: dict[tuple[str, str, str], tuple[str, typed_objects.TypedObject]] = {}
        errors: list[manifests.ManifestError] = []
        ignored = 0
        for manifest in found:
            if isinstance(manifest, manifests.ManifestError):
                errors.append(manifest)
                continue
            try:
                item = typed_objects.read(manifest.document, manifest.origin)
            except typed_objects.ReadError as error:
                errors.append(manifests.ManifestError(manifest.origin, str(error)))
                continue
            if item is None:
                ignored += 1
                continue
            if item.name:
                origin, first = origins.setdefault(item[:3], (manifest.origin, item))
                if first is not item:
                    if first.value != item.value:
                        what = f"{item.kind} {item.name} differs from the one in {origin}"
                        errors.append(manifests.ManifestError(manifest.origin, f"{what}; keep one of them"))
                    continue
            items.append(item)
        return cls(items, ignored), errors

    @classmethod
    def _collect(cls, found: Iterable[manifests.Manifest | manifests.ManifestError]) -> "Snapshot":
        view, errors = cls.of_readable(found)
        if errors:
            raise SnapshotError([str(error) for error in errors])
        return view

    def _add_workload(self, item: typed_objects.TypedObject) -> None:
        key = (item.namespace, item.kind, item.name)
        workload: Workload = item.value
        self._workloads[key] = workload
        owner = controller_of(workload.metadata)
        if item.kind == "ReplicaSet" and owner is not None and owner.uid:
            self._replica_sets[owner.uid] = (*self._replica_sets.get(owner.uid, ()), workload)
        self._predicates[key] = matching.compile_predicate(workload)
        selector = matching.selector_of(workload)
        if selector is not None:
            self._selectors[key] = selector

    def _add_disruption_budget(self, budget: view.PodDisruptionBudget) -> int:
        selecting = disruption.selecting(budget)
        if selecting is None:
            return 0
        others = self._disruption_budgets.get(budget.namespace, ())
        self._disruption_budgets[budget.namespace] = disruption.by_name((*others, selecting))
        return 1

    # --- answers ----------------------------------------------------------------------------------------------------

    def namespace(self, name: str) -> view.Namespace | None:
        """Return the namespace, or None where there is none of that name."""
        return self._namespaces.get(name)

    def top_controller(
        self, namespace: str, owner: OwnerReference | None, labels: Mapping[str, str]
    ) -> view.Controller | None:
        """Return the top-most known controller; see `webhook.cluster.owners`."""
        return owners.top_controller(
            owner,
            labels,
            find=lambda kind, name: self._workloads.get((namespace, kind, name)),
            is_target=lambda kind, name: (
                (namespace, kind, name) in self._vertical or (namespace, kind, name) in self._horizontal
            ),
        )

    def workload(self, namespace: str, kind: str, name: str) -> Workload | None:
        """Return a workload with its pod template."""
        return self._workloads.get((namespace, kind, name))

    def head(self, namespace: str, kind: str, name: str) -> Workload | None:
        """Return a workload; here nothing is packed, so it comes with its pod template."""
        return self._workloads.get((namespace, kind, name))

    def replica_sets_of(self, uid: str) -> Sequence[Workload]:
        """Return the ReplicaSets of a controller."""
        return self._replica_sets.get(uid, ())

    def pods_of(self, uid: str) -> int:
        """Return how many pods of a controller are not being deleted."""
        return self._owned.get(uid, 0)

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
        key = (namespace, controller.kind, controller.name)
        found = self._vertical.get(key)
        if found is None:
            return ()
        selects = self._predicates.get(key)
        return found if selects is None or selects(labels) else ()

    def contested_targets(self) -> Sequence[Sequence[view.VerticalPodAutoscaler]]:
        """Return the VPAs of each target that has several, the one that counts first."""
        return tuple(found for found in self._vertical.values() if len(found) > 1)

    def horizontal_pod_autoscalers(
        self, namespace: str, controller: view.Controller
    ) -> Sequence[view.HorizontalPodAutoscaler]:
        """Return the HPAs whose target is `controller`, those that KEDA makes included."""
        return self._horizontal.get((namespace, controller.kind, controller.name), ())

    def disruption_budgets(self, namespace: str, labels: Mapping[str, str]) -> Sequence[view.PodDisruptionBudget]:
        """Return the PodDisruptionBudgets that select pods with these labels, by name."""
        known = self._disruption_budgets.get(namespace)
        return disruption.matching(known, labels) if known else ()

    def replicas(self, namespace: str, controller: view.Controller) -> int | None:
        """Return how many pods a workload with ``spec.replicas`` is to have; see `webhook.cluster.matching`."""
        return matching.replicas_of(self._workloads.get((namespace, controller.kind, controller.name)))

    def limit_ranges(self, namespace: str) -> Sequence[view.LimitRangeItem]:
        """Return all items of all LimitRanges of the namespace, with the API server's defaults filled in."""
        return self._limit_ranges.get(namespace, ())

    def resource_quotas(self, namespace: str) -> Sequence[view.ResourceQuota]:
        """Return the ResourceQuotas of the namespace; one without a status counts as unused."""
        return self._quotas.get(namespace, ())

    def owner_selector(self, namespace: str, controller: view.Controller) -> LabelSelector | None:
        """Return the label selector of a controller, or None."""
        return self._selectors.get((namespace, controller.kind, controller.name))

    def nodes(self) -> Sequence[view.Node]:
        """Return all nodes."""
        return self._nodes

    def node(self, name: str) -> view.Node | None:
        """Return the node of that name, or None where there is none."""
        return self._nodes_by_name.get(name)

    def claim(self, namespace: str, name: str) -> view.StorageClaim | None:
        """Return the persistent volume claim, or None where there is none."""
        return self._claims.get((namespace, name))

    def claim_payer(self, namespace: str, name: str) -> str | None:
        """Return the UID of the oldest pod that mounts the claim."""
        return self._payers.get((namespace, name))

    def runtime_class(self, name: str) -> view.RuntimeClass | None:
        """Return the RuntimeClass, or None where there is none of that name."""
        return self._runtime_classes.get(name)

    def is_scheduler_alive(self, name: str) -> bool:
        """Whether a Lease of that name has a holder; files do not age, so held is fresh."""
        return self._leases.get(name, False)

    def knows_scheduler(self, name: str) -> bool:
        """Whether there is a Lease of that name."""
        return name in self._leases

    def pods(self) -> Sequence[view.ClusterPod]:
        """Return the pods that exist, terminal ones excluded."""
        return self._pods

    def sizes(self) -> Mapping[str, int]:
        """Return the number of objects by cache; ``ignored`` counts those of kinds that the view has no use for."""
        return self._sizes


def _add_pod(pods: list[view.ClusterPod], item: typed_objects.TypedObject) -> None:
    pod: Pod = item.value
    if pod.status is not None and pod.status.phase in _TERMINAL:
        return
    metadata = pod.metadata
    uid = metadata.uid if metadata is not None else None
    if not uid:
        generated = metadata.generate_name if metadata is not None else None
        uid = f"{item.namespace}/{item.name or f'{generated}{len(pods)}'}"
    pods.append(cluster_pod(uid, item.namespace, pod))


def cluster_pod(uid: str, namespace: str, pod: Pod, node: str = "") -> view.ClusterPod:
    """Return a pod that exists as the view answers; without `node`, on the one that its spec names."""
    spec = pod.spec
    volumes = (spec.volumes or ()) if spec is not None else ()
    claims = tuple(each.persistent_volume_claim.claim_name for each in volumes if each.persistent_volume_claim)
    on = node or (spec.node_name or "" if spec is not None else "")
    made = pod_claims.made_by(pod.status) if pod.status is not None else ()
    return view.ClusterPod(uid, namespace, pod, on, claims, made)


def _owned_by(each: view.ClusterPod) -> str:
    metadata = each.pod.metadata
    owner = controller_of(metadata)
    is_leaving = metadata is not None and metadata.deletion_timestamp is not None
    return owner.uid if owner is not None and not is_leaving else ""


def _payers(pods: Iterable[view.ClusterPod]) -> dict[tuple[str, str], str]:
    mounted: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for each in pods:
        metadata = each.pod.metadata
        created = (metadata.creation_timestamp or "") if metadata is not None else ""
        for name in each.claims:
            mounted.setdefault((each.namespace, name), []).append((created, each.uid))
    return {claim: min(users)[1] for claim, users in mounted.items()}


def _by_target(autoscalers: Iterable[T]) -> dict[_ObjectKey, list[T]]:
    found: dict[_ObjectKey, list[T]] = {}
    for each in autoscalers:
        if each.target_kind and each.target_name:
            found.setdefault((each.namespace, each.target_kind, each.target_name), []).append(each)
    return found
