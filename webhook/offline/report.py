"""Puts what was judged together as the neutral `Report` that the output formats take."""

from collections.abc import Iterable
from datetime import datetime

from webhook.cluster.view import View
from webhook.kube.manifests import ManifestError
from webhook.offline import compare
from webhook.offline.formats.from_decision import of_decision
from webhook.offline.formats.result import Comparison, Item, Report, Unread, split_origin
from webhook.offline.judged import Judged


def of_results(
    results: Iterable[Judged],
    errors: Iterable[ManifestError],
    view: View,
    *,
    tool: str,
    currency: str,
    version: str = "",
    when: datetime | None = None,
    comparison: Comparison | None = None,
) -> Report:
    """Return the report of one run over manifests.

    A pod counts in the total unless the workload that it belongs to was judged beside it.
    """
    judged = list(results)
    workloads = {(item.kind, item.namespace, item.name) for item in judged if item.decision is not None}
    return Report(
        tool,
        currency,
        tuple(_item(item, view, workloads) for item in judged),
        tuple(Unread(error.origin, error.what) for error in errors),
        version,
        when,
        comparison,
    )


def _item(item: Judged, view: View, workloads: set[compare.Key]) -> Item:
    if item.decision is None or item.subject is None or item.skipped:
        file, line = split_origin(item.origin)
        return Item(
            item.kind, item.namespace, item.name, "not judged", file=file, line=line, reason=item.skipped, counted=False
        )
    owner = compare.owner_of(item.subject, view)
    return of_decision(
        item.kind,
        item.namespace,
        item.name,
        item.decision,
        origin=item.origin,
        counted=owner is None or owner not in workloads,
    )
