"""What every ledger must do, wherever it keeps its books.

A test module imports `LedgerContract`, subclasses it, and offers a fixture `desk`. It is no test module itself, so it
runs only where it is subclassed. A desk has the ledger, a clock that a test moves, `sync`, which brings the truth about
running pods to the ledger, as a watch and a leader do, and `watches`, which says whether that watch is there.
"""

import math
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from webhook.ledger.store import Booking, Charge, LedgerStore, ProvenOwner, ReservationOutcome

START = datetime(2026, 11, 11, tzinfo=UTC)
TTL = timedelta(seconds=120)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


class Desk(NamedTuple):
    """A ledger and what moves it."""

    ledger: LedgerStore
    clock: Clock
    sync: Callable[[Iterable[Booking]], None]
    watches: Callable[[bool], None]
    """Tells whether news of pods come in, as they do at first."""

    def passes(self, seconds: int, pods: Iterable[Booking] = ()) -> None:
        """Let time pass while these pods run, in steps as a watch and a leader take them."""
        running = list(pods)
        for _ in range(seconds):
            self.clock.now += timedelta(seconds=1)
            self.sync(running)


class LedgerContract:
    """The behaviour of `webhook.ledger.store.LedgerStore`."""

    def test_an_empty_ledger_has_committed_and_spent_nothing(self, desk: Desk) -> None:
        assert (desk.ledger.committed("a"), desk.ledger.spent("a", "monthly"), desk.ledger.size()) == (0, 0, 0)

    def test_a_pod_is_booked_against_all_of_its_budgets(self, desk: Desk) -> None:
        assert desk.ledger.reserve("p", 40, [Charge("a", 100), Charge("b", None)]) == ReservationOutcome(accepted=True)
        assert [desk.ledger.committed(name) for name in ("a", "b", "other")] == [40, 40, 0]

    def test_exactly_the_limit_is_within(self, desk: Desk) -> None:
        assert desk.ledger.reserve("p", 100, [Charge("a", 100)]).accepted
        assert desk.ledger.reserve("q", 1, [Charge("a", 100)]) == ReservationOutcome(False, "a", 100, 100)

    def test_one_budget_that_refuses_leaves_all_untouched_and_says_why(self, desk: Desk) -> None:
        desk.ledger.reserve("p", 70, [Charge("b", 100)])
        outcome = desk.ledger.reserve("q", 40, [Charge("a", 100), Charge("b", 100)])
        assert outcome == ReservationOutcome(accepted=False, budget="b", committed=70, limit=100)
        _eventually(lambda: desk.ledger.committed("a") == 0)
        assert desk.ledger.committed("b") == 70

    def test_booking_the_same_again_changes_nothing(self, desk: Desk) -> None:
        for _ in range(3):
            assert desk.ledger.reserve("p", 60, [Charge("a", 100)]).accepted
        assert desk.ledger.committed("a") == 60

    def test_booking_the_same_again_is_accepted_although_the_limit_has_fallen(self, desk: Desk) -> None:
        desk.ledger.reserve("p", 60, [Charge("a", 100)])
        assert desk.ledger.reserve("p", 60, [Charge("a", 10)]).accepted

    def test_booking_a_running_pod_again_changes_nothing(self, desk: Desk) -> None:
        desk.sync([Booking("p", 60, ("a",))])
        assert desk.ledger.reserve("p", 60, [Charge("a", 10)]).accepted
        assert desk.ledger.committed("a") == 60

    def test_a_resize_books_the_difference(self, desk: Desk) -> None:
        desk.ledger.reserve("p", 60, [Charge("a", 100)])
        desk.ledger.reserve("q", 20, [Charge("a", 100)])
        assert desk.ledger.reserve("p", 80, [Charge("a", 100)]).accepted
        assert desk.ledger.reserve("p", 81, [Charge("a", 100)]) == ReservationOutcome(False, "a", 20, 100)
        assert desk.ledger.committed("a") == 100
        assert desk.ledger.reserve("p", 50, [Charge("a", 10)]).accepted
        assert desk.ledger.committed("a") == 70

    def test_a_running_pod_that_is_resized_is_booked_once(self, desk: Desk) -> None:
        desk.sync([Booking("p", 50, ("a",))])
        assert desk.ledger.reserve("p", 70, [Charge("a", 100)]).accepted
        assert desk.ledger.reserve("p", 101, [Charge("a", 100)]) == ReservationOutcome(False, "a", 0, 100)
        assert desk.ledger.committed("a") == 70
        desk.clock.now += timedelta(seconds=10)
        desk.sync([Booking("p", 70, ("a",))])
        assert desk.ledger.committed("a") == 70
        desk.sync([])
        assert desk.ledger.committed("a") == 0

    def test_a_pod_that_moved_to_another_budget_frees_the_first(self, desk: Desk) -> None:
        desk.ledger.reserve("p", 60, [Charge("a", 100)])
        desk.ledger.reserve("p", 60, [Charge("b", 100)])
        assert desk.ledger.committed("b") == 60
        desk.clock.now += timedelta(seconds=10)
        desk.sync([Booking("p", 60, ("b",))])
        assert (desk.ledger.committed("a"), desk.ledger.committed("b")) == (0, 60)

    def test_what_costs_nothing_fits_even_an_overspent_budget(self, desk: Desk) -> None:
        desk.ledger.reserve("p", 60, [Charge("a", None)])
        assert desk.ledger.reserve("q", 0, [Charge("a", 10)]).accepted

    def test_without_a_limit_nothing_is_refused(self, desk: Desk) -> None:
        desk.ledger.reserve("p", 60, [Charge("a", 60)])
        assert desk.ledger.reserve("q", 60, [Charge("a", None)]).accepted
        assert desk.ledger.committed("a") == 120

    def test_a_budget_named_twice_is_charged_once(self, desk: Desk) -> None:
        desk.ledger.reserve("p", 60, [Charge("a", 100), Charge("a", 100)])
        assert desk.ledger.committed("a") == 60

    def test_a_pod_of_no_budget_is_booked_nowhere(self, desk: Desk) -> None:
        assert desk.ledger.reserve("p", 60, []).accepted
        assert desk.ledger.committed("a") == 0

    def test_a_negative_rate_is_refused(self, desk: Desk) -> None:
        with pytest.raises(ValueError, match="below zero"):
            desk.ledger.reserve("p", -1, [Charge("a", 1)])

    def test_a_retried_call_does_not_find_its_own_booking(self, desk: Desk) -> None:
        desk.ledger.reserve("p", 60, [Charge("a", 100)])
        desk.ledger.reserve("q", 30, [Charge("a", 100)])
        assert desk.ledger.committed("a", without="p") == 30
        assert desk.ledger.committed("a", without="nobody") == 90

    def test_a_pod_that_ends_gives_back_what_it_had(self, desk: Desk) -> None:
        desk.ledger.reserve("p", 60, [Charge("a", 100)])
        desk.ledger.release("p")
        desk.sync([])
        assert desk.ledger.committed("a") == 0
        assert not desk.ledger.release("p")

    def test_a_reservation_waits_for_its_pod_and_not_for_ever(self, desk: Desk) -> None:
        desk.ledger.reserve("p", 60, [Charge("a", 100)])
        desk.clock.now += TTL
        desk.sync([])
        assert desk.ledger.committed("a") == 60
        desk.clock.now += timedelta(seconds=1)
        desk.sync([])
        assert desk.ledger.committed("a") == 0

    @pytest.mark.parametrize("healthy", [0, 31], ids=["since just now", "for long"])
    def test_a_pod_that_somebody_else_refuses_holds_its_money_for_half_a_minute(self, desk: Desk, healthy: int) -> None:
        desk.passes(healthy)
        runs = Booking("runs", 30, ("a", "b"))
        assert desk.ledger.reserve("runs", 30, [Charge("a", 100), Charge("b", 100)]).accepted
        assert desk.ledger.reserve("refused", 60, [Charge("a", 100), Charge("b", 100)]).accepted
        desk.passes(30, [runs])
        assert (desk.ledger.committed("a"), desk.ledger.committed("b")) == (90, 90)
        assert desk.ledger.reserve("next", 11, [Charge("a", 100)]) == ReservationOutcome(False, "a", 90, 100)
        desk.passes(1, [runs])
        assert (desk.ledger.committed("a"), desk.ledger.committed("b")) == (30, 30)
        assert desk.ledger.reserve("next", 70, [Charge("a", 100)]).accepted

    def test_where_news_of_pods_were_away_a_reservation_waits_until_they_came_in_for_half_a_minute(
        self, desk: Desk
    ) -> None:
        desk.passes(31)
        assert desk.ledger.reserve("p", 60, [Charge("a", 100)]).accepted
        desk.passes(20)
        desk.watches(False)
        desk.passes(40)
        desk.watches(True)
        desk.passes(30)
        assert desk.ledger.committed("a") == 60
        desk.passes(1)
        assert desk.ledger.committed("a") == 0

    def test_where_news_of_pods_never_come_in_for_long_a_reservation_waits_for_the_longest_time(
        self, desk: Desk
    ) -> None:
        assert desk.ledger.reserve("p", 60, [Charge("a", 100)]).accepted
        for second in range(int(TTL.total_seconds())):
            desk.watches(second % 20 != 0)
            desk.passes(1)
            assert desk.ledger.committed("a") == 60
        desk.watches(True)
        desk.passes(1)
        assert desk.ledger.committed("a") == 0

    def test_a_pod_that_is_seen_is_counted_once_and_stays(self, desk: Desk) -> None:
        desk.ledger.reserve("p", 60, [Charge("a", 100)])
        for _ in range(40):
            desk.clock.now += timedelta(seconds=4)
            desk.sync([Booking("p", 60, ("a",))])
            assert desk.ledger.committed("a") == 60
        desk.sync([])
        assert desk.ledger.committed("a") == 0

    def test_pods_that_came_unasked_are_found(self, desk: Desk) -> None:
        desk.ledger.reserve("p", 60, [Charge("a", 100)])
        desk.sync([Booking("q", 30, ("a", "b"))])
        assert (desk.ledger.committed("a"), desk.ledger.committed("b")) == (90, 30)
        assert desk.ledger.reserve("r", 11, [Charge("a", 100)]) == ReservationOutcome(False, "a", 90, 100)

    def test_spending_follows_the_rate_and_begins_anew_each_period(self, desk: Desk) -> None:
        desk.ledger.reserve("p", 60, [Charge("a", None)])
        desk.clock.now += timedelta(hours=2)
        desk.ledger.reserve("q", 40, [Charge("a", None)])
        desk.clock.now += timedelta(hours=3)
        assert desk.ledger.spent("a", "daily") == 2 * 60 + 3 * 100
        desk.sync([])
        desk.clock.now += timedelta(hours=24)
        assert (desk.ledger.spent("a", "daily"), desk.ledger.spent("a", "monthly")) == (0, 420)
        assert desk.ledger.spent("other", "daily") == 0

    def test_a_period_may_begin_on_another_day_than_the_first(self, desk: Desk) -> None:
        desk.ledger.reserve("p", 3600, [Charge("a", None)])
        desk.clock.now += timedelta(days=3)
        today = desk.clock.now.replace(hour=0, minute=0, second=0, microsecond=0)
        seconds = math.ceil((desk.clock.now - today).total_seconds()) + 86_400
        yesterday = today - timedelta(days=1)
        if yesterday.day <= 28:
            assert desk.ledger.spent("a", "monthly", yesterday.day) == seconds
        assert desk.ledger.spent("a", "weekly", yesterday.isoweekday()) == seconds

    def test_what_replaces_a_pod_is_no_budget_question(self, desk: Desk) -> None:
        owner = ProvenOwner("web", surge=10)
        for name in ("p", "q"):
            assert desk.ledger.reserve(name, 10, [Charge("a", 100)], owner).accepted
        assert desk.ledger.reserve("big", 80, [Charge("a", 100)]).accepted
        assert not desk.ledger.reserve("r", 10, [Charge("a", 100)]).accepted
        assert desk.ledger.is_replacement("a", 10, owner)
        assert desk.ledger.reserve("r", 10, [Charge("a", 100)], owner).accepted
        assert not desk.ledger.is_replacement("a", 10, owner)
        assert not desk.ledger.reserve("s", 10, [Charge("a", 100)], owner).accepted
        assert desk.ledger.committed("a") == 110

    def test_threads_never_take_the_last_money_twice(self, desk: Desk) -> None:
        barrier = threading.Barrier(8)

        def create(worker: int) -> int:
            barrier.wait()
            charges = [Charge("a", 50), Charge("b", 1000)]
            return sum(desk.ledger.reserve(f"{worker}-{pod}", 1, charges).accepted for pod in range(12))

        with ThreadPoolExecutor(8) as pool:
            admitted = sum(pool.map(create, range(8)))
        assert admitted == 50
        _eventually(lambda: (desk.ledger.committed("a"), desk.ledger.committed("b")) == (50, 50))


def _eventually(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    waited = threading.Event()
    for _ in range(int(seconds / 0.005)):
        if holds():
            return
        waited.wait(0.005)
    assert holds()
