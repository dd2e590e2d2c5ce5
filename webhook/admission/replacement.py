"""Whose pod it is, where that is proven: pods that replace what a controller was admitted with are no budget question.

Two things prove it. The requester is the controller of that kind in kube-controller-manager, with a service account of
its own or with the account that all share: nobody else has those credentials. And the owner reference names, by its
UID, an object that the cache knows. What a pod says of itself proves nothing: a user may write any owner reference.

A rolling update moves pods from one ReplicaSet to another of the same Deployment, so its pods are counted under the
Deployment's UID, where the Deployment of that UID is known in the same namespace. A Job stands for itself: the next run
of its CronJob is new work, not a replacement.

**Surge** is what a rollout may run on top while it replaces pods. Of a Deployment it is ``maxSurge``, and never more
pods than its other ReplicaSets still want: where none wants any, this is no rollout but a scale-up, which the budget
judges. Pods that those ReplicaSets still have and no longer want are about to be deleted, and count as if they were. Of
a DaemonSet it is its ``maxSurge`` of the nodes that it runs on. Other kinds have none.
"""

import re
from typing import Final

from webhook.admission import wanted_pods
from webhook.cluster.view import View
from webhook.guardrails.base.contract import Context
from webhook.kube.objects import OwnerReference, UpdateStrategy, Workload, controller_of
from webhook.ledger.store import ControllerKey, ProvenOwner

_ACCOUNT: Final = "system:serviceaccount:kube-system:"
_SHARED_ACCOUNT: Final = "system:kube-controller-manager"
_CONTROLLERS: Final = {
    "ReplicaSet": "replicaset-controller",
    "ReplicationController": "replication-controller",
    "StatefulSet": "statefulset-controller",
    "DaemonSet": "daemon-set-controller",
    "Job": "job-controller",
}
"""Kinds that make pods, and the service accounts that their controllers run with."""

_MAKERS: Final = {kind: (f"{_ACCOUNT}{name}", _SHARED_ACCOUNT) for kind, name in _CONTROLLERS.items()}
"""Kinds that make pods, and all users that may be their controllers."""
_GROUPS: Final = {"ReplicationController": "v1", "Job": "batch/v1"}
_DEFAULT_SURGE: Final = "25%"
_PERCENT: Final = re.compile(r"([0-9]{1,4})%", re.ASCII)


def owner_of(context: Context, micros: int) -> ProvenOwner | None:
    """Return the controller of a pod that is being created, where it is proven.

    Args:
        context: the review of the pod.
        micros: what one such pod costs, micro-units per hour.
    """
    if context.operation != "CREATE" or context.subresource or context.scale is not None:
        return None
    reference = controller_of(context.pod.metadata)
    if reference is None or not _makes(context.requester.username, reference):
        return None
    known = _known(context.view, context.namespace, reference)
    if known is None:
        return None
    deployment = _deployment(context.view, context.namespace, reference, known)
    pods = _surge_pods(context.view, context.namespace, reference, known, deployment)
    return _top(context.namespace, reference, deployment)._replace(surge=pods * micros, is_of_pods=True)


def counted_under(view: View, namespace: str, reference: OwnerReference | None) -> ProvenOwner | None:
    """Return the controller that a running pod's money is counted under; None where its owner is not known."""
    if reference is None or not _is_builtin(reference):
        return None
    known = _known(view, namespace, reference)
    return _top(namespace, reference, _deployment(view, namespace, reference, known)) if known is not None else None


def _makes(username: str, reference: OwnerReference) -> bool:
    """Whether the requester is the controller that makes the pods of such an owner."""
    if not _is_builtin(reference):
        return False
    return username in _MAKERS[reference.kind]


def _is_builtin(reference: OwnerReference) -> bool:
    return reference.kind in _CONTROLLERS and reference.api_version == _GROUPS.get(reference.kind, "apps/v1")


def _known(view: View, namespace: str, reference: OwnerReference) -> Workload | None:
    """Return the owner as the cache knows it, if it is the very object that is referred to."""
    found = view.head(namespace, reference.kind, reference.name)
    uid = found.metadata.uid if found is not None and found.metadata is not None else None
    return found if uid and uid == reference.uid else None


def _deployment(view: View, namespace: str, reference: OwnerReference, known: Workload) -> Workload | None:
    """Return the Deployment of a ReplicaSet, where it is the very object in its namespace that the ReplicaSet names."""
    parent = controller_of(known.metadata) if reference.kind == "ReplicaSet" else None
    if parent is None or parent.kind != "Deployment" or parent.api_version != "apps/v1":
        return None
    return _known(view, namespace, parent)


def _top(namespace: str, reference: OwnerReference, deployment: Workload | None) -> ProvenOwner:
    if deployment is not None and deployment.metadata is not None and deployment.metadata.uid:
        name = deployment.metadata.name or ""
        return ProvenOwner(deployment.metadata.uid, place=ControllerKey(namespace, "Deployment", name))
    return ProvenOwner(reference.uid, place=ControllerKey(namespace, reference.kind, reference.name))


def _surge_pods(
    view: View, namespace: str, reference: OwnerReference, known: Workload, deployment: Workload | None
) -> int:
    if reference.kind == "DaemonSet":
        return _daemon_surge(view, namespace, known)
    if deployment is None or deployment.spec is None:
        return 0
    replicas = deployment.spec.replicas if deployment.spec.replicas is not None else 1
    others = left_over = 0
    for each in view.replica_sets_of(_uid(deployment) or ""):
        uid = _uid(each)
        if uid and uid != reference.uid:
            others += _wanted(each)
            left_over += max(0, view.pods_of(uid) - _wanted(each))
    return min(_max_surge(deployment.spec.strategy, replicas, default=_DEFAULT_SURGE), others) + left_over


def _daemon_surge(view: View, namespace: str, known: Workload) -> int:
    strategy = known.spec.update_strategy if known.spec is not None else None
    if _max_surge(strategy, 100, default=0) == 0:
        return 0  # As nearly everywhere; the template need not be unpacked.
    name = (known.metadata.name if known.metadata is not None else None) or ""
    return _max_surge(strategy, wanted_pods.nodes_of(view, ControllerKey(namespace, "DaemonSet", name)), default=0)


def _max_surge(strategy: UpdateStrategy | None, pods: int, default: int | str) -> int:
    """Return ``maxSurge`` in pods; per cent are rounded up, as the controllers do."""
    if strategy is not None and strategy.type not in (None, "", "RollingUpdate"):
        return 0
    rolling = strategy.rolling_update if strategy is not None else None
    value = rolling.max_surge if rolling is not None and rolling.max_surge is not None else default
    if isinstance(value, int):
        return max(value, 0)
    percent = _PERCENT.fullmatch(value)
    return -(-pods * int(percent[1]) // 100) if percent is not None else 0


def _wanted(replica_set: Workload) -> int:
    spec = replica_set.spec
    return max(spec.replicas, 0) if spec is not None and spec.replicas is not None else 0


def _uid(workload: Workload) -> str | None:
    return workload.metadata.uid if workload.metadata is not None else None
