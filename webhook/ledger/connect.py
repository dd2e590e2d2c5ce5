"""Puts the parts of the shared ledger together."""

import random
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from webhook.kube import budget_ledgers
from webhook.kube.reflector import Reflector
from webhook.kube.rest import Rest
from webhook.ledger.batch_writer import Dependencies
from webhook.ledger.shared import SharedLedger


def connect(
    writes: Rest,
    add_watch: Callable[..., Reflector[Any]],
    *,
    sees_pods: Callable[[], bool],
    now: Callable[[], datetime],
    ttl: timedelta,
) -> SharedLedger:
    """Return the ledger that all replicas share.

    Args:
        writes: the API server, through connections of its own.
        add_watch: adds a watch, see `webhook.cluster.watches.Watches.add`.
        sees_pods: whether news of pods come in.
        now: this machine's time, aware; used where the API server's is not known.
        ttl: how long a reservation waits for its pod to be seen.
    """

    def is_absent() -> bool:
        return watched.state().phase == "absent"

    around = Dependencies(
        # One clock for all replicas: times that one of them writes are compared by another.
        now=lambda: writes.server_time() or now(),
        monotonic=time.monotonic,
        sleep=time.sleep,
        random=random.random,
        is_absent=is_absent,
        sees_pods=sees_pods,
    )
    shared = SharedLedger(budget_ledgers.BudgetLedgers(writes), around, ttl=ttl)
    # Without the watch, ledgers are read when they are needed, so nobody has to wait for it.
    watched = add_watch(budget_ledgers.RESOURCE, budget_ledgers.decode, shared.copies, is_spare=True)
    return shared
