"""Exactly what a budget has room for is let in, however many pods come at once and through however many replicas."""

import contextlib
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration import _admission, _replicas
from tests.integration._replicas import Balancer, House, budget_of, create, micros, paused
from webhook.serve import event_loop_lag

ROOM = 100
AT_ONCE = 300


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with _replicas.house(tmp_path_factory.mktemp("plane"), 5) as made:
        yield made


def full_at(house: House, namespace: str, room: int) -> int:
    """Give a namespace a budget with room for so many pods; return what one of them costs, micro-units per hour."""
    budget_of(house, namespace, "1000")
    assert create(house, namespace, ["first"]).outcomes == {201: 1}
    _admission.eventually("it is booked", lambda: micros(house.ledger(namespace)["status"]["committed"]) > 0)
    rate = micros(house.ledger(namespace)["status"]["committed"])
    amount = f"{rate * 730 * room // 1_000_000}.{rate * 730 * room % 1_000_000:06}"
    budget_of(house, namespace, amount)
    return rate


def is_settled(house: House, namespace: str, rate: int, pods: int = ROOM) -> bool:
    status = house.ledger(namespace)["status"]
    return status["reserved"] == 0 and micros(status["committed"]) == micros(status["confirmed"]) == pods * rate


@pytest.mark.parametrize("pods", [300, 3_000])
@pytest.mark.parametrize("count", [1, 3, 5])
def test_exactly_what_fits_is_let_in(house: House, count: int, pods: int) -> None:
    namespace = house.installed.namespace(f"rush-{count}-{pods}")
    rate = full_at(house, namespace, ROOM)
    house.balancer.use([each.port for each in house.replicas[:count]])
    committed: list[int] = []
    stop = house.follow(namespace, committed)
    began = time.monotonic()
    done = create(house, namespace, [f"pod-{number}" for number in range(pods)], at_once=AT_ONCE)
    took = time.monotonic() - began
    print(f"{count} replicas, {pods} pods: {pods / took:.0f} creates a second, {len(committed)} versions")
    assert done.outcomes == {201: ROOM - 1, 403: pods - ROOM + 1}, done.messages.most_common(5)
    _admission.eventually("all pods are counted", lambda: is_settled(house, namespace, rate), 60)
    stop()
    assert max(committed) == ROOM * rate


def not_judged(house: House) -> int:
    """Return how many reviews waited so long that budgets alone judged them."""
    found = [
        re.findall(r'^podgate_overload_total\{path="/validate/cost"\} (\d+)', each.metrics(), re.M)
        for each in house.replicas
    ]
    return sum(int(count) for counts in found for count in counts)


@pytest.mark.parametrize(
    ("count", "seconds"), [pytest.param(3, 3, id="that of the manifests"), pytest.param(1, 1, id="a single second")]
)
def test_with_a_short_time_out_nobody_gets_in_beyond(house: House, count: int, seconds: int) -> None:
    namespace = house.installed.namespace(f"impatient-{seconds}")
    rate = full_at(house, namespace, ROOM)
    house.balancer.use([each.port for each in house.replicas[:count]])
    house.wait_for(house.balancer.port, seconds=seconds)
    committed: list[int] = []
    stop = house.follow(namespace, committed)
    before = not_judged(house)
    try:
        done = create(house, namespace, [f"pod-{number}" for number in range(300)], at_once=AT_ONCE)
    finally:
        house.wait_for(house.balancer.port, seconds=30)
    shed = not_judged(house) - before
    print(f"{count} replicas, 300 pods, {seconds} s: {dict(done.outcomes)}, {shed} judged by budgets alone")
    stop()
    assert 0 < done.outcomes[201] <= ROOM - 1, done.messages.most_common(5)
    assert max(committed) <= ROOM * rate


@contextlib.contextmanager
def own_line(house: House, replicas: Sequence[_admission.Podgate], seconds: int) -> Iterator[Balancer]:
    """Let these replicas judge the cost of pods, over connections of their own that are open already."""
    balancer = Balancer([each.port for each in replicas])
    house.wait_for(balancer.port, seconds)
    try:
        yield balancer
    finally:
        house.wait_for(house.balancer.port, seconds=30)
        balancer.close()


@pytest.mark.parametrize(
    ("count", "seconds"), [pytest.param(3, 30, id="in time for all"), pytest.param(1, 3, id="in time for most")]
)
def test_who_waited_too_long_to_be_judged_is_booked_all_the_same(house: House, count: int, seconds: int) -> None:
    namespace = house.installed.namespace(f"late-{count}-{seconds}")
    rate = full_at(house, namespace, ROOM)
    # The first replica goes on: pods are changed before anybody asks what they cost.
    replicas = house.replicas[1 : 1 + count]
    names = [f"pod-{number}" for number in range(AT_ONCE)]
    with own_line(house, replicas, seconds) as line, ThreadPoolExecutor(1) as aside:
        create(house, namespace, names[:50], dry_run=True, at_once=50)
        committed: list[int] = []
        stop = house.follow(namespace, committed)
        before, open_already = not_judged(house), line.connections
        with paused(replicas):
            creating = aside.submit(create, house, namespace, names, at_once=AT_ONCE)
            # A further connection is opened only where a review is on its way over each of the others.
            _admission.eventually("reviews queue up", lambda: line.connections > open_already)
            time.sleep(event_loop_lag.deadline(seconds) + 0.25)
        done = creating.result()
        shed = not_judged(house) - before
    print(f"{count} replicas, {seconds} s: {dict(done.outcomes)}, {shed} judged by budgets alone")
    assert shed > 0
    assert done.outcomes[201] <= ROOM - 1
    if seconds == 30:
        assert done.outcomes == {201: ROOM - 1, 403: AT_ONCE - ROOM + 1}, done.messages.most_common(5)
    pods = 1 + done.outcomes[201]
    _admission.eventually("just these pods are counted", lambda: is_settled(house, namespace, rate, pods), 60)
    more = create(house, namespace, [f"more-{number}" for number in range(ROOM - pods + 5)])
    stop()
    assert more.outcomes == Counter({201: ROOM - pods, 403: 5})
    assert max(committed) == ROOM * rate


def test_a_replica_that_is_killed_in_the_middle_lets_nobody_in_beyond_and_takes_nothing_for_ever(house: House) -> None:
    namespace = house.installed.namespace("killed")
    rate = full_at(house, namespace, ROOM)
    house.balancer.use([each.port for each in house.replicas[:3]])
    committed: list[int] = []
    stop = house.follow(namespace, committed)
    victim = house.replicas[1]
    threading.Timer(0.5, victim.kill).start()
    try:
        done = create(house, namespace, [f"pod-{number}" for number in range(300)], at_once=100)
        assert done.outcomes[201] < ROOM
        house.balancer.use([house.replicas[0].port, house.replicas[2].port])
        # Its share comes back, and so does what it had booked for pods that nobody created.
        deadline = time.monotonic() + 120
        let_in, number = done.outcomes[201] + 1, 0
        while let_in < ROOM and time.monotonic() < deadline:
            number += 1
            more = create(house, namespace, [f"more-{number}-{each}" for each in range(20)])
            let_in += more.outcomes[201]
            time.sleep(3)
        assert let_in == ROOM
        assert create(house, namespace, ["one-too-many"]).outcomes == {403: 1}
        _admission.eventually("all pods are counted", lambda: is_settled(house, namespace, rate), 60)
    finally:
        victim.start()
    stop()
    assert max(committed) == ROOM * rate
