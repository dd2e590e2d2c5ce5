"""What a controller may run whatever else the budget pays for by now: the rate that it was admitted with.

A node fails, or a rollout goes on, while others have taken the rest of the money. The pods that come then replace pods
that were paid for, so refusing them would turn a budget into an outage. The greatest rate that a controller was
admitted with by the budget's own rule stays approved while its pods come and go. It falls

* to what the controller still wants, at once, where it was scaled down;
* to what really runs, once that has been less for the whole of `GRACE`.

What is approved for all controllers of a budget stays within its limit together, or else each of many controllers could
lose its pods for a moment, leave its room to the next one, and come back. So a pod that is let in while another
controller may still come back to the same room gets the room and no approval. It gets that once both fit.

A pod that is being deleted leaves its place to another one although it still costs. It counts for its controller again
once it has been going for longer than `GRACE`, and what is leaving and what runs together never exceed twice what is
approved, so nobody doubles a workload by deleting pods that do not end.
"""

from datetime import datetime, timedelta
from typing import Final

from webhook.ledger.store import ProvenOwner

GRACE: Final = timedelta(minutes=10)
"""Longer than a node failure takes to be noticed and its pods to be replaced (about six minutes by default)."""


class Awaited:
    """What the controllers of one budget may come back with, micro-units per hour: approved, and not running."""

    __slots__ = ("micros",)

    def __init__(self) -> None:
        self.micros = 0


class Approval:
    """The rate of one controller's pods under one budget, micro-units per hour: what runs, and what is approved."""

    __slots__ = (
        "_all_awaited",
        "_awaited",
        "_leaving",
        "_low_since",
        "_oldest",
        "approved",
        "approved_pods",
        "is_held_back",
        "leaving",
        "pods",
        "rate",
    )

    def __init__(self, awaited: Awaited) -> None:
        """Args:
        awaited: of the budget; kept true by all approvals together.
        """
        self.rate = 0
        """Of the pods that are not being deleted."""
        self.pods = 0
        self.approved = 0
        self.approved_pods = 0
        """How many pods were approved together, which tells what one of them cost."""
        self.leaving = 0
        """What the pods that are being deleted cost."""
        self.is_held_back = False
        """Whether it runs what the budget had room for and could not approve."""
        self._all_awaited = awaited
        self._awaited = 0
        self._low_since: datetime | None = None
        self._leaving: dict[str, tuple[int, datetime]] = {}
        """Pods that are being deleted: their rate, and since when."""
        self._oldest: datetime | None = None
        """No pod has been leaving for longer than since then; spares looking at all of them."""

    def add(self, micros: int, now: datetime) -> None:
        """Count a pod."""
        self.settle(now)
        self.rate += micros
        self.pods += 1
        if self.pods > self.approved_pods and self.rate <= self.approved:
            self.approved_pods = self.pods  # More pods than before, and each of them costs less.
        self._note(now)

    def approve(self, now: datetime) -> None:
        """Approve what runs: the budget itself had room for it."""
        self.is_held_back = False
        if self.rate > self.approved:
            self.approved, self.approved_pods = self.rate, self.pods
            self._note(now)

    def remove(self, micros: int, now: datetime) -> None:
        """Stop counting a pod."""
        self.settle(now)
        self.rate -= micros
        self.pods -= 1
        self._note(now)

    def leave(self, key: str, micros: int, since: datetime) -> None:
        """Know of a pod, which is not counted, that it is being deleted since then."""
        self.gone(key)
        self._leaving[key] = micros, since
        self.leaving += micros
        self._oldest = since if self._oldest is None else min(self._oldest, since)
        self._count()

    def gone(self, key: str) -> None:
        """Forget a pod that was being deleted."""
        micros, _ = self._leaving.pop(key, (0, None))
        self.leaving -= micros
        if not self._leaving:
            self._oldest = None
        self._count()

    def hand_over(self, micros: int, now: datetime) -> bool:
        """Give up what was approved for a pod that another controller has adopted, and that it takes along; False
        where nothing was."""
        kept = max(self.approved - micros, self._running(now)[0])
        is_less = kept < self.approved
        if is_less:
            self.approved, self.approved_pods = kept, max(self.approved_pods - 1, 1 if kept else 0)
        self._note(now)
        return is_less

    def want(self, pods: int, now: datetime) -> None:
        """Let what is approved fall to what so many pods cost, where that is less: the controller wants no more."""
        self.settle(now)
        if pods < self.pods:
            self.is_held_back = False  # What is more than wanted is not approved later.
        if pods < self.approved_pods:
            self.approved = self.approved * pods // self.approved_pods
            self.approved_pods = pods
            self._note(now)

    def settle(self, now: datetime) -> None:
        """Let what is approved fall to what runs, where that was less for long enough."""
        if self._low_since is not None and now - self._low_since > GRACE:
            rate, pods = self._running(now)
            if rate < self.approved:
                self.approved, self.approved_pods = rate, pods
                self._count()
            self._low_since = None

    def has_room(self, micros: int, had: int, owner: ProvenOwner, now: datetime) -> bool:
        """Whether a pod of rate `micros` replaces what is approved, going beyond it by the surge at most.

        Args:
            micros: the pod's rate.
            had: what the pod itself already counts for.
            owner: the controller, with its surge.
            now: the time.
        """
        self.settle(now)
        if self.approved <= 0:
            return False
        after = self.rate - had + micros
        is_dearer = micros * self.approved_pods > self.approved
        surge = 0 if is_dearer and owner.is_of_pods else min(owner.surge, self.approved)
        is_within = after + self._overdue(now)[0] <= self.approved + surge
        return is_within and after + self.leaving <= 2 * self.approved

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs and nothing is approved any more."""
        return self.pods == 0 and self.approved == 0 and not self._leaving

    def _note(self, now: datetime) -> None:
        """Note since when less runs than is approved."""
        if self._running(now)[0] >= self.approved:
            self._low_since = None
        elif self._low_since is None:
            self._low_since = now
        self._count()

    def _count(self) -> None:
        awaited = max(self.approved - self.rate - self.leaving, 0)
        if awaited != self._awaited:
            self._all_awaited.micros += awaited - self._awaited
            self._awaited = awaited

    def _running(self, now: datetime) -> tuple[int, int]:
        """Return rate and number of the pods that count: those that run, and those that have been leaving for long."""
        rate, pods = self._overdue(now)
        return self.rate + rate, self.pods + pods

    def _overdue(self, now: datetime) -> tuple[int, int]:
        if self._oldest is None or now - self._oldest < GRACE:
            return 0, 0
        overdue = [micros for micros, since in self._leaving.values() if now - since >= GRACE]
        self._oldest = min(since for _, since in self._leaving.values())
        return sum(overdue), len(overdue)
