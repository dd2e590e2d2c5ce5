"""Threads that run one at a time, in an order and at a time that a seed decides.

Whatever a test runs in it gives way by `Steps.pause`, and only there, so a run is the same whenever and wherever it is
repeated, and takes no longer than its work. Time stands still but for what all wait for.
"""

import random
import threading
from collections.abc import Callable


class _Killed(BaseException):
    """Ends the thread of a process that was killed."""


class _Task:
    def __init__(self, work: Callable[[], None], owner: str, wake: float) -> None:
        self.work = work
        self.owner = owner
        self.wake = wake
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
        self._tasks: list[_Task] = []
        self._by_thread: dict[int, _Task] = {}
        self._back = threading.Semaphore(0)

    def spawn(self, work: Callable[[], None], owner: str = "", after: float = 0.0) -> None:
        """Run something that gives way, from some time on."""
        self._tasks.append(_Task(work, owner, self.now + after))

    def pause(self, seconds: float = 0.0) -> None:
        """Let others run for so long at least."""
        task = self._by_thread.get(threading.get_ident())
        if task is None:
            return  # The test itself.
        task.wake = self.now + seconds
        self._back.release()
        task.go.acquire()
        if task.is_killed:
            raise _Killed

    def kill(self, owner: str) -> None:
        """Let everything of an owner end where it is."""
        for task in self._tasks:
            if task.owner == owner:
                task.is_killed = True

    def run(self, until: Callable[[], bool]) -> None:
        """Run until something holds, or nothing is left to run."""
        while self._tasks and not until():
            ready = [task for task in self._tasks if task.wake <= self.now]
            if not ready:
                self.now = min(task.wake for task in self._tasks)
                continue
            self.taken += 1
            assert self.taken < self._most, "something hangs"
            self._step(self.random.choice(ready))

    def end(self) -> None:
        """End all that runs still."""
        for task in tuple(self._tasks):
            task.is_killed = True
            self._step(task)

    def _step(self, task: _Task) -> None:
        if task.thread is None:
            if task.is_killed:
                self._tasks.remove(task)
                return
            task.thread = threading.Thread(target=self._run, args=(task,), daemon=True)
            task.thread.start()
        task.go.release()
        self._back.acquire()
        if task.is_done:
            self._tasks.remove(task)
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
