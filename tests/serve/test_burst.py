"""More reviews at once than can be judged in time: every caller gets a definite answer before it gives up.

When that is, is decided on a clock that only moves with the work, so it is the same on every machine. That each caller
of a burst is answered at all is tested on a process that serves.
"""

import asyncio
import datetime as dt
import re
import selectors
import ssl
import time
from collections.abc import Iterator
from typing import Any

import pytest

import certs
from tests.serve import _processes
from webhook.serve import admission_app, event_loop_lag, ops

TIMEOUT = 10.0
"""Seconds after which the callers of these tests give up."""

WORK = 0.1
"""Seconds to judge one review."""

BURST = 150
"""Calls at once; judged one after the other, the last would be answered after fifteen seconds. They are told after two
and a half that nobody judged them."""

REQUEST = (
    b"POST /validate?timeout=10s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 2\r\n\r\n{}"
)


class Call:
    """One caller, on a connection of its own."""

    def __init__(self, port: int, trust: ssl.SSLContext) -> None:
        self._port = port
        self._trust = trust
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.answer = b""

    async def connect(self) -> None:
        self._streams = await asyncio.open_connection("localhost", self._port, ssl=self._trust)

    async def call(self) -> None:
        """Ask once."""
        if self._streams is None:
            await self.connect()
        assert self._streams is not None
        reader, writer = self._streams
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        self.answer = await reader.readexactly(len(b'{"judged":true}') + (b"length: 16" in head.lower()))

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_processes.Replica]:
    paths = certs.ensure(tmp_path_factory.mktemp("certs"), certs.server_names(), dt.datetime.now(dt.UTC))
    with _processes.replica(paths, work=WORK) as started:
        yield started


def overloads(server: _processes.Replica) -> int:
    _, text = server.get("/metrics")
    found = re.search(r'^podgate_overload_total\{path="/validate"\} (\d+)', text, re.MULTILINE)
    assert found is not None
    return int(found[1])


async def burst(server: _processes.Replica, count: int, *, connected: bool) -> list[Call]:
    calls = [Call(server.port, server.trust) for _ in range(count)]
    if connected:
        for call in calls:
            await call.connect()
    await asyncio.gather(*(call.call() for call in calls))
    for call in calls:
        call.close()
    return calls


@pytest.mark.parametrize("connected", [True, False], ids=["on open connections", "on new connections"])
async def test_every_caller_of_a_burst_gets_one_answer_and_those_not_judged_are_counted(
    server: _processes.Replica, connected: bool
) -> None:
    before = overloads(server)

    calls = await burst(server, BURST, connected=connected)
    counted = overloads(server) - before

    judged = sum(call.answer == b'{"judged":true}' for call in calls)
    assert judged + sum(call.answer == b'{"judged":false}' for call in calls) == BURST
    assert counted == BURST - judged


# --- on a clock of its own --------------------------------------------------------------------------------------------


class Clock:
    """Moves with the work, and over the time in which nothing is to be done."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Selector(selectors.SelectSelector):
    """Never waits: what would be waited for has come."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._clock.now += max(timeout or 0.0, 0.0)
        return super().select(0)


class Caller:
    """Calls of one application, whose work takes its time on that clock."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.app = admission_app.AdmissionApp(
            self._judge,
            ops.bare_application(""),
            shed=lambda _path, _body, _timeout: admission_app.Answer(200, b"false"),
            lag=event_loop_lag.EventLoopLag(),
        )

    def _judge(self, _path: str, _body: bytes, _timeout: float | None) -> admission_app.Answer:
        self.clock.now += WORK
        return admission_app.Answer(200, b"true")

    async def call(self) -> tuple[bytes, float]:
        """Return the answer, and how many seconds it took."""
        sent: list[Any] = []

        async def receive() -> Any:  # noqa: ANN401
            return {"type": "http.request", "body": b"{}", "more_body": False}

        async def send(message: Any) -> None:  # noqa: ANN401
            sent.append(message)

        began = self.clock.now
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/validate",
            "query_string": b"timeout=10s",
            "headers": [(b"content-type", b"application/json")],
            event_loop_lag.ARRIVED: began,
        }
        await self.app(scope, receive, send)
        return sent[1]["body"], self.clock.now - began

    async def calls(self, count: int) -> list[tuple[bytes, float]]:
        """Make so many calls at once."""
        async with self.app.lag.watching():
            return list(await asyncio.gather(*(self.call() for _ in range(count))))


def at_once(monkeypatch: pytest.MonkeyPatch, *counts: int) -> list[list[tuple[bytes, float]]]:
    """Make bursts of so many calls, one after the other."""
    clock = Clock()
    caller = Caller(clock)

    async def all_of_them() -> list[list[tuple[bytes, float]]]:
        return [await caller.calls(count) for count in counts]

    monkeypatch.setattr(time, "monotonic", clock)
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(Selector(clock))) as runner:
        return runner.run(all_of_them())


def test_every_caller_of_a_burst_is_answered_in_its_time_and_the_next_is_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers, afterwards = at_once(monkeypatch, BURST, 1)
    assert max(seconds for _, seconds in answers) < TIMEOUT
    judged = sum(answer == b"true" for answer, _ in answers)
    # A quarter of the time-out is for waiting; a turn that has begun is ended.
    assert event_loop_lag.deadline(TIMEOUT) / WORK <= judged < BURST / 2, "what can be judged in time is judged"
    assert [answer for answer, _ in afterwards] == [b"true"], "the burst is over"


def test_a_load_that_can_be_judged_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    (answers,) = at_once(monkeypatch, 20)
    assert {answer for answer, _ in answers} == {b"true"}
