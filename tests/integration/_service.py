"""What a Service is to API servers, on loopback: one address, and behind it whichever replicas are ready.

A connection goes to one replica and stays with it, as through kube-proxy; readiness is asked for a few times a second,
so like the endpoints of a Service it is always a moment old. It also stands for a network that is slow, or that breaks.
"""

import asyncio
import contextlib
import itertools
import threading
import time
from collections import Counter
from typing import Protocol

PROBE_SECONDS = 0.3


class Replica(Protocol):
    """One process behind the address."""

    @property
    def port(self) -> int:
        """Where it serves on loopback."""

    def readiness(self) -> tuple[bool, str]:
        """Return whether it is ready."""


class Service:
    """The address; a context manager. Methods may be called from any thread."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connections: Counter[int] = Counter()
        """Connections by the port of the replica that got them."""
        self.delay = 0.0
        """Seconds by which everything that a replica says comes later."""
        self._routed: set[asyncio.Task[None]] = set()
        self._replicas: list[Replica] = []
        self._ready: list[Replica] = []
        self._turn = itertools.count()
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._serve), threading.Thread(target=self._probe)]

    def add(self, replica: Replica, seconds: float = 40.0) -> None:
        """Route to a replica from when it is ready, and return then."""
        self._replicas.append(replica)
        deadline = time.monotonic() + seconds
        while replica not in self._ready:
            assert time.monotonic() < deadline, replica.readiness()[1]
            time.sleep(0.05)

    def remove(self, replica: Replica) -> None:
        """Forget a replica that has ended."""
        self._replicas.remove(replica)

    def cut(self) -> None:
        """Break all connections."""
        self._loop.call_soon_threadsafe(self._cut)

    def _cut(self) -> None:
        for task in self._routed:
            task.cancel()

    def __enter__(self) -> "Service":
        self._server = self._loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", self.port))
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopped.set()
        self._loop.call_soon_threadsafe(self._loop.stop)
        for thread in self._threads:
            thread.join()
        self._loop.run_until_complete(self._end())
        self._loop.close()

    def _serve(self) -> None:
        self._loop.run_forever()

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        self._cut()
        await asyncio.gather(*self._routed, return_exceptions=True)

    def _probe(self) -> None:
        while not self._stopped.wait(PROBE_SECONDS):
            self._ready = [each for each in list(self._replicas) if each.readiness()[0]]

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._route(reader, writer))
        self._routed.add(task)
        task.add_done_callback(self._routed.discard)

    async def _route(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ready = self._ready
        with contextlib.closing(writer), contextlib.suppress(OSError):
            if not ready:
                return
            chosen = ready[next(self._turn) % len(ready)]
            self.connections[chosen.port] += 1
            back_reader, back_writer = await asyncio.open_connection("127.0.0.1", chosen.port)
            with contextlib.closing(back_writer):
                await asyncio.gather(self._copy(reader, back_writer), self._copy(back_reader, writer, is_answer=True))

    async def _copy(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, is_answer: bool = False
    ) -> None:
        while data := await source.read(65_536):
            if is_answer and self.delay:
                await asyncio.sleep(self.delay)
            target.write(data)
            await target.drain()
        if target.can_write_eof():
            target.write_eof()
