"""Replacement: pods of a controller stay admitted within the rate it was approved with, and nobody else's do."""

from datetime import UTC, datetime, timedelta

import pytest

from webhook.ledger.approval import GRACE
from webhook.ledger.memory import MemoryLedger
from webhook.ledger.store import Booking, Charge, ProvenOwner

LIMIT = [Charge("a", 100)]
MINE = ProvenOwner("uid-mine")


class _Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 11, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def ledger(clock: _Clock) -> MemoryLedger:
    """Return a ledger in which one of my two pods of 30 is gone, and others have taken all the rest."""
    ledger = MemoryLedger(clock=clock)
    assert ledger.reserve("mine-1", 30, LIMIT, MINE).accepted
    assert ledger.reserve("mine-2", 30, LIMIT, MINE).accepted
    assert ledger.release("mine-2")
    assert ledger.reserve("theirs", 70, LIMIT, ProvenOwner("uid-theirs")).accepted
    return ledger


def test_a_replacement_is_admitted_although_others_took_the_money(ledger: MemoryLedger) -> None:
    assert ledger.is_replacement("a", 30, MINE)
    assert ledger.reserve("mine-3", 30, LIMIT, MINE).accepted
    assert ledger.committed("a") == 130
    assert not ledger.is_replacement("a", 30, MINE)


@pytest.mark.parametrize(
    ("micros", "owner"),
    [
        pytest.param(30, None, id="nobody's pod"),
        pytest.param(30, ProvenOwner("uid-new"), id="a controller that was never admitted"),
        pytest.param(30, ProvenOwner("uid-theirs"), id="a controller that lost nothing"),
        pytest.param(31, MINE, id="more than was approved"),
        pytest.param(41, MINE._replace(surge=10), id="more than approved and surge"),
    ],
)
def test_what_replaces_nothing_is_refused(ledger: MemoryLedger, micros: int, owner: ProvenOwner | None) -> None:
    assert not ledger.reserve("new", micros, LIMIT, owner).accepted
    assert ledger.committed("a") == 100


def test_another_budget_has_approved_nothing(ledger: MemoryLedger) -> None:
    assert not ledger.reserve("mine-3", 30, [Charge("b", 10)], MINE).accepted


def test_a_surge_is_allowed_and_never_becomes_the_approved_rate(ledger: MemoryLedger) -> None:
    surging = MINE._replace(surge=10)
    assert ledger.reserve("mine-3", 40, LIMIT, surging).accepted
    assert not ledger.reserve("mine-4", 10, LIMIT, surging).accepted
    ledger.recount([Booking("mine-1", 30, ("a",), "uid-mine"), Booking("mine-3", 40, ("a",), "uid-mine")])
    ledger.reserve("others", 70, [Charge("a", None)])
    assert not ledger.reserve("mine-4", 10, LIMIT, surging).accepted


def test_what_was_scaled_down_is_no_longer_approved_after_a_while(ledger: MemoryLedger, clock: _Clock) -> None:
    clock.now += GRACE
    assert ledger.reserve("mine-3", 30, LIMIT, MINE).accepted
    ledger.release("mine-3")
    clock.now += GRACE + timedelta(seconds=1)
    assert not ledger.reserve("mine-3", 30, LIMIT, MINE).accepted
    ledger.release("mine-1")
    ledger.reserve("others", 100, [Charge("a", None)])
    assert ledger.reserve("mine-1", 30, LIMIT, MINE).accepted


def test_pods_that_ran_before_the_ledger_was_made_are_approved(clock: _Clock) -> None:
    ledger = MemoryLedger(clock=clock)
    ledger.recount([Booking("mine-1", 120, ("a",), "uid-mine")])
    ledger.recount([])
    assert ledger.reserve("mine-2", 120, LIMIT, MINE).accepted
    ledger.recount([Booking("mine-2", 120, ("a",), "uid-mine")])
    assert not ledger.reserve("mine-3", 1, LIMIT, MINE).accepted


def test_a_controller_that_is_gone_is_forgotten(clock: _Clock) -> None:
    ledger = MemoryLedger(clock=clock)
    ledger.recount([Booking("mine-1", 120, ("a",), "uid-mine")])
    ledger.recount([])
    clock.now += GRACE + timedelta(seconds=1)
    ledger.recount([])
    assert not ledger.reserve("mine-2", 120, LIMIT, MINE).accepted


