"""The ledger in memory: all or nothing, idempotent, never above the limit, whoever else is booking."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from webhook.ledger.memory import MemoryLedger
from webhook.ledger.store import Booking, Charge, LedgerError, LedgerStore, ReservationOutcome

START = datetime(2026, 11, 11, tzinfo=UTC)


class _Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def ledger(clock: _Clock) -> Iterator[MemoryLedger]:
    made = MemoryLedger(clock=clock)
    store: LedgerStore = made
    assert store.size() == 0
    yield made
    assert made.size() >= 0


def test_a_pod_is_booked_against_all_of_its_budgets(ledger: MemoryLedger) -> None:
    assert ledger.reserve("p", 40, [Charge("a", 100), Charge("b", None)]) == ReservationOutcome(accepted=True)
    assert (ledger.committed("a"), ledger.committed("b"), ledger.committed("other")) == (40, 40, 0)


def test_exactly_the_limit_is_within(ledger: MemoryLedger) -> None:
    assert ledger.reserve("p", 100, [Charge("a", 100)]).accepted
    assert not ledger.reserve("q", 1, [Charge("a", 100)]).accepted


def test_one_budget_that_refuses_leaves_all_untouched_and_says_why(ledger: MemoryLedger) -> None:
    ledger.reserve("p", 70, [Charge("b", 100)])
    outcome = ledger.reserve("q", 40, [Charge("a", 100), Charge("b", 100)])
    assert outcome == ReservationOutcome(accepted=False, budget="b", committed=70, limit=100)
    assert (ledger.committed("a"), ledger.committed("b"), ledger.size()) == (0, 70, 1)


def test_booking_the_same_again_changes_nothing(ledger: MemoryLedger) -> None:
    for _ in range(3):
        assert ledger.reserve("p", 60, [Charge("a", 100)]).accepted
    assert ledger.committed("a") == 60


def test_booking_the_same_again_is_accepted_although_the_limit_has_fallen(ledger: MemoryLedger) -> None:
    ledger.reserve("p", 60, [Charge("a", 100)])
    assert ledger.reserve("p", 60, [Charge("a", 10)]).accepted


def test_a_resize_books_the_difference(ledger: MemoryLedger) -> None:
    ledger.reserve("p", 60, [Charge("a", 100)])
    ledger.reserve("q", 20, [Charge("a", 100)])
    assert ledger.reserve("p", 80, [Charge("a", 100)]).accepted
    assert ledger.reserve("p", 81, [Charge("a", 100)]) == ReservationOutcome(False, "a", 20, 100)
    assert ledger.committed("a") == 100
    assert ledger.reserve("p", 50, [Charge("a", 10)]).accepted
    assert ledger.committed("a") == 70


def test_a_pod_that_moves_to_another_budget_frees_the_first(ledger: MemoryLedger) -> None:
    ledger.reserve("p", 60, [Charge("a", 100)])
    ledger.reserve("p", 60, [Charge("b", 100)])
    assert (ledger.committed("a"), ledger.committed("b")) == (0, 60)


def test_what_costs_nothing_fits_even_an_overspent_budget(ledger: MemoryLedger) -> None:
    ledger.reserve("p", 60, [Charge("a", None)])
    assert ledger.reserve("q", 0, [Charge("a", 10)]).accepted


def test_a_budget_named_twice_is_charged_once(ledger: MemoryLedger) -> None:
    ledger.reserve("p", 60, [Charge("a", 100), Charge("a", 100)])
    assert ledger.committed("a") == 60


def test_a_negative_rate_is_refused(ledger: MemoryLedger) -> None:
    with pytest.raises(ValueError, match="below zero"):
        ledger.reserve("p", -1, [])


def test_release_gives_back_once(ledger: MemoryLedger) -> None:
    ledger.reserve("p", 60, [Charge("a", 100)])
    assert ledger.release("p")
    assert not ledger.release("p")
    assert ledger.committed("a") == 0


def test_a_full_ledger_says_so_and_books_nothing(clock: _Clock) -> None:
    ledger = MemoryLedger(clock=clock, capacity=1)
    ledger.reserve("p", 1, [Charge("a", None)])
    with pytest.raises(LedgerError, match="full at 1 pods"):
        ledger.reserve("q", 1, [Charge("a", None)])
    assert ledger.reserve("p", 2, [Charge("a", None)]).accepted
    assert ledger.committed("a") == 2


def test_without_ttl_an_admitted_pod_stays_reserved(ledger: MemoryLedger, clock: _Clock) -> None:
    ledger.reserve("p", 60, [Charge("a", 100)])
    clock.now += timedelta(days=3)
    ledger.recount([])
    assert ledger.committed("a") == 60


def test_with_ttl_a_pod_that_never_came_is_dropped(clock: _Clock) -> None:
    ledger = MemoryLedger(clock=clock, ttl=timedelta(seconds=120))
    ledger.reserve("p", 60, [Charge("a", 100)])
    clock.now += timedelta(seconds=120)
    ledger.recount([])
    assert ledger.committed("a") == 60
    clock.now += timedelta(seconds=1)
    ledger.recount([])
    assert ledger.committed("a") == 0


def test_recount_takes_running_pods_as_they_are_and_drops_those_that_are_gone(ledger: MemoryLedger) -> None:
    ledger.reserve("p", 60, [Charge("a", 100)])
    ledger.recount([Booking("p", 50, ("a",)), Booking("q", 30, ("a", "b"))])
    assert (ledger.committed("a"), ledger.committed("b")) == (80, 30)
    ledger.recount([Booking("q", 30, ("a", "b"))])
    assert (ledger.committed("a"), ledger.committed("b"), ledger.size()) == (30, 30, 1)


def test_what_happens_while_the_pods_are_counted_is_not_lost(ledger: MemoryLedger) -> None:
    ledger.recount([Booking("p", 50, ("a",), "web"), Booking("gone", 7, ("a",))])
    found = ledger.compare([Booking("p", 50, ("a",), "web"), Booking("q", 30, ("b", "a", "b"))])
    ledger.leave("p")
    ledger.release("gone")
    ledger.reserve("late", 5, [Charge("a", 100)])
    ledger.take(found)
    assert (ledger.committed("a"), ledger.committed("b"), ledger.size()) == (85, 30, 3)
    assert ledger.runs("late") is None
    assert ledger.runs("q") == Booking("q", 30, ("b", "a"))
    left = ledger.runs("p")
    assert left is not None
    assert left.owner == ""
    assert ledger.running(without={"q"}) == {"a": 50}


def test_a_running_pod_that_is_resized_is_still_noticed_when_it_is_gone(ledger: MemoryLedger) -> None:
    ledger.recount([Booking("p", 50, ("a",))])
    ledger.reserve("p", 70, [Charge("a", 100)])
    ledger.recount([])
    assert ledger.committed("a") == 0


def test_spending_follows_the_rate_and_begins_anew_each_period(ledger: MemoryLedger, clock: _Clock) -> None:
    ledger.reserve("p", 60, [Charge("a", None)])
    clock.now += timedelta(hours=2)
    ledger.reserve("q", 40, [Charge("a", None)])
    clock.now += timedelta(hours=3)
    assert ledger.spent("a", "daily") == 2 * 60 + 3 * 100
    ledger.release("p")
    ledger.release("q")
    clock.now += timedelta(hours=24)
    assert (ledger.spent("a", "daily"), ledger.spent("a", "monthly")) == (0, 420)
    assert ledger.spent("other", "daily") == 0


def test_threads_never_take_the_last_money_twice(ledger: MemoryLedger) -> None:
    barrier = threading.Barrier(8)

    def create(worker: int) -> int:
        barrier.wait()
        charges = [Charge("a", 100), Charge("b", 1000)]
        return sum(ledger.reserve(f"{worker}-{pod}", 1, charges).accepted for pod in range(100))

    with ThreadPoolExecutor(8) as pool:
        admitted = sum(pool.map(create, range(8)))
    assert admitted == 100
    assert (ledger.committed("a"), ledger.committed("b")) == (100, 100)


class LedgerMachine(RuleBasedStateMachine):
    """Random bookings against a model that is a plain dictionary."""

    keys = st.sampled_from(["p", "q", "r", "s"])
    budgets = st.lists(st.sampled_from(["a", "b", "c"]), unique=True, max_size=3)
    limits: dict[str, int] = {"a": 100, "b": 150, "c": 60}  # noqa: RUF012  never changed

    def __init__(self) -> None:
        super().__init__()
        self.clock = _Clock()
        self.ledger = MemoryLedger(clock=self.clock)
        self.model: dict[str, tuple[int, frozenset[str]]] = {}

    def _rate(self, budget: str, *, without: str = "") -> int:
        return sum(rate for key, (rate, budgets) in self.model.items() if budget in budgets and key != without)

    @rule(key=keys, micros=st.integers(0, 80), budgets=budgets)
    def reserve(self, key: str, micros: int, budgets: list[str]) -> None:
        had, before = self.model.get(key, (0, frozenset()))
        fits = all(
            self._rate(budget, without=key) + micros <= self.limits[budget]
            or micros <= (had if budget in before else 0)
            for budget in budgets
        )
        outcome = self.ledger.reserve(key, micros, [Charge(budget, self.limits[budget]) for budget in budgets])
        assert outcome.accepted is fits
        if fits:
            self.model[key] = micros, frozenset(budgets)
        else:
            assert outcome.budget in budgets
            assert outcome.committed == self._rate(outcome.budget, without=key)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def reserve_again(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.model)))
        micros, budgets = self.model[key]
        assert self.ledger.reserve(key, micros, [Charge(budget, 0) for budget in sorted(budgets)]).accepted

    @rule(key=keys)
    def release(self, key: str) -> None:
        assert self.ledger.release(key) is (self.model.pop(key, None) is not None)

    @rule()
    def recount_of_the_truth(self) -> None:
        self.ledger.recount(Booking(key, rate, tuple(budgets)) for key, (rate, budgets) in self.model.items())

    @rule(minutes=st.integers(0, 600))
    def time_passes(self, minutes: int) -> None:
        self.clock.now += timedelta(minutes=minutes)

    @invariant()
    def committed_is_the_sum_and_never_above_the_limit(self) -> None:
        for budget, limit in self.limits.items():
            assert self.ledger.committed(budget) == self._rate(budget) <= limit
        assert self.ledger.size() == len(self.model)


LedgerMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestLedgerMachine = LedgerMachine.TestCase
