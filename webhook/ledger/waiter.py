"""Something that waits for the next write of a ledger."""

import logging
from collections.abc import Callable
from datetime import datetime

from webhook.ledger.ledger_state import LedgerState, ReservationRequest, ReservationResult
from webhook.ledger.store import LedgerError, ReservationOutcome

SILENT = "the API server did not answer in time"

_log = logging.getLogger("podgate.ledger")


class Waiter:
    """Something that is to be done to a ledger, and who is to be told."""

    __slots__ = ("ask", "before", "change", "changed", "holds", "is_counted", "races", "told", "until")

    def __init__(
        self,
        change: Callable[[LedgerState, datetime], ReservationResult],
        until: float,
        told: Callable[["Waiter", ReservationResult | LedgerError], None],
        ask: ReservationRequest | None = None,
        *,
        holds: bool = False,
    ) -> None:
        """Args:
        change: does it to a copy.
        until: when nobody waits any more, in monotonic seconds.
        told: told once what came of it.
        ask: the pod, where it is one that wants room.
        holds: whether a share is worth a write of its own.
        """
        self.change = change
        self.until = until
        self.told = told
        self.ask = ask
        self.holds = holds
        self.changed = False
        """Whether it has tried to change the ledger; a lost answer may hide that it did."""
        self.before: ReservationResult | None = None
        """Its first verdict that changed something."""
        self.races = 0
        """How often another replica was faster."""
        self.is_counted = False
        """Whether the escrow knows that there was such a pod."""

    def judge(self, sheet: LedgerState, now: datetime) -> ReservationResult:
        """Do it to a copy."""
        verdict = self.change(sheet, now)
        if verdict.changed and not self.changed:
            self.changed, self.before = True, verdict
        return verdict

    def may_wait(self, verdict: ReservationResult, shared: int) -> bool:
        """Whether a pod that was refused would have room if others gave back the `shared` that they hold."""
        outcome = verdict.outcome
        if outcome.accepted or outcome.reason or self.ask is None or not shared:
            return False
        return outcome.committed - shared + self.ask.micros <= outcome.limit

    def late(self, sheet: LedgerState | None, *, is_slow: bool) -> ReservationResult | LedgerError:
        """Return what is to be said where its time is up.

        A pod that does not fit into the ledger as it was last read is refused. So is one that others were faster than
        each time, and one for which an API server that answers has not answered yet: neither is a fault, it may come
        again, and whoever is let in without a booking may be beyond the budget.

        Args:
            sheet: the ledger as it was last read.
            is_slow: whether the API server does answer.
        """
        ask = self.ask
        if ask is None or not (self.races or is_slow or sheet is not None):
            return LedgerError(SILENT)
        if ask.limit is None:
            # It needs no room, and is counted once it is seen.
            return (
                ReservationResult(ReservationOutcome(accepted=True)) if self.races or is_slow else LedgerError(SILENT)
            )
        known = sheet.reservations.get(ask.key) if sheet is not None else None
        own = known.rate if known is not None else ask.live or 0
        committed = sheet.rate - own if sheet is not None else 0
        if sheet is not None and committed + ask.micros > ask.limit and ask.micros > own:
            return ReservationResult(ReservationOutcome(accepted=False, committed=committed, limit=ask.limit))
        if self.races:
            why = f"{self.races} times others booked at the same moment, and were faster"
        elif is_slow:
            why = "the API server took too long to write the booking down"
        else:
            return LedgerError(SILENT)
        return ReservationResult(ReservationOutcome(accepted=False, committed=committed, limit=ask.limit, reason=why))


def tell(job: Waiter, verdict: ReservationResult | LedgerError) -> None:
    """Tell whoever waits for a job."""
    try:
        job.told(job, verdict)
    except Exception:  # noqa: BLE001  the others still wait for theirs
        _log.exception("nobody takes the answer of the ledger")
