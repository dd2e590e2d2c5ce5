"""A process that serves, and clients that want its memory: it stays bounded, and others are answered meanwhile."""

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests import factories
from tests.cli._server import Server, serving, until

MIB = 1 << 20
MOST = 300 * MIB
"""Bytes that the process may take beside what it takes when idle."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("serve")) as running:
        until(lambda: running.ready()[0] == 200)
        running.validate()
        yield running


def resident(server: Server) -> int:
    """Return the bytes of memory that the process has."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


@contextlib.contextmanager
def watched(server: Server) -> Iterator[list[int]]:
    """Measure the memory again and again while the block runs; the greatest stands in the list."""
    most, ended = [resident(server)], threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            most[0] = max(most[0], resident(server))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield most
    finally:
        ended.set()
        watcher.join()


def connect(server: Server, receive_buffer: int = 0) -> ssl.SSLSocket:
    address = urlsplit(server.admission)
    plain = socket.socket()
    if receive_buffer:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    plain.settimeout(90)
    plain.connect(("127.0.0.1", address.port or 0))
    trust = ssl.create_default_context(cafile=str(server.ca))
    return trust.wrap_socket(plain, server_hostname="localhost")


def head(path: str, length: int) -> bytes:
    kind = "Host: localhost\r\nContent-Type: application/json"
    return f"POST {path}?timeout=10s HTTP/1.1\r\n{kind}\r\nContent-Length: {length}\r\n\r\n".encode()


def push(clients: list[tuple[ssl.SSLSocket, memoryview]]) -> None:
    """Send as much as the server takes, one piece for each in turn, until nobody gets on any more."""
    left = dict(clients)
    for client in left:
        client.setblocking(False)
    idle = 0
    while left and idle < 20:
        idle += 1
        for client, content in list(left.items()):
            try:
                sent = client.send(content[: 1 << 18])
            except ssl.SSLWantWriteError:
                continue
            except OSError:
                del left[client]
                continue
            idle = 0
            left[client] = content[sent:]
            if not left[client]:
                del left[client]
        if idle:
            threading.Event().wait(0.05)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell memory")
def test_clients_that_do_not_read_and_bodies_that_stall_take_bounded_memory_while_others_are_answered(
    server: Server,
) -> None:
    crowd = factories.pod(*({"name": f"c{number}", "image": "registry.example/i:1"} for number in range(10_000)))
    slow = json.dumps(factories.review(crowd, dryRun=True)).encode()
    probe = {"exec": {"command": ["true", "@"]}}
    large = json.dumps(factories.review(factories.pod(factories.container(livenessProbe=probe)))).encode()
    large = large.replace(b"@", b"\\u003c" * (8 * MIB // 6))
    idle = resident(server)

    with contextlib.ExitStack() as closing, watched(server) as most:
        readers = [closing.enter_context(connect(server, 4_096)) for _ in range(80)]
        push([(each, memoryview(head("/mutate", len(slow)) + slow)) for each in readers])
        stalled = [closing.enter_context(connect(server)) for _ in range(200)]
        beginning = memoryview(head("/validate/cost", len(large)) + large)[:-1]
        push([(each, beginning) for each in stalled])

        assert server.validate()["uid"] == "review-1"

    assert most[0] - idle < MOST


@pytest.mark.parametrize("path", ["/mutate", "/validate", "/validate/security", "/validate/cost"])
def test_a_review_that_is_too_large_is_refused_over_tls_with_its_uid(server: Server, path: str) -> None:
    pod = factories.stored(factories.pod(factories.container(command=["@"])))
    body = json.dumps(factories.review(pod, uid="too-large", dryRun=True)).encode()
    for size, refused in ((33 * MIB, True), (31 * MIB, False)):
        large = body.replace(b"@", b"x" * size)
        answer = server.client.post(path, content=large, headers={"content-type": "application/json"})

        assert answer.status_code == 200
        response = answer.json()["response"]
        assert response["uid"] == "too-large"
        text = response.get("status", {}).get("message", "")
        assert ("larger than 32 MiB; to fix: " in text) is refused
        assert response["allowed"] is False or not refused
