"""HTTP around the admission paths: which calls are none of ours, and what is said to them."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, NamedTuple

import msgspec

from webhook.admission import unread
from webhook.kube.caches import remembered
from webhook.serve import bodies
from webhook.serve.bodies import Message, Receive

Scope = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_LINGER_BYTES: Final = 2 * bodies.MAXIMUM_BODY
_LINGER_SECONDS: Final = 2.0


class Problem(NamedTuple):
    """An answer that is no verdict."""

    status: int
    reason: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


def error_body(reason: str) -> bytes:
    """Return the JSON body of an answer that is no verdict."""
    return msgspec.json.encode({"error": reason})


CLOSE = (b"connection", b"close")
_NOT_POST = Problem(405, "only POST is answered here; send an AdmissionReview", ((b"allow", b"POST"),))
_NOT_JSON = Problem(415, "the content type must be application/json")
_ENCODED = Problem(415, "a content encoding is not supported; send plain JSON")
PROBLEMS: Final[Mapping[unread.UnjudgedReason, Problem]] = {
    "too_large": Problem(400, f"the body is larger than {bodies.MAXIMUM_BODY >> 20} MiB, and no AdmissionReview v1"),
    "too_slow": Problem(408, f"the body did not arrive within {bodies.BODY_SECONDS:.0f} seconds; send it again"),
    "overloaded": Problem(503, "too many large bodies are on their way; send it again"),
}
"""What is said to a body that is not kept and does not say that it is a review."""


def head_problem(scope: Scope) -> tuple[Problem | None, int, bool]:
    """Judge method and headers.

    Returns:
        What is wrong, None where nothing is; the declared length, 0 without one; and whether the client waits for leave
        to send the body.
    """
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
    # The HTTP parser has made sure that the length is of digits.
    return problem, int(length) if length else 0, expect.lower() == b"100-continue"


def _is_json(content_type: bytes) -> bool:
    return content_type.split(b";", 1)[0].strip().lower() == b"application/json"


async def discard(receive: Receive) -> None:
    """Throw away what still comes, for a moment."""
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


@remembered("http_timeouts", 64)
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


def one_line(error: BaseException) -> str:
    """Name an error and where it was raised, on one line."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
    return " ".join(f"{type(error).__name__}: {error}{where}".split())
