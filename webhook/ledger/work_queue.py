"""One line of waiting jobs a name, and a few threads that serve them: never two of them one line at a time.

Jobs that come while a line is being served wait, and whoever serves it takes all that wait at once.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, Generic, TypeVar

THREADS: Final = 8
"""Names that are served at a time. They wait for an API server nearly always, and as many connections are kept."""

J = TypeVar("J")

Execute = Callable[[Callable[[], None]], None]
"""Runs something soon, and not in the thread of who asks for it."""


class Threads:
    """Runs things in a few threads of its own."""

    def __init__(self, most: int = THREADS) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._ready: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._is_closed = False

    def __call__(self, work: Callable[[], None]) -> None:
        """Run something soon. It must not raise."""
        with self._lock:
            if len(self._threads) < self._most and not self._is_closed:
                # Nobody has to wait for a daemon at the end of the process, however long its API server is silent.
                thread = threading.Thread(target=self._run, name="podgate-ledger", daemon=True)
                self._threads.append(thread)
                thread.start()
        self._ready.put(work)

    def close(self) -> None:
        """Let the threads end once they have done what waits."""
        with self._lock:
            self._is_closed = True
            threads = tuple(self._threads)
        for _ in threads:
            self._ready.put(None)
        for thread in threads:
            thread.join(2.0)

    def _run(self) -> None:
        while (work := self._ready.get()) is not None:
            work()


class KeyedWorkQueue(Generic[J]):
    """Lines by name. May be used from any thread."""

    def __init__(self, serve: Callable[[str, Callable[[], list[J]]], None], execute: Execute) -> None:
        """Args:
        serve: serves one line: (name, what takes all jobs that wait now). It must not raise.
        execute: runs that.
        """
        self._serve = serve
        self._execute = execute
        self._lock = threading.Lock()
        self._lines: dict[str, deque[J]] = {}

    def put(self, name: str, job: J) -> None:
        """Add a job to a line."""
        with self._lock:
            line = self._lines.get(name)
            if line is not None:
                line.append(job)
                return
            self._lines[name] = deque((job,))
        self._execute(partial(self._run, name))

    def _run(self, name: str) -> None:
        self._serve(name, partial(self._take, name))
        with self._lock:
            if not self._lines[name]:
                del self._lines[name]
                return
        # Others wait for a thread too.
        self._execute(partial(self._run, name))

    def _take(self, name: str) -> list[J]:
        with self._lock:
            line = self._lines[name]
            taken = list(line)
            line.clear()
            return taken
