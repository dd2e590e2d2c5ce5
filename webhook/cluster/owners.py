"""From a pod to the controller that people wrote: through a ReplicaSet to the Deployment, through a Job to the CronJob.

Pure: what is known of the cluster is handed in. The walk follows references with ``controller: true``, as
VerticalPodAutoscaler does, and differs from it where its rule leaves people without an answer:

* A parent of an unknown kind does not end the search in nothing: the last known controller stands. A custom resource
  counts as a controller where an autoscaler targets it (an Argo Rollout, say), for only then does anybody scale it.
* A ReplicaSet that is not known yet (a watch lags behind the controller by milliseconds) is no dead end: its name is
  that of the Deployment and the ``pod-template-hash`` of its pods. So is that of an Argo Rollout under a label of its
  own, where an autoscaler targets a Rollout of that name, and a CronJob's Job is named after it and a number.
* A reference is good for the object with its UID only: after delete and create, a name means another object.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from webhook.cluster.view import Controller
from webhook.kube.objects import WORKLOAD_KINDS, OwnerReference, Workload, controller_of

MAX_CHAIN = 10
"""Owners that are followed; Kubernetes' own chains have two. It bounds chains that lead back to themselves."""

HASH_LABEL = "pod-template-hash"
ROLLOUT_HASH_LABEL = "rollouts-pod-template-hash"

Find = Callable[[str, str], Workload | None]
"""(kind, name) -> the workload of the pod's namespace."""


class IsTarget(Protocol):
    """Whether an autoscaler of the pod's namespace targets (kind, name)."""

    def __call__(self, kind: str, name: str, /) -> bool: ...


def top_controller(
    owner: OwnerReference | None, labels: Mapping[str, str], find: Find, is_target: IsTarget
) -> Controller | None:
    """Return the top-most known controller above a pod.

    Args:
        owner: the pod's controller reference; None gives None.
        labels: the pod's labels.
        find: looks a workload up in the pod's namespace.
        is_target: tells custom resources that are scaled from others.

    Returns:
        The controller. An owner of which nothing is known stands for itself.
    """
    if owner is None or not owner.kind or not owner.name:
        return None
    known = _known(owner, find)
    if known is None:
        return _unknown_owner(owner, labels, find, is_target)
    top = _as_controller(owner, known)
    for _ in range(MAX_CHAIN):
        parent = controller_of(known.metadata)
        if parent is None or not parent.kind or not parent.name:
            break
        known = _known(parent, find)
        if known is not None:
            top = _as_controller(parent, known)
            continue
        if _stands_by_itself(parent, find, is_target):
            top = Controller(parent.kind, parent.name, parent.api_version)
        break
    return top


def _stands_by_itself(parent: OwnerReference, find: Find, is_target: IsTarget) -> bool:
    """Whether a reference alone names a controller.

    Of a workload kind it does while no object of that name is known: the object that refers to it was stored by a
    controller, and caches fill in any order. An object of another UID under that name is not the owner.
    """
    if parent.kind in WORKLOAD_KINDS:
        return find(parent.kind, parent.name) is None
    return is_target(parent.kind, parent.name)


def _known(reference: OwnerReference, find: Find) -> Workload | None:
    """Return the object that is referred to, unless an object of another UID has its name now."""
    found = find(reference.kind, reference.name)
    if found is None:
        return None
    uid = found.metadata.uid if found.metadata is not None else None
    if uid and reference.uid and uid != reference.uid:
        return None
    return found


def _as_controller(reference: OwnerReference, known: Workload) -> Controller:
    return Controller(reference.kind, reference.name, known.api_version or reference.api_version)


def _unknown_owner(owner: OwnerReference, labels: Mapping[str, str], find: Find, is_target: IsTarget) -> Controller:
    if owner.kind == "ReplicaSet":
        deployment = _without_hash(owner.name, labels.get(HASH_LABEL))
        if deployment:
            return Controller("Deployment", deployment, "apps/v1", derived=True)
        rollout = _without_hash(owner.name, labels.get(ROLLOUT_HASH_LABEL))
        if rollout and is_target("Rollout", rollout):
            return Controller("Rollout", rollout, "argoproj.io/v1alpha1", derived=True)
    if owner.kind == "Job":
        cron_job, _, number = owner.name.rpartition("-")
        if cron_job and number.isascii() and number.isdigit() and find("CronJob", cron_job) is not None:
            return Controller("CronJob", cron_job, "batch/v1", derived=True)
    return Controller(owner.kind, owner.name, owner.api_version)


def _without_hash(name: str, template_hash: str | None) -> str:
    """Return a ReplicaSet's name without the hash of its template; empty where it does not end with it."""
    ending = f"-{template_hash}" if template_hash else ""
    return name[: -len(ending)] if ending and name.endswith(ending) else ""
