"""Bytes to a typed AdmissionReview.

One decoder pass reads only what guardrails look at. Pods are by far the most frequent object, so the body is first read
as a review of a pod; a review of anything else is recognised by its ``request.kind`` and read again with the
right type, or not at all where nothing is guarded.

A review that is nested more deeply than the decoder goes is cut first (`webhook.kube.shallow`): what lies that
deep is read by nobody. A body that is no AdmissionReview v1 ends as `BadReview` with one line; the API server treats
such an answer as a failed call and applies the webhook's failure policy. A body that is one, and has an object that
cannot be decoded, ends as `Unreadable`: what it is about is known, so it gets a verdict (`webhook.admission.unread`).
"""

from typing import Any, Final

import msgspec

from webhook.admission.head import Head
from webhook.admission.request_fields import (
    API_VERSION,
    GroupVersionKind,
    GroupVersionResource,
    OtherRequest,
    PodRequest,
    Request,
    RequestFields,
    Scale,
    ScaleRequest,
    ScaleSpec,
    UserInfo,
    WorkloadRequest,
)
from webhook.kube import shallow
from webhook.kube.objects import WORKLOAD_KINDS, Object

__all__ = [
    "API_VERSION",
    "BadReview",
    "GroupVersionKind",
    "GroupVersionResource",
    "OtherRequest",
    "PodRequest",
    "Request",
    "Scale",
    "ScaleRequest",
    "ScaleSpec",
    "Unreadable",
    "UserInfo",
    "WorkloadRequest",
    "decode",
]

MAXIMUM_DEPTH_TEXT: Final = "nested too deeply"


class BadReview(Exception):  # noqa: N818  it says whose fault it is
    """The body is not an AdmissionReview that can be judged. `reason` is one line, without the body's content."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class Unreadable(BadReview):
    """An AdmissionReview v1 whose object cannot be decoded. `request` says what it is about, without the object."""

    def __init__(self, reason: str, request: OtherRequest) -> None:
        super().__init__(reason)
        self.request = request


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
        BadReview: not JSON, not an AdmissionReview of v1, or without a request or uid.
        Unreadable: one, with an object whose fields have types that no API server would send.
    """
    try:
        return _decode(body)
    except RecursionError:
        pass
    try:
        return _decode(shallow.cut(body))
    except (RecursionError, shallow.TooManyBracketsError) as error:
        raise _unreadable(body, error) from None


def _decode(body: bytes) -> Request:
    try:
        review = _POD.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
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
    except (msgspec.DecodeError, UnicodeDecodeError) as envelope_error:
        raise _unreadable(body, envelope_error) from None
    if envelope.kind != "AdmissionReview":
        raise BadReview("not an AdmissionReview: kind must be AdmissionReview")
    if envelope.api_version != API_VERSION:
        raise BadReview(f"apiVersion must be {API_VERSION}; list it in the webhook's admissionReviewVersions")
    if envelope.request is None:
        raise BadReview("the AdmissionReview has no request")
    if not envelope.request.uid:
        raise BadReview("request.uid is missing")
    if envelope.request.kind.kind == "Pod" and not envelope.request.kind.group and error is not None:
        raise Unreadable(_describe(error), _without_object(envelope.request))
    return _decode_other(body, envelope.request)


def _decode_other(body: bytes, request: RequestFields) -> Request:
    decoder: msgspec.json.Decoder[_WorkloadReview] | msgspec.json.Decoder[_ScaleReview]
    kind = request.kind.kind
    if kind == "Scale" and request.sub_resource == "scale" and request.kind.group == "autoscaling":
        decoder = _SCALE
    elif kind in WORKLOAD_KINDS and request.kind.group in ("apps", "batch", ""):
        decoder = _WORKLOAD
    else:
        return _without_object(request)
    try:
        decoded = decoder.decode(body).request
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreadable(_describe(error), _without_object(request)) from None
    if decoded is None:
        raise BadReview("the AdmissionReview has no request")
    return decoded


def _without_object(request: RequestFields) -> OtherRequest:
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


def _unreadable(body: bytes, error: Exception) -> BadReview:
    """Return the verdict on a body that is no decodable review: `Unreadable` where it says what it is about."""
    head = Head(body)
    reason = _describe(error)
    return Unreadable(reason, head.request()) if head.is_review else BadReview(reason)


def _describe(error: Exception) -> str:
    """Return one line that says what is wrong and where, never the value itself."""
    if isinstance(error, RecursionError | shallow.TooManyBracketsError):
        return f"the body is {MAXIMUM_DEPTH_TEXT}"
    if isinstance(error, msgspec.ValidationError):
        text = str(error).replace("\n", " ")
        return f"the AdmissionReview has a field of the wrong type: {text[:300]}"
    if isinstance(error, UnicodeDecodeError):
        return "the body is not UTF-8"
    return f"the body is not JSON: {str(error)[:200]}"
