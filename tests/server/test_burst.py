"""More reviews at once than can be judged in time: every caller gets a definite answer before it gives up."""

import asyncio
import datetime as dt
import re
import ssl
import time
from collections.abc import Iterator

import pytest

import certs
from tests.server import _processes

TIMEOUT = 10.0
"""Seconds after which the callers of these tests give up."""

WORK = 0.1
"""Seconds to judge one review."""

BURST = 150
"""Calls at once; judged one after the other, the last would be answered after fifteen seconds. They are told after two
and a half that nobody judged them, which leaves a busy machine much time for handshakes."""

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
        self.seconds = float("inf")
        self.answer = b""

    async def connect(self) -> None:
        self._streams = await asyncio.open_connection("localhost", self._port, ssl=self._trust)

    async def call(self) -> None:
        """Ask once; connecting counts where it was not done before, as it does for an API server."""
        begin = time.monotonic()
        if self._streams is None:
            await self.connect()
        assert self._streams is not None
        reader, writer = self._streams
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        self.answer = await reader.readexactly(len(b'{"judged":true}') + (b"length: 16" in head.lower()))
        self.seconds = time.monotonic() - begin

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
async def test_every_caller_of_a_burst_is_answered_in_its_time(server: _processes.Replica, connected: bool) -> None:
    before = overloads(server)

    calls = await burst(server, BURST, connected=connected)
    counted = overloads(server) - before
    afterwards = (await burst(server, 1, connected=True))[0]

    assert max(call.seconds for call in calls) < TIMEOUT
    judged = sum(call.answer == b'{"judged":true}' for call in calls)
    assert 5 < judged < BURST, "what can be judged in time is judged"
    assert counted == BURST - judged
    assert afterwards.answer == b'{"judged":true}', "the burst is over"


async def test_a_load_that_can_be_judged_is_judged(server: _processes.Replica) -> None:
    calls = await burst(server, 5, connected=True)

    assert {call.answer for call in calls} == {b'{"judged":true}'}
