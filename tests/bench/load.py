"""The load generator: HTTP/1.1 over TLS with keep-alive, as an API server calls a webhook.

It writes requests that were put together beforehand and reads just enough of an answer to know its status and where it
ends, so that on one core it is faster than any server it measures.
"""

import asyncio
import gzip
import itertools
import json
import ssl
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class LoadError(Exception):
    """The load cannot be made: no reviews, or a server that does not speak HTTP. One line."""


@dataclass(slots=True)
class Outcome:
    """What one run of the generator saw."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    """Seconds, one per answer."""
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def failures(self) -> int:
        """Return the number of answers that were not 200, and of connections that broke (status 0)."""
        return sum(count for status, count in self.statuses.items() if status != 200)


def read_reviews(path: Path, limit: int, *, everything: bool) -> list[bytes]:
    """Return up to `limit` bodies, one JSON document a line; `everything` takes more than pods that are created.

    Raises:
        LoadError: the file cannot be read, or holds no such review.
    """
    bodies: list[bytes] = []
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                body = line.strip()
                if body and (everything or _is_created_pod(body, f"{path}:{number}")):
                    bodies.append(body)
                if len(bodies) == limit:
                    break
    except OSError as error:
        raise LoadError(f"{path}: {error.strerror or error}; give a .jsonl or .jsonl.gz file of reviews") from None
    if not bodies:
        raise LoadError(f"{path}: no review of a pod CREATE in it; give another file, or --everything")
    return bodies


def _is_created_pod(body: bytes, where: str) -> bool:
    try:
        request = json.loads(body)["request"]
        return bool(
            request["kind"]["kind"] == "Pod" and request["operation"] == "CREATE" and not request.get("subResource")
        )
    except (ValueError, KeyError, TypeError):
        raise LoadError(f"{where}: no AdmissionReview; remove the line") from None


_SERIAL = b"serial-00000000"
"""Value of a label that `unlike` adds and that is counted up from request to request."""


def unlike(bodies: Sequence[bytes]) -> list[bytes]:
    """Return the reviews with a label on each pod whose value differs in every request that is sent, so that no pod is
    like another."""
    found = []
    for body in bodies:
        review = json.loads(body)
        metadata = review["request"]["object"].setdefault("metadata", {})
        metadata["labels"] = {**(metadata.get("labels") or {}), "podgate-bench": _SERIAL.decode()}
        found.append(json.dumps(review, separators=(",", ":")).encode())
    return found


def requests_for(path: str, bodies: Sequence[bytes]) -> list[bytes]:
    """Return whole HTTP requests, with the headers that an API server sends."""
    head = (
        f"POST {path}?timeout=10s HTTP/1.1\r\nHost: podgate.podgate.svc:443\r\nUser-Agent: kube-apiserver-admission\r\n"
        "Accept: application/json, */*\r\nContent-Type: application/json\r\nAccept-Encoding: gzip\r\n"
    ).encode()
    return [b"%sContent-Length: %d\r\n\r\n%s" % (head, len(body), body) for body in bodies]


async def run(
    port: int,
    tls: ssl.SSLContext,
    requests: Sequence[bytes],
    concurrency: int,
    *,
    count: int | None = None,
    seconds: float | None = None,
) -> Outcome:
    """Send `count` requests, or for so many `seconds`, over `concurrency` connections; connecting is not timed."""
    loop = asyncio.get_running_loop()
    outcome = Outcome()
    feed = _Feed(requests, count)
    connections: list[_Connection] = []
    for _ in range(concurrency):
        _, connection = await loop.create_connection(
            lambda: _Connection(feed, outcome), "127.0.0.1", port, ssl=tls, server_hostname="localhost"
        )
        connections.append(connection)
    begin = time.perf_counter()
    feed.deadline = begin + seconds if seconds is not None else None
    for connection in connections:
        connection.begin()
    for connection in connections:
        await connection.done.wait()
    outcome.seconds = time.perf_counter() - begin
    for connection in connections:
        connection.close()
    return outcome


class _Feed:
    """What is still to be sent, shared by all connections."""

    __slots__ = ("_index", "_left", "_requests", "_serials", "deadline")

    _started = itertools.count()
    """Runs so far: a pod of one run is not like any of another."""

    def __init__(self, requests: Sequence[bytes], count: int | None) -> None:
        self._serials = itertools.count(next(self._started) * 100_000) if _SERIAL in requests[0] else None
        self._requests = requests
        self._index = 0
        self._left = count
        self.deadline: float | None = None

    def take(self, now: float) -> bytes | None:
        """Return the next request, or None where the run is over."""
        if self._left is not None:
            if self._left == 0:
                return None
            self._left -= 1
        if self.deadline is not None and now >= self.deadline:
            return None
        request = self._requests[self._index]
        self._index = (self._index + 1) % len(self._requests)
        if self._serials is not None:
            return request.replace(_SERIAL, b"serial-%08d" % next(self._serials))
        return request


class _Connection(asyncio.Protocol):
    """One connection: a request, its answer, the next request."""

    def __init__(self, feed: _Feed, outcome: Outcome) -> None:
        self.done = asyncio.Event()
        self._feed = feed
        self._outcome = outcome
        self._buffer = b""
        self._expected = -1
        self._sent = 0.0
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.done.is_set():
            self._outcome.statuses[0] += 1
            self.done.set()

    def begin(self) -> None:
        self._next(time.perf_counter())

    def close(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        if self._expected < 0:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                self._buffer = buffer
                return
            self._expected = end + 4 + _content_length(buffer[:end])
        if len(buffer) < self._expected:
            self._buffer = buffer
            return
        now = time.perf_counter()
        self._outcome.latencies.append(now - self._sent)
        self._outcome.statuses[int(buffer[9:12])] += 1
        self._buffer = buffer[self._expected :]
        self._expected = -1
        self._next(now)

    def _next(self, now: float) -> None:
        request = self._feed.take(now)
        if request is None:
            self.done.set()
            return
        self._sent = time.perf_counter()
        self._transport.write(request)


def _content_length(head: bytes) -> int:
    lowered = head.lower()
    at = lowered.find(b"\r\ncontent-length:")
    if at < 0:
        raise LoadError("an answer without content-length; the generator reads no chunked answers")
    end = lowered.find(b"\r\n", at + 2)
    return int(lowered[at + 17 : end if end >= 0 else None])
