"""For how long news of pods have come in without a gap: whether a pod that was not seen has not come."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

HEALTHY_TTL: Final = timedelta(seconds=30)
"""How long a reservation waits for its pod while news of pods have come in for as long."""

_GAP_SECONDS: Final = 5.0
"""Who has not looked for so long knows nothing of what was meanwhile."""


class PodNews:
    """Whether the watch of pods is healthy, and since when. One thread at a time."""

    def __init__(self, sees_pods: Callable[[], bool], monotonic: Callable[[], float]) -> None:
        """Args:
        sees_pods: whether the watch of pods is established.
        monotonic: seconds of a clock that only goes forward.
        """
        self._sees_pods = sees_pods
        self._monotonic = monotonic
        self._since: float | None = None
        self._looked = float("-inf")

    def look(self) -> bool:
        """Return whether the watch is healthy; to be asked every few seconds at least."""
        now = self._monotonic()
        is_gap, self._looked = now - self._looked > _GAP_SECONDS, now
        if not self._sees_pods():
            self._since = None
            return False
        if self._since is None or is_gap:
            self._since = now
        return True

    def seconds(self) -> float:
        """Return for how many seconds it has been healthy, as of the last look."""
        return self._monotonic() - self._since if self._since is not None else 0.0

    def ttl(self, unsure: timedelta) -> timedelta:
        """Return how long a reservation waits for its pod; `unsure` where news of it may have been missed."""
        return min(unsure, HEALTHY_TTL) if self.seconds() >= HEALTHY_TTL.total_seconds() else unsure
