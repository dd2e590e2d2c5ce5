"""The small part of the Kubernetes API that writes: one object by its path, read, created, replaced or patched.

`Rest` is what these adapters need of a client, so they can be tested on a fake. Errors are those of
`webhook.kube.client`, one line each with the cure.

Every write carries the resource version that was read: `ConflictError` means that somebody was faster, and the caller
looks again. Nothing here is called on the path of a review.
"""

import datetime as dt
import json
from typing import Any, Protocol

from webhook.kube import client as api

JSON = "application/json"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"

Json = dict[str, Any]
"""A Kubernetes object as JSON."""


class Rest(Protocol):
    """One call to the API server. Blocking; may be called from any thread."""

    def request(self, method: str, path: str, *, body: bytes | None = None, content_type: str = JSON) -> bytes:
        """Call, and return the body of a successful answer.

        Raises:
            ApiError: by status.
        """
        ...

    def server_time(self) -> dt.datetime | None:
        """Return what the API server's clock says now; None where it is not known."""
        ...


def get(rest: Rest, path: str) -> Json:
    """Read an object.

    Raises:
        ApiError: the subclass says what is wrong.
    """
    return _decode(path, rest.request("GET", path))


def create(rest: Rest, path: str, content: Json) -> Json:
    """Create an object in the collection at `path`; raises `ConflictError` where one of that name exists."""
    return _decode(path, rest.request("POST", path, body=json.dumps(content).encode()))


def replace(rest: Rest, path: str, content: Json) -> Json:
    """Replace an object; its ``metadata.resourceVersion`` is the condition.

    An object that is gone is a conflict too: the caller has read something that is no longer so.
    """
    try:
        return _decode(path, rest.request("PUT", path, body=json.dumps(content).encode()))
    except api.NotFoundError as error:
        raise api.ConflictError(f"{error}; it was deleted meanwhile", 404) from None


def patch(rest: Rest, path: str, operations: list[dict[str, Any]]) -> Json:
    """Apply a JSON Patch; one that also writes ``/metadata/resourceVersion`` is conditional on it."""
    body = json.dumps(operations).encode()
    try:
        return _decode(path, rest.request("PATCH", path, body=body, content_type=JSON_PATCH))
    except api.NotFoundError as error:
        raise api.ConflictError(f"{error}; it was deleted meanwhile", 404) from None


def merge(rest: Rest, path: str, content: Json) -> Json:
    """Apply a merge patch; one that names ``metadata.resourceVersion`` is conditional on it."""
    return _decode(path, rest.request("PATCH", path, body=json.dumps(content).encode(), content_type=MERGE_PATCH))


def resource_version(content: Json) -> str:
    """Return the version to write under; empty where the server gave none."""
    metadata = content.get("metadata")
    return str(metadata.get("resourceVersion") or "") if isinstance(metadata, dict) else ""


def _decode(path: str, body: bytes) -> Json:
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise api.ApiError(f"{path}: the answer is no JSON object; check that the address is that of an API server")
    return content
