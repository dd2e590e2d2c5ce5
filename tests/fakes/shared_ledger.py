"""Replicas of the shared ledger in one process, over one place where ledgers are kept."""

import itertools
import random
import time
from collections.abc import Iterable
from datetime import timedelta

from tests.contracts.ledger import TTL, Clock
from tests.fakes.ledgers import FakeLedgers
from webhook.kube.budget_ledgers import Ledgers, StoredLedger
from webhook.ledger import balance
from webhook.ledger.batch_writer import Dependencies
from webhook.ledger.escrow import ACTIVE_SECONDS
from webhook.ledger.shared import SharedLedger
from webhook.ledger.store import Booking

_HOLDERS = itertools.count()

TERMS = balance.BudgetTerms(amount=100 * 730)
"""At most 100 micro-units per hour."""


class Switches:
    """What the process around a ledger knows."""

    def __init__(self) -> None:
        self.is_absent = False
        self.sees_pods = True

    def watch(self, sees_pods: bool) -> None:
        """Say whether the watch of pods is established."""
        self.sees_pods = sees_pods


def replica(
    ledgers: Ledgers, clock: Clock, switches: Switches | None = None, *, seed: int = 0, is_named: bool = True
) -> SharedLedger:
    """Return a replica that has counted that no pod runs. Its time is that of `clock` and what it has slept."""
    switched = switches or Switches()
    slept = [0.0]

    def sleep(seconds: float) -> None:
        slept[0] += seconds
        time.sleep(seconds / 10)

    around = Dependencies(
        now=clock,
        monotonic=lambda: clock.now.timestamp() + slept[0],
        sleep=sleep,
        random=random.Random(seed).random,  # noqa: S311  it spreads pauses
        is_absent=lambda: switched.is_absent,
        sees_pods=lambda: switched.sees_pods,
        holder=f"replica-{next(_HOLDERS)}" if is_named else "",
    )
    made = SharedLedger(ledgers, around, ttl=TTL)
    made.recount([])
    return made


def watch(ledgers: FakeLedgers, shared: SharedLedger) -> None:
    """Let a replica hear of every change from now on, at once."""

    def hear(what: str, stored: StoredLedger) -> None:
        if what == "put":
            shared.copies.put(f"/{stored.name}", stored)
        else:
            shared.copies.drop(f"/{stored.name}")

    ledgers.listeners.append(hear)


def settle(shared: Iterable[SharedLedger], clock: Clock) -> None:
    """Let some time pass, after which nobody books and all that was booked is written down."""
    clock.now += timedelta(seconds=ACTIVE_SECONDS + 1)
    for each in shared:
        each.flush()


def lead(shared: SharedLedger, clock: Clock, seconds: int, pods: Iterable[Booking], budgets: Iterable[str]) -> None:
    """Lead for so long while nothing changes."""
    running, names = list(pods), list(budgets)
    for _ in range(seconds):
        clock.now += timedelta(seconds=1)
        sync(shared, running, names)


def sync(shared: SharedLedger, pods: Iterable[Booking], budgets: Iterable[str] = ("a", "b")) -> None:
    """Bring the truth to the ledgers, as a leader does."""
    shared.follow(dict.fromkeys(budgets, TERMS))
    shared.recount(pods)
    shared.reconcile(lambda: True)
