"""Clients that want the memory of a process that serves: they read no answer, or leave off in the middle of a body.

``python -m tests.cli._flood [RUNS] [SECONDS]`` prints what that takes beside what the process takes when idle; SECONDS
is how long the clients stay, 14 unless told: after 10, all who still wait have been answered.
"""

import contextlib
import json
import socket
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from tests import factories
from tests.cli._server import Server, serving, until

MIB = 1 << 20
READERS = 80
STALLED = 200


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


def flood(server: Server, seconds: float = 0.0) -> int:
    """Come with all clients at once, and see that others are answered.

    Args:
        server: what is flooded.
        seconds: how long the clients stay when all have sent what the server takes.

    Returns:
        the most bytes of memory that the process took, beside what it took when idle.
    """
    crowd = factories.pod(*({"name": f"c{number}", "image": "registry.example/i:1"} for number in range(10_000)))
    slow = json.dumps(factories.review(crowd, dryRun=True)).encode()
    probe = {"exec": {"command": ["true", "@"]}}
    large = json.dumps(factories.review(factories.pod(factories.container(livenessProbe=probe)))).encode()
    large = large.replace(b"@", b"\\u003c" * (8 * MIB // 6))
    idle = resident(server)

    with contextlib.ExitStack() as closing, watched(server) as most:
        readers = [closing.enter_context(connect(server, 4_096)) for _ in range(READERS)]
        push([(each, memoryview(head("/mutate", len(slow)) + slow)) for each in readers])
        stalled = [closing.enter_context(connect(server)) for _ in range(STALLED)]
        beginning = memoryview(head("/validate/cost", len(large)) + large)[:-1]
        push([(each, beginning) for each in stalled])

        assert server.validate()["uid"] == "review-1"
        waited = time.monotonic() + seconds
        while time.monotonic() < waited:
            time.sleep(0.5)
            assert server.validate()["uid"] == "review-1"

    return most[0] - idle


def _main(runs: int = 1, seconds: float = 14.0) -> None:
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as directory, serving(Path(directory)) as server:
            until(lambda running=server: running.ready()[0] == 200)  # type: ignore[misc]  # mypy cannot tell its type
            server.validate()
            print(f"{flood(server, seconds) / MIB:.0f} MiB above idle", flush=True)


if __name__ == "__main__":
    _main(*(int(each) for each in sys.argv[1:3]))
