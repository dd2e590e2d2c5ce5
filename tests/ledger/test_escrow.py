"""Shares of the room: booked from without a write, given back to whoever needs them, and never more than there is."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.contracts.ledger import Clock
from tests.fakes.ledgers import FakeLedgers
from tests.fakes.shared_ledger import lead, replica, settle, sync, watch
from webhook.kube import client as api
from webhook.ledger.escrow import ACTIVE_SECONDS, USE_SECONDS
from webhook.ledger.shared import SharedLedger
from webhook.ledger.store import Booking, Charge, LedgerError, ReservationOutcome

SECOND = timedelta(seconds=1)
CHARGE = [Charge("a", 100)]


class House:
    """Some replicas over one place."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.ledgers = FakeLedgers()
        self.replicas: list[SharedLedger] = []

    def open(self, count: int) -> list[SharedLedger]:
        for _ in range(count):
            made = replica(self.ledgers, self.clock, seed=len(self.replicas))
            watch(self.ledgers, made)
            for stored in self.ledgers.stored.values():
                made.copies.put("", stored)
            self.replicas.append(made)
        return self.replicas[-count:]

    @property
    def writes(self) -> int:
        return self.ledgers.calls.count("write")


@pytest.fixture
def house() -> Iterator[House]:
    made = House()
    yield made
    made.ledgers.before = made.ledgers.after = None
    for each in made.replicas:
        each.close()


def busy(shared: SharedLedger, pods: int = 2, prefix: str = "busy") -> None:
    """Book pods one after the other, so that it is worth holding a share."""
    for pod in range(pods):
        assert shared.reserve(f"{prefix}-{pod}", 1, CHARGE).accepted


def test_one_pod_alone_holds_nothing(house: House) -> None:
    (one,) = house.open(1)
    for pod in range(3):
        assert one.reserve(f"p{pod}", 1, CHARGE).accepted
        house.clock.now += timedelta(seconds=ACTIVE_SECONDS + 0.1)
    assert (house.writes, house.ledgers.sheet("a").shares) == (3, {})


def test_most_pods_that_come_one_after_the_other_need_no_write(house: House) -> None:
    (one,) = house.open(1)
    busy(one, 60)
    assert house.writes < 15
    assert one.committed("a") == 60
    sheet = house.ledgers.sheet("a")
    assert sheet.known < 60 <= sheet.rate <= 100
    settle([one], house.clock)
    sheet = house.ledgers.sheet("a")
    assert (sheet.known, sheet.shares, len(sheet.reservations)) == (60, {}, 60)


def test_what_is_booked_from_a_share_is_found_when_the_review_comes_again(house: House) -> None:
    (one,) = house.open(1)
    busy(one, 4)
    writes = house.writes
    assert one.committed("a", without="busy-3") == 3
    assert one.reserve("busy-3", 1, CHARGE).accepted
    assert (one.committed("a"), house.writes) == (4, writes)


def test_what_is_booked_from_a_share_is_resized_like_any_other(house: House) -> None:
    (one,) = house.open(1)
    busy(one, 4)
    assert one.reserve("busy-3", 97, CHARGE).accepted
    assert not one.reserve("busy-3", 98, CHARGE).accepted
    settle([one], house.clock)
    assert house.ledgers.sheet("a").known == 100


def test_a_replica_gives_back_what_another_needs(house: House) -> None:
    one, two = house.open(2)
    busy(one, 6)
    assert house.ledgers.sheet("a").shared > 0
    assert two.reserve("big", 94, CHARGE).accepted, "the rest of the room, to the last"
    assert not two.reserve("more", 1, CHARGE).accepted
    settle([one, two], house.clock)
    sheet = house.ledgers.sheet("a")
    assert (sheet.known, sheet.shares) == (100, {})
    assert all(each.rate <= 100 for each in house.ledgers.sheets("a"))


def test_a_limit_that_has_fallen_leaves_no_room_in_a_share(house: House) -> None:
    (one,) = house.open(1)
    busy(one, 6)
    assert house.ledgers.sheet("a").shared > 0
    assert not one.reserve("late", 1, [Charge("a", 6)]).accepted
    assert one.reserve("last", 1, [Charge("a", 7)]).accepted


def test_who_needs_no_room_is_booked_without_a_write_and_written_down_later(house: House) -> None:
    (one,) = house.open(1)
    for pod in range(50):
        assert one.reserve(f"p{pod}", 10, [Charge("a", None)]).accepted
    assert (house.writes, one.committed("a")) == (0, 500)
    one.flush()
    assert (house.writes, house.ledgers.sheet("a").known) == (1, 500)


def test_a_second_budget_that_refuses_gives_back_what_was_booked_from_a_share(house: House) -> None:
    (one,) = house.open(1)
    one.reserve("full", 100, [Charge("b", 100)])
    busy(one, 6)
    held = house.ledgers.sheet("a").shared
    assert held > 0
    for turn in range(20):
        assert one.reserve(f"no-{turn}", 1, [*CHARGE, Charge("b", 100)]) == ReservationOutcome(False, "b", 100, 100)
    assert one.committed("a") == 6
    settle([one], house.clock)
    assert house.ledgers.sheet("a").known == 6


def test_a_replica_that_is_cut_off_stops_to_book_from_its_share(house: House) -> None:
    (one,) = house.open(1)
    busy(one, 20)

    def away(_verb: str) -> None:
        raise api.UnreachableError("the API server is away")

    house.ledgers.before = away
    assert one.reserve("soon", 1, CHARGE).accepted
    house.clock.now += timedelta(seconds=USE_SECONDS)
    with pytest.raises(LedgerError, match="the API server is away"):
        one.reserve("too late", 1, CHARGE)


