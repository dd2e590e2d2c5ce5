"""What is admitted: a pod, or the pod template inside a workload.

A `Subject` is either to be judged, or it says in one word why nothing is judged (`unguarded`), which ends the review
as allowed.
"""

from collections.abc import Sequence
from typing import NamedTuple

from webhook.admission import ownership, workloads
from webhook.admission.request import OtherRequest, PodRequest, Request, ScaleRequest, WorkloadRequest
from webhook.cluster.view import Controller, View
from webhook.guardrails.base.contract import Requester, WorkloadScale
from webhook.kube.objects import ClaimTemplate, ObjectMeta, Pod, Workload, controller_of, pod_template

UNJUDGED_SUBRESOURCES = frozenset({"attach", "binding", "eviction", "exec", "log", "portforward", "proxy", "status"})
"""Of pods: they change nothing that is judged. One that is not known is judged like a write to the pod, as the built-in
Pod Security plugin does."""

SCALED_KINDS = {
    "deployments": "Deployment",
    "statefulsets": "StatefulSet",
    "replicasets": "ReplicaSet",
    "replicationcontrollers": "ReplicationController",
}
"""Kinds with a scale subresource, by their resource names."""


class Subject(NamedTuple):
    """One thing to judge.

    `pod` is the pod itself, or a pod made from the template of a workload. It is freshly decoded and belongs to this
    review alone: proposals change it in place.
    """

    kind: str
    name: str
    namespace: str
    operation: str
    subresource: str
    dry_run: bool
    requester: Requester
    pod: Pod
    old_pod: Pod | None = None
    scale: WorkloadScale | None = None
    old_scale: WorkloadScale | None = None
    controller: Controller | None = None
    claim_templates: Sequence[ClaimTemplate] = ()
    """Claims that a StatefulSet makes with each of its pods."""

    @property
    def is_patchable(self) -> bool:
        """Only a pod at its creation is ever patched."""
        return self.kind == "Pod" and self.operation == "CREATE" and not self.subresource


def of(request: Request, view: View) -> Subject | str:
    """Return the subject of a request, or the reason why there is none."""
    if request.operation not in ("CREATE", "UPDATE"):
        return "operation"
    if isinstance(request, OtherRequest):
        return "kind"
    if isinstance(request, PodRequest):
        return _of_pod(request)
    if isinstance(request, WorkloadRequest):
        return _of_workload(request, view)
    return _of_scale(request, view)


def requester_of(request: Request) -> Requester:
    """Return who asks."""
    user = request.user_info
    if user is None:
        return Requester()
    return Requester(user.username, tuple(user.groups or ()), user.uid)


def owner_of(subject: Subject, view: View) -> Controller | None:
    """Return the top-most known owner of what is judged: for a workload the workload itself, for a pod of its own
    None."""
    if subject.controller is not None:
        return subject.controller
    metadata = subject.pod.metadata
    owner = controller_of(metadata)
    if owner is None or metadata is None:
        return None
    return view.top_controller(subject.namespace, owner, metadata.labels or {})


def _of_pod(request: PodRequest) -> Subject | str:
    subresource = request.sub_resource or ""
    pod = request.object
    if subresource in UNJUDGED_SUBRESOURCES:
        return "subresource"
    if pod is None:
        return "no object"
    metadata = pod.metadata
    return Subject(
        "Pod",
        request.name or ((metadata.name or metadata.generate_name or "") if metadata is not None else ""),
        request.namespace or "",
        request.operation,
        subresource,
        bool(request.dry_run),
        requester_of(request),
        pod,
        request.old_object,
    )


def _of_workload(request: WorkloadRequest, view: View) -> Subject | str:
    workload = request.object
    if request.sub_resource:
        return "subresource"
    if workload is None:
        return "no object"
    kind = request.kind.kind
    if ownership.is_judged_by_owner(view, request.namespace or "", kind, workload, requester_of(request).username):
        return "owned"
    pod = _template_pod(workload)
    if pod is None:
        return "no template"
    old = request.old_object
    name = request.name or (
        workload.metadata.name or workload.metadata.generate_name or "" if workload.metadata else ""
    )
    namespace = request.namespace or ""
    controller = Controller(kind, name, workload.api_version)
    return Subject(
        kind=kind,
        name=name,
        namespace=namespace,
        operation=request.operation,
        subresource="",
        dry_run=bool(request.dry_run),
        requester=requester_of(request),
        pod=pod,
        old_pod=_template_pod(old) if old is not None else None,
        scale=workloads.with_autoscaler(workloads.scale_of(kind, workload, view), view, namespace, controller),
        old_scale=workloads.with_autoscaler(workloads.scale_of(kind, old, view), view, namespace, controller)
        if old is not None
        else None,
        controller=controller,
        claim_templates=_claim_templates(workload),
    )


def _of_scale(request: ScaleRequest, view: View) -> Subject | str:
    kind = SCALED_KINDS.get(request.resource.resource)
    namespace = request.namespace or ""
    if kind is None or request.object is None or request.object.spec is None:
        return "kind"
    workload = view.workload(namespace, kind, request.name or "")
    if workload is None:
        return "unknown workload"
    if ownership.owner_of(view, namespace, kind, workload) is not None:
        return "owned"
    pod = _template_pod(workload)
    if pod is None:
        return "no template"
    before = request.old_object.spec if request.old_object is not None else None
    stored = workload.spec.replicas if workload.spec is not None else None
    old_replicas = before.replicas if before is not None and before.replicas is not None else stored
    controller = Controller(kind, request.name or "", workload.api_version)
    wanted = workloads.replicas(request.object.spec.replicas or 0)._replace(kind=kind)
    return Subject(
        kind=kind,
        name=request.name or "",
        namespace=namespace,
        operation=request.operation,
        subresource="scale",
        dry_run=bool(request.dry_run),
        requester=requester_of(request),
        pod=pod,
        old_pod=_template_pod(workload),
        scale=workloads.with_autoscaler(wanted, view, namespace, controller, is_asked_for=True),
        old_scale=workloads.replicas(old_replicas if old_replicas is not None else 1)._replace(kind=kind),
        controller=controller,
        claim_templates=_claim_templates(workload),
    )


def _claim_templates(workload: Workload) -> Sequence[ClaimTemplate]:
    return (workload.spec.volume_claim_templates or ()) if workload.spec is not None else ()


def _template_pod(workload: Workload) -> Pod | None:
    """Make a pod of the template, with metadata of its own, so that proposals never reach a cached workload."""
    template = pod_template(workload)
    if template is None:
        return None
    copied = workloads.copy_template(template)
    metadata = copied.metadata or ObjectMeta()
    return Pod(metadata=ObjectMeta(labels=metadata.labels, annotations=metadata.annotations), spec=copied.spec)