def come_and_go(ledger: MemoryLedger, controllers: int, pods: int = 4) -> None:
    """Let controllers fill the budget one after the other, each of whose pods are gone when the next one comes."""
    for number in range(controllers):
        for pod in range(pods):
            ledger.reserve(f"{number}-{pod}", 25, LIMIT, ProvenOwner(f"uid-{number}"))
        for pod in range(pods):
            ledger.release(f"{number}-{pod}")


def come_back(ledger: MemoryLedger, controllers: int, pods: int = 4) -> int:
    for number in range(controllers):
        for pod in range(pods):
            ledger.reserve(f"{number}-{pod}-again", 25, LIMIT, ProvenOwner(f"uid-{number}"))
    return ledger.committed("a")


@pytest.mark.parametrize("controllers", [2, 5, 20])
def test_controllers_that_leave_each_other_room_are_approved_for_one_budget_together(
    clock: _Clock, controllers: int
) -> None:
    ledger = MemoryLedger(clock=clock)
    come_and_go(ledger, controllers)
    assert come_back(ledger, controllers) == 100


def test_who_runs_on_room_that_another_may_come_back_to_is_one_budget_more_at_most(clock: _Clock) -> None:
    ledger = MemoryLedger(clock=clock)
    come_and_go(ledger, 5)
    assert all(ledger.reserve(f"last-{pod}", 25, LIMIT, ProvenOwner("uid-last")).accepted for pod in range(4))
    assert come_back(ledger, 5) == 200
    ledger.release("last-0")
    assert not ledger.reserve("last-4", 25, LIMIT, ProvenOwner("uid-last")).accepted


def test_who_was_let_in_on_promised_room_is_approved_once_both_fit(ledger: MemoryLedger, clock: _Clock) -> None:
    theirs = ProvenOwner("uid-theirs")
    ledger.release("theirs")
    assert ledger.reserve("theirs-1", 50, LIMIT, theirs).accepted  # 30 run, 30 may come back.
    running = [Booking("mine-1", 30, ("a",), "uid-mine"), Booking("theirs-1", 50, ("a",), "uid-theirs")]
    ledger.recount(running)
    clock.now += GRACE + timedelta(seconds=1)
    ledger.recount(running)  # Mine has not come back in time.
    assert ledger.reserve("other", 20, LIMIT).accepted
    ledger.recount([running[0], Booking("other", 20, ("a",))])
    assert ledger.reserve("mine-more", 50, [Charge("a", None)]).accepted
    ledger.reserve("limit", 0, LIMIT)
    assert ledger.reserve("theirs-2", 50, LIMIT, theirs).accepted


def test_a_budget_that_refuses_nothing_approves_everything(clock: _Clock) -> None:
    """Once it is enforced, what runs beyond it is still replaced."""
    ledger = MemoryLedger(clock=clock)
    for number in range(3):
        for pod in range(4):
            assert ledger.reserve(f"{number}-{pod}", 25, [Charge("a", None)], ProvenOwner(f"uid-{number}")).accepted
    ledger.release("2-3")
    assert ledger.reserve("2-4", 25, LIMIT, ProvenOwner("uid-2")).accepted


def test_pods_that_were_admitted_elsewhere_are_approved_within_the_limit_too(clock: _Clock) -> None:
    ledger = MemoryLedger(clock=clock)
    ledger.limit({"a": 100})
    for number in range(3):
        for pod in range(4):
            ledger.book(f"{number}-{pod}", 25, ["a"], [], f"uid-{number}")
        for pod in range(4):
            ledger.release(f"{number}-{pod}")
    assert come_back(ledger, 3) == 100


def test_pods_that_are_seen_before_they_are_heard_of_are_approved_within_the_limit_too(clock: _Clock) -> None:
    ledger = MemoryLedger(clock=clock)
    ledger.limit({"a": 100})
    ledger.recount([Booking("first", 1, ("a",), "uid-first")])
    for number in range(3):
        ledger.recount([Booking(f"{number}-{pod}", 25, ("a",), f"uid-{number}") for pod in range(4)])
        ledger.recount([])
    assert come_back(ledger, 3) == 100


def test_what_a_new_budget_finds_running_is_approved_although_it_is_beyond(clock: _Clock) -> None:
    ledger = MemoryLedger(clock=clock)
    ledger.limit({"a": 100, "b": 1_000})
    running = [Booking(f"{number}-{pod}", 25, ("b",), f"uid-{number}") for number in range(3) for pod in range(4)]
    ledger.recount(running)
    ledger.recount([pod._replace(budgets=("a", "b")) for pod in running])
    ledger.recount([pod._replace(budgets=("a", "b")) for pod in running[:-1]])
    assert ledger.reserve("again", 25, LIMIT, ProvenOwner("uid-2")).accepted
