"""Judges manifests: every object of a file, a directory or a stream becomes a subject of the very same review.

They are applied one after the other: a pod that is let in is there for those after it, see `webhook.simulate.admitted`.
What a cluster would do before the webhook sees a pod (defaulting) is done here first, so a verdict on a raw manifest
is the verdict on the pod that would come of it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import jsonpatch
import msgspec

from webhook.admission import request as requests
from webhook.admission import subject as subjects
from webhook.admission.decision import Decision
from webhook.admission.review import Environment, judge
from webhook.kube import defaults
from webhook.kube.manifests import Manifest, ManifestError
from webhook.kube.objects import WORKLOAD_KINDS, Pod, Workload, pod_template
from webhook.kube.patch import Operation
from webhook.kube.type_errors import explain
from webhook.simulate.admitted import Admitted

_GROUPS: Final = {
    "Pod": ("", "v1"),
    "ReplicationController": ("", "v1"),
    "Job": ("batch", "v1"),
    "CronJob": ("batch", "v1"),
}


_UNSERVED: Final = "{kind} of apiVersion {given} is served by no API server any more; write apiVersion: {served}"


class ReviewedObject(NamedTuple):
    """One object of the input."""

    origin: str
    """``file:line``."""
    kind: str
    namespace: str
    name: str
    document: dict[str, Any]
    """As given; of an AdmissionReview, its object."""
    skipped: str = ""
    """Why it was not judged; empty where it was."""
    subject: subjects.Subject | None = None
    decision: Decision | None = None

    def patched(self) -> dict[str, Any]:
        """Return the object as it would be stored: with the patch applied, where there is one."""
        if self.decision is None or not self.decision.operations:
            return self.document
        return _patched(self.document, self.decision.operations)

    def stored_labels(self) -> dict[str, str]:
        """Return the labels of the object as it would be stored."""
        operations = self.decision.operations if self.decision is not None else ()
        about = [each for each in operations if each["path"].startswith("/metadata")]
        stored = _patched({"metadata": self.document.get("metadata") or {}}, about)
        return stored["metadata"].get("labels") or {}


def _patched(document: dict[str, Any], operations: Sequence[Operation]) -> dict[str, Any]:
    patch = jsonpatch.JsonPatch.from_string(msgspec.json.encode(operations).decode())
    result = patch.apply(document)
    assert isinstance(result, dict)  # noqa: S101  a patch of a pod's fields leaves a pod
    return result


def judge_all(
    found: Iterable[Manifest | ManifestError], around: Environment, namespace: str
) -> Iterator[ReviewedObject | ManifestError]:
    """Judge all objects, errors passed through in their place.

    Args:
        found: what was read.
        around: policies, cluster, clock.
        namespace: of objects that name none.
    """
    admitted = Admitted(around.view)
    around = around._replace(view=admitted.view)
    for item in found:
        if isinstance(item, ManifestError):
            yield item
            continue
        try:
            yield _judge(item, around, namespace, admitted)
        except requests.BadReview as error:
            cause = error.__context__
            reason = error.reason
            if isinstance(cause, msgspec.ValidationError):
                reason = f"the AdmissionReview is wrong: {explain(cause, item.document, item.origin)}"
            yield ManifestError(item.origin, reason)
        except msgspec.ValidationError as error:
            kind, told = item.document["kind"], explain(error, item.document, item.origin)
            yield ManifestError(item.origin, f"is no valid {kind}: {told}")
        except RecursionError as error:
            kind = item.document["kind"]
            yield ManifestError(item.origin, f"is no valid {kind}: {error}; mend that field, see kubectl explain")


class ReviewRequest(NamedTuple):
    """An object of the input as the request that applying it would cause."""

    document: dict[str, Any]
    """As given, with the requests that the API server would default."""
    kind: str
    namespace: str
    name: str
    make: Callable[[], requests.Request] | None
    """Gives a fresh request; None where the kind is not judged."""


def asked(item: Manifest, namespace: str) -> ReviewRequest:
    """Return what would be asked about an object of the input.

    Args:
        item: the object.
        namespace: of objects that name none.

    Raises:
        BadReview: a workload of an API version that is served no more.
    """
    kind = str(item.document["kind"])
    if kind == "AdmissionReview":
        body = msgspec.json.encode(item.document)
        given = item.document.get("request")
        inner = given.get("object") if isinstance(given, dict) else None
        return ReviewRequest(inner if isinstance(inner, dict) else {}, kind, "", "", lambda: requests.decode(body))
    metadata = item.document.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    name = str(metadata.get("name") or metadata.get("generateName") or "")
    own = str(metadata.get("namespace") or "")
    if kind != "Pod" and kind not in WORKLOAD_KINDS:
        return ReviewRequest(item.document, kind, own, name, None)
    group, version = _GROUPS.get(kind, ("apps", "v1"))
    given = str(item.document["apiVersion"])
    if given != (f"{group}/{version}" if group else version):
        if given.rpartition("/")[0] in (group, "extensions"):
            raise requests.BadReview(_UNSERVED.format(kind=kind, given=given, served=f"{group}/{version}".strip("/")))
        return ReviewRequest(item.document, f"{kind} of {given}", own, name, None)
    own = own or namespace
    document = defaults.with_requests(item.document)
    return ReviewRequest(document, kind, own, name, lambda: _request_of(document, kind, own, name))


def _judge(item: Manifest, around: Environment, namespace: str, admitted: Admitted) -> ReviewedObject:
    what = asked(item, namespace)
    if what.make is None:
        reason = f"{what.kind} is not judged"
        return ReviewedObject(item.origin, what.kind, what.namespace, what.name, item.document, skipped=reason)
    return _finish(item.origin, what.document, what.make, around, admitted)


def _finish(
    origin: str,
    document: dict[str, Any],
    make_request: Callable[[], requests.Request],
    around: Environment,
    admitted: Admitted,
) -> ReviewedObject:
    request = make_request()
    first = subjects.of(request, around.view)
    name, namespace, kind = request.name or "", request.namespace or "", request.kind.kind
    if isinstance(first, str):
        return ReviewedObject(origin, kind, namespace, name, document, skipped=_why(first, kind))

    def make_subject() -> subjects.Subject:
        subject = subjects.of(make_request(), around.view)
        assert not isinstance(subject, str)  # noqa: S101  the same request was a subject before
        return subject

    admitted.look_at(first.namespace, first.pod)
    subject, decision = judge(make_subject, around, "offline", origin)
    skipped = "" if decision.outcomes or decision.cost is not None else "no policy is about it, or it is excluded"
    made = ReviewedObject(origin, kind, namespace, subject.name or name, document, skipped, subject, decision)
    # A dry run leaves no pod behind, and of a workload no pod is there yet.
    if subject.kind == "Pod" and decision.allowed and not subject.dry_run and admitted.uses_claims:
        admitted.let_in(made.stored_labels())
    return made


def _request_of(document: dict[str, Any], kind: str, namespace: str, name: str) -> requests.Request:
    """Make the CREATE request that applying this manifest would cause."""
    group, version = _GROUPS.get(kind, ("apps", "v1"))
    common: dict[str, Any] = {
        "uid": "offline",
        "kind": requests.GroupVersionKind(group, version, kind),
        "name": name,
        "namespace": namespace,
        "operation": "CREATE",
    }
    if kind == "Pod":
        pod = msgspec.convert(document, Pod)
        defaults.apply_pod_defaults(pod)
        return requests.PodRequest(**common, object=pod)
    workload = msgspec.convert(document, Workload)
    template = pod_template(workload)
    if template is not None:
        defaults.apply_pod_defaults(Pod(metadata=template.metadata, spec=template.spec), template=True)
    return requests.WorkloadRequest(**common, object=workload)


def _why(word: str, kind: str) -> str:
    return {
        "operation": "the operation is not judged",
        "kind": f"{kind} is not judged",
        "subresource": "the subresource is not judged",
        "no object": "the request has no object",
        "owned": "its owner is judged instead",
        "no template": "it has no pod template",
        "unknown workload": "the cluster directory does not have this workload",
    }[word]
