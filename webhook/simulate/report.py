"""Puts what was judged together as the neutral `RunReport` that the output formats take."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from webhook.cluster.view import View
from webhook.kube.manifests import ManifestError
from webhook.kube.source_map import SourceMap, in_object
from webhook.simulate import compare
from webhook.simulate.formats.from_decision import of_decision
from webhook.simulate.formats.result import Comparison, ResultItem, RunReport, UnreadInput, split_origin
from webhook.simulate.reviewed_objects import ReviewedObject


def of_results(
    results: Iterable[ReviewedObject],
    errors: Iterable[ManifestError],
    view: View,
    *,
    tool: str,
    currency: str,
    version: str = "",
    when: datetime | None = None,
    comparison: Comparison | None = None,
) -> RunReport:
    """Return the report of one run over manifests.

    A pod counts in the total unless the workload that it belongs to was judged beside it.
    """
    judged = list(results)
    workloads = {(item.kind, item.namespace, item.name) for item in judged if item.decision is not None}
    return RunReport(
        tool,
        currency,
        tuple(_item(item, view, workloads) for item in judged),
        tuple(UnreadInput(error.origin, error.what) for error in errors),
        version,
        when,
        comparison,
    )


def with_lines(report: RunReport) -> RunReport:
    """Return the report with the line of every finding that names a field; files are looked at once more for it."""
    wanted: dict[str, set[int]] = {}
    for item in report.items:
        if item.file and item.line and any(told.paths for told in item.told):
            wanted.setdefault(item.file, set()).add(item.line)
    known = {file: _places(Path(file), lines) for file, lines in wanted.items()}
    return report._replace(items=tuple(_with_lines(item, known.get(item.file)) for item in report.items))


def _places(file: Path, lines: Iterable[int]) -> SourceMap | None:
    try:
        return SourceMap(file.read_text(), lines)
    except (OSError, ValueError):
        # Standard input, or a file that is gone: the line of the object stands.
        return None


def _with_lines(item: ResultItem, places: SourceMap | None) -> ResultItem:
    if places is None:
        return item
    told = (
        each._replace(at=places.line(item.line, in_object(item.kind, each.paths[0]))) if each.paths else each
        for each in item.told
    )
    return item._replace(told=tuple(told))


def _item(item: ReviewedObject, view: View, workloads: set[compare.Key]) -> ResultItem:
    if item.decision is None or item.subject is None or item.skipped:
        file, line = split_origin(item.origin)
        return ResultItem(
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
