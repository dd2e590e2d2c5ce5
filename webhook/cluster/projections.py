"""What is kept of an object that is watched: a few hundred bytes of it, straight from the bytes of the API server.

Workloads come by the ten thousand, so they are projected here with care: the template lies compressed until somebody
asks for it. Pods have a module of their own (`webhook.cluster.pod_records`), and kinds that come by the hundred are
read like any manifest (`webhook.cluster.typed_objects`).
"""

import sys
import zlib
from collections.abc import Callable
from typing import Any, Final

import msgspec

from webhook.cluster import disruption, leases, matching, typed_objects, view
from webhook.kube import objects
from webhook.kube.objects import LabelSelector, ObjectMeta, OwnerReference, Workload
from webhook.kube.selectors import LabelPredicate
from webhook.kube.watch_wire import Malformed, Meta

_OWN_PREFIX: Final = "podgate.dev/"
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
"""A second copy of the whole object, written by ``kubectl apply``."""

_ANY = msgspec.json.Decoder(dict[str, Any])
_WORKLOAD = msgspec.json.Decoder(Workload)
_TEMPLATE = msgspec.json.Decoder(objects.PodTemplate)
_JOB_TEMPLATE = msgspec.json.Decoder(objects.JobTemplate)


# --- kinds that come by the hundred -----------------------------------------------------------------------------------


def reader(api_version: str, kind: str) -> Callable[[msgspec.Raw, Meta], Any]:
    """Return a projection of objects of a kind to what the cluster view answers with.

    Items of a list do not say their own kind, so it is given here.
    """

    def read(raw: msgspec.Raw, _meta: Meta) -> Any:  # noqa: ANN401  the kind decides
        try:
            document = _ANY.decode(raw)
        except msgspec.DecodeError as error:
            raise Malformed(f"does not decode: {error}") from None
        document["apiVersion"], document["kind"] = api_version, kind
        metadata = document.get("metadata")
        if isinstance(metadata, dict):
            metadata.pop("managedFields", None)
            annotations = metadata.get("annotations")
            if isinstance(annotations, dict):
                annotations.pop(_LAST_APPLIED, None)
        try:
            item = typed_objects.read(document)
        except typed_objects.ReadError as error:
            raise Malformed(str(error)) from None
        assert item is not None  # noqa: S101  the kind is one of those that are read
        return item.value

    return read


class LimitRange(msgspec.Struct, frozen=True):
    """The items of one LimitRange."""

    namespace: str
    items: tuple[view.LimitRangeItem, ...]


_LIMIT_RANGE = reader("v1", "LimitRange")


def limit_range(raw: msgspec.Raw, meta: Meta) -> LimitRange:
    """Project a LimitRange."""
    return LimitRange(meta.namespace, _LIMIT_RANGE(raw, meta))


_DISRUPTION_BUDGET = reader("policy/v1", "PodDisruptionBudget")


def disruption_budget(raw: msgspec.Raw, meta: Meta) -> disruption.Selecting | None:
    """Project a PodDisruptionBudget; None for one that selects no pod."""
    return disruption.selecting(_DISRUPTION_BUDGET(raw, meta))


class NamedLease(msgspec.Struct, frozen=True):
    """A Lease and where it is."""

    namespace: str
    lease: leases.Lease


def lease(raw: msgspec.Raw, meta: Meta) -> NamedLease:
    """Project a Lease."""
    try:
        return NamedLease(meta.namespace, leases.decode(raw))
    except ValueError as error:
        raise Malformed(f"{error}; its holder should write it anew") from None


# --- workloads --------------------------------------------------------------------------------------------------------


class KnownWorkload:
    """A workload as it is kept: who it is and whom it selects; its template, if anybody may ask for it, compressed."""

    __slots__ = ("_predicate", "_template", "head", "selector")

    def __init__(self, head: Workload, selector: LabelSelector | None, template: bytes | None) -> None:
        self.head = head
        """Without template and selector; for looking up owners."""
        self.selector = selector
        self._template = template
        self._predicate: LabelPredicate | None = None

    def __eq__(self, other: object) -> bool:
        """Whether both say the same."""
        if not isinstance(other, KnownWorkload):
            return NotImplemented
        return (self.head, self.selector, self._template) == (other.head, other.selector, other._template)

    __hash__ = None  # type: ignore[assignment]  # what it holds may be changed

    def selects(self) -> LabelPredicate:
        """Return whether pods with given labels are this workload's; compiled when it is first asked for."""
        if self._predicate is None:
            self._predicate = matching.predicate_of(self.head.kind, self.selector)
        return self._predicate

    def whole(self) -> Workload:
        """Return the workload with its selector, and with its template unless a controller owns it."""
        spec = self.head.spec
        if spec is None:
            return self.head
        changes: dict[str, Any] = {}
        if self.selector is not None and self.head.kind != "CronJob":
            is_plain = self.head.kind == "ReplicationController"
            changes["selector"] = (
                dict(self.selector.match_labels or {}) if is_plain else msgspec.to_builtins(self.selector)
            )
        if self._template is not None:
            text = zlib.decompress(self._template)
            if self.head.kind == "CronJob":
                changes["job_template"] = _JOB_TEMPLATE.decode(text)
            else:
                changes["template"] = _TEMPLATE.decode(text)
        return msgspec.structs.replace(self.head, spec=msgspec.structs.replace(spec, **changes))


def workload(api_version: str, kind: str) -> Callable[[msgspec.Raw, Meta], KnownWorkload]:
    """Return a projection of workloads of a kind."""

    def project(raw: msgspec.Raw, _meta: Meta) -> KnownWorkload:
        try:
            full = _WORKLOAD.decode(raw)
        except msgspec.DecodeError as error:
            raise Malformed(f"does not decode: {error}") from None
        full.kind, full.api_version = kind, api_version
        try:
            matching.compile_predicate(full)
            selector = matching.selector_of(full)
        except ValueError as error:
            raise Malformed(str(error)) from None
        metadata = full.metadata or ObjectMeta()
        owner = objects.controller_of(metadata)
        head = Workload(api_version, kind, _head_metadata(metadata, owner), None)
        template: bytes | None = None
        if full.spec is not None:
            body = full.spec.job_template if kind == "CronJob" else full.spec.template
            # What a built-in controller owns is judged through its owner, so nobody asks for its template.
            if body is not None and not objects.is_made_by(kind, owner):
                template = zlib.compress(msgspec.json.encode(body), 1)
            head.spec = msgspec.structs.replace(full.spec, template=None, job_template=None, selector=None)
        return KnownWorkload(head, selector, template)

    return project


def _head_metadata(metadata: ObjectMeta, owner: OwnerReference | None) -> ObjectMeta:
    annotations = {key: text for key, text in (metadata.annotations or {}).items() if key.startswith(_OWN_PREFIX)}
    if owner is not None:
        owner.api_version, owner.kind = sys.intern(owner.api_version), sys.intern(owner.kind)
    return ObjectMeta(
        name=metadata.name,
        namespace=sys.intern(metadata.namespace or ""),
        uid=metadata.uid,
        annotations=annotations or None,
        owner_references=[owner] if owner is not None else None,
    )
