"""The admission paths as a plain ASGI application in front of FastAPI.

A review answered through a FastAPI route spends most of its CPU in routing and in request and response objects that an
admission review has no use for. The lane reads the body, hands it to the handler as bytes, and sends back the bytes it
gets. Every other path goes to the FastAPI application behind it.

What an API server makes of an answer explains the statuses. 200 is a verdict. Anything else is a failed call, and then
the failure policy of the webhook object decides: that is where the installer said what should happen when no verdict
can be had, so an unexpected error must end there too, and not as a verdict of our own invention. Such an error is a
503, one line, without detail; the detail goes to the log.
"""

import asyncio
import functools
import logging
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, NamedTuple

import msgspec

from webhook.admission.request import BadReview
from webhook.server import lag as lags
from webhook.server import turnstile

PATHS: Final = frozenset({"/mutate", "/validate", "/validate/security", "/validate/cost"})
"""The admission paths; all of them take POST only."""

MAXIMUM_BODY: Final = 8 * 1024 * 1024
"""Bytes. An object in etcd is at most 1.5 MiB, a request to the API server at most 3 MiB, and a review of an UPDATE
carries two objects; twice that, rounded up, is far above anything an API server sends."""

BODY_SECONDS: Final = 10.0
"""How long a body may take to arrive: the longest that an API server waits for the whole call by default."""

_LINGER_BYTES: Final = 8 * MAXIMUM_BODY
_LINGER_SECONDS: Final = 2.0

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Answer(NamedTuple):
    """What the handler returns."""

    status: int
    body: bytes
    """JSON."""
    after: Callable[[], None] | None = None
    """What is left to do once the answer is on its way: log line, metrics. It holds the event loop, so it is short."""


Handler = Callable[[str, bytes, float | None], Answer | Awaitable[Answer]]
"""Judges one review: path, body, and the seconds the caller said it will wait (None where it did not say)."""

Shed = Callable[[str, bytes], Answer]
"""Answers a review that waited too long, without judging it: path and body. Raises `BadReview` as a handler does."""

_TELL_SECONDS: Final = 10.0
"""Between two log lines about reviews that were not judged."""

_log = logging.getLogger("podgate.lane")


class Lane:
    """The ASGI application of the TLS port.

    Args:
        handler: judges one review. It raises `BadReview` for a body that is none, and nothing else.
        fallback: the application for all other paths.
        shed: answers what has waited longer than it may, see `webhook.server.lag`; None judges everything.
        lag: knows how far the event loop is behind.
    """

    def __init__(
        self, handler: Handler, fallback: Application, *, shed: Shed | None = None, lag: lags.LoopLag | None = None
    ) -> None:
        self.refused: Counter[int] = Counter()
        """Requests answered with another status than 200, by status."""
        self.faults: Counter[str] = Counter()
        """Unexpected errors, by where: ``handler`` or ``after``."""
        self.overloaded: Counter[str] = Counter()
        """Reviews that waited too long and were answered without being judged, by path."""
        self.lag = lag or lags.LoopLag()
        self._turnstile = turnstile.Turnstile()
        self._handler = handler
        self._shed = shed
        self._fallback = fallback
        self._told_at = float("-inf")
        self._untold = 0
        self._json = (b"content-type", b"application/json")
        self._draining = False

    def drain(self) -> None:
        """From now on, ask every client to open its next connection elsewhere (``Connection: close``)."""
        self._draining = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path")
        if path not in PATHS or scope["type"] != "http":
            await self._fallback(scope, receive, send)
            return
        problem, expects_continue = _head_problem(scope)
        if problem is not None:
            await self._refuse(problem, None if expects_continue else receive, send)
            return
        message = await receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            body = message["body"]
            if len(body) > MAXIMUM_BODY:
                await self._refuse(_TOO_LARGE, receive, send)
                return
        else:
            rest = await _read_rest(message, receive)
            if rest is None:
                return
            if not isinstance(rest, bytes):
                await self._refuse(rest, receive, send)
                return
            body = rest
        query = scope["query_string"]
        timeout = parse_timeout(query) if query else None
        waiting = self._turnstile.enter()
        if waiting is not None:
            await waiting
        if self._shed is not None and self._is_late(scope.get(lags.ARRIVED), timeout):
            answer = await self._ask(functools.partial(self._answer_late, self._shed), path, body, timeout)
        else:
            answer = await self._ask(self._handler, path, body, timeout)
        content = answer.body
        headers = [self._json, (b"content-length", b"%d" % len(content))]
        if self._draining:
            headers.append(_CLOSE)
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": content})
        if answer.status != 200:
            self.refused[answer.status] += 1
        if answer.after is not None:
            # The event loop writes to sockets when its current turn ends; one turn later the answer is on its way.
            asyncio.get_running_loop().call_soon(self._afterwards, answer.after)

    def _is_late(self, arrived: float | None, timeout: float | None) -> bool:
        if arrived is None:
            return False
        return time.monotonic() - self.lag.waiting_since(arrived) > lags.deadline(timeout)

    def _answer_late(self, shed: Shed, path: str, body: bytes, _timeout: float | None) -> Answer:
        self.overloaded[path] += 1
        self._untold += 1
        now = time.monotonic()
        if now - self._told_at >= _TELL_SECONDS:
            _log.warning(
                "overloaded: %d reviews waited too long and were answered by each guardrail's onFault; "
                "give podgate more CPU or more replicas",
                self._untold,
            )
            self._told_at, self._untold = now, 0
        return shed(path, body)

    async def _ask(self, handler: Handler, path: str, body: bytes, timeout: float | None) -> Answer:  # noqa: ASYNC109
        # The time-out is the caller's own, told to the handler; nothing is cancelled here.
        try:
            answer = handler(path, body, timeout)
            if not isinstance(answer, Answer):
                answer = await answer
        except BadReview as error:
            return Answer(error.status, error_body(error.reason))
        except Exception as error:  # noqa: BLE001  the last resort: see the module's text
            self.faults["handler"] += 1
            _log.error("unexpected error in the admission handler: %s", _one_line(error))
            return _UNAVAILABLE
        return answer

    def _afterwards(self, after: Callable[[], None]) -> None:
        try:
            after()
        except Exception as error:  # noqa: BLE001  the answer is out; a fault here must not reach the server
            self.faults["after"] += 1
            _log.error("unexpected error after an answer: %s", _one_line(error))

    async def _refuse(self, problem: "_Problem", receive: Receive | None, send: Send) -> None:
        """Answer before the body was read, and close the connection without cutting the answer off.

        Closing a socket that still receives resets the connection, and the client may never see the answer. So the
        answer goes out whole, then what still comes is thrown away for a moment, then the connection closes.
        """
        self.refused[problem.status] += 1
        content = error_body(problem.reason)
        headers = [self._json, (b"content-length", b"%d" % len(content)), _CLOSE, *problem.headers]
        await send({"type": "http.response.start", "status": problem.status, "headers": headers})
        await send({"type": "http.response.body", "body": content, "more_body": True})
        if receive is not None:
            await _discard(receive)
        await send({"type": "http.response.body", "body": b""})


