"""Budgets of three replicas, as users meet them: pods are created through a real API server, which asks whichever
replica a balancer sends it to."""

from collections.abc import Iterator

import pytest

from tests.integration import _admission, _replicas
from tests.integration._replicas import Created, House, budget_of, create, micros

PODS = 300
ROOM = 100


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with _replicas.house(tmp_path_factory.mktemp("plane"), 3) as made:
        yield made


def test_three_replicas_admit_exactly_what_a_budget_has_room_for(house: House) -> None:
    namespace = house.installed.namespace("rush")
    budget_of(house, namespace, "1000")
    assert create(house, namespace, ["first"]).outcomes == {201: 1}
    rate = micros(house.ledger(namespace)["status"]["committed"])
    amount = f"{rate * 730 * ROOM // 1_000_000}.{rate * 730 * ROOM % 1_000_000:06}"
    budget_of(house, namespace, amount)
    committed: list[int] = []
    stop = house.follow(namespace, committed)
    done = create(house, namespace, [f"pod-{number}" for number in range(PODS)])
    assert done.outcomes == {201: ROOM - 1, 403: PODS - ROOM + 1}, done.messages
    said = next(iter(done.messages))
    assert f'budget "{namespace}": $' in said
    assert "committed, this pod adds $" in said
    _admission.eventually("all pods are counted", lambda: house.ledger(namespace)["status"]["reserved"] == 0, 60)
    status = house.ledger(namespace)["status"]
    assert micros(status["committed"]) == micros(status["confirmed"]) == ROOM * rate
    stop()
    assert max(committed) == ROOM * rate
    assert len(committed) < ROOM
    # What is refused leaves no trace, and neither does what is only tried.
    version = house.ledger(namespace)["metadata"]["resourceVersion"]
    house.installed.kubectl.must("delete", "pod", "-n", namespace, "first", "--grace-period=0", "--force")
    _admission.eventually(
        "a pod that is deleted gives back", lambda: micros(house.ledger(namespace)["status"]["committed"]) == 99 * rate
    )
    version = house.ledger(namespace)["metadata"]["resourceVersion"]
    tried = create(house, namespace, [f"dry-{number}" for number in range(100)], dry_run=True)
    assert tried.outcomes == {201: 100}, tried.messages
    assert house.ledger(namespace)["metadata"]["resourceVersion"] == version
    assert create(house, namespace, ["last", "too-many"]).outcomes == {201: 1, 403: 1}


def test_a_replica_that_is_killed_costs_nobody_the_budget(house: House) -> None:
    namespace = house.installed.namespace("outage")
    budget_of(house, namespace, "1000")
    house.replicas[0].kill()
    try:
        done = create(house, namespace, [f"pod-{number}" for number in range(30)])
        # A connection to the one that is dead is refused; the API server says so, and the client tries again.
        assert done.outcomes[201] > 0
        assert house.replicas[1].readiness()[0]
        _admission.eventually("another leads and counts", lambda: _is_settled(house, namespace, done), 60)
    finally:
        house.replicas[0].start()


def _is_settled(house: House, namespace: str, done: Created) -> bool:
    status = house.ledger(namespace)["status"]
    pods = house.installed.kubectl.must("get", "pods", "-n", namespace, "-o", "name").out.split()
    return status["reserved"] == 0 and len(pods) == done.outcomes[201] and micros(status["committed"]) > 0
