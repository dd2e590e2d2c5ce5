"""Books an allowed pod where the answer takes a write to the API server, without holding the event loop.

`commit` decides what a reservation means. Here it is run up to the reservation, which is handed to the ledger; once the
ledger has answered, it is run again with that answer. It changes nothing else, so running it twice costs microseconds.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

from webhook.admission.commit import RefusalText, commit
from webhook.admission.decision import Decision
from webhook.admission.subject import Subject
from webhook.ledger.store import AsyncReserver, Charge, LedgerError, ProvenOwner, ReservationOutcome

SHARE: Final = 0.4
"""Of the caller's own time-out, that a reservation may take; waiting for caches and the loop may take half of it."""

MOST_SECONDS: Final = 4.0
"""The share of the time-out that an API server uses unless told otherwise, 10 s; for callers that do not say how long
they wait."""


class _ReservationNeeded(Exception):  # noqa: N818  it is no error
    """What was to be reserved."""

    def __init__(self, key: str, micros: int, charges: Sequence[Charge], owner: ProvenOwner | None) -> None:
        super().__init__(key)
        self.key = key
        self.micros = micros
        self.charges = charges
        self.owner = owner


class _RecordingReserver:
    """`Books` that tell what they are asked."""

    def reserve(
        self, key: str, micros: int, charges: Sequence[Charge], owner: ProvenOwner | None = None
    ) -> ReservationOutcome:
        raise _ReservationNeeded(key, micros, charges, owner)


class _Answered(NamedTuple):
    """`Books` whose answer is known."""

    answer: ReservationOutcome | LedgerError

    def reserve(self, *_: object, **__: object) -> ReservationOutcome:
        if isinstance(self.answer, LedgerError):
            raise self.answer
        return self.answer


async def reserve_async(
    decision: Decision,
    subject: Subject,
    ledger: AsyncReserver,
    uid: str,
    timeout: float | None,  # noqa: ASYNC109  the caller's
    refusal: RefusalText | None = None,
) -> Decision:
    """Reserve what the decision charges, as `commit` does.

    Args:
        decision: as for `commit`.
        subject: as for `commit`.
        ledger: takes the money, later.
        uid: as for `commit`.
        timeout: seconds that the caller waits; None where it did not say.
        refusal: as for `commit`.
    """
    try:
        return commit(decision, subject, _RecordingReserver(), uid)
    except _ReservationNeeded as asked:
        seconds = MOST_SECONDS if timeout is None else timeout * SHARE
        answer = await _answer(ledger, asked, seconds)
    return commit(decision, subject, _Answered(answer), uid, refusal)


async def _answer(ledger: AsyncReserver, asked: _ReservationNeeded, seconds: float) -> ReservationOutcome | LedgerError:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[ReservationOutcome | LedgerError] = loop.create_future()

    def deliver(answer: ReservationOutcome | LedgerError) -> None:
        if not future.done():
            future.set_result(answer)

    def done(answer: ReservationOutcome | LedgerError) -> None:
        loop.call_soon_threadsafe(deliver, answer)

    give_up = ledger.begin(asked.key, asked.micros, asked.charges, asked.owner, seconds=seconds, done=done)
    try:
        async with asyncio.timeout(seconds):
            return await future
    except TimeoutError:
        return give_up()
