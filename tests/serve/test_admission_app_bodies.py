"""Large bodies: what is read, what is thrown away, and that each is answered."""

import asyncio
import json
from typing import Any

import pytest

from tests import factories
from webhook.admission import unread
from webhook.admission.engine import LARGE
from webhook.admission.request_fields import OtherRequest
from webhook.serve import admission_app, bodies, bytes_in_flight, ops, wire

MIB = 1 << 20


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow this machine is, it is not the body that is late."""
    monkeypatch.setattr(bodies, "BODY_SECONDS", 600.0)


def review(size: int = 0, **request: Any) -> bytes:  # noqa: ANN401
    """Return a review of `size` bytes."""
    body = json.dumps(factories.review(factories.pod(factories.container(command=["@"])), **request)).encode()
    return body.replace(b'"@"', b'"' + b"x" * max(1, size - len(body) + 1) + b'"')


class Caller:
    """An application, who judged, and what was answered by the head alone."""

    def __init__(self, most: int = bytes_in_flight.MOST_BYTES) -> None:
        self.judged: list[int] = []
        self.by_head: list[tuple[str, OtherRequest, unread.UnreadReview]] = []
        self.judging = asyncio.Event()
        self.judging.set()
        self.app = admission_app.AdmissionApp(
            self.judge,
            ops.bare_application(""),
            shed=lambda _path, _body, _timeout: admission_app.Answer(200, b'"shed"'),
            by_head=self.answer,
            flight=bytes_in_flight.Flight(most),
        )

    async def later(self, body: bytes) -> admission_app.Answer:
        await self.judging.wait()
        self.judged.append(len(body))
        return admission_app.Answer(200, b'"judged"')

    def judge(self, _path: str, body: bytes, _timeout: float | None) -> Any:  # noqa: ANN401
        return self.later(body)

    def answer(self, path: str, request: OtherRequest, why: unread.UnreadReview) -> admission_app.Answer:
        self.by_head.append((path, request, why))
        return admission_app.Answer(200, b'"by head"')

    async def call(
        self, pieces: list[bytes], *, declared: bool = True, stalls: bool = False, query: bytes = b""
    ) -> Any:  # noqa: ANN401
        waiting, sent = list(pieces), []

        async def receive() -> Any:  # noqa: ANN401
            if not waiting:
                await asyncio.Event().wait()
            piece = waiting.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(waiting) or stalls}

        async def send(message: Any) -> None:  # noqa: ANN401
            sent.append(message)

        headers = [(b"content-type", b"application/json")]
        if declared:
            headers.append((b"content-length", b"%d" % (sum(map(len, pieces)) + stalls)))
        scope = {"type": "http", "method": "POST", "path": "/validate", "query_string": query, "headers": headers}
        await self.app(scope, receive, send)
        body = b"".join(message.get("body", b"") for message in sent[1:])
        close = (b"connection", b"close") in sent[0]["headers"]
        return sent[0]["status"], json.loads(body), close


def in_pieces(body: bytes, size: int = 256 << 10) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
@pytest.mark.parametrize("size", [8 * MIB, 9 * MIB, 20 * MIB, 32 * MIB])
async def test_up_to_the_limit_a_body_is_judged(size: int, declared: bool) -> None:
    caller = Caller()

    assert await caller.call(in_pieces(review(size)), declared=declared) == (200, "judged", False)

    assert caller.judged == [size]
    assert (caller.app.flight.bodies, caller.app.flight.small) == (0, 0)


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
@pytest.mark.parametrize("size", [32 * MIB + 1, 33 * MIB])
async def test_beyond_it_a_review_is_answered_by_its_head_when_all_of_it_has_passed(size: int, declared: bool) -> None:
    caller = Caller()

    assert await caller.call(in_pieces(review(size, dryRun=True)), declared=declared) == (200, "by head", False)

    ((path, request, why),) = caller.by_head
    assert (path, request.uid, request.namespace, request.operation) == (
        "/validate",
        "review-1",
        "team-alpha",
        "CREATE",
    )
    assert (request.kind.kind, request.dry_run) == ("Pod", True)
    assert why.reason == "too_large"
    assert caller.judged == []
    assert caller.app.flight.bodies == 0


async def test_a_head_at_the_end_of_a_body_that_is_too_large_is_found() -> None:
    caller = Caller()
    body = review(33 * MIB)
    turned = json.loads(body)
    turned["request"] = dict(reversed(turned["request"].items()))

    assert await caller.call(in_pieces(json.dumps(turned).encode())) == (200, "by head", False)


async def test_what_is_too_large_and_no_review_is_a_400() -> None:
    caller = Caller()

    status, body, close = await caller.call(in_pieces(b"x" * (32 * MIB + 1)))

    assert (status, close) == (400, True)
    assert "larger than 32 MiB" in body["error"]
    assert caller.app.unjudged.counts == {("/validate", "too_large"): 1}


async def test_a_review_that_stops_in_the_middle_is_answered_by_its_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.02)
    monkeypatch.setattr(wire, "_LINGER_SECONDS", 0.02)
    caller = Caller()

    assert await caller.call([review(5_000)[:-10]], stalls=True) == (200, "by head", True)

    assert caller.by_head[0][2].reason == "too_slow"
    assert caller.app.flight.small == 0


async def test_large_bodies_wait_for_room_and_small_ones_do_not() -> None:
    caller = Caller(most=2 * MIB)
    caller.judging.clear()
    large = [asyncio.create_task(caller.call(in_pieces(review(MIB)), query=b"timeout=30s")) for _ in range(4)]
    await asyncio.sleep(0.05)
    assert caller.app.flight.bodies == 2 * MIB

    small = asyncio.create_task(caller.call(in_pieces(review(200_000), 90_000)))
    await asyncio.sleep(0.05)
    caller.judging.set()

    assert await asyncio.gather(small, *large) == [(200, "judged", False)] * 5
    assert caller.judged.count(MIB) == 4
    assert caller.app.flight.bodies == 0


async def test_a_large_body_without_room_is_answered_by_its_head_before_its_time_is_up() -> None:
    caller = Caller(most=MIB)
    caller.judging.clear()
    first = asyncio.create_task(caller.call(in_pieces(review(MIB))))
    await asyncio.sleep(0.05)

    async with asyncio.timeout(5):
        assert await caller.call(in_pieces(review(MIB)), query=b"timeout=100ms") == (200, "by head", True)

    assert caller.by_head[0][2] is unread.OVERLOADED
    caller.judging.set()
    assert (await first)[1] == "judged"


async def test_a_large_body_without_room_that_is_no_review_is_a_503() -> None:
    caller = Caller(most=MIB)
    caller.judging.clear()
    first = asyncio.create_task(caller.call(in_pieces(review(MIB))))
    await asyncio.sleep(0.05)

    status, body, close = await caller.call(in_pieces(b"x" * MIB), query=b"timeout=100ms")

    assert (status, close) == (503, True)
    assert list(body) == ["error"]
    caller.judging.set()
    await first


async def test_a_client_that_leaves_gives_its_room_back() -> None:
    caller = Caller(most=MIB)
    sent: list[Any] = []

    async def receive() -> Any:  # noqa: ANN401
        if not caller.app.flight.bodies:
            return {"type": "http.request", "body": b"{" * 300_000, "more_body": True}
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:  # noqa: ANN401
        sent.append(message)

    headers = [(b"content-type", b"application/json"), (b"content-length", b"900000")]
    scope = {"type": "http", "method": "POST", "path": "/mutate", "query_string": b"", "headers": headers}
    await caller.app(scope, receive, send)

    assert sent == []
    assert caller.app.flight.bodies == 0


async def test_large_reviews_take_turns_by_namespace_while_small_ones_pass() -> None:
    order: list[str] = []

    def judge(_path: str, body: bytes, _timeout: float | None) -> admission_app.Answer:
        order.append(json.loads(body)["request"]["namespace"])
        return admission_app.Answer(200, b"{}")

    caller = Caller()
    caller.app._handler = judge
    calls = [caller.call([review(LARGE + 1, namespace="crowd")]) for _ in range(6)]
    calls += [caller.call([review(LARGE + 1, namespace=f"other-{number}")]) for number in range(2)]
    calls += [caller.call([review(namespace="small")]) for _ in range(5)]

    assert {status for status, _, _ in await asyncio.gather(*calls)} == {200}
    assert set(order[:6]) == {"crowd", "small"}, "a small one waits for the one large review that is under way"
    assert set(order[6:9]) == {"crowd", "other-0", "other-1"}


async def test_a_large_review_that_waits_too_long_is_answered_in_time_by_its_head() -> None:
    caller = Caller()
    assert await caller.app._large.enter("busy", "busy", 1)

    async with asyncio.timeout(5):
        answer = await caller.call([review(LARGE + 1, namespace="late")], query=b"timeout=100ms")

    assert answer == (200, "by head", False)
    ((_, request, why),) = caller.by_head
    assert (request.namespace, why) == ("late", unread.WAITED)
    assert caller.app.overloaded == {"/validate": 1}


async def test_what_is_large_and_no_review_is_shed_by_the_handler_for_that() -> None:
    caller = Caller()
    assert await caller.app._large.enter("busy", "busy", 1)

    assert await caller.call([b"x" * (LARGE + 1)], query=b"timeout=100ms") == (200, "shed", False)
