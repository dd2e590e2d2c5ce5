"""Booking without holding the event loop comes to the same decision as booking at once."""

import asyncio
import threading
from collections.abc import Callable, Sequence

import msgspec
import pytest

from tests import factories
from webhook.admission import request as requests
from webhook.admission.decision import Decision
from webhook.admission.reservation import MOST_SECONDS, reserve_async
from webhook.admission.subject import Subject, of
from webhook.cluster.snapshot import Snapshot
from webhook.ledger.store import Charge, LedgerError, ProvenOwner, ReservationOutcome

DECISION = Decision(allowed=True, rate=7, charges=(Charge("alpha", 10),), deny_on_fault=("alpha",))


class Later:
    """A ledger that answers from another thread, or never."""

    def __init__(self, answer: ReservationOutcome | LedgerError | None) -> None:
        self.answer = answer
        self.last_word: ReservationOutcome | LedgerError = LedgerError("the API server did not answer in time")
        self.asked: list[tuple[str, int, tuple[Charge, ...], ProvenOwner | None, float]] = []

    def begin(
        self,
        key: str,
        micros: int,
        charges: Sequence[Charge],
        owner: ProvenOwner | None,
        *,
        seconds: float,
        done: Callable[[ReservationOutcome | LedgerError], None],
    ) -> Callable[[], ReservationOutcome | LedgerError]:
        self.asked.append((key, micros, tuple(charges), owner, seconds))
        answer = self.answer
        if answer is not None:
            threading.Thread(target=lambda: done(answer)).start()
        return lambda: self.last_word


def subject(uid: str = "pod-uid") -> Subject:
    body = msgspec.json.encode(factories.review(factories.pod(metadata={"uid": uid})))
    found = of(requests.decode(body), Snapshot([]))
    assert isinstance(found, Subject)
    return found


async def test_a_pod_that_is_booked_is_let_in_as_it_was() -> None:
    later = Later(ReservationOutcome(accepted=True))
    assert await reserve_async(DECISION, subject(), later, "review", 10.0) is DECISION
    assert later.asked == [("pod-uid", 7, (Charge("alpha", 10, "team-alpha"),), None, 4.0)]


async def test_a_pod_that_found_the_money_gone_is_refused() -> None:
    decision = await reserve_async(
        DECISION, subject(), Later(ReservationOutcome(False, "alpha", 9, 10)), "review", 10.0
    )
    assert not decision.allowed
    assert "0.000009 of 0.000010 an hour are committed" in decision.message
    assert "retry" not in decision.message


async def test_who_waits_in_vain_hears_the_ledgers_last_word() -> None:
    later = Later(None)
    later.last_word = ReservationOutcome(False, "alpha", 10, 10)
    allowing = msgspec.structs.replace(DECISION, deny_on_fault=())
    decision = await reserve_async(allowing, subject(), later, "review", 0.1)
    assert not decision.allowed, "a full budget is no fault"
    assert not decision.reservation_fault


async def test_a_refusal_that_is_not_for_money_says_so() -> None:
    later = Later(
        ReservationOutcome(False, "alpha", 9, 10, "2000 pods that it pays for are being created at this moment")
    )
    decision = await reserve_async(DECISION, subject(), later, "review", 10.0)
    assert decision.message == (
        "policy alpha, budget: 2000 pods that it pays for are being created at this moment (0.000009 of 0.000010 an "
        "hour are committed); to fix: retry in a minute"
    )


@pytest.mark.parametrize("answer", [LedgerError("no right to write"), None], ids=["fault", "silence"])
async def test_what_cannot_be_booked_is_decided_by_the_budget(answer: LedgerError | None) -> None:
    decision = await reserve_async(DECISION, subject(), Later(answer), "review", 0.1)
    assert not decision.allowed
    assert decision.reservation_fault in ("no right to write", "the API server did not answer in time")


@pytest.mark.parametrize(("patience", "seconds"), [(3.0, 1.2), (30.0, 12.0), (None, MOST_SECONDS)])
async def test_a_booking_takes_a_part_of_the_callers_time(patience: float | None, seconds: float) -> None:
    later = Later(ReservationOutcome(accepted=True))
    await reserve_async(DECISION, subject(), later, "review", patience)
    assert later.asked[0][4] == pytest.approx(seconds)


async def test_many_wait_at_a_time_and_the_loop_goes_on() -> None:
    waiting = [
        asyncio.create_task(
            reserve_async(DECISION, subject(), Later(ReservationOutcome(accepted=True)), "review", 10.0)
        )
        for _ in range(50)
    ]
    assert all(decision.allowed for decision in await asyncio.gather(*waiting))