class _Problem(NamedTuple):
    status: int
    reason: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


def error_body(reason: str) -> bytes:
    """Return the JSON body of an answer that is no verdict."""
    return msgspec.json.encode({"error": reason})


_CLOSE = (b"connection", b"close")
_UNAVAILABLE = Answer(503, error_body("no verdict: an unexpected error; see the log of podgate"))
_NOT_POST = _Problem(405, "only POST is answered here; send an AdmissionReview", ((b"allow", b"POST"),))
_NOT_JSON = _Problem(415, "the content type must be application/json")
_ENCODED = _Problem(415, "a content encoding is not supported; send plain JSON")
_TOO_LARGE = _Problem(413, f"the body is larger than {MAXIMUM_BODY // 1024 // 1024} MiB; no API server sends that")
_TOO_SLOW = _Problem(408, f"the body did not arrive within {BODY_SECONDS:.0f} seconds; send it again")


def _head_problem(scope: Scope) -> tuple[_Problem | None, bool]:
    """Judge method and headers; the second value tells whether the client waits for leave to send the body."""
    content_type = length = b""
    encoding = expect = b""
    for name, value in scope["headers"]:
        if name == b"content-type":
            content_type = value
        elif name == b"content-length":
            length = value
        elif name == b"content-encoding":
            encoding = value
        elif name == b"expect":
            expect = value
    problem = None
    if scope["method"] != "POST":
        problem = _NOT_POST
    elif content_type != b"application/json" and not _is_json(content_type):
        problem = _NOT_JSON
    elif encoding and encoding.strip().lower() != b"identity":
        problem = _ENCODED
    elif length and int(length) > MAXIMUM_BODY:
        # The HTTP parser has made sure that these are digits.
        problem = _TOO_LARGE
    return problem, expect.lower() == b"100-continue"


def _is_json(content_type: bytes) -> bool:
    return content_type.split(b";", 1)[0].strip().lower() == b"application/json"


async def _read_rest(message: Message, receive: Receive) -> bytes | _Problem | None:
    """Read a body that comes in several pieces; None where the client went away."""
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                if message["type"] != "http.request":
                    return None
                piece = message.get("body", b"")
                size += len(piece)
                if size > MAXIMUM_BODY:
                    return _TOO_LARGE
                pieces.append(piece)
                if not message.get("more_body"):
                    return b"".join(pieces)
                message = await receive()
    except TimeoutError:
        return _TOO_SLOW


async def _discard(receive: Receive) -> None:
    size = 0
    try:
        async with asyncio.timeout(_LINGER_SECONDS):
            while size < _LINGER_BYTES:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body"):
                    return
                size += len(message.get("body", b""))
    except TimeoutError:
        return


# --- ?timeout=10s ---------------------------------------------------------------------------------------------------

_UNIT_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(ns|us|µs|μs|ms|s|m|h)", re.ASCII)


@functools.lru_cache(maxsize=64)
def parse_timeout(query: bytes) -> float | None:
    """Return the seconds of ``timeout=`` in a query string, a Go duration such as ``10s`` or ``1m30s``.

    None where it is absent, unreadable, zero or negative: an API server always sends a sound one, and a verdict for a
    caller that does not is better than none.
    """
    for part in query.decode("latin-1").split("&"):
        key, _, value = part.partition("=")
        if key == "timeout":
            return _duration(value)
    return None


def _duration(text: str) -> float | None:
    position, seconds = 0, 0.0
    text = text.removeprefix("+")
    while position < len(text):
        part = _DURATION_PART.match(text, position)
        if part is None:
            return None
        seconds += float(part[1]) * _UNIT_SECONDS[part[2]]
        position = part.end()
    return seconds or None


def _one_line(error: BaseException) -> str:
    """Name an error and where it was raised, on one line."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
    return " ".join(f"{type(error).__name__}: {error}{where}".split())
