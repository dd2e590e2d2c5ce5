"""Answers that nobody takes: the connection is closed, and its memory is counted until then."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import uvicorn

from webhook.serve import http_protocol
from webhook.serve.bytes_in_flight import Flight

LARGE = 16 << 20
"""Bytes of an answer; more than the sockets of both sides take."""

ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def answer(_scope: Any, _receive: Any, send: Any) -> None:  # noqa: ANN401
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % LARGE)]})
    await send({"type": "http.response.body", "body": b"x" * LARGE})


@contextlib.asynccontextmanager
async def serving(flight: Flight) -> AsyncIterator[Callable[[], socket.socket]]:
    """Serve, and give what opens connections."""
    bounded = http_protocol.within(flight)
    config = uvicorn.Config(answer, http=bounded, ws="none", lifespan="off", log_config=None)
    config.load()
    state = uvicorn.Server(config).server_state
    server = await asyncio.get_running_loop().create_server(lambda: bounded(config, state, {}), "127.0.0.1", 0)
    opened: list[socket.socket] = []

    def connect() -> socket.socket:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.connect(server.sockets[0].getsockname())
        client.setblocking(False)
        client.send(ASK)
        opened.append(client)
        return client

    try:
        yield connect
    finally:
        for each in opened:
            each.close()
        server.close()
        await until(lambda: not state.connections)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110  what is waited for is inside of uvicorn
            await asyncio.sleep(0.01)


async def read_all(client: socket.socket) -> int:
    """Return how many bytes still come."""
    loop, size = asyncio.get_running_loop(), 0
    with contextlib.suppress(ConnectionError):
        while piece := await loop.sock_recv(client, 1 << 20):
            size += len(piece)
            if size > LARGE:
                break
    return size


async def test_a_client_that_takes_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "TAKE_SECONDS", 0.05)
    flight = Flight()
    async with serving(flight) as connect:
        client = connect()
        await until(lambda: flight.answers > 0)
        await until(lambda: flight.answers == 0)
        assert await read_all(client) < LARGE


async def test_a_client_that_is_slow_within_its_time_gets_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "TAKE_SECONDS", 600.0)
    flight = Flight()
    async with serving(flight) as connect:
        client = connect()
        await until(lambda: flight.answers > LARGE // 4)
        assert await read_all(client) > LARGE
        assert flight.answers == 0


async def test_clients_that_take_nothing_share_one_bound() -> None:
    flight = Flight(4 * LARGE)
    async with serving(flight) as connect:
        for _ in range(12):
            connect()
        await until(lambda: flight.cut_off >= 7)
        assert flight.answers <= 4 * LARGE


async def test_a_client_that_leaves_its_answer_behind_is_forgotten() -> None:
    flight = Flight()
    async with serving(flight) as connect:
        client = connect()
        await until(lambda: flight.answers > 0)
        client.close()
        await until(lambda: flight.answers == 0)
        assert flight.cut_off == 0
