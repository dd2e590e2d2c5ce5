"""One line of waiting jobs a name, and a few threads that serve them: never two of them one line at a time.

Jobs that come while a line is being served wait, and whoever serves it takes all that wait at once.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

THREADS: Final = 4
"""Names that are served at a time. They wait for an API server nearly always, and as many connections are kept."""

J = TypeVar("J")


class Lanes(Generic[J]):
    """Lines by name. May be used from any thread."""

    def __init__(self, serve: Callable[[str, Callable[[], list[J]]], None], threads: int = THREADS) -> None:
        """Args:
        serve: serves one line: (name, what takes all jobs that wait now). It must not raise.
        threads: that serve.
        """
        self._serve = serve
        self._most = threads
        self._lock = threading.Lock()
        self._lines: dict[str, deque[J]] = {}
        self._ready: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._is_closed = False

    def put(self, name: str, job: J) -> None:
        """Add a job to a line."""
        with self._lock:
            line = self._lines.get(name)
            if line is not None:
                line.append(job)
                return
            self._lines[name] = deque((job,))
            if len(self._threads) < self._most and not self._is_closed:
                # Nobody has to wait for a daemon at the end of the process, however long its API server is silent.
                thread = threading.Thread(target=self._run, name="podgate-ledger", daemon=True)
                self._threads.append(thread)
                thread.start()
        self._ready.put(name)

    def close(self) -> None:
        """Let the threads end once they have served what waits."""
        with self._lock:
            self._is_closed = True
            threads = tuple(self._threads)
        for _ in threads:
            self._ready.put(None)
        for thread in threads:
            thread.join(2.0)

    def _run(self) -> None:
        while (name := self._ready.get()) is not None:
            self._serve(name, lambda name=name: self._take(name))  # type: ignore[misc]  # the name of this turn
            with self._lock:
                if self._lines[name]:
                    self._ready.put(name)
                else:
                    del self._lines[name]

    def _take(self, name: str) -> list[J]:
        with self._lock:
            line = self._lines[name]
            taken = list(line)
            line.clear()
            return taken
