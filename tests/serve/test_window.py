"""What may lie unread on a connection: little, but while a large body arrives that there is room for."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import uvicorn

from tests import factories
from webhook.serve import admission_app, bodies, bytes_in_flight, http_protocol, ops, window

MIB = 1 << 20


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow this machine is, it is not the body that is late."""
    monkeypatch.setattr(bodies, "BODY_SECONDS", 600.0)


class Serving:
    """An application with connections to it, whose server's end can be looked at."""

    def __init__(self, port: int, made: list[http_protocol.BoundedProtocol]) -> None:
        self.writers: list[asyncio.StreamWriter] = []
        self._port = port
        self._made = made

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, Callable[[], int]]:
        """Return both directions, and what tells how much the server's kernel keeps, in bytes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        self.writers.append(writer)
        ours = writer.get_extra_info("sockname")
        await until(lambda: any(each.client == ours for each in self._made))
        theirs = next(each for each in self._made if each.client == ours)
        end: socket.socket = theirs.transport.get_extra_info("socket")
        return reader, writer, lambda: end.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


@contextlib.asynccontextmanager
async def serving(most: int = bytes_in_flight.MOST_BYTES) -> AsyncIterator[Serving]:
    served = admission_app.AdmissionApp(
        lambda _path, body, _timeout: admission_app.Answer(200, b'"judged %d"' % len(body)),
        ops.bare_application(""),
        flight=bytes_in_flight.Flight(most),
    )
    bounded = http_protocol.within(served.flight)
    config = uvicorn.Config(served, http=bounded, ws="none", lifespan="off", log_config=None)
    config.load()
    state = uvicorn.Server(config).server_state
    made: list[http_protocol.BoundedProtocol] = []

    def make() -> http_protocol.BoundedProtocol:
        made.append(bounded(config, state, {}))
        return made[-1]

    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    serves = Serving(server.sockets[0].getsockname()[1], made)
    try:
        yield serves
    finally:
        for writer in serves.writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        server.close()
        await until(lambda: not state.connections)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110  what is waited for is inside of uvicorn
            await asyncio.sleep(0.01)


def review(size: int) -> bytes:
    body = json.dumps(factories.review(factories.pod(factories.container(command=["@"])))).encode()
    return body.replace(b"@", b"x" * (size - len(body) + 1))


def head(length: int | None) -> bytes:
    size = b"Transfer-Encoding: chunked" if length is None else b"Content-Length: %d" % length
    return b"POST /validate?timeout=30s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + size + b"\r\n\r\n"


async def answered(reader: asyncio.StreamReader) -> bytes:
    begun = await reader.readuntil(b"\r\n\r\n")
    assert begun.startswith(b"HTTP/1.1 200 ")
    length = int(begun.lower().partition(b"content-length:")[2].split()[0])
    return await reader.readexactly(length)


NARROW = 2 * window.NARROW
"""Bytes; as Linux tells them."""


async def test_little_may_lie_unread_before_a_request_and_after_small_ones() -> None:
    async with serving() as server:
        reader, writer, kept = await server.connect()
        await until(lambda: kept() <= NARROW)

        for size in (5_000, 200_000):
            body = review(size)
            writer.write(head(len(body)) + body)
            assert await answered(reader) == b'"judged %d"' % size
            assert kept() <= NARROW


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
async def test_a_large_body_that_there_is_room_for_comes_through_an_open_window_until_it_is_whole(
    declared: bool,
) -> None:
    body = review(8 * MIB)
    async with serving(most=64 * MIB) as server:
        reader, writer, kept = await server.connect()
        for _ in range(2):
            parts = (body, b"") if declared else (b"%x\r\n%b\r\n" % (len(body), body), b"0\r\n\r\n")
            writer.write(head(len(body) if declared else None) + parts[0][: 4 * MIB])
            await until(lambda: kept() > NARROW)
            writer.write(parts[0][4 * MIB :] + parts[1])

            assert await answered(reader) == b'"judged %d"' % len(body)
            assert kept() <= NARROW, "whoever was let in once may leave little lying, as before"


async def test_a_large_body_that_waits_for_room_lies_unread_behind_a_narrow_window() -> None:
    body = review(8 * MIB)
    async with serving(most=12 * MIB) as server:
        reader, writer, kept = await server.connect()
        writer.write(head(len(body)) + body[:-1])
        await until(lambda: kept() > NARROW)

        waiting, more, theirs = await server.connect()
        more.write(head(len(body)) + body)
        await asyncio.sleep(0.2)
        assert theirs() <= NARROW

        writer.write(body[-1:])
        assert await answered(reader) == b'"judged %d"' % len(body)
        assert await answered(waiting) == b'"judged %d"' % len(body)


def test_a_connection_without_a_socket_of_its_own_is_left_alone() -> None:
    class Transport(asyncio.Transport):
        def get_extra_info(self, _name: str, default: Any = None) -> Any:  # noqa: ANN401
            return default

    of_none = window.Window(Transport())
    of_none.open()
    of_none.close()


def test_a_connection_that_is_gone_already_is_left_alone() -> None:
    gone = socket.socket()
    gone.close()

    class Transport(asyncio.Transport):
        def get_extra_info(self, _name: str, _default: Any = None) -> Any:  # noqa: ANN401
            return gone

    of_one = window.Window(Transport())
    of_one.open()
    of_one.close()
