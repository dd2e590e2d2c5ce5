"""An API server that lists and deletes our reports, beside what `FakeRest` does; and lists what runs."""

import json
from typing import Any

import msgspec

from tests.fakes.objects import FakeRest
from webhook.kube import client as api
from webhook.reporting import policy_reports
from webhook.reporting.pager import KINDS


class FakeReports(FakeRest):
    """Reports by path; `installed` are the groups that there are."""

    def __init__(self, *installed: str) -> None:
        super().__init__()
        self.installed = set(installed)

    def request(
        self, method: str, path: str, *, body: bytes | None = None, content_type: str = "application/json"
    ) -> bytes:
        """Do what an API server does."""
        if path.startswith("/apis/") and path.split("/")[2] not in self.installed:
            self.calls.append((method, path))
            raise api.NotFoundError(f"{method} {path}: no such kind", 404)
        if method == "GET" and "?" in path:
            self.calls.append((method, path))
            group, plural = path.split("/")[2], path.partition("?")[0].rpartition("/")[2]
            items = [each for at, each in self.objects.items() if f"/{group}/" in at and at.split("/")[-2] == plural]
            return json.dumps({"metadata": {}, "items": items}).encode()
        if method == "DELETE":
            self.calls.append((method, path))
            if path not in self.objects:
                raise api.NotFoundError(f"{path}: not found", 404)
            wanted = json.loads(body or b"{}")["preconditions"]["resourceVersion"]
            if wanted != self.objects[path]["metadata"]["resourceVersion"]:
                raise api.ConflictError(f"{path}: changed", 409)
            del self.objects[path]
            return b"{}"
        return super().request(method, path, body=body, content_type=content_type)

    @property
    def reports(self) -> dict[str, dict[str, Any]]:
        """Stored reports, by group and namespace."""
        return {
            f"{each['apiVersion'].partition('/')[0]} {each['metadata']['namespace']}": each
            for each in self.objects.values()
            if each["metadata"]["name"] == policy_reports.NAME
        }


class FakeLister:
    """Lists objects in pages."""

    def __init__(self, *objects: dict[str, Any], page: int = 2) -> None:
        self.objects = list(objects)
        self.page = page
        self.reads: list[tuple[str, str]] = []
        self.failures: dict[str, list[api.ApiError]] = {}
        """Errors of the next reads, by path."""

    def get(self, path: str, query: dict[str, str] | None = None) -> bytes:
        """Return one page."""
        token = (query or {}).get("continue", "")
        self.reads.append((path, token))
        failures = self.failures.get(path)
        if failures:
            raise failures.pop(0)
        kind = next(kind.name for kind in KINDS if kind.path == path)
        items = [each for each in self.objects if each["kind"] == kind]
        begin = int(token or 0)
        shown = items[begin : begin + self.page]
        more = str(begin + self.page) if begin + self.page < len(items) else ""
        return msgspec.json.encode({"metadata": {"continue": more}, "items": shown})
