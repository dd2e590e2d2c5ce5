"""Bytes to a typed AdmissionReview.

One decoder pass reads only what guardrails look at. Pods are by far the most frequent object, so the body is first read
as a review of a pod; a review of anything else is recognised by its ``request.kind`` and read again with the
right type, or not at all where nothing is guarded.

Every way a body can be wrong ends as `BadReview` with one line; the API server treats such an answer as a failed call
and applies the webhook's failure policy.
"""

from typing import Any

import msgspec

from webhook.kube.objects import WORKLOAD_KINDS, Object, Pod, Workload

API_VERSION = "admission.k8s.io/v1"

MAXIMUM_DEPTH_TEXT = "nested too deeply"


class BadReview(Exception):  # noqa: N818  it says whose fault it is
    """The body is not an AdmissionReview that can be judged. `reason` is one line, without the body's content."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class GroupVersionKind(Object):
    group: str = ""
    version: str = ""
    kind: str = ""


class GroupVersionResource(Object):
    group: str = ""
    version: str = ""
    resource: str = ""


class UserInfo(Object):
    username: str = ""
    uid: str = ""
    groups: list[str] | None = None


class _RequestFields(Object):
    uid: str = ""
    kind: GroupVersionKind = msgspec.field(default_factory=GroupVersionKind)
    resource: GroupVersionResource = msgspec.field(default_factory=GroupVersionResource)
    sub_resource: str | None = None
    name: str | None = None
    namespace: str | None = None
    operation: str = ""
    user_info: UserInfo | None = None
    dry_run: bool | None = None


class PodRequest(_RequestFields):
    """A request about a pod, or one of its subresources that carries a pod."""

    object: Pod | None = None
    old_object: Pod | None = None


class WorkloadRequest(_RequestFields):
    """A request about an object with a pod template."""

    object: Workload | None = None
    old_object: Workload | None = None


class ScaleSpec(Object):
    replicas: int | None = None


class Scale(Object):
    """``autoscaling/v1`` Scale: what ``kubectl scale`` writes."""

    spec: ScaleSpec | None = None


class ScaleRequest(_RequestFields):
    """A write to the scale subresource of a workload."""

    object: Scale | None = None
    old_object: Scale | None = None


class OtherRequest(_RequestFields):
    """A request about something that is not guarded; its object is not read."""


Request = PodRequest | WorkloadRequest | ScaleRequest | OtherRequest


class _PodReview(Object):
    api_version: str = ""
    kind: str = ""
    request: PodRequest | None = None


class _WorkloadReview(Object):
    api_version: str = ""
    kind: str = ""
    request: WorkloadRequest | None = None


class _ScaleReview(Object):
    api_version: str = ""
    kind: str = ""
    request: ScaleRequest | None = None


class _Envelope(Object):
    api_version: Any = ""
    kind: Any = ""
    request: OtherRequest | None = None


_POD = msgspec.json.Decoder(_PodReview)
_WORKLOAD = msgspec.json.Decoder(_WorkloadReview)
_SCALE = msgspec.json.Decoder(_ScaleReview)
_ENVELOPE = msgspec.json.Decoder(_Envelope)


def decode(body: bytes) -> Request:
    """Decode a request body.

    Raises:
        BadReview: not JSON, not an AdmissionReview of v1, without a request or uid, or with an object whose fields
            have types that no API server would send.
    """
    try:
        review = _POD.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        return _decode_carefully(body, error)
    request = review.request
    if review.api_version == API_VERSION and review.kind == "AdmissionReview" and request is not None and request.uid:
        if request.kind.kind == "Pod" and not request.kind.group:
            return request
        return _decode_other(body, request)
    return _decode_carefully(body, None)


def _decode_carefully(body: bytes, error: Exception | None) -> Request:
    """Find out what is wrong, or that the object is of a kind whose content does not matter."""
    try:
        envelope = _ENVELOPE.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as envelope_error:
        raise BadReview(_describe(envelope_error)) from None
    if envelope.kind != "AdmissionReview":
        raise BadReview("not an AdmissionReview: kind must be AdmissionReview")
    if envelope.api_version != API_VERSION:
        raise BadReview(f"apiVersion must be {API_VERSION}; list it in the webhook's admissionReviewVersions")
    if envelope.request is None:
        raise BadReview("the AdmissionReview has no request")
    if not envelope.request.uid:
        raise BadReview("request.uid is missing")
    if envelope.request.kind.kind == "Pod" and not envelope.request.kind.group and error is not None:
        raise BadReview(_describe(error))
    return _decode_other(body, envelope.request)


def _decode_other(body: bytes, request: _RequestFields) -> Request:
    decoder: msgspec.json.Decoder[_WorkloadReview] | msgspec.json.Decoder[_ScaleReview]
    kind = request.kind.kind
    if kind == "Scale" and request.sub_resource == "scale" and request.kind.group == "autoscaling":
        decoder = _SCALE
    elif kind in WORKLOAD_KINDS and request.kind.group in ("apps", "batch", ""):
        decoder = _WORKLOAD
    else:
        return OtherRequest(
            uid=request.uid,
            kind=request.kind,
            resource=request.resource,
            sub_resource=request.sub_resource,
            name=request.name,
            namespace=request.namespace,
            operation=request.operation,
            user_info=request.user_info,
            dry_run=request.dry_run,
        )
    try:
        decoded = decoder.decode(body).request
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadReview(_describe(error)) from None
    if decoded is None:
        raise BadReview("the AdmissionReview has no request")
    return decoded


def _describe(error: Exception) -> str:
    """Return one line that says what is wrong and where, never the value itself."""
    if isinstance(error, RecursionError):
        return f"the body is {MAXIMUM_DEPTH_TEXT}"
    if isinstance(error, msgspec.ValidationError):
        text = str(error).replace("\n", " ")
        return f"the AdmissionReview has a field of the wrong type: {text[:300]}"
    if isinstance(error, UnicodeDecodeError):
        return "the body is not UTF-8"
    return f"the body is not JSON: {str(error)[:200]}"
