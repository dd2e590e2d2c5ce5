"""Budgets are exact whatever happens in whichever order: between replicas, their threads, their calls and their ends.

Everything here is decided by seeds and bounded in steps; nothing depends on a clock or on the machine.
"""

from collections.abc import Callable, Iterator

import pytest

from tests.ledger.interleaved import ROOM, Cluster, Faults
from webhook.ledger.store import LedgerError, ReservationOutcome

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


@pytest.mark.parametrize("seed", range(4))
def test_with_two_budgets_exactly_what_fits_into_both_is_let_in(make: Make, seed: int) -> None:
    cluster = make(seed, 3)
    cluster.create(60, 1, ("a",))
    cluster.create(60, 1, ("a", "b"))
    cluster.create(60, 1, ("b",))
    cluster.answered()
    # Whoever got into one and not into the other has given it back, and others come later.
    cluster.settle()
    cluster.create(100, 1, ("a",))
    cluster.create(100, 1, ("b",))
    cluster.answered()
    for budget in ("a", "b"):
        assert sum(pod.micros for pod in cluster.accepted.values() if budget in pod.budgets) == ROOM
    cluster.settle()
    cluster.check_versions()


@pytest.mark.parametrize("seed", range(4))
def test_pods_of_all_sizes_never_get_beyond_the_budget_and_leave_no_room_for_the_smallest(
    make: Make, seed: int
) -> None:
    cluster = make(seed, 3)
    for micros in (1, 3, 7, 20):
        cluster.create(40, micros)
    cluster.answered()
    cluster.settle()
    cluster.create(100, 1)
    cluster.answered()
    cluster.check_versions()
    assert sum(pod.micros for pod in cluster.accepted.values()) == ROOM


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("replicas", [3, 5])
def test_a_replica_that_is_killed_takes_nothing_for_ever(make: Make, replicas: int, seed: int) -> None:
    cluster = make(seed, replicas, Faults(deaths=1))
    cluster.create(300, 1)
    cluster.answered()
    assert len(cluster.accepted) <= ROOM
    cluster.settle(90)
    cluster.create(300, 1)
    cluster.answered()
    cluster.check_versions()
    # What it had booked and told nobody has come back, and what it had told counts.
    assert len(cluster.pods) == ROOM
    cluster.settle()
    sheet = cluster.ledgers.sheet("a")
    assert (sheet.known, sheet.shared) == (ROOM, 0)


FAULTS = {
    "calls fail": Faults(refused=10),
    "answers are lost": Faults(lost=10),
    "half of all writes conflict": Faults(conflicts=50),
    "reviews come again": Faults(retried=20),
    "pods never come": Faults(never_comes=20),
    "replicas die": Faults(deaths=2),
    "everything": Faults(5, 5, 10, 5, 5, 2),
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", FAULTS)
def test_whatever_goes_wrong_nobody_gets_beyond_the_budget_and_whoever_got_in_counts(
    make: Make, name: str, seed: int
) -> None:
    cluster = make(seed, 3, FAULTS[name])
    cluster.create(150, 1)
    cluster.create(20, 5, ("a", "b"))
    cluster.create(60, 2, ("b",))
    cluster.answered()
    cluster.settle(90)
    cluster.check_versions()
    for budget in ("a", "b"):
        running = sum(pod.micros for pod in cluster.pods.values() if budget in pod.budgets)
        assert cluster.ledgers.sheet(budget).known == running
        assert cluster.ledgers.sheet(budget).shared == 0


def test_the_same_seed_gives_the_same_run(make: Make) -> None:
    runs = [make(7, 3, FAULTS["everything"]) for _ in range(2)]
    for each in runs:
        each.create(100, 3, ("a", "b"))
        each.answered()
    assert runs[0].answers == runs[1].answers
    assert runs[0].steps.taken == runs[1].steps.taken
    assert isinstance(next(iter(runs[0].answers.values())), ReservationOutcome | LedgerError)
