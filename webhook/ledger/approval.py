"""What a controller may run whatever else the budget pays for by now: the rate that it was admitted with.

A node fails, or a rollout goes on, while others have taken the rest of the money. The pods that come then replace pods
that were paid for, so refusing them would turn a budget into an outage. The greatest rate that a controller was
admitted with by the budget's own rule stays approved while its pods come and go. It falls to what really runs once that
has been less for the whole of `GRACE`: the controller was scaled down.
"""

from datetime import datetime, timedelta
from typing import Final

GRACE: Final = timedelta(minutes=10)
"""Longer than a node failure takes to be noticed and its pods to be replaced (about six minutes by default)."""


class Approval:
    """The rate of one controller's pods under one budget, micro-units per hour: what runs, and what is approved."""

    __slots__ = ("_low_since", "approved", "rate")

    def __init__(self) -> None:
        self.rate = 0
        self.approved = 0
        self._low_since: datetime | None = None

    def add(self, micros: int, now: datetime, *, approve: bool) -> None:
        """Count a pod; `approve` where the budget itself had room for it."""
        self.settle(now)
        self.rate += micros
        if approve:
            self.approved = max(self.approved, self.rate)
        if self.rate >= self.approved:
            self._low_since = None

    def remove(self, micros: int, now: datetime) -> None:
        """Stop counting a pod."""
        self.settle(now)
        self.rate -= micros
        if self.rate < self.approved and self._low_since is None:
            self._low_since = now

    def settle(self, now: datetime) -> None:
        """Let what is approved fall to what runs, where that was less for long enough."""
        if self._low_since is not None and now - self._low_since > GRACE:
            self.approved = self.rate
            self._low_since = None

    def has_room(self, micros: int, had: int, surge: int, now: datetime) -> bool:
        """Whether a pod of rate `micros` replaces what is approved, going beyond it by `surge` at most.

        Args:
            micros: the pod's rate.
            had: what the pod itself already counts for.
            surge: how much more the controller may run while it replaces pods.
            now: the time.
        """
        self.settle(now)
        return self.approved > 0 and self.rate - had + micros <= self.approved + surge

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs and nothing is approved any more."""
        return self.rate == 0 and self.approved == 0
