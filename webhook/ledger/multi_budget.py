"""One pod on its way through the ledgers of its budgets: all of them take it, or none.

They are asked one after the other, by name, so that of two pods that want the last room of the same budgets one gets
it. Where many of them need a write, room is held in all of them first, at the same time.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Final, Literal, Protocol

from webhook.ledger.ledger_state import Reservation, ReservationRequest, ReservationResult
from webhook.ledger.store import Charge, LedgerError, ProvenOwner, ReservationOutcome
from webhook.ledger.waiter import Waiter

Booked = Literal["booked", "known", ""]
"""Whether a pod was booked without a write, or is booked already, or neither."""

MANY: Final = 4
"""Budgets that are asked one after the other without holding room in all of them first."""


class Desk(Protocol):
    """What a reservation in several budgets needs of the shared ledger."""

    def book_here(self, charge: Charge, key: str, micros: int, owner: ProvenOwner | None) -> Booked:
        """Book a pod without a write, where that can be done."""

    def booking(
        self, charge: Charge, key: str, micros: int, owner: ProvenOwner | None
    ) -> tuple[Callable[..., ReservationResult], ReservationRequest]:
        """Return what books a pod in a copy of a ledger."""

    def hold(self, charge: Charge, micros: int, until: float, done: Callable[[], None]) -> None:
        """Hold room for a pod, unless there is some; tell when that is done, or failed."""

    def submit(self, budget: str, job: Waiter) -> None:
        """Let a job wait for the next write of a ledger."""

    def give_back(self, budget: str, key: str, before: Reservation | None, until: float) -> None:
        """Undo a booking."""

    def late(self, budget: str, job: Waiter) -> ReservationResult | LedgerError:
        """Return what is to be said of a job that nobody can wait for any more."""

    @property
    def is_slow(self) -> bool:
        """Whether the API server only takes its time."""


class MultiBudgetReservation:
    """See the text of the module."""

    def __init__(
        self,
        desk: Desk,
        key: str,
        micros: int,
        charges: Sequence[Charge],
        owner: ProvenOwner | None,
        until: float,
        done: Callable[[ReservationOutcome | LedgerError], None],
    ) -> None:
        """Args:
        desk: the ledgers.
        key: UID of the pod.
        micros: its rate.
        charges: its budgets, in the order in which they are asked.
        owner: its controller, where that is proven.
        until: when nobody waits any more, in monotonic seconds.
        done: told once what came of it.
        """
        self._desk = desk
        self._key = key
        self._micros = micros
        self._charges = charges
        self._owner = owner
        self._until = until
        self._done = done
        self._booked: list[Waiter | Booked] = []
        self._job: Waiter | None = None
        self._lock = threading.Lock()
        self._answer: ReservationOutcome | LedgerError | None = None
        self._held = 0

    def begin(self) -> None:
        """Set out."""
        if len(self._charges) <= MANY:
            self._go_on()
            return
        for charge in self._charges:
            self._desk.hold(charge, self._micros, self._until, self._has_held)

    def give_up(self) -> ReservationOutcome | LedgerError:
        """End it, and return what is to be answered.

        Where that is a refusal, what is booked is given back. Where it is a fault, the pod may be let in, so it is
        booked all the same as soon as that can be done.
        """
        with self._lock:
            if self._answer is None:
                self._answer = self._late()
            return self._answer

    def _late(self) -> ReservationOutcome | LedgerError:
        done = len(self._booked)
        job = self._job
        if job is None or done == len(self._charges):
            found: ReservationResult | LedgerError = LedgerError("it was not booked in time")
        else:
            found = self._desk.late(self._charges[done].budget, job)
        if isinstance(found, ReservationResult):
            return self._named(found.outcome)
        if len(self._charges) > MANY and (done or self._desk.is_slow):
            why = f"{len(self._charges)} budgets pay for this pod, and only {done} of them could be booked in time"
            return ReservationOutcome(accepted=False, budget=self._charges[done].budget, reason=why)
        return found

    def _has_held(self) -> None:
        with self._lock:
            self._held += 1
            is_last = self._held == len(self._charges)
        if is_last:
            self._go_on()

    def _go_on(self) -> None:
        """Ask the next budget; where all have been asked, tell."""
        while len(self._booked) < len(self._charges):
            charge = self._charges[len(self._booked)]
            here = self._desk.book_here(charge, self._key, self._micros, self._owner)
            if here:
                self._booked.append(here)
                continue
            change, ask = self._desk.booking(charge, self._key, self._micros, self._owner)
            self._job = Waiter(change, self._until, self._told, ask)
            self._desk.submit(charge.budget, self._job)
            return
        self._end(ReservationOutcome(accepted=True))

    def _told(self, job: Waiter, verdict: ReservationResult | LedgerError) -> None:
        if isinstance(verdict, LedgerError):
            self._end(verdict)
        elif not verdict.outcome.accepted:
            self._end(self._named(verdict.outcome))
        else:
            self._booked.append(job)
            if isinstance(self._answer, ReservationOutcome):
                self._end(self._answer)  # It was refused meanwhile.
            else:
                self._go_on()

    def _named(self, outcome: ReservationOutcome) -> ReservationOutcome:
        return outcome if outcome.accepted else outcome._replace(budget=self._charges[len(self._booked)].budget)

    def _end(self, answer: ReservationOutcome | LedgerError) -> None:
        with self._lock:
            is_first = self._answer is None
            if is_first:
                self._answer = answer
            said = self._answer
        is_let_in = isinstance(said, ReservationOutcome) and said.accepted
        # Whoever was told of a fault may have been let in: what is booked of it stays until the pod is seen, or not.
        is_fault = isinstance(said, LedgerError) and not is_first
        if not is_let_in and not is_fault:
            self._undo()
        if is_first:
            self._done(answer)

    def _undo(self) -> None:
        for charge, how in zip(self._charges, self._booked, strict=False):
            if how == "booked":
                self._desk.give_back(charge.budget, self._key, None, self._until)
            elif isinstance(how, Waiter) and how.before is not None:
                self._desk.give_back(charge.budget, self._key, how.before.before, self._until)
