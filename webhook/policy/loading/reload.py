"""Watches a policy directory and swaps in each new valid set; a bad edit never replaces a good running one.

It polls. File events do not reach through the links of a mounted ConfigMap, nor over network file systems, and a poll
of a few dozen files costs less than a millisecond. Marks (names, link targets, inodes, sizes, times) are compared each
time; contents are read only when these differ, and a set is loaded only when contents differ as well.
"""

import asyncio
import contextlib
import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from webhook.policy.loading import files as policy_files
from webhook.policy.model.policy_set import PolicySet
from webhook.policy.model.problems import PolicyErrors, PolicyProblem, one_line

INTERVAL = 0.5
"""Seconds between two looks, so that an edit is live well within the two seconds in which people begin to wonder."""
SETTLE = 0.1
"""Seconds for which marks must stand still before a change is read: editors and `cp` write in several steps."""
MAX_SETTLES = 3
"""How often to wait for that; a file that never stands still is read all the same."""
RECHECK = 0.2
"""Seconds after which a set that failed is loaded once more before the failure is told."""

Marks = frozenset[tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class PolicyState:
    """What is known of a policy directory at one time.

    Attributes:
        set: the last good set, which goes on serving; None where there has been none.
        loaded_at: when that set was loaded; None where there has been none.
        problems: why the directory as it is now is not that set; empty where it is.
        generation: number of sets loaded so far.
    """

    set: PolicySet | None = None
    loaded_at: dt.datetime | None = None
    problems: tuple[PolicyProblem, ...] = ()
    generation: int = 0


class DirectoryWatcher:
    """Keeps a `PolicyState` in step with a directory.

    Args:
        path: the directory; it may vanish and come back.
        load: loads it, raising PolicyErrors; called in a thread.
        on_loaded: told, in the event loop, of each new good state just before it holds; may refuse it by raising.
        on_failed: told, in the event loop, of each new failure, once.
        now: the clock for `loaded_at`.
        interval: seconds between two looks.
    """

    def __init__(
        self,
        path: Path,
        load: Callable[[Path], PolicySet],
        on_loaded: Callable[[PolicyState], object],
        on_failed: Callable[[PolicyState], object],
        *,
        now: Callable[[], dt.datetime],
        interval: float = INTERVAL,
    ) -> None:
        self._path = path
        self._load = load
        self._on_loaded = on_loaded
        self._on_failed = on_failed
        self._now = now
        self._interval = interval
        self._state = PolicyState()
        self._marks: Marks | None = None
        self._content: str | None = None
        self._look_again = True
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    @property
    def state(self) -> PolicyState:
        """The state as of the last look."""
        return self._state

    def start(self) -> None:
        """Begin to watch, in a task of the running event loop; a second call does nothing."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="podgate-policies")

    async def stop(self) -> None:
        """End the watch and wait for it; the state stays."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def refresh(self) -> PolicyState:
        """Look once, now, and return the state; never raises because of what the directory holds."""
        async with self._lock:
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001  a fault here must cost neither the watch nor the good set
                self._content = None
                self._look_again = True
                self._fail((self._unexpected(error),))
        return self._state

    async def _run(self) -> None:
        while True:
            await self.refresh()
            await asyncio.sleep(self._interval)

    async def _look(self) -> None:
        marks = await self._settled()
        # A write within the clock tick of the last look leaves the marks as they are; one more look finds it.
        if marks == self._marks and not self._look_again:
            return
        self._look_again = marks != self._marks
        self._marks = marks
        content = await asyncio.to_thread(_fingerprint, self._path)
        if content == self._content:
            return
        self._content = content
        problems = await self._try_to_load()
        if problems:
            await asyncio.sleep(RECHECK)
            self._content = await asyncio.to_thread(_fingerprint, self._path)
            problems = await self._try_to_load()
        if problems:
            self._fail(problems)

    async def _settled(self) -> Marks:
        marks = await asyncio.to_thread(policy_files.marks, self._path)
        for _ in range(MAX_SETTLES):
            # At the first look nothing is known of before, and whoever starts should not wait.
            if marks == self._marks or self._marks is None:
                break
            await asyncio.sleep(SETTLE)
            before, marks = marks, await asyncio.to_thread(policy_files.marks, self._path)
            if before == marks:
                break
        return marks

    async def _try_to_load(self) -> tuple[PolicyProblem, ...]:
        try:
            loaded = await asyncio.to_thread(self._load, self._path)
            state = PolicyState(loaded, self._now(), (), self._state.generation + 1)
            # Whoever takes the set over may refuse it by raising; then it is as if it had not been valid.
            self._on_loaded(state)
        except PolicyErrors as errors:
            return errors.problems
        except Exception as error:  # noqa: BLE001  a fault of ours is told like any other reason not to load
            return (self._unexpected(error),)
        self._state = state
        return ()

    def _fail(self, problems: tuple[PolicyProblem, ...]) -> None:
        if problems == self._state.problems:
            return
        old = self._state
        self._state = PolicyState(old.set, old.loaded_at, problems, old.generation)
        try:
            self._on_failed(self._state)
        except Exception as error:  # noqa: BLE001  whoever is told must not end the watch
            problems = (*problems, self._unexpected(error))
            self._state = PolicyState(old.set, old.loaded_at, problems, old.generation)

    def _unexpected(self, error: Exception) -> PolicyProblem:
        message = f"could not be taken over: {type(error).__name__}: {one_line(str(error))[:200]}"
        return PolicyProblem(str(self._path), 0, 0, "", message, "The last good set stays; please report this.")


def _fingerprint(path: Path) -> str:
    return policy_files.read_directory(path).fingerprint
