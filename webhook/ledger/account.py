"""One budget in the memory of a ledger: its rate, what it has spent lately, and what its controllers are approved."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec

from webhook.ledger.approval import Approval, Awaited
from webhook.ledger.balance import Spending

NOWHERE: Final[frozenset[str]] = frozenset()

Approves = Literal["always", "where all fit", "never"]
"""When a pod that is added raises what its controller is approved; the second, where the budget can pay for it and for
all that may come back."""


class BookedPod(msgspec.Struct, frozen=True, gc=False):
    """A pod that is booked. There is one of every pod of the cluster, so it is small."""

    micros: int
    """Its rate, micro-units per hour."""
    budgets: tuple[str, ...]
    at: datetime
    is_confirmed: bool
    """Whether a count has seen it."""
    owner: str = ""
    """UID of its controller, where that is known."""
    beyond: frozenset[str] = NOWHERE
    """The budgets that had no room for it and let it in as a replacement."""
    left: datetime | None = None
    """Since when it is being deleted; its controller may replace it."""


class Account:
    """The pods that one budget pays for. Not safe under threads: the ledger holds its lock."""

    __slots__ = ("_awaited", "approvals", "is_counted", "limit", "name", "rate", "replacement", "spending")

    def __init__(self, name: str, now: datetime) -> None:
        """Args:
        name: of the budget.
        now: when it begins to spend.
        """
        self.name = name
        self.rate = 0
        """Of all its pods, micro-units per hour."""
        self.replacement = 0
        """The part of that which was let in beyond the limit."""
        self.spending = Spending(now.astimezone(UTC))
        self.limit: int | None = None
        """Its greatest rate, as far as it is known; None where it refuses nothing."""
        self.is_counted = False
        """Whether the pods that run were counted for it once."""
        self.approvals: dict[str, Approval] = {}
        """By UID of the controller."""
        self._awaited = Awaited()

    def advance(self, now: datetime) -> None:
        """Spend up to now."""
        self.spending = self.spending.advanced(self.rate, now)

    def add(self, key: str, entry: BookedPod, now: datetime, approves: Approves) -> None:
        """Pay for a pod."""
        self.advance(now)
        self.rate += entry.micros
        if self.name in entry.beyond:
            self.replacement += entry.micros
        if not entry.owner:
            return
        approval = self.approvals.get(entry.owner)
        if approval is None:
            approval = self.approvals[entry.owner] = Approval(self._awaited)
        if entry.left is not None:
            approval.leave(key, entry.micros, entry.left)
            return
        approval.add(entry.micros, now)
        if approves == "never" or self.name in entry.beyond:
            return
        if approves == "always" or self._has_room_for_all:
            approval.approve(now)
        else:
            approval.is_held_back = True

    def remove(self, key: str, entry: BookedPod, now: datetime) -> None:
        """Stop paying for a pod."""
        self.advance(now)
        self.rate -= entry.micros
        if self.name in entry.beyond:
            self.replacement -= entry.micros
        if not entry.owner:
            return
        approval = self.approvals[entry.owner]
        if entry.left is not None:
            approval.gone(key)
        else:
            approval.remove(entry.micros, now)

    def leave(self, key: str, entry: BookedPod, now: datetime) -> None:
        """Know that a pod is being deleted: it costs until it is gone, and its controller may replace it at once."""
        if entry.owner:
            approval = self.approvals[entry.owner]
            approval.leave(key, entry.micros, now)
            approval.remove(entry.micros, now)

    def hand_over(self, entry: BookedPod, now: datetime) -> bool:
        """Take the approval of a pod from the controller that it had; False where it had none."""
        approval = self.approvals.get(entry.owner)
        return approval is not None and self.name not in entry.beyond and approval.hand_over(entry.micros, now)

    def settle(self, wanted: Callable[[str], int | None], now: datetime) -> None:
        """Let what is approved fall to what is wanted, or runs; forget controllers that have nothing.

        Args:
            wanted: how many pods a controller wants, by its UID; None where that is not known.
            now: the time.
        """
        for uid, approval in list(self.approvals.items()):
            if approval.is_held_back and self._has_room_for_all:
                approval.approve(now)
            pods = wanted(uid)
            if pods is not None:
                approval.want(pods, now)
            approval.settle(now)
            if approval.is_idle:
                del self.approvals[uid]

    @property
    def _has_room_for_all(self) -> bool:
        """Whether it can pay for what runs and for all that may come back."""
        return self.limit is None or self.rate + self._awaited.micros <= self.limit
