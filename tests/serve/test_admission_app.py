"""The admission application: what reaches the handler, and what is answered without it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhook.admission.request import BadReview
from webhook.serve import admission_app, bodies, ops, wire

JSON = (b"content-type", b"application/json")
MIB = 1024 * 1024


class Seen(NamedTuple):
    path: str
    body: bytes
    timeout: float | None


class Reply(NamedTuple):
    status: int
    headers: dict[bytes, bytes]
    body: bytes

    @property
    def error(self) -> str:
        return str(json.loads(self.body)["error"])


class Caller:
    """An application and what its handler saw."""

    def __init__(self, handler: admission_app.ReviewHandler | None = None) -> None:
        self.seen: list[Seen] = []
        self.left_unread = 0
        self.app = admission_app.AdmissionApp(handler or self.accept, ops.bare_application("POST to /mutate"))

    def accept(self, path: str, body: bytes, timeout: float | None) -> admission_app.Answer:
        self.seen.append(Seen(path, body, timeout))
        return admission_app.Answer(200, b'{"fine":true}')

    async def call(
        self,
        pieces: tuple[bytes, ...] = (b"{}",),
        *,
        path: str = "/mutate",
        query: bytes = b"",
        method: str = "POST",
        headers: tuple[tuple[bytes, bytes], ...] = (JSON,),
        leaves: bool = False,
    ) -> Reply | None:
        """Send one request; `leaves`: the client goes away after the last piece. None where nothing was answered."""
        waiting = [
            {"type": "http.request", "body": piece, "more_body": leaves or index < len(pieces) - 1}
            for index, piece in enumerate(pieces)
        ]
        sent: list[Any] = []

        async def receive() -> Any:  # noqa: ANN401
            return waiting.pop(0) if waiting else {"type": "http.disconnect"}

        async def send(message: Any) -> None:  # noqa: ANN401
            sent.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query,
            "headers": list(headers),
        }
        await self.app(scope, receive, send)
        await asyncio.sleep(0)
        self.left_unread = len(waiting)
        if not sent:
            return None
        start, *bodies = sent
        content = b"".join(message.get("body", b"") for message in bodies)
        assert not bodies[-1].get("more_body"), "an answer that never ends"
        return Reply(start["status"], dict(start["headers"]), content)


@pytest.mark.parametrize("path", sorted(admission_app.PATHS))
async def test_every_admission_path_reaches_the_handler(path: str) -> None:
    caller = Caller()

    reply = await caller.call((b'{"a":1}',), path=path, query=b"timeout=10s")

    assert caller.seen == [Seen(path, b'{"a":1}', 10.0)]
    assert reply == Reply(200, {b"content-type": b"application/json", b"content-length": b"13"}, b'{"fine":true}')


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param((b"",), id="empty"),
        pytest.param((b"ab", b"cd"), id="two pieces"),
        pytest.param((b"", b"ab", b"", b"cd", b""), id="with empty pieces"),
        pytest.param((b"x" * (32 * MIB),), id="as large as allowed"),
        pytest.param((b"x" * (16 * MIB), b"y" * (16 * MIB)), id="as large as allowed, in pieces"),
    ],
)
async def test_the_body_arrives_whole(pieces: tuple[bytes, ...]) -> None:
    caller = Caller()

    await caller.call(pieces)

    assert caller.seen[0].body == b"".join(pieces)


@pytest.mark.parametrize(
    "value",
    [b"application/json", b"Application/JSON", b"application/json; charset=utf-8", b" application/json ;x=y"],
)
async def test_json_is_taken_however_it_is_spelled(value: bytes) -> None:
    reply = await Caller().call(headers=((b"content-type", value),))

    assert reply is not None
    assert reply.status == 200


@pytest.mark.parametrize(
    ("headers", "method", "pieces", "status"),
    [
        pytest.param((), "POST", (b"{}",), 415, id="no content type"),
        pytest.param(((b"content-type", b"text/plain"),), "POST", (b"{}",), 415, id="text"),
        pytest.param(((b"content-type", b"application/jsonp"),), "POST", (b"{}",), 415, id="almost JSON"),
        pytest.param((JSON, (b"content-encoding", b"gzip")), "POST", (b"{}",), 415, id="compressed"),
        pytest.param((JSON,), "GET", (b"",), 405, id="GET"),
        pytest.param((JSON,), "PUT", (b"{}",), 405, id="PUT"),
    ],
)
async def test_a_request_that_is_no_review_is_refused_before_the_handler(
    headers: tuple[tuple[bytes, bytes], ...], method: str, pieces: tuple[bytes, ...], status: int
) -> None:
    caller = Caller()

    reply = await caller.call(pieces, headers=headers, method=method)

    assert reply is not None
    assert reply.status == status
    assert reply.headers[b"connection"] == b"close"
    assert "\n" not in reply.error
    assert caller.seen == []
    assert caller.app.refused == {status: 1}


async def test_a_refused_method_is_told_which_one_is_allowed() -> None:
    reply = await Caller().call(method="DELETE")

    assert reply is not None
    assert reply.headers[b"allow"] == b"POST"


async def test_what_a_refused_client_still_sends_is_thrown_away() -> None:
    caller = Caller()

    await caller.call((b"x" * MIB,) * 12, headers=((b"content-length", b"12582912"),))

    assert caller.left_unread == 0


async def test_a_client_that_waits_for_leave_to_send_is_not_given_it() -> None:
    caller = Caller()

    text = (b"content-type", b"text/plain")
    reply = await caller.call(headers=(text, (b"content-length", b"9000000"), (b"expect", b"100-continue")))

    assert reply is not None
    assert reply.status == 415
    assert caller.left_unread == 1, "reading would have asked for the body"


async def test_a_client_that_goes_away_is_answered_nothing() -> None:
    caller = Caller()

    assert await caller.call((b'{"half":',), leaves=True) is None
    assert caller.seen == []
    assert caller.app.refused == {}


async def test_a_body_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.02)
    monkeypatch.setattr(wire, "_LINGER_SECONDS", 0.02)
    caller = Caller()
    sent: list[Any] = []

    async def receive() -> Any:  # noqa: ANN401
        if not sent and not caller.left_unread:
            caller.left_unread = 1
            return {"type": "http.request", "body": b"{", "more_body": True}
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:  # noqa: ANN401
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/mutate", "query_string": b"", "headers": [JSON]}
    await caller.app(scope, receive, send)

    assert sent[0]["status"] == 408
    assert sent[-1] == {"type": "http.response.body", "body": b""}


def raising(error: Exception) -> admission_app.ReviewHandler:
    def handler(_path: str, _body: bytes, _timeout: float | None) -> admission_app.Answer:
        raise error

    return handler


async def test_a_body_that_is_no_review_is_a_400_with_its_reason() -> None:
    reply = await Caller(raising(BadReview("no AdmissionReview; send one"))).call()

    assert reply is not None
    assert (reply.status, reply.error) == (400, "no AdmissionReview; send one")
    assert b"connection" not in reply.headers


async def test_an_unexpected_error_is_a_503_that_tells_nothing_of_it(caplog: pytest.LogCaptureFixture) -> None:
    caller = Caller(raising(RuntimeError("secret\nsecond line")))

    reply = await caller.call()

    assert reply is not None
    assert reply.status == 503
    assert b"secret" not in reply.body
    assert caller.app.faults == {"handler": 1}
    assert [record.getMessage().count("\n") for record in caplog.records] == [0]
    assert "RuntimeError: secret second line" in caplog.text


async def test_a_handler_may_answer_later() -> None:
    async def later(path: str, _body: bytes, _timeout: float | None) -> admission_app.Answer:
        await asyncio.sleep(0)
        return admission_app.Answer(200, path.encode())

    reply = await Caller(later).call(path="/validate")

    assert reply is not None
    assert reply.body == b"/validate"


async def test_what_is_left_to_do_is_done_after_the_answer() -> None:
    order: list[str] = []
    answer = admission_app.Answer(200, b"{}", lambda: order.append("after"))
    subject = admission_app.AdmissionApp(lambda _path, _body, _timeout: answer, ops.bare_application(""))

    async def receive() -> Any:  # noqa: ANN401
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Any) -> None:  # noqa: ANN401
        order.append(message["type"])

    scope = {"type": "http", "method": "POST", "path": "/mutate", "query_string": b"", "headers": [JSON]}
    await subject(scope, receive, send)
    await asyncio.sleep(0)

    assert order == ["http.response.start", "http.response.body", "after"]


async def test_a_fault_after_the_answer_is_counted_and_goes_no_further(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> None:
        raise OSError("disk full")

    caller = Caller(lambda _path, _body, _timeout: admission_app.Answer(200, b"{}", broken))

    reply = await caller.call()

    assert reply is not None
    assert reply.status == 200
    assert caller.app.faults == {"after": 1}
    assert "disk full" in caplog.text


async def test_while_draining_every_answer_asks_for_a_new_connection() -> None:
    caller = Caller()
    caller.app.drain()

    reply = await caller.call()

    assert reply is not None
    assert reply.headers[b"connection"] == b"close"


@pytest.mark.parametrize("path", ["/", "/mutate/", "/validate/other", "/docs", "/openapi.json", "/metrics"])
async def test_other_paths_are_404_in_one_line(path: str) -> None:
    caller = Caller()

    reply = await caller.call(path=path)

    assert reply is not None
    assert (reply.status, reply.error) == (404, "no such path; POST to /mutate")
    assert caller.seen == []


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        (b"timeout=10s", 10.0),
        (b"timeout=1m30s", 90.0),
        (b"timeout=500ms", 0.5),
        (b"timeout=1.5s", 1.5),
        (b"timeout=.5s", 0.5),
        (b"timeout=1h2m3s", 3723.0),
        (b"a=b&timeout=2s&timeout=9s", 2.0),
        (b"timeout=%2B2s", None),
        (b"timeout=10", None),
        (b"timeout=0s", None),
        (b"timeout=-1s", None),
        (b"timeout=s", None),
        (b"timeout=10s!", None),
        (b"timeout=", None),
        (b"timeouts=10s", None),
        (b"\xff\xfe", None),
    ],
)
def test_the_callers_time_out_is_a_go_duration(query: bytes, seconds: float | None) -> None:
    assert admission_app.parse_timeout(query) == seconds


@given(st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_no_query_string_breaks_the_lane(query: bytes) -> None:
    seconds = admission_app.parse_timeout(b"timeout=" + query)

    assert seconds is None or seconds > 0


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=6))
@settings(max_examples=50, deadline=None)
def test_however_a_body_is_cut_the_handler_sees_the_same(pieces: list[bytes]) -> None:
    caller = Caller()

    asyncio.run(_only(caller.call)(tuple(pieces)))

    assert caller.seen[0].body == b"".join(pieces)


def _only(call: Callable[[tuple[bytes, ...]], Awaitable[Reply | None]]) -> Callable[[tuple[bytes, ...]], Any]:
    async def run(pieces: tuple[bytes, ...]) -> Reply | None:
        return await call(pieces)

    return run
