"""A few objects in memory behind the port that writes them: versions, conflicts, and faults on demand."""

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import jsonpatch

from webhook.kube import client as api


class FakeRest:
    """Objects by path. Collections are what is before the last slash."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.calls: list[tuple[str, str]] = []
        self.before: Callable[[str, str], None] | None = None
        """Called before each call with method and path; it may change things, or raise an `ApiError`."""
        self.time: dt.datetime | None = None
        self._version = 0

    def put(self, path: str, content: dict[str, Any]) -> None:
        """Store an object as somebody else would."""
        self._version += 1
        content = json.loads(json.dumps(content))
        content.setdefault("metadata", {})["resourceVersion"] = str(self._version)
        self.objects[path] = content

    def server_time(self) -> dt.datetime | None:
        """Return the time that was set."""
        return self.time

    def request(
        self, method: str, path: str, *, body: bytes | None = None, content_type: str = "application/json"
    ) -> bytes:
        """Do what an API server does."""
        self.calls.append((method, path))
        if self.before is not None:
            self.before(method, path)
        content: Any = json.loads(body) if body is not None else {}
        path = path.removesuffix("/status")
        if method == "POST":
            path = f"{path}/{content['metadata']['name']}"
            if path in self.objects:
                raise api.ConflictError(f"POST {path}: already exists", 409)
            self.put(path, content)
        elif path not in self.objects:
            raise api.NotFoundError(f"{method} {path}: not found", 404)
        elif method == "PUT":
            self._replace(path, content)
        elif method == "PATCH" and content_type == "application/merge-patch+json":
            stored = self.objects[path]
            version = content["metadata"].get("resourceVersion", stored["metadata"]["resourceVersion"])
            metadata = {**stored["metadata"], "resourceVersion": version}
            self._replace(path, {**_merged(stored, content), "metadata": metadata})
        elif method == "PATCH":
            assert content_type == "application/json-patch+json"
            patched: Any = jsonpatch.JsonPatch(content).apply(self.objects[path])
            self._replace(path, patched)
        return json.dumps(self.objects[path]).encode()

    def _replace(self, path: str, content: dict[str, Any]) -> None:
        if content["metadata"]["resourceVersion"] != self.objects[path]["metadata"]["resourceVersion"]:
            raise api.ConflictError(f"{path}: the object has been modified", 409)
        self.put(path, content)


def _merged(stored: Any, patch: Any) -> Any:  # noqa: ANN401  any JSON value
    """Apply a merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    made = dict(stored) if isinstance(stored, dict) else {}
    for key, value in patch.items():
        if value is None:
            made.pop(key, None)
        else:
            made[key] = _merged(made.get(key), value)
    return made
