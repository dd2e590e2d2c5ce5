"""The cluster that manifests are judged in: a directory, and beside it what the input itself brings.

A chart often brings its own Namespace, VPA or LimitRange, and they count as if they were applied with the rest. What
cannot be read, of the input or of the directory, is one error with its place, and costs no other object its verdict.
"""

from collections.abc import Iterable
from typing import Any, Final

from webhook.cluster.snapshot import Snapshot, SnapshotError
from webhook.kube.manifests import Manifest, ManifestError
from webhook.kube.objects import WORKLOAD_KINDS

_CLUSTER_SCOPED = frozenset({"DeviceClass", "Namespace", "Node", "ResourceSlice", "RuntimeClass"})
_NOT_RUNNING = frozenset({"Pod", "AdmissionReview"})
"""Kinds that are judged, not known: a pod of the input does not run yet, so no budget counts it."""

WITHOUT_IT: Final = "verdicts are made without it: "
"""Before what is wrong with a part of the cluster."""

_Identity = tuple[object, object, object]


def view_of(
    found: Iterable[Manifest | ManifestError], cluster: Iterable[Manifest | ManifestError], namespace: str
) -> tuple[Snapshot, list[ManifestError]]:
    """Put the input and a cluster of files together; where both have an object, the input's counts.

    Args:
        found: the input.
        cluster: what was read of the cluster's files.
        namespace: of objects of the input that name none.

    Returns:
        The view, and what is wrong with objects that are known only and not judged themselves.
    """
    brought, errors = brought_by(found, namespace)
    others = [item for item in cluster if isinstance(item, ManifestError) or _identity(item.document) not in brought]
    view, broken = Snapshot.of_readable([*brought.values(), *others])
    return view, [*errors, *(ManifestError(each.origin, f"{WITHOUT_IT}{each.what}") for each in broken)]


def brought_by(
    found: Iterable[Manifest | ManifestError], namespace: str
) -> tuple[dict[_Identity, Manifest], list[ManifestError]]:
    """Return the objects of the input that others are judged by, and what is wrong with those that are known only.

    Args:
        found: the input.
        namespace: of objects that name none.
    """
    brought: dict[_Identity, Manifest] = {}
    errors: list[ManifestError] = []
    for item in found:
        if not isinstance(item, Manifest) or item.document["kind"] in _NOT_RUNNING:
            continue
        placed = item._replace(document=_placed(item.document, namespace))
        first = brought.get(_identity(placed.document))
        problem = _problem(placed, first)
        # Workloads are judged as well, and the judgement tells what is wrong with them.
        if problem and item.document["kind"] not in WORKLOAD_KINDS:
            errors.append(ManifestError(item.origin, problem))
        elif not problem and first is None:
            brought[_identity(placed.document)] = placed
    return brought, errors


def _placed(document: dict[str, Any], namespace: str) -> dict[str, Any]:
    """Return the object in the namespace that it would be applied to."""
    metadata = document.get("metadata")
    if document["kind"] in _CLUSTER_SCOPED or not isinstance(metadata, dict) or metadata.get("namespace"):
        return document
    return {**document, "metadata": {**metadata, "namespace": namespace}}


def _problem(item: Manifest, first: Manifest | None) -> str:
    try:
        Snapshot.from_documents([item.document] if first is None else [first.document, item.document])
    except SnapshotError as error:
        what = str(error).partition(": ")[2]
        return what.replace("document 1", first.origin) if first is not None else what
    return ""


def _identity(document: dict[str, Any]) -> _Identity:
    metadata = document.get("metadata")
    fields = metadata if isinstance(metadata, dict) else {}
    # Keys of a dictionary must be hashable, and a manifest may hold anything here.
    return document["kind"], repr(fields.get("namespace")), repr(fields.get("name"))
