"""How many pods controllers want: what they were admitted with is theirs no longer once they want less.

News of it come with reviews of workloads and of their scales, with the watches, and with every count of what runs.
"""

from webhook.admission import workloads
from webhook.admission.request import Request, ScaleRequest, WorkloadRequest
from webhook.admission.subject import SCALED_KINDS
from webhook.cluster.view import View
from webhook.kube.objects import PodSpec, Workload
from webhook.ledger.store import ControllerKey, LedgerStore


def wanted(view: View, uid: str, place: ControllerKey) -> int | None:
    """Return how many pods a controller wants at a time: 0 where it is gone, None where that cannot be told."""
    head = view.head(*place)
    if head is None or _uid(head) != uid:
        return 0
    if place.kind == "DaemonSet":
        return nodes_of(view, place) if view.nodes() else None
    return pods_wanted(head)


def report_wanted_pods(ledger: LedgerStore, workload: Workload) -> None:
    """Let a ledger know how many pods a workload wants by now."""
    uid = _uid(workload)
    pods = pods_wanted(workload)
    if uid and pods is not None:
        ledger.wants(uid, pods)


def report_reviewed(ledger: LedgerStore, view: View, request: Request) -> None:
    """Let a ledger know of a change of a workload, or of its scale, that was let in."""
    if request.operation != "UPDATE" or request.dry_run:
        return
    if isinstance(request, WorkloadRequest) and request.object is not None and not request.sub_resource:
        report_wanted_pods(ledger, request.object)
    elif isinstance(request, ScaleRequest) and request.object is not None and request.object.spec is not None:
        kind = SCALED_KINDS.get(request.resource.resource)
        head = view.head(request.namespace or "", kind, request.name or "") if kind is not None else None
        if head is not None and (uid := _uid(head)):
            ledger.wants(uid, max(request.object.spec.replicas or 0, 0))


def pods_wanted(head: Workload) -> int | None:
    """Return how many pods a workload says that it wants at a time; None for a DaemonSet, which does not say."""
    spec = head.spec
    if head.kind == "DaemonSet" or spec is None:
        return None
    if head.kind == "Job":
        return workloads.job_pods(spec)
    return max(spec.replicas, 0) if spec.replicas is not None else 1


def nodes_of(view: View, place: ControllerKey) -> int:
    """Return the number of nodes that the pods of a DaemonSet run on."""
    whole = view.workload(*place)
    template = whole.spec.template if whole is not None and whole.spec is not None else None
    pod_spec = template.spec if template is not None else None
    return workloads.matching_nodes(pod_spec or PodSpec(), view)


def _uid(workload: Workload) -> str | None:
    return workload.metadata.uid if workload.metadata is not None else None
