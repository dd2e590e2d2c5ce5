"""What every ledger can do: book the rate of a pod against its budgets, at once or not at all."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from webhook.ledger.balance import BudgetPeriod


class LedgerError(RuntimeError):
    """The ledger could not be written. Nothing was booked; the budget's `onFault` says what that means."""


class Charge(NamedTuple):
    """One budget that a pod is charged to."""

    budget: str
    limit: int | None
    """Greatest rate of the whole budget, micro-units per hour; None books without refusing (modes warn and audit)."""
    namespace: str = ""
    """Of the pod: how many pods may be on their way at a time is bounded for each."""


class ControllerKey(NamedTuple):
    """Where a controller is found."""

    namespace: str
    kind: str
    name: str


class ProvenOwner(NamedTuple):
    """The controller of a pod, as the requester and the owner reference prove it."""

    uid: str
    """UID of the controller; never taken from labels, which anybody can write."""
    surge: int = 0
    """How far a rollout may exceed the approved rate of the controller, micro-units per hour."""
    is_of_pods: bool = False
    """Whether that surge is a number of pods at the price of the new one. Of pods that are dearer than the approved
    ones there is no surge, for what is dearer in the end is no replacement."""
    place: ControllerKey | None = None
    """Where it is found."""


class ReservationOutcome(NamedTuple):
    """What became of a reservation."""

    accepted: bool
    budget: str = ""
    """The budget that refused; empty where accepted."""
    committed: int = 0
    """Its rate without this pod, micro-units per hour."""
    limit: int = 0
    """Its greatest rate."""
    reason: str = ""
    """Why it refused, where that is not the money; one line without an end."""


class Booking(NamedTuple):
    """A pod that exists: its UID, its rate in micro-units per hour, and the budgets that pay for it."""

    key: str
    micros: int
    budgets: tuple[str, ...]
    owner: str = ""
    """UID of its controller; empty where it has none."""
    left: datetime | None = None
    """Since when it is being deleted, so that its controller may replace it; None where it is not."""
    place: ControllerKey | None = None
    """Where that controller is found."""


class PodCount(Iterable[Booking]):
    """A count of the pods that run, and of what their controllers want."""

    @abstractmethod
    def wanted(self, uid: str, place: ControllerKey) -> int | None:
        """Return how many pods a controller wants: 0 where it is gone, None where that cannot be told."""


class Reserver(Protocol):
    """What takes the money for an admitted pod."""

    def reserve(
        self, key: str, micros: int, charges: Sequence[Charge], owner: ProvenOwner | None = None
    ) -> ReservationOutcome:
        """Book a pod, see `LedgerStore.reserve`."""


class AsyncReserver(Protocol):
    """A ledger that books elsewhere, so that who asks need not hold a thread while it waits."""

    def begin(
        self,
        key: str,
        micros: int,
        charges: Sequence[Charge],
        owner: ProvenOwner | None,
        *,
        seconds: float,
        done: Callable[["ReservationOutcome | LedgerError"], None],
    ) -> Callable[[], "ReservationOutcome | LedgerError"]:
        """Begin to book a pod as `LedgerStore.reserve` does.

        Args:
            key: UID of the pod.
            micros: its rate.
            charges: its budgets.
            owner: its controller, where that is proven.
            seconds: after so long nobody waits for the answer any more.
            done: told once what came of it, perhaps at once, perhaps by another thread.

        Returns:
            What ends it where nobody waits any more, and says what is to be answered then.
        """


class LedgerStore(Protocol):
    """A ledger. Keys are pod UIDs: a validating webhook sees the UID that the stored pod will have."""

    def reserve(
        self, key: str, micros: int, charges: Sequence[Charge], owner: ProvenOwner | None = None
    ) -> ReservationOutcome:
        """Book a pod against all of its budgets, or against none.

        Booking a key again replaces what it had: the same values change nothing, other values are a resize or a move
        to other budgets, and only an increase can be refused. A pod that costs nothing is never refused, and neither is
        one that keeps its controller within the rate it was admitted with (`webhook.ledger.approval`).

        Raises:
            LedgerError: nothing could be written.
        """

    def is_replacement(self, budget: str, micros: int, owner: ProvenOwner, *, without: str = "") -> bool:
        """Whether a new pod of this rate stays within what its controller was admitted with, and its surge.

        Args:
            budget: its name.
            micros: rate of the pod, micro-units per hour.
            owner: its controller.
            without: key of the pod itself, whose own booking is left out where the call is retried.
        """

    def wants(self, uid: str, pods: int) -> None:
        """Know how many pods a controller wants now. What it was admitted with falls to what so many cost, at once;
        that it has fewer than it wants changes nothing."""

    def release(self, key: str) -> bool:
        """Give back what a pod had booked; False where it had nothing."""

    def committed(self, budget: str, *, without: str = "") -> int:
        """Return the rate of a budget, confirmed and reserved, in micro-units per hour.

        Args:
            budget: its name.
            without: key of a pod whose own booking is left out, so that a call that is retried finds what it found
                before.
        """

    def replacement(self, budget: str) -> int:
        """Return the part of `committed` that was let in beyond the budget, because it replaced what ran already."""

    def spent(self, budget: str, period: BudgetPeriod, begins_on: int = 1) -> int:
        """Return what a budget has spent in the current period as far as the ledger has seen, in micro-units.

        Args:
            budget: its name.
            period: length of its period.
            begins_on: see `webhook.ledger.balance.period_bounds`.
        """

    def recount(self, pods: Iterable[Booking]) -> None:
        """Replace what is known of running pods by the truth. Reservations of pods not seen yet stay.

        Args:
            pods: those that run. `PodCount` also tell what their controllers want, see `wants`.
        """

    def unchanged(self) -> None:
        """Know that the pods that run are still those of the last `recount`: what was booked for others grows old."""

    def size(self) -> int:
        """Return the number of pods that are booked, for metrics."""
