"""The pages over HTTP: a port of their own, plain, on loopback unless somebody asks for more.

Whoever reaches the port may read everything, so it takes care who does:

* it listens on loopback by default, where ``kubectl port-forward`` ends: who may forward to the pod may look;
* a request must call the host by an address, by ``localhost`` or by the name it was told to listen on, so that a page
  of somebody else's, whose own name was made to point here, gets nothing;
* there is nothing but GET and HEAD, no cookie, and nothing that a page loads comes from anywhere else.

Reviews come first. What is told is copied in the event loop and worked out in a thread, one page at a time. However
many people look, it is worked out at most once a second, and where that takes long, in a tenth of the time.
"""

import asyncio
import ipaddress
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec
from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webhook.dashboard import facts, pages, sources, summary, workloads
from webhook.reporting.journal import VERDICTS, DecisionOwner
from webhook.serve import admission_app, ops
from webhook.serve.admission_app import Application

FRESH_SECONDS: Final = 1.0
"""How long facts and rows are told again at least before they are taken anew."""
SHARE: Final = 10
"""What took long to work out is told again for so many times as long."""

T = TypeVar("T")

_LONGEST_TEXT: Final = 253
_HINT: Final = "try /, /workloads or /api/summary"
_HEADERS: Final = (
    (
        b"content-security-policy",
        b"default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_METHODS: Final = ("GET", "HEAD")
_ENCODER: Final = msgspec.json.Encoder(decimal_format="string")


class Fresh(NamedTuple, Generic[T]):
    """What was worked out, and until when it is told again."""

    value: T
    until: float


class CollectedPage(NamedTuple):
    """The facts, and the page of them."""

    facts: facts.Overview
    page: str


class Dashboard:
    """Answers requests for pages."""

    def __init__(self, source: sources.Sources, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Args:
        source: what is told.
        monotonic: seconds of a clock that only goes forward.
        """
        self._source = source
        self._monotonic = monotonic
        self._told: Fresh[CollectedPage] | None = None
        self._rows: Fresh[list[workloads.WorkloadRow]] | None = None
        self._turn = asyncio.Lock()

    async def overview(self) -> Response:
        """Return the first page."""
        async with self._turn:
            return _page((await self._take()).page)

    async def summary(self) -> Response:
        """Return the facts of the first page as JSON."""
        async with self._turn:
            told = await self._take()
            return await asyncio.to_thread(lambda: _json(summary.overview(told.facts)))

    async def workloads(self, given: Mapping[str, str]) -> Response:
        """Return a list of workloads."""
        query, now = _query(given), self._source.now()
        async with self._turn:
            rows = self._rows
            if rows is None or self._monotonic() >= rows.until:
                newest = self._source.journal.newest()
                rows = self._rows = await self._aside(lambda: workloads.rows(newest))
            found = rows.value
            return _page(await asyncio.to_thread(lambda: pages.workloads(workloads.find(found, query), now)))

    async def workload(self, given: Mapping[str, str], *, as_json: bool = False) -> Response:
        """Return everything that is kept of one workload."""
        owner = DecisionOwner(*(given.get(name, "") for name in DecisionOwner._fields))
        kept = self._source.journal.of(*owner)
        if as_json:
            if not kept:
                return Response(admission_app.error_body("nothing is kept of it"), 404, media_type="application/json")
            return await asyncio.to_thread(lambda: _json(summary.workload(owner, kept)))
        now = self._source.now()
        if not kept:
            text = "It was not decided about since the process started, or so long ago that it was forgotten."
            return _page(pages.problem("Nothing is known of it", text, now), 404)
        async with self._turn:
            return _page(await asyncio.to_thread(lambda: pages.workload(owner, workloads.decisions(kept), now)))

    async def _take(self) -> CollectedPage:
        told = self._told
        if told is None or self._monotonic() >= told.until:
            taken = sources.take(self._source)
            told = self._told = await self._aside(lambda: self._tell(taken))
        return told.value

    def _tell(self, taken: sources.Taken) -> CollectedPage:
        made = facts.tell(taken, self._source)
        return CollectedPage(made, pages.overview(made))

    async def _aside(self, work: Callable[[], T]) -> Fresh[T]:
        begin = self._monotonic()
        value = await asyncio.to_thread(work)
        end = self._monotonic()
        return Fresh(value, end + max(FRESH_SECONDS, (end - begin) * SHARE))


def application(source: sources.Sources, host: str) -> Application:
    """Return the application of the pages.

    Args:
        source: what is told.
        host: what it listens on.
    """
    dashboard = Dashboard(source)
    app = ops.bare_application(_HINT)

    @app.api_route("/", methods=list(_METHODS))
    async def overview() -> Response:
        return await dashboard.overview()

    @app.api_route("/workloads", methods=list(_METHODS))
    async def listed(request: Request) -> Response:
        return await dashboard.workloads(request.query_params)

    @app.api_route("/workload", methods=list(_METHODS))
    async def one(request: Request) -> Response:
        return await dashboard.workload(request.query_params)

    @app.api_route("/api/summary", methods=list(_METHODS))
    async def facts_as_json() -> Response:
        return await dashboard.summary()

    @app.api_route("/api/workload", methods=list(_METHODS))
    async def one_as_json(request: Request) -> Response:
        return await dashboard.workload(request.query_params, as_json=True)

    @app.api_route("/static/{name}", methods=list(_METHODS))
    async def static(name: str) -> Response:
        asset = pages.ASSETS.get(name)
        if asset is None:
            return Response(admission_app.error_body(f"no such path; {_HINT}"), 404, media_type="application/json")
        headers = {"cache-control": "max-age=31536000, immutable"}
        return Response(asset.content, media_type=asset.media_type, headers=headers)

    return _Guard(app, host)


class _Guard:
    """Turns away who calls us by a name that is not ours, and puts the headers on every answer."""

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._app = app
        self._host = host.lower()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), *_HEADERS]
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))
                message = {**message, "headers": headers}
            await send(message)

        called = [value for name, value in scope.get("headers", ()) if name == b"host"]
        if len(called) == 1 and self._is_ours(called[0].decode("latin-1")):
            await self._app(scope, receive, send_with_headers)
            return
        body = admission_app.error_body("not called by a name of this host; use localhost or its address")
        await Response(body, 421, media_type="application/json")(scope, receive, send_with_headers)

    def _is_ours(self, called: str) -> bool:
        name = _without_port(called).lower()
        if name in ("localhost", self._host):
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        # No name service made an address up. Beside loopback one can only arrive where more is listened on.
        return address.is_loopback or not _is_loopback(self._host)


def _without_port(called: str) -> str:
    if called.startswith("["):
        return called[1:].partition("]")[0]
    return called.partition(":")[0]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _query(given: Mapping[str, str]) -> workloads.Query:
    """Read a query; what makes no sense narrows nothing."""
    texts = {name: given.get(name, "")[:_LONGEST_TEXT] for name in ("policy", "guardrail", "namespace", "text")}
    verdict = given.get("verdict", "")
    page = given.get("page", "")
    return workloads.Query(
        **texts,
        verdict=verdict if verdict in VERDICTS else "",
        order="newest" if given.get("order") == "newest" else "worst",
        page=int(page) if page.isascii() and page.isdigit() and len(page) < 7 else 1,
    )


def _page(text: str, status: int = 200) -> Response:
    return HTMLResponse(text, status)


def _json(document: Any) -> Response:  # noqa: ANN401  whatever is told
    return Response(_ENCODER.encode(document), media_type="application/json")
