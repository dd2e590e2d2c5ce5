"""A rolling update on a budget that is full passes through whichever replicas its pods come, and never runs beyond what
was approved and the surge."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts.ledger import Clock
from tests.fakes.ledgers import FakeLedgers
from tests.fakes.shared_ledger import replica, sync, watch
from webhook.ledger.ledger_state import SETTLE
from webhook.ledger.store import Booking, Charge, ProvenOwner

CHARGE = [Charge("a", 100)]
PODS = 9
RATE = 10
SECOND = timedelta(seconds=1)


class Cluster:
    """Three replicas, and pods that they see."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.ledgers = FakeLedgers()
        self.replicas = [replica(self.ledgers, self.clock, seed=seed) for seed in range(3)]
        self.pods: dict[str, Booking] = {}
        for each in self.replicas:
            watch(self.ledgers, each)

    def close(self) -> None:
        for each in self.replicas:
            each.close()

    def create(self, pod: str, through: int, owner: ProvenOwner | None = None) -> bool:
        accepted = self.replicas[through % 3].reserve(pod, RATE, CHARGE, owner).accepted
        if accepted:
            self.pods[pod] = Booking(pod, RATE, ("a",), owner.uid if owner is not None else "")
        return accepted

    def delete(self, pod: str) -> None:
        """Begin to end a pod."""
        self.pods[pod] = self.pods[pod]._replace(owner="")
        for each in self.replicas:
            each.leave(pod)

    def end(self, pod: str) -> None:
        del self.pods[pod]
        for each in self.replicas:
            each.release(pod)

    def count(self, *, leader: int = 0) -> None:
        for each in self.replicas:
            each.recount(self.pods.values())
        sync(self.replicas[leader % 3], self.pods.values(), ["a"])

    def full(self, surge: int) -> ProvenOwner:
        """Fill the budget: most of it by the pods of one controller, admitted through all replicas."""
        web = ProvenOwner("web", surge * RATE)
        for pod in range(PODS):
            assert self.create(f"old-{pod}", pod, web)
        assert self.create("other", 0)
        assert not self.create("one too many", 1)
        return web

    def check(self) -> None:
        for sheet in self.ledgers.sheets("a"):
            assert sheet.committed <= 100


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    yield made
    made.close()


def roll(cluster: Cluster, web: ProvenOwner, *, seconds: list[int], counts: list[bool], first: int) -> None:
    """Replace pod by pod: a new one comes, runs, and an old one goes."""
    for pod in range(PODS):
        assert cluster.create(f"new-{pod}", first + pod, web), pod
        assert sum(each.micros for each in cluster.pods.values()) == 100 + RATE
        # The surge is taken, whoever is asked.
        assert not cluster.create("beyond", first + pod + 1, web)
        cluster.clock.now += seconds[pod] * SECOND
        if counts[pod]:
            cluster.count(leader=first)
        cluster.delete(f"old-{pod}")
        if counts[-pod]:
            cluster.count(leader=pod)
        cluster.end(f"old-{pod}")


@given(
    seconds=st.lists(st.integers(0, 12), min_size=PODS, max_size=PODS),
    counts=st.lists(st.booleans(), min_size=PODS, max_size=PODS),
    first=st.integers(0, 2),
    age=st.sampled_from([0, 4, 60]),
)
@settings(max_examples=15, deadline=None)
def test_with_a_surge_it_passes_whoever_counts_and_when(
    seconds: list[int], counts: list[bool], first: int, age: int
) -> None:
    cluster = Cluster()
    web = cluster.full(surge=1)
    cluster.clock.now += age * SECOND
    if age:
        cluster.count()
    roll(cluster, web, seconds=seconds, counts=counts, first=first)
    cluster.clock.now += SETTLE
    cluster.count(leader=first)
    sheet = cluster.ledgers.sheet("a")
    assert (sheet.committed, sheet.beside, sheet.reservations) == (100, 0, {})
    cluster.check()
    cluster.close()


@pytest.mark.parametrize("counted", [True, False])
def test_without_a_surge_it_passes_as_pods_go_although_others_wait_for_the_room(
    cluster: Cluster, counted: bool
) -> None:
    web = cluster.full(surge=0)
    cluster.clock.now += SETTLE
    cluster.count()
    for pod in range(PODS):
        assert not cluster.create(f"early-{pod}", pod, web)
        cluster.delete(f"old-{pod}")
        if counted:
            cluster.count(leader=pod)
        # The controller counts a pod that is being deleted as gone.
        assert cluster.create(f"new-{pod}", pod + 1, web), pod
        cluster.end(f"old-{pod}")
        cluster.clock.now += SETTLE
        cluster.count(leader=pod + 1)
    assert cluster.ledgers.sheet("a").rate == 100


def test_a_pod_that_ended_while_its_reservation_stands_is_replaced_through_every_replica(cluster: Cluster) -> None:
    web = cluster.full(surge=0)
    cluster.count()
    for turn in range(6):
        name = f"again-{turn - 1}" if turn else "old-0"
        cluster.delete(name)
        cluster.end(name)
        # Whatever is written next still has the reservation of the pod that has ended.
        cluster.replicas[turn % 3].reserve(f"free-{turn}", 1, [Charge("a", None)])
        assert cluster.create(f"again-{turn}", turn + 1, web), turn


def test_news_of_a_deletion_are_not_undone_by_a_count_that_had_begun_before(cluster: Cluster) -> None:
    web = cluster.full(surge=0)
    cluster.clock.now += SETTLE
    cluster.count()
    before = list(cluster.pods.values())
    cluster.delete("old-0")
    for each in cluster.replicas:
        each.recount(before)
    assert cluster.create("new-0", 1, web)
    cluster.end("old-0")
    for each in cluster.replicas:
        each.recount([*before, cluster.pods["new-0"]])
    assert all(each.is_replacement("a", RATE, web) is False for each in cluster.replicas)
    cluster.delete("new-0")
    assert cluster.create("new-1", 2, web)


def test_a_pod_that_is_given_back_is_forgotten_by_who_admitted_it(cluster: Cluster) -> None:
    web = cluster.full(surge=0)
    cluster.count()
    cluster.delete("old-0")
    cluster.end("old-0")
    one = cluster.replicas[0]
    for turn in range(3):
        # The first of its budgets lets it in, the second does not.
        assert not one.reserve(f"twice-{turn}", RATE, [*CHARGE, Charge("b", 0)], web).accepted
        one.reserve("free", turn, [Charge("a", None)])
    assert cluster.create("new-0", 0, web)
