"""A small API server for tests: list, watch, bookmarks, pages, and every way in which these go wrong.

It speaks HTTP on a port of its own, so that the real client is what is tested. Objects are plain data; versions count
up over all kinds, as in etcd; nothing is validated.
"""

import json
import re
import threading
from collections import Counter
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

Object = dict[str, Any]

PATHS = {
    "Namespace": "/api/v1/namespaces",
    "Node": "/api/v1/nodes",
    "Pod": "/api/v1/pods",
    "LimitRange": "/api/v1/limitranges",
    "ResourceQuota": "/api/v1/resourcequotas",
    "PersistentVolumeClaim": "/api/v1/persistentvolumeclaims",
    "ReplicationController": "/api/v1/replicationcontrollers",
    "Deployment": "/apis/apps/v1/deployments",
    "ReplicaSet": "/apis/apps/v1/replicasets",
    "StatefulSet": "/apis/apps/v1/statefulsets",
    "DaemonSet": "/apis/apps/v1/daemonsets",
    "Job": "/apis/batch/v1/jobs",
    "CronJob": "/apis/batch/v1/cronjobs",
    "PodDisruptionBudget": "/apis/policy/v1/poddisruptionbudgets",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/horizontalpodautoscalers",
    "ScaledObject": "/apis/keda.sh/v1alpha1/scaledobjects",
    "VerticalPodAutoscaler": "/apis/autoscaling.k8s.io/v1/verticalpodautoscalers",
    "DeviceClass": "/apis/resource.k8s.io/v1/deviceclasses",
    "ResourceClaim": "/apis/resource.k8s.io/v1/resourceclaims",
    "ResourceClaimTemplate": "/apis/resource.k8s.io/v1/resourceclaimtemplates",
    "ResourceSlice": "/apis/resource.k8s.io/v1/resourceslices",
    "RuntimeClass": "/apis/node.k8s.io/v1/runtimeclasses",
    "Lease": "/apis/coordination.k8s.io/v1/leases",
    "GuardrailPolicy": "/apis/podgate.dev/v1alpha1/guardrailpolicies",
    "Budget": "/apis/podgate.dev/v1alpha1/budgets",
    "PriceList": "/apis/podgate.dev/v1alpha1/pricelists",
    "PolicyException": "/apis/podgate.dev/v1alpha1/policyexceptions",
    "BudgetLedger": "/apis/podgate.dev/v1alpha1/budgetledgers",
}


class Call(NamedTuple):
    """One request that came in."""

    path: str
    query: dict[str, str]
    authorization: str = ""
    method: str = "GET"

    @property
    def is_watch(self) -> bool:
        return self.query.get("watch") == "1"


class Event(NamedTuple):
    version: int
    type: str
    object: Object


