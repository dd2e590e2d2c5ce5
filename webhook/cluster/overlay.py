"""Objects that are known beside a live cluster for a while: what manifests bring along, as if it were applied.

The view must not be watched meanwhile: a store has one writer.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from webhook.cluster import disruption, projections, typed_objects
from webhook.cluster.live import LiveView
from webhook.kube.objects import WORKLOAD_KINDS
from webhook.kube.stores import Store
from webhook.kube.watch_wire import Meta


@contextlib.contextmanager
def applied(view: LiveView, documents: Iterable[Mapping[str, Any]]) -> Iterator[None]:
    """Let the view know these objects instead of its own of the same names, until the block ends.

    Args:
        view: a live view whose watches have ended.
        documents: objects that `webhook.cluster.typed_objects` takes; kinds of which the view answers nothing are
            left out.
    """
    undo: list[Callable[[], None]] = []
    try:
        for document in documents:
            item = typed_objects.read(dict(document))
            found = _stored(view, item, document) if item is not None else None
            if item is not None and found is not None:
                undo.append(_put(found[0], f"{item.namespace}/{item.name}", found[1]))
        yield
    finally:
        for step in reversed(undo):
            step()


def _put(store: Store[Any], key: str, value: object) -> Callable[[], None]:
    """Put an object into a store, and return what takes it out again."""
    before = store.items.get(key)
    store.put(key, value)
    return (lambda: store.drop(key)) if before is None else (lambda: store.put(key, before))


def _stored(
    view: LiveView, item: typed_objects.TypedObject, document: Mapping[str, Any]
) -> tuple[Store[Any], object] | None:
    """Return the store of an object, and what it keeps of it."""
    value = item.value
    if item.kind in WORKLOAD_KINDS:
        project = projections.workload(str(document["apiVersion"]), item.kind)
        return view.workloads[item.kind], project(msgspec.Raw(msgspec.json.encode(document)), Meta())
    if item.kind == "LimitRange":
        value = projections.LimitRange(item.namespace, value)
    elif item.kind == "PodDisruptionBudget":
        value = disruption.selecting(value)
    store = _STORES.get(item.kind)
    return (store(view), value) if store is not None and value is not None else None


_STORES: Final[Mapping[str, Callable[[LiveView], Store[Any]]]] = {
    "Namespace": lambda view: view.namespaces,
    "Node": lambda view: view.nodes_by_name,
    "PersistentVolumeClaim": lambda view: view.claims,
    "RuntimeClass": lambda view: view.runtime_classes,
    "LimitRange": lambda view: view.limit_ranges_by_namespace,
    "PodDisruptionBudget": lambda view: view.disruption_budgets_by_namespace,
    "ResourceQuota": lambda view: view.quotas_by_namespace,
    "VerticalPodAutoscaler": lambda view: view.vertical,
    "HorizontalPodAutoscaler": lambda view: view.horizontal,
    "ScaledObject": lambda view: view.scaled,
    "ResourceClaim": lambda view: view.device_claims,
    "ResourceClaimTemplate": lambda view: view.device_claim_templates,
    "DeviceClass": lambda view: view.device_classes,
    "ResourceSlice": lambda view: view.device_pools,
}
"""Leases are not among them: a scheduler runs where it holds one in the cluster, not where a manifest says so."""
