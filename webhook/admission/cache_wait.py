"""Waiting a moment for the watch, where a pod is faster than news of its namespace, its owner or its claims.

A namespace and its first pod, a ReplicaSet and its first pods, or a claim for devices and its pod come within
milliseconds of each other, and a watch has the same lag. So a review that lacks one of them waits for the caches,
without any call and without holding the event loop. After `SECONDS` it is judged by what is known: the owner is derived
from names, policies that select by namespace labels do not apply, and claims that are not known have no price. Where
the watch is broken nothing would come, so nobody waits.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from webhook.admission.engine import LARGE, Answered, Engine, NotSeenYet
from webhook.kube.objects import OwnerReference
from webhook.kube.pod_devices import PodResourceClaim

SECONDS: Final = 0.5
"""Longest wait; a tenth of it is the usual lag of a watch under load."""

STEP: Final = 0.01
"""Seconds between two looks; a look is two dictionary look-ups."""

MAXIMUM: Final = 500
"""Most reviews that wait at a time; a storm of them is judged at once by what is known."""

SHARE: Final = 0.25
"""Of the caller's own time-out, so that waiting never costs the answer."""

Lacks = Callable[[str, OwnerReference | None, Sequence[PodResourceClaim]], bool]
"""(namespace, owner, claims for devices) -> whether waiting may help."""


class CacheWait:
    """Lets reviews wait, and counts what came of it."""

    def __init__(
        self,
        lacks: Lacks,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Args:
        lacks: asked again and again while a review waits.
        clock: monotonic seconds.
        sleep: waits that many seconds without holding the event loop.
        """
        self._lacks = lacks
        self._clock = clock
        self._sleep = sleep
        self._waiting = 0
        self.outcomes: Counter[str] = Counter()
        """Reviews by what came of their wait: ``seen``, ``timeout`` or ``crowded``."""

    def answer(self, engine: Engine, path: str, body: bytes, timeout: float | None) -> Answered | Awaitable[Answered]:
        """Judge one call now, or as soon as the caches know what it needs.

        Args:
            engine: judges.
            path: as for `Engine.answer`.
            body: as for `Engine.answer`.
            timeout: seconds that the caller waits; None where it did not say.

        Raises:
            BadReview: as `Engine.answer` does.
        """
        try:
            # A large review has had its turn among others of its kind; it gets no second one.
            return engine.answer_soon(path, body, timeout, patient=len(body) <= LARGE)
        except NotSeenYet as missing:
            return self._later(engine, path, body, timeout, missing)

    async def _later(
        self,
        engine: Engine,
        path: str,
        body: bytes,
        timeout: float | None,  # noqa: ASYNC109  the caller's, told to us; nothing is cancelled here
        missing: NotSeenYet,
    ) -> Answered:
        if self._waiting >= MAXIMUM:
            self.outcomes["crowded"] += 1
            return await _soon(engine, path, body, timeout)
        seconds = SECONDS if timeout is None else min(SECONDS, timeout * SHARE)
        deadline = self._clock() + seconds
        self._waiting += 1
        try:
            while lacking := self._lacks(missing.namespace, missing.owner, missing.claims):
                if self._clock() >= deadline:
                    break
                await self._sleep(STEP)
        finally:
            self._waiting -= 1
        self.outcomes["timeout" if lacking else "seen"] += 1
        return await _soon(engine, path, body, timeout)


async def _soon(engine: Engine, path: str, body: bytes, timeout: float | None) -> Answered:  # noqa: ASYNC109  the caller's
    answered = engine.answer_soon(path, body, timeout)
    return answered if isinstance(answered, tuple) else await answered
