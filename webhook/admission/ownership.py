"""Whether a workload was judged already, with the workload that it was made for.

A Deployment makes ReplicaSets and a CronJob makes Jobs, with the pod template that was judged when it was written
itself. Nothing else excuses a workload: an owner reference is a claim that anybody can write, and no object of another
kind was judged in its place.
"""

from typing import Final

from webhook.cluster.view import View
from webhook.kube.objects import Workload, controller_of, is_made_by, pod_template

_ACCOUNT: Final = "system:serviceaccount:kube-system:"
_SHARED_ACCOUNT: Final = "system:kube-controller-manager"
_MAKERS: Final = {"ReplicaSet": "deployment-controller", "Job": "cronjob-controller"}
"""Kinds that are made for another workload, and the service accounts of those who make them."""


def owner_of(view: View, namespace: str, kind: str, workload: Workload) -> Workload | None:
    """Return the workload that another one was made for, without its pod template.

    None where that is not proven: the reference has to name, by its UID, an object that is known in the same namespace
    and whose controller makes such workloads.
    """
    reference = controller_of(workload.metadata)
    if reference is None or not reference.uid or not is_made_by(kind, reference):
        return None
    found = view.head(namespace, reference.kind, reference.name)
    uid = found.metadata.uid if found is not None and found.metadata is not None else None
    return found if uid == reference.uid else None


def is_judged_by_owner(view: View, namespace: str, kind: str, workload: Workload, username: str) -> bool:
    """Whether a workload that is being written is no more than its owner was judged for.

    Args:
        view: the cluster.
        namespace: of the request.
        kind: of the workload.
        workload: as it will be stored.
        username: who asks. The controllers make their workloads for nobody else, and are faster than news of the owner.
            Empty where nobody asks: what a cluster or a manifest has is looked at.
    """
    if controller_of(workload.metadata) is None or kind not in _MAKERS:
        return False
    if username in (f"{_ACCOUNT}{_MAKERS[kind]}", _SHARED_ACCOUNT):
        return is_made_by(kind, controller_of(workload.metadata))
    owner = owner_of(view, namespace, kind, workload)
    if owner is None or owner.metadata is None:
        return False
    if not username:
        return True
    whole = view.workload(namespace, owner.kind, owner.metadata.name or "")
    return whole is not None and _is_part_of(workload, whole)


def _is_part_of(workload: Workload, owner: Workload) -> bool:
    """Whether pods and their number are those that the owner asks for: somebody else than its controller wrote it."""
    mine, theirs = pod_template(workload), pod_template(owner)
    if mine is None or theirs is None or mine.spec != theirs.spec:
        return False
    spec = workload.spec
    if spec is None or owner.spec is None:
        return False
    if owner.spec.job_template is not None:
        job = owner.spec.job_template.spec
        return job is not None and _pods(spec.parallelism) <= _pods(job.parallelism)
    return _pods(spec.replicas) <= _pods(owner.spec.replicas)


def _pods(number: int | None) -> int:
    return 1 if number is None else number