class FakeApiServer:
    """The server. Use it as a context manager; all methods may be called while it serves."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.absent: set[str] = set()
        """Paths of kinds that are not installed."""
        self.forbidden: set[str] = set()
        """Paths that RBAC does not allow."""
        self.failures: dict[str, list[tuple[int, dict[str, str]]]] = {}
        """Statuses and headers of the next answers, by path."""
        self.garbage: Counter[str] = Counter()
        """How many of the next watch lines of a path are cut off in the middle, followed by a disconnect."""
        self.watching: Counter[str] = Counter()
        """Open watches by path."""
        self.forgets_pages = False
        """Whether every continue token is too old."""
        self._objects: dict[str, dict[tuple[str, str], Object]] = {path: {} for path in PATHS.values()}
        self._events: dict[str, list[Event]] = {path: [] for path in PATHS.values()}
        self._oldest = 0
        self._version = 1
        self._epoch = 0
        self._bookmarks = 0
        self._changed = threading.Condition()
        self._http = _Http(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> "FakeApiServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.drop_watches()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    # --- what is in it ----------------------------------------------------------------------------------------------

    def apply(self, *objects: Object) -> None:
        """Create or replace objects."""
        with self._changed:
            for each in objects:
                path, key = PATHS[each["kind"]], _key(each)
                self._version += 1
                stored = {**each, "metadata": {**each["metadata"], "resourceVersion": str(self._version)}}
                kind = "MODIFIED" if key in self._objects[path] else "ADDED"
                self._objects[path][key] = stored
                self._events[path].append(Event(self._version, kind, stored))
            self._changed.notify_all()

    def delete(self, each: Object) -> None:
        """Delete an object."""
        with self._changed:
            path = PATHS[each["kind"]]
            self._version += 1
            stored = self._objects[path].pop(_key(each))
            gone = {**stored, "metadata": {**stored["metadata"], "resourceVersion": str(self._version)}}
            self._events[path].append(Event(self._version, "DELETED", gone))
            self._changed.notify_all()

    def compact(self) -> None:
        """Forget all changes so far: a watch from before is answered with 410."""
        with self._changed:
            self._version += 1
            self._oldest = self._version
            for events in self._events.values():
                events.clear()

    def bookmark(self) -> None:
        """Tell every watch the newest version."""
        with self._changed:
            self._version += 1
            self._bookmarks += 1
            self._changed.notify_all()

    def restore(self) -> None:
        """Be what a restored backup is: all objects, at lower versions; then tell every watch."""
        with self._changed:
            self._version = 1
            for events in self._events.values():
                events.clear()
        self.bookmark()

    def drop_watches(self) -> None:
        """Break the connection of every watch."""
        with self._changed:
            self._epoch += 1
            self._changed.notify_all()

    def fail(self, path: str, *statuses: int, **headers: str) -> None:
        """Answer the next requests of a path with these statuses."""
        made = {name.replace("_", "-"): value for name, value in headers.items()}
        self.failures.setdefault(path, []).extend((status, made) for status in statuses)

    def lists(self, path: str) -> list[Call]:
        """Return the list requests of a path so far."""
        return [call for call in self.calls if call.path == path and not call.is_watch]

    def patches(self) -> list[Call]:
        """Return the patches so far."""
        return [call for call in self.calls if call.method == "PATCH"]

    def stored(self, each: Object) -> Object:
        """Return an object as it is now."""
        return self._objects[PATHS[each["kind"]]][_key(each)]

    def watches(self, path: str) -> list[Call]:
        """Return the watch requests of a path so far."""
        return [call for call in self.calls if call.path == path and call.is_watch]

    def items(self, path: str) -> Sequence[Object | bytes]:
        """Return what a list holds; bytes are sent as they are, and what is no list is asked for page by page."""
        return list(self._objects[path].values())

    # --- answers ----------------------------------------------------------------------------------------------------

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one GET."""
        parts = urlsplit(handler.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        call = Call(parts.path, query, handler.headers.get("Authorization", ""))
        self.calls.append(call)
        queued = self.failures.get(call.path)
        if queued:
            status, headers = queued.pop(0)
            _send(handler, status, _status(status, "told to fail"), headers)
        elif call.path in self.absent or call.path not in self._objects:
            _send(handler, 404, _status(404, "the server could not find the requested resource"))
        elif call.path in self.forbidden:
            _send(handler, 403, _status(403, f"cannot list resource at {call.path}"))
        elif call.is_watch:
            self._watch(handler, call)
        else:
            self._list(handler, call)

    def patch(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one merge patch of a status."""
        content = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        place, _, name = handler.path.removesuffix("/status").rpartition("/")
        namespace = re.search(r"/namespaces/([^/]+)", place)
        path = place.replace(namespace[0], "") if namespace else place
        self.calls.append(Call(handler.path, {}, method="PATCH"))
        stored = self._objects[path].get((namespace[1] if namespace else "", name))
        if f"{path}/status" in self.forbidden:
            _send(handler, 403, _status(403, f"cannot patch resource at {path}/status"))
        elif stored is None:
            _send(handler, 404, _status(404, f"{name} not found"))
        elif content["metadata"]["resourceVersion"] != stored["metadata"]["resourceVersion"]:
            _send(handler, 409, _status(409, "the object has been modified"))
        else:
            self.apply({**stored, "status": content["status"]})
            _send(handler, 200, json.dumps({**stored, "status": content["status"]}).encode())

    def _list(self, handler: BaseHTTPRequestHandler, call: Call) -> None:
        with self._changed:
            version = str(self._version)
            found = self.items(call.path)
        if isinstance(found, list):
            found = [each for each in found if isinstance(each, bytes) or _selected(call, each)]
        start = 0
        token = call.query.get("continue")
        if token is not None:
            if self.forgets_pages:
                _send(handler, 410, _status(410, "the provided continue parameter is too old"))
                return
            version, _, offset = token.partition(":")
            start = int(offset)
        limit = int(call.query.get("limit") or len(found) or 1)
        page = found[start : start + limit]
        more = start + limit < len(found)
        metadata = {"resourceVersion": version, **({"continue": f"{version}:{start + limit}"} if more else {})}
        body = b",".join(each if isinstance(each, bytes) else json.dumps(_item(each)).encode() for each in page)
        _send(handler, 200, b'{"metadata":%s,"items":[%s]}' % (json.dumps(metadata).encode(), body))

    def _watch(self, handler: BaseHTTPRequestHandler, call: Call) -> None:
        version = int(call.query["resourceVersion"])
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        if version < self._oldest:
            _chunk(handler, {"type": "ERROR", "object": json.loads(_status(410, "too old resource version"))})
            handler.wfile.write(b"0\r\n\r\n")
            return
        with self._changed:
            # Who sees that the watch is open may rely on it to notice whatever comes then.
            seen = (self._epoch, self._bookmarks)
            known = {_key(each) for each in self._objects[call.path].values() if _selected(call, each)}
            self.watching[call.path] += 1
        try:
            self._follow(handler, call, version, seen, known)
        except OSError:
            pass
        finally:
            self.watching[call.path] -= 1
            handler.close_connection = True

    def _follow(
        self,
        handler: BaseHTTPRequestHandler,
        call: Call,
        version: int,
        seen: tuple[int, int],
        known: set[tuple[str, str]],
    ) -> None:
        epoch, bookmarks = seen
        while True:
            with self._changed:
                while self._is_quiet(call.path, version, (epoch, bookmarks)):
                    self._changed.wait()
                if self._epoch != epoch:
                    return
                pending = [event for event in self._events[call.path] if event.version > version]
                marked = self._bookmarks != bookmarks
                bookmarks, newest = self._bookmarks, self._version
            for event in pending:
                version = event.version
                self._tell(handler, call, event, known)
            if marked:
                version = newest
                _chunk(handler, {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(version)}}})

    def _is_quiet(self, path: str, version: int, seen: tuple[int, int]) -> bool:
        return seen == (self._epoch, self._bookmarks) and all(event.version <= version for event in self._events[path])

    def _tell(self, handler: BaseHTTPRequestHandler, call: Call, event: Event, known: set[tuple[str, str]]) -> None:
        key, kind = _key(event.object), event.type
        if not _selected(call, event.object):
            if key not in known:
                return
            kind = "DELETED"
        (known.discard if kind == "DELETED" else known.add)(key)
        if self.garbage[call.path] > 0:
            self.garbage[call.path] -= 1
            _chunk(handler, {"type": kind, "object": event.object}, cut=True)
            raise ConnectionError
        _chunk(handler, {"type": kind, "object": event.object})


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    """All watches connect at once; a connection beyond the queue waits a second for its next attempt."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing about clients that hang up: that is what watches do."""


def _handler(server: FakeApiServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            server.answer(self)

        def do_PATCH(self) -> None:
            server.patch(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the signature of the base class
            """Say nothing."""

    return Handler


def _key(each: Object) -> tuple[str, str]:
    return each["metadata"].get("namespace", ""), each["metadata"]["name"]


def _item(each: Object) -> Object:
    """Items of a list do not say their kind, but for custom resources."""
    if each.get("apiVersion", "").startswith("podgate.dev"):
        return each
    return {name: value for name, value in each.items() if name not in ("kind", "apiVersion")}


def _selected(call: Call, each: Object) -> bool:
    for term in filter(None, call.query.get("fieldSelector", "").split(",")):
        found = re.fullmatch(r"([a-z.]+)(!=|=)(.*)", term)
        assert found is not None, term
        value: Any = each
        for step in found[1].split("."):
            value = (value or {}).get(step)
        if ((value or "") == found[3]) is not (found[2] == "="):
            return False
    return True


def _send(handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def _chunk(handler: BaseHTTPRequestHandler, event: Object, *, cut: bool = False) -> None:
    line = json.dumps(event).encode() + b"\n"
    if cut:
        line = line[: len(line) // 2]
    handler.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
    handler.wfile.flush()


def _status(code: int, message: str) -> bytes:
    return json.dumps({"kind": "Status", "apiVersion": "v1", "code": code, "message": message}).encode()
