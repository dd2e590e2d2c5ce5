"""Replicas of the shared ledger in one process, over one place where ledgers are kept."""

import random
import time
from collections.abc import Iterable

from tests.contracts.ledger import TTL, Clock
from tests.fakes.ledgers import FakeLedgers
from webhook.kube.budget_ledgers import Ledgers, Stored
from webhook.ledger import balance
from webhook.ledger.shared import SharedLedger
from webhook.ledger.store import Booking
from webhook.ledger.writer import Surroundings

TERMS = balance.Terms(amount=100 * 730)
"""At most 100 micro-units per hour."""


class Switches:
    """What the process around a ledger knows."""

    def __init__(self) -> None:
        self.is_absent = False
        self.sees_pods = True


def replica(ledgers: Ledgers, clock: Clock, switches: Switches | None = None, *, seed: int = 0) -> SharedLedger:
    """Return a replica that has counted that no pod runs."""
    switched = switches or Switches()
    around = Surroundings(
        now=clock,
        monotonic=time.monotonic,
        sleep=lambda seconds: time.sleep(seconds / 10),
        random=random.Random(seed).random,  # noqa: S311  it spreads pauses
        is_absent=lambda: switched.is_absent,
        sees_pods=lambda: switched.sees_pods,
    )
    made = SharedLedger(ledgers, around, ttl=TTL)
    made.recount([])
    return made


def watch(ledgers: FakeLedgers, shared: SharedLedger) -> None:
    """Let a replica hear of every change from now on, at once."""

    def hear(what: str, stored: Stored) -> None:
        if what == "put":
            shared.copies.put(f"/{stored.name}", stored)
        else:
            shared.copies.drop(f"/{stored.name}")

    ledgers.listeners.append(hear)


def sync(shared: SharedLedger, pods: Iterable[Booking], budgets: Iterable[str] = ("a", "b")) -> None:
    """Bring the truth to the ledgers, as a leader does."""
    shared.follow(dict.fromkeys(budgets, TERMS))
    shared.recount(pods)
    shared.reconcile(lambda: True)
