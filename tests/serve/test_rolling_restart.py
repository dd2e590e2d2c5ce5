"""Two replicas are replaced one after the other under load, and no call fails.

The callers do what API servers do: they keep connections, open new ones to replicas that are ready, leave where they
are asked to, and here they retry nothing.
"""

import contextlib
import datetime as dt
import http.client
import itertools
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import certs
from tests.serve import _processes

DELAY = 120.0
"""Seconds that a replica goes on serving after SIGTERM. It is told to end at once as soon as no caller is left with it,
so that neither an idle nor a busy machine decides whether the delay was long enough."""

PATIENCE = 90.0
"""Seconds that anything may take on a busy machine."""


def until(holds: Callable[[], bool], otherwise: str) -> None:
    """Wait for something that comes at once on an idle machine."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.01)


class Endpoints:
    """What a Service knows: which replicas are ready, as of a moment ago."""

    def __init__(self) -> None:
        self.replicas: list[_processes.Replica] = []
        self._ready: list[_processes.Replica] = []
        self._turn = itertools.count()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._probe)

    def choose(self) -> _processes.Replica:
        ready = self._ready
        return ready[next(self._turn) % len(ready)]

    def wait_for(self, replica: _processes.Replica) -> None:
        until(lambda: replica in self._ready, "it never became ready")

    def wait_without(self, replica: _processes.Replica) -> None:
        until(lambda: replica not in self._ready, "it stayed ready")

    def __enter__(self) -> "Endpoints":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _probe(self) -> None:
        while not self._stopped.wait(0.05):
            self._ready = [replica for replica in list(self.replicas) if self._is_ready(replica)]

    def _is_ready(self, replica: _processes.Replica) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return replica.get("/readyz")[0] == 200
        return False


class Callers:
    """Threads that call without a pause."""

    def __init__(self, endpoints: Endpoints, count: int) -> None:
        self._endpoints = endpoints
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(number,)) for number in range(count)]
        self.answered: Counter[int] = Counter()
        """Answers by the port that gave them."""
        self._ports: dict[int, int] = {}
        """The port that each caller is with, by its thread."""
        self.failures: list[str] = []

    def __enter__(self) -> "Callers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, replica: _processes.Replica) -> None:
        until(lambda: self.answered[replica.port] > 20, "it was hardly called")

    def wait_without(self, replica: _processes.Replica) -> None:
        until(lambda: replica.port not in tuple(self._ports.values()), "callers stayed with it")

    def _call(self, number: int) -> None:
        connection: http.client.HTTPSConnection | None = None
        while not self._stopped.is_set():
            if connection is None:
                connection = self._endpoints.choose().connect()
                self._ports[number] = connection.port
            try:
                connection.request("POST", "/validate?timeout=3s", body=b"{}", headers=_processes.JSON)
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != 200 or body != b'{"judged":true}':
                    self.failures.append(f"status {answer.status} {body!r} from {connection.port}")
                self.answered[connection.port] += 1
                asked_to_leave = answer.getheader("connection") == "close"
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{type(error).__name__}: {error} from {connection.port}")
                asked_to_leave = True
            if asked_to_leave:
                connection.close()
                connection = None
                self._ports.pop(number, None)
            time.sleep(0.002)
        if connection is not None:
            connection.close()


def test_a_rolling_restart_under_load_fails_no_call(tmp_path: Path) -> None:
    paths = certs.ensure(tmp_path, certs.server_names(), dt.datetime.now(dt.UTC))
    with contextlib.ExitStack() as stack:
        with ThreadPoolExecutor(4) as pool:
            making = [pool.submit(stack.enter_context, _processes.replica(paths, delay=DELAY)) for _ in range(4)]
        started = [made.result() for made in making]
        olds, news = started[:2], started[2:]
        endpoints = Endpoints()
        endpoints.replicas = list(olds)
        stack.enter_context(endpoints)
        for replica in olds:
            endpoints.wait_for(replica)
        callers = stack.enter_context(Callers(endpoints, 6))
        for old, new in zip(olds, news, strict=True):
            # One more than needed comes first, then one goes: maxSurge 1, maxUnavailable 0.
            endpoints.replicas.append(new)
            endpoints.wait_for(new)
            callers.wait_for(old)
            old.process.send_signal(signal.SIGTERM)
            endpoints.wait_without(old)
            callers.wait_without(old)
            old.process.send_signal(signal.SIGTERM)
            assert old.process.wait(PATIENCE) == 0
            endpoints.replicas.remove(old)
        for new in news:
            callers.wait_for(new)
        callers.__exit__()

    assert callers.failures == []
