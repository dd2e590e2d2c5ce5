"""What a budget has spent is known to whichever replica is asked, whatever became of those that counted it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts.ledger import START, Clock
from tests.fakes.ledgers import FakeLedgers
from tests.fakes.shared_ledger import replica, sync, watch
from webhook.ledger import balance
from webhook.ledger.balance import BudgetPeriod
from webhook.ledger.shared import SharedLedger
from webhook.ledger.store import Booking

PERIODS: Final[tuple[BudgetPeriod, ...]] = get_args(BudgetPeriod)

steps = st.lists(
    st.tuples(
        st.sampled_from(["leads", "is new and leads", "is new", "the ledger is deleted"]),
        st.integers(0, 10**6),
        st.integers(0, 9 * 86_400),
    ),
    min_size=1,
    max_size=8,
)
"""(what becomes of the replica, what all pods cost from then on, seconds that pass)."""


@contextmanager
def opened(ledgers: FakeLedgers, clock: Clock) -> Iterator[SharedLedger]:
    """Start a process that reads what is there, and end it."""
    made = replica(ledgers, clock)
    watch(ledgers, made)
    for stored in ledgers.stored.values():
        made.copies.put("", stored)
    yield made
    ledgers.listeners.pop()
    made.close()


def exactly(spans: list[tuple[datetime, datetime, int]], begin: datetime) -> int:
    """Return what so many rates have cost since `begin`, rounded up."""
    spent = sum(max(0, int((end - max(start, begin)).total_seconds())) * rate for start, end, rate in spans)
    return -(-spent // 3600)


@given(steps, st.integers(1, 7))
@settings(max_examples=40, deadline=None)
def test_every_replica_knows_what_each_period_has_cost(steps: list[tuple[str, int, int]], begins_on: int) -> None:
    ledgers, clock = FakeLedgers(), Clock()
    spans: list[tuple[datetime, datetime, int]] = []
    with opened(ledgers, clock) as first:
        sync(first, [], ["a"])
        for what, rate, seconds in steps:
            pods = [Booking("p", rate, ("a",))]
            if what == "the ledger is deleted":
                ledgers.remove("a")
                sync(first, pods, ["a"])
            elif what == "leads":
                sync(first, pods, ["a"])
            else:
                with opened(ledgers, clock) as other:
                    rate = rate if what == "is new and leads" else spans[-1][2] if spans else 0
                    if what == "is new and leads":
                        sync(other, pods, ["a"])
            began = clock.now
            clock.now += timedelta(seconds=seconds)
            spans.append((began, clock.now, rate))
            with opened(ledgers, clock) as asked:
                for period in PERIODS:
                    expected = exactly(spans, balance.period_bounds(period, clock.now, begins_on)[0])
                    assert asked.spent("a", period, begins_on) == first.spent("a", period, begins_on) == expected


@pytest.mark.parametrize(
    ("period", "begins_on", "days"),
    [
        ("monthly", 1, 14),
        ("monthly", 10, 5),
        ("monthly", 15, 0),
        ("monthly", 16, 14),
        ("weekly", 7, 0),
        ("daily", 9, 0),
    ],
)
def test_a_restart_keeps_what_was_spent_since_the_reset_day(period: BudgetPeriod, begins_on: int, days: int) -> None:
    """Pods have run from the first of the month until the fifteenth, a Sunday, at noon."""
    ledgers, clock = FakeLedgers(), Clock(START.replace(day=1))
    with opened(ledgers, clock) as one:
        sync(one, [Booking("p", 60, ("a",))], ["a"])
    clock.now = START.replace(day=15, hour=12)
    with opened(ledgers, clock) as other:
        assert other.spent("a", period, begins_on) == 60 * (24 * days + 12)