def test_the_share_of_a_replica_that_is_gone_comes_back_once_its_pods_must_have_been_seen(house: House) -> None:
    gone, two = house.open(2)
    busy(gone, 20)
    held = house.ledgers.sheet("a").shared
    assert held > 0
    house.replicas.remove(gone)  # It never writes again, and nobody knows that.
    running = [Booking(f"busy-{pod}", 1, ("a",)) for pod in range(20)]
    lead(two, house.clock, 25, running, ["a"])
    sheet = house.ledgers.sheet("a")
    assert (sheet.shared, sheet.rate >= 20) == (held, True)
    lead(two, house.clock, 20, running, ["a"])
    sheet = house.ledgers.sheet("a")
    assert (sheet.known, sheet.shares) == (20, {})
    assert all(each.rate <= 100 for each in house.ledgers.sheets("a"))


def test_the_share_of_a_replica_that_lives_stays(house: House) -> None:
    one, two = house.open(2)
    busy(one, 4)
    for turn in range(45):
        house.clock.now += SECOND / 2
        assert one.reserve(f"again-{turn}", 1, CHARGE).accepted
        if turn % 2:
            one.flush()
            sync(two, [], ["a"])
    assert one.committed("a") == 49
    settle([one], house.clock)
    assert house.ledgers.sheet("a").known == 49


def test_a_leader_does_not_count_a_pod_twice_that_is_not_written_down_yet(house: House) -> None:
    one, two = house.open(2)
    busy(one, 20)
    pending = 20 - len(house.ledgers.sheet("a").reservations)
    assert pending > 0
    sync(two, [Booking(f"busy-{pod}", 1, ("a",)) for pod in range(20)], ["a"])
    assert house.ledgers.sheet("a").rate <= 100
    assert two.reserve("rest", 80, CHARGE).accepted


def test_shares_outlive_an_edit_by_hand(house: House) -> None:
    one, two = house.open(2)
    busy(one, 20)
    held = house.ledgers.sheet("a").shared
    house.ledgers.edit("a", confirmed="0.000000", committed="0.000000")
    sync(two, [], ["a"])
    assert house.ledgers.sheet("a").shared == held
    assert two.reserve("rest", 80, CHARGE).accepted
    assert not two.reserve("more", 1, CHARGE).accepted


def test_no_process_has_the_name_of_another(house: House) -> None:
    bare = [replica(house.ledgers, house.clock, is_named=False) for _ in range(2)]
    for each in bare:
        busy(each, 4, prefix=str(id(each)))
    assert len(house.ledgers.sheet("a").shares) == 2
    for each in bare:
        each.close()
    assert house.ledgers.sheet("a").shares == {}, "who ends gives back"


@pytest.mark.parametrize("limit", [100, None])
def test_a_pod_of_a_hundred_budgets_is_booked_in_all_of_them(house: House, limit: int | None) -> None:
    (one,) = house.open(1)
    charges = [Charge(f"budget-{number:03}", limit) for number in range(100)]
    assert one.reserve("p", 5, charges).accepted
    settle([one], house.clock)
    assert {house.ledgers.sheet(charge.budget).known for charge in charges} == {5}


def test_a_pod_of_a_hundred_budgets_of_which_one_is_full_is_refused_and_leaves_nothing(house: House) -> None:
    (one,) = house.open(1)
    charges = [Charge(f"budget-{number:03}", 100) for number in range(100)]
    one.reserve("q", 98, [charges[50]])
    assert one.reserve("p", 5, charges) == ReservationOutcome(False, "budget-050", 98, 100)
    settle([one], house.clock)
    known = [house.ledgers.sheet(charge.budget).known for charge in charges if charge.budget in house.ledgers.stored]
    assert sum(known) == 98


def test_who_gives_up_on_a_budget_that_is_full_is_refused_with_the_figure(house: House) -> None:
    (one,) = house.open(1)
    one.reserve("q", 98, CHARGE)

    def slow(_verb: str) -> None:
        house.clock.now += timedelta(seconds=30)

    house.ledgers.before = slow
    answers: list[ReservationOutcome | LedgerError] = []
    give_up = one.begin("p", 5, CHARGE, None, seconds=1, done=answers.append)
    assert give_up() == ReservationOutcome(False, "a", 98, 100)


def test_who_gives_up_on_an_api_server_that_takes_its_time_is_refused_and_holds_nothing(house: House) -> None:
    """It answers, so it is no fault; let in unbooked, the pod might be beyond the budget."""
    (one,) = house.open(1)
    one.reserve("q", 1, CHARGE)
    begun, gate = threading.Event(), threading.Event()

    def before(verb: str) -> None:
        if verb == "write":
            begun.set()
            gate.wait(10)

    house.ledgers.before = before
    answers: list[ReservationOutcome | LedgerError] = []
    give_up = one.begin("p", 5, CHARGE, None, seconds=1, done=answers.append)
    assert begun.wait(10)
    said = give_up()
    assert isinstance(said, ReservationOutcome)
    assert (said.accepted, said.budget, said.committed, said.limit) == (False, "a", 1, 100)
    assert "took too long" in said.reason
    gate.set()
    lead(one, house.clock, 2, [], ["a"])
    assert "p" not in house.ledgers.sheet("a").reservations
    assert answers == [], "nobody is told twice"


def test_who_gives_up_on_an_api_server_that_is_silent_is_told_of_a_fault(house: House) -> None:
    (one,) = house.open(1)
    blocked: list[str] = []

    def before(verb: str) -> None:
        blocked.append(verb)
        raise api.UnreachableError("silence")

    house.ledgers.before = before
    give_up = one.begin("p", 5, CHARGE, None, seconds=1, done=lambda _: None)
    assert isinstance(give_up(), LedgerError)
    assert one.tally.writes["failed"] + one.tally.writes["expired"] > 0
