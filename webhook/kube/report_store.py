"""Our own reports in the cluster: which there are, and how the difference is written. Blocking; never on the path of a
review.

Only objects that carry our label and our name are read, replaced or deleted, each under the version that was seen.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import quote

from webhook.kube import client as api
from webhook.kube import rest as objects

PAGE: Final = 500


class StoredReport(NamedTuple):
    """A report as it is stored."""

    path: str
    version: str
    digest: str


class Wanted(NamedTuple):
    """A report as it should be."""

    collection: str
    name: str
    digest: str
    make: Callable[[], dict[str, Any]]

    @property
    def path(self) -> str:
        """Of the object."""
        return f"{self.collection}/{self.name}"


class Written(NamedTuple):
    """What a round of writing came to."""

    written: int
    deleted: int
    unchanged: int
    left: int
    """Differences beyond the budget of this round; the next one goes on with them."""
    conflicts: int


class Layout(Protocol):
    """Where reports of a kind are."""

    @property
    def path(self) -> str:
        """Of all namespaces."""

    def collection(self, namespace: str, /) -> str:
        """Return the path of the reports of a namespace."""


def stored(
    rest: objects.Rest, layout: Layout, name: str, labels: Mapping[str, str], digest: str, wait: Callable[[], object]
) -> dict[str, StoredReport]:
    """Return our reports by path.

    Args:
        rest: the API server.
        layout: where they are.
        name: of every one of them.
        labels: that all of ours carry.
        digest: annotation that says what a report says.
        wait: called before each page, to keep a pace.

    Raises:
        NotFoundError: the kind is not installed.
        ApiError: the subclass says what is wrong.
    """
    selector = quote(",".join(f"{key}={value}" for key, value in labels.items()))
    found: dict[str, StoredReport] = {}
    token = ""
    while True:
        wait()
        query = f"?labelSelector={selector}&limit={PAGE}" + (f"&continue={quote(token)}" if token else "")
        page = objects.get(rest, layout.path + query)
        for each in _metadata(page):
            if each.get("name") == name:
                path = f"{layout.collection(str(each.get('namespace') or ''))}/{name}"
                annotations = each.get("annotations")
                said = annotations.get(digest) if isinstance(annotations, dict) else None
                found[path] = StoredReport(path, str(each.get("resourceVersion") or ""), str(said or ""))
        metadata = page.get("metadata")
        token = str(metadata.get("continue") or "") if isinstance(metadata, dict) else ""
        if not token:
            return found


def write(
    rest: objects.Rest,
    wanted: Iterable[Wanted],
    known: Mapping[str, StoredReport],
    *,
    most: int,
    wait: Callable[[], object],
) -> Written:
    """Write what differs, at most so many objects, and delete our reports that nothing wants.

    Raises:
        ApiError: the API server refuses or does not answer; what was written stands.
    """
    written = deleted = unchanged = left = conflicts = 0
    paths: set[str] = set()
    for each in wanted:
        paths.add(each.path)
        before = known.get(each.path)
        if before is not None and before.digest == each.digest:
            unchanged += 1
            continue
        if written >= most:
            left += 1
            continue
        wait()
        try:
            _put(rest, each, before)
        except (api.ConflictError, api.NotFoundError):
            conflicts += 1  # Somebody else wrote, or the namespace is gone: the next round sees it.
            continue
        written += 1
    for path in sorted(set(known) - paths):
        if written + deleted >= most:
            left += 1
            continue
        wait()
        deleted += _delete(rest, known[path])
    return Written(written, deleted, unchanged, left, conflicts)


def _put(rest: objects.Rest, wanted: Wanted, before: StoredReport | None) -> None:
    document = wanted.make()
    if before is None:
        objects.create(rest, wanted.collection, document)
        return
    metadata = {**document["metadata"], "resourceVersion": before.version}
    objects.replace(rest, wanted.path, {**document, "metadata": metadata})


def _delete(rest: objects.Rest, known: StoredReport) -> int:
    body = json.dumps({"preconditions": {"resourceVersion": known.version}}).encode()
    try:
        rest.request("DELETE", known.path, body=body)
    except (api.NotFoundError, api.ConflictError):
        return 0
    return 1


def _metadata(page: objects.Json) -> Iterator[dict[str, Any]]:
    items = page.get("items")
    for each in items if isinstance(items, list) else ():
        metadata = each.get("metadata") if isinstance(each, dict) else None
        if isinstance(metadata, dict):
            yield metadata
