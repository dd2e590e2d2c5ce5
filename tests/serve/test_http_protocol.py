"""Connections without a complete head: closed in time, and never kept growing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from webhook.serve import http_protocol


async def echo(_scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
    message = await receive()
    headers = [(b"content-length", b"%d" % len(message["body"]))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": message["body"]})


@contextlib.asynccontextmanager
async def connected(keep_alive: int = 60) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    config = uvicorn.Config(
        echo,
        http=http_protocol.BoundedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        timeout_keep_alive=keep_alive,
    )
    config.load()
    state = uvicorn.Server(config).server_state
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: http_protocol.BoundedProtocol(config, state, {}), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        yield reader, writer
    finally:
        writer.close()
        server.close()
        await asyncio.sleep(0)


async def ended(reader: asyncio.StreamReader) -> bytes:
    """Return what the server still sends until it closes; fails where it does not close within a second."""
    async with asyncio.timeout(1):
        return await reader.read()


async def test_a_connection_that_stays_silent_is_closed() -> None:
    async with connected(keep_alive=0) as (reader, _):
        assert await ended(reader) == b""


async def test_a_head_that_stops_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.05)
    async with connected() as (reader, writer):
        writer.write(b"POST /mutate HTTP/1.1\r\nHost:")
        assert await ended(reader) == b""


async def test_a_head_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.1)
    async with connected() as (reader, writer):
        writer.write(b"POST /mutate HTTP/1.1\r\n")
        closing = asyncio.create_task(ended(reader))
        for number in range(40):
            if closing.done():
                break
            with contextlib.suppress(ConnectionError):
                writer.write(b"x-%d: y\r\n" % number)
                await writer.drain()
            await asyncio.sleep(0.02)
        with contextlib.suppress(ConnectionError):
            assert await closing == b""
        assert number < 39


async def test_a_head_that_never_ends_is_refused() -> None:
    async with connected() as (reader, writer):
        writer.write(b"POST /mutate HTTP/1.1\r\nx: ")
        with contextlib.suppress(ConnectionError):
            for _ in range(200):
                writer.write(b"y" * 1024)
                await writer.drain()
                await asyncio.sleep(0)
            answer = await ended(reader)
            assert answer.startswith(b"HTTP/1.1 400") or answer == b""
        assert reader.at_eof() or reader.exception() is not None


async def test_a_head_in_pieces_is_answered_and_its_timer_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.1)
    async with connected() as (reader, writer):
        for _ in range(2):
            for piece in (b"POST /mutate HT", b"TP/1.1\r\nContent-Le", b"ngth: 2\r\n\r", b"\n{}"):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.005)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert await reader.readexactly(2) == b"{}"
            await asyncio.sleep(0.12)
