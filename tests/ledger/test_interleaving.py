"""Budgets are exact whatever happens in whichever order: between replicas, their threads, their calls and their ends.

Everything here is decided by seeds and bounded in steps; nothing depends on a clock or on the machine.
"""

from collections.abc import Callable, Iterator

import pytest

from tests.ledger.interleaved import ROOM, Cluster, Faults
from webhook.ledger.store import LedgerError

Make = Callable[..., Cluster]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Cluster] = []

    def one(seed: int, replicas: int, faults: Faults | None = None) -> Cluster:
        made.append(Cluster(seed, replicas, faults or Faults()))
        return made[-1]

    yield one
    for each in made:
        each.end()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("replicas", [1, 3, 5])
@pytest.mark.parametrize("pods", [300, 3_000])
def test_exactly_what_fits_is_let_in(make: Make, pods: int, replicas: int, seed: int) -> None:
    cluster = make(seed, replicas)
    cluster.create(pods, 1)
    cluster.answered()
    assert len(cluster.accepted) == ROOM
    assert not any(isinstance(answer, LedgerError) for answer in cluster.answers.values())
    cluster.settle()
    cluster.check_versions()
    sheet = cluster.ledgers.sheet("a")
    assert (sheet.known, sheet.shared, len(sheet.reservations)) == (ROOM, 0, 0)
