"""Threads that run one at a time, in an order and at a time that a seed decides.

Whatever a test runs in it gives way by `Steps.pause`, and only there, so a run is the same whenever and wherever it is
repeated, and takes no longer than its work. Time stands still but for what all wait for.
"""

import heapq
import random
import threading
from collections.abc import Callable


class _Killed(BaseException):
    """Ends the thread of a process that was killed."""


class _Task:
    """Something that runs; with a thread where it may give way."""

    def __init__(self, work: Callable[[], None], owner: str, *, has_thread: bool) -> None:
        self.work = work
        self.owner = owner
        self.has_thread = has_thread
        self.go = threading.Semaphore(0)
        self.is_done = False
        self.is_killed = False
        self.error: BaseException | None = None
        self.thread: threading.Thread | None = None


class Steps:
    """The order of things. All methods are called by the test or from within what it runs."""

    def __init__(self, seed: int, most: int) -> None:
        """Args:
        seed: decides the order.
        most: steps after which something must be hanging.
        """
        self.random = random.Random(seed)  # noqa: S311  it shuffles
        self.now = 0.0
        """Seconds since the begin."""
        self.taken = 0
        self._most = most
        self._waiting: list[tuple[float, int, _Task]] = []
        self._ready: list[_Task] = []
        self._count = 0
        self._by_thread: dict[int, _Task] = {}
        self._back = threading.Semaphore(0)

    def spawn(self, work: Callable[[], None], owner: str = "", after: float = 0.0) -> None:
        """Run something that may give way, from some time on."""
        self._wait(_Task(work, owner, has_thread=True), after)

    def call(self, work: Callable[[], None], owner: str = "", after: float = 0.0) -> None:
        """Run something that does not give way, at some time."""
        self._wait(_Task(work, owner, has_thread=False), after)

    def pause(self, seconds: float = 0.0) -> None:
        """Let others run for so long at least."""
        task = self._by_thread.get(threading.get_ident())
        if task is None:
            return  # Whatever does not give way.
        self._wait(task, seconds)
        self._back.release()
        task.go.acquire()
        if task.is_killed:
            raise _Killed

    def kill(self, owner: str) -> None:
        """Let everything of an owner end where it is."""
        for task in self._all():
            task.is_killed = task.is_killed or task.owner == owner

    def run(self, until: Callable[[], bool]) -> None:
        """Run until something holds, or nothing is left to run."""
        while not until():
            if not self._ready:
                if not self._waiting:
                    return
                self.now = max(self.now, self._waiting[0][0])
            while self._waiting and self._waiting[0][0] <= self.now:
                self._ready.append(heapq.heappop(self._waiting)[2])
            self.taken += 1
            assert self.taken < self._most, "something hangs"
            chosen = self.random.randrange(len(self._ready))
            self._ready[chosen], self._ready[-1] = self._ready[-1], self._ready[chosen]
            self._step(self._ready.pop())

    def end(self) -> None:
        """End all that runs still."""
        for task in self._all():
            task.is_killed = True
            self._step(task)

    def _all(self) -> list[_Task]:
        return [*self._ready, *(task for _, _, task in self._waiting)]

    def _wait(self, task: _Task, seconds: float) -> None:
        self._count += 1
        heapq.heappush(self._waiting, (self.now + seconds, self._count, task))

    def _step(self, task: _Task) -> None:
        if task.is_killed and task.thread is None:
            return
        if not task.has_thread:
            task.work()
            return
        if task.thread is None:
            task.thread = threading.Thread(target=self._run, args=(task,), daemon=True)
            task.thread.start()
        task.go.release()
        self._back.acquire()
        if task.is_done:
            task.thread.join()
        if task.error is not None:
            raise task.error

    def _run(self, task: _Task) -> None:
        task.go.acquire()
        self._by_thread[threading.get_ident()] = task
        try:
            task.work()
        except _Killed:
            pass
        except BaseException as error:  # noqa: BLE001  the test raises it
            task.error = error
        del self._by_thread[threading.get_ident()]
        task.is_done = True
        self._back.release()
