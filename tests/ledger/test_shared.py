"""The shared ledger under everything that can go wrong between replicas and the place where ledgers are kept."""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from tests.contracts.ledger import START, TTL, Clock
from tests.fakes.ledgers import FakeLedgers
from tests.fakes.shared_ledger import TERMS, Switches, lead, replica, sync, watch
from webhook.kube import client as api
from webhook.kube.budget_ledgers import StoredLedger
from webhook.ledger import wire as ledger_wire
from webhook.ledger.balance import BudgetTerms
from webhook.ledger.batch_writer import Dependencies
from webhook.ledger.ledger_state import MOST_RESERVATIONS, SETTLE, STALE, LedgerState
from webhook.ledger.shared import UNUSED, SharedLedger
from webhook.ledger.store import Booking, Charge, LedgerError, ProvenOwner, ReservationOutcome

SECOND = timedelta(seconds=1)
CHARGE = [Charge("a", 100)]


class House:
    """Some replicas over one place."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.ledgers = FakeLedgers()
        self.replicas: list[SharedLedger] = []

    def open(self, count: int = 1, switches: Switches | None = None) -> list[SharedLedger]:
        made = [replica(self.ledgers, self.clock, switches, seed=len(self.replicas) + n) for n in range(count)]
        for each in made:
            watch(self.ledgers, each)
            for stored in self.ledgers.stored.values():
                each.copies.put("", stored)
        self.replicas += made
        return made

    def committed(self) -> int:
        return self.ledgers.sheet("a").committed


@pytest.fixture
def house() -> Iterator[House]:
    made = House()
    yield made
    for each in made.replicas:
        each.close()


def storm(replicas: Sequence[SharedLedger], pods: int, micros: int = 1) -> list[bool]:
    """Create pods through all replicas at once; an error counts as refused."""
    answers: list[bool] = []
    is_done = threading.Semaphore(0)

    def done(answer: ReservationOutcome | LedgerError) -> None:
        answers.append(isinstance(answer, ReservationOutcome) and answer.accepted)
        is_done.release()

    def create(replica: int) -> None:
        for pod in range(replica, pods, len(replicas)):
            replicas[replica].begin(f"pod-{pod}", micros, CHARGE, None, seconds=30, done=done)

    with ThreadPoolExecutor(len(replicas)) as pool:
        list(pool.map(create, range(len(replicas))))
    for _ in range(pods):
        assert is_done.acquire(timeout=40)
    return answers


def never_above(house: House, limit: int = 100) -> None:
    assert all(sheet.committed <= limit for sheet in house.ledgers.sheets("a"))


# --- storms -----------------------------------------------------------------------------------------------------------


def test_three_replicas_admit_exactly_what_fits(house: House) -> None:
    answers = storm(house.open(3), 300)
    assert sum(answers) == 100 == house.committed()
    never_above(house)


def test_one_write_serves_many_reviews(house: House) -> None:
    gate = threading.Event()

    def before(verb: str) -> None:
        if verb == "create":
            gate.wait(10)

    house.ledgers.before = before
    (one,) = house.open()
    answers: list[ReservationOutcome | LedgerError] = []
    for pod in range(50):
        one.begin(f"p{pod}", 1, CHARGE, None, seconds=30, done=answers.append)
    gate.set()
    eventually(lambda: len(answers) == 50)
    assert house.ledgers.calls.count("write") <= 2


def test_half_of_all_writes_conflict(house: House) -> None:
    chance = random.Random(7)  # noqa: S311

    def before(verb: str) -> None:
        if verb == "write" and chance.random() < 0.5:
            raise api.ConflictError("another was faster", 409)

    house.ledgers.before = before
    assert sum(storm(house.open(3), 300)) == 100 == house.committed()
    never_above(house)


def test_half_of_all_answers_are_lost(house: House) -> None:
    """An error for which nobody knows whether it was done, as long as it does not happen three times in a row."""
    count = threading.Lock()
    calls = iter(range(10**6))

    def after(verb: str) -> None:
        with count:
            number = next(calls)
        if verb == "write" and number % 2:
            raise api.UnreachableError("the connection broke")

    house.ledgers.after = after
    answers = storm(house.open(3), 300)
    assert house.committed() == 100
    assert 0 < sum(answers) <= 100
    never_above(house)


def test_an_answer_that_is_lost_is_found_by_the_uid(house: House) -> None:
    (one,) = house.open()
    lost = iter([api.UnreachableError("the connection broke")])

    def after(verb: str) -> None:
        for error in lost if verb == "write" else ():
            raise error

    house.ledgers.after = after
    assert one.reserve("p", 60, CHARGE).accepted
    assert one.reserve("p", 60, CHARGE).accepted
    assert house.committed() == 60


class _Dying(FakeLedgers):
    """The way to the ledgers of a replica whose process is killed while it writes for the first time."""

    def __init__(self, inner: FakeLedgers, *, is_done: bool) -> None:
        super().__init__()
        self._inner = inner
        self._is_done = is_done
        self.is_dead = threading.Event()

    def read(self, name: str) -> StoredLedger | None:
        return self._inner.read(name)

    def create(self, name: str) -> StoredLedger:
        return self._inner.create(name)

    def write(self, before: StoredLedger, status: bytes) -> StoredLedger:
        if self._is_done:
            self._inner.write(before, status)
        self.is_dead.set()
        threading.Event().wait()  # It never gets further, and nobody is told.
        raise AssertionError("the dead do not rise")


@pytest.mark.parametrize("is_done", [True, False], ids=["after the write", "before it"])
def test_a_replica_that_is_killed_in_the_middle_takes_nothing_for_ever(house: House, is_done: bool) -> None:
    first, second = house.open(2)
    dying = _Dying(house.ledgers, is_done=is_done)
    killed = replica(dying, house.clock)
    for pod in range(30):
        killed.begin(f"lost-{pod}", 1, CHARGE, None, seconds=30, done=lambda _: pytest.fail("told by the dead"))
    assert dying.is_dead.wait(5)
    lost = house.committed() if is_done else 0
    assert is_done is (lost > 0)
    assert sum(storm([first, second], 150)) == 100 - lost
    house.clock.now += TTL + SECOND
    sync(second, [Booking(f"pod-{pod}", 1, ("a",)) for pod in range(100 - lost)])
    assert house.committed() == 100 - lost
    never_above(house)


# --- leaks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0, 60, 120])
def test_a_pod_that_never_comes_is_given_back_in_time(house: House, seconds: int) -> None:
    """Whoever refused it after us: another webhook, a quota, a name that is taken, a client that went away."""
    one, two = house.open(2)
    one.reserve("p", 60, CHARGE)
    house.clock.now += seconds * SECOND
    sync(two, [])
    assert house.committed() == 60
    house.clock.now += TTL - seconds * SECOND + SECOND
    sync(two, [])
    assert house.committed() == 0


def test_a_pod_that_never_comes_is_given_back_after_half_a_minute_while_news_come_in(house: House) -> None:
    one, two = house.open(2)
    lead(two, house.clock, 5, [], ["a"])
    one.reserve("p", 60, CHARGE)
    lead(two, house.clock, 29, [], ["a"])
    assert house.committed() == 60
    lead(two, house.clock, 2, [], ["a"])
    assert house.committed() == 0


def test_while_news_of_pods_were_away_for_a_moment_a_reservation_waits_longer(house: House) -> None:
    switches = Switches()
    (one,) = house.open()
    (two,) = house.open(1, switches)
    lead(two, house.clock, 5, [], ["a"])
    one.reserve("p", 60, CHARGE)
    lead(two, house.clock, 20, [], ["a"])
    switches.sees_pods = False
    lead(two, house.clock, 1, [], ["a"])
    switches.sees_pods = True
    lead(two, house.clock, 25, [], ["a"])
    assert house.committed() == 60
    lead(two, house.clock, 10, [], ["a"])
    assert house.committed() == 0


def test_a_controller_whose_pod_was_refused_elsewhere_asks_again_and_needs_no_more_room(house: House) -> None:
    one, two = house.open(2)
    web = ProvenOwner("web")
    assert one.reserve("refused", 60, CHARGE, web).accepted
    assert not two.reserve("again", 60, CHARGE, web).accepted, "the first may still come"
    house.clock.now += STALE + SECOND
    two.unchanged()
    assert not two.reserve("other", 60, CHARGE, ProvenOwner("api")).accepted
    assert two.reserve("again", 60, CHARGE, web).accepted
    assert set(house.ledgers.sheet("a").reservations) == {"again"}


def test_a_second_budget_that_refuses_gives_the_first_back(house: House) -> None:
    (one,) = house.open()
    one.reserve("q", 100, [Charge("b", 100)])
    assert one.reserve("p", 60, [Charge("b", 100), *CHARGE]) == ReservationOutcome(False, "b", 100, 100)
    eventually(lambda: house.committed() == 0)


def test_a_second_budget_that_fails_gives_the_first_back(house: House) -> None:
    (one,) = house.open()
    one.reserve("q", 1, [Charge("b", 100)])
    failing = iter([0, 0, 1, 1, 1])

    def before(verb: str) -> None:
        if verb in ("write", "read") and next(failing, 0):
            raise api.UnreachableError("the API server is away")

    house.ledgers.before = before
    with pytest.raises(LedgerError, match="the API server is away"):
        one.reserve("p", 60, [Charge("b", 100), *CHARGE])
    house.ledgers.before = None
    eventually(lambda: house.committed() == 0)


def test_a_death_between_two_budgets_is_repaired_in_time(house: House) -> None:
    one, two = house.open(2)
    one.reserve("p", 60, CHARGE)  # The second budget was never reached.
    house.clock.now += TTL + SECOND
    sync(two, [])
    assert house.committed() == 0


def test_a_lost_give_back_is_repaired_in_time(house: House) -> None:
    one, two = house.open(2)
    one.reserve("q", 100, [Charge("b", 100)])
    writes = iter(range(100))

    def before(verb: str) -> None:
        if verb == "write" and next(writes) >= 1:
            raise api.ForbiddenError("no right to write", 403)

    house.ledgers.before = before
    assert not one.reserve("p", 60, [Charge("b", 100), *CHARGE]).accepted
    eventually(lambda: one.tally.writes["failed"] == 1)
    house.ledgers.before = None
    assert house.committed() == 60
    house.clock.now += TTL + SECOND
    sync(two, [])
    assert house.committed() == 0


def test_a_pod_that_ends_before_it_is_counted_gives_back_at_once(house: House) -> None:
    (one,) = house.open()
    one.reserve("p", 60, CHARGE)
    one.release("p")
    sync(one, [])
    assert house.committed() == 0


def test_a_pod_that_is_deleted_gives_back_with_the_next_count(house: House) -> None:
    (one,) = house.open()
    sync(one, [Booking("p", 60, ("a",))])
    assert house.committed() == 60
    sync(one, [])
    assert house.committed() == 0


def test_pods_that_came_while_nobody_asked_are_found(house: House) -> None:
    (one,) = house.open()
    sync(one, [Booking("p", 160, ("a",))])
    assert house.committed() == 160
    assert one.reserve("q", 1, CHARGE) == ReservationOutcome(False, "a", 160, 100)


# --- counting ---------------------------------------------------------------------------------------------------------


def test_a_reservation_stays_until_every_watch_has_had_time(house: House) -> None:
    one, two = house.open(2)
    one.reserve("p", 60, CHARGE)
    sync(two, [Booking("p", 60, ("a",))])
    assert (len(house.ledgers.sheet("a").reservations), house.committed()) == (1, 60)
    house.clock.now += SETTLE
    sync(two, [Booking("p", 60, ("a",))])
    assert (len(house.ledgers.sheet("a").reservations), house.committed()) == (0, 60)


def test_nothing_is_concluded_while_pods_are_not_seen(house: House) -> None:
    switches = Switches()
    (one,) = house.open(1, switches)
    one.reserve("p", 60, CHARGE)
    house.clock.now += TTL + SECOND
    switches.sees_pods = False
    sync(one, [])
    assert house.committed() == 60


def test_who_does_not_lead_changes_nothing(house: House) -> None:
    (one,) = house.open()
    one.reserve("p", 60, CHARGE)
    house.clock.now += TTL + SECOND
    one.follow({})
    one.recount([])
    version = house.ledgers.version
    one.reconcile(lambda: False)
    assert house.ledgers.version == version


def test_what_is_true_already_is_not_written_again(house: House) -> None:
    (one,) = house.open()
    one.reserve("p", 60, CHARGE)
    sync(one, [Booking("p", 60, ("a",))])
    version = house.ledgers.version
    for _ in range(3):
        sync(one, [Booking("p", 60, ("a",))])
    assert house.ledgers.version == version


def test_time_passes_for_reservations_although_no_pod_changes(house: House) -> None:
    (one,) = house.open()
    sync(one, [])
    one.reserve("p", 60, CHARGE)
    house.clock.now += TTL + SECOND
    one.unchanged()
    one.reconcile(lambda: True)
    assert house.committed() == 0


def test_only_so_many_pods_are_created_at_a_time_and_the_refusal_says_so(house: House) -> None:
    (one,) = house.open()
    one.reserve("p", 1, [Charge("a", 10**9)])
    full = house.ledgers.sheet("a")
    template = full.reservations["p"]
    full.reservations.update({f"q{n}": template for n in range(MOST_RESERVATIONS - 1)})
    crowded = LedgerState(0, 0, full.reservations, full.spending)
    house.ledgers.put("a", ledger_wire.encode(crowded, house.clock.now))
    outcome = one.reserve("r", 1, [Charge("a", 10**9)])
    assert (outcome.accepted, outcome.budget) == (False, "a")
    assert f"{MOST_RESERVATIONS} pods" in outcome.reason
    assert one.reserve("s", 1, [Charge("a", None)]).accepted
    assert one.reserve("p", 1, [Charge("a", 10**9)]).accepted
    assert len(house.ledgers.stored["a"].status) < 400_000


def test_a_lowered_amount_lets_nothing_more_in_and_takes_nothing_away(house: House) -> None:
    (one,) = house.open()
    assert one.reserve("p", 60, CHARGE).accepted
    assert one.reserve("q", 1, [Charge("a", 50)]) == ReservationOutcome(False, "a", 60, 50)
    assert house.committed() == 60


# --- replacement ------------------------------------------------------------------------------------------------------


def test_a_replacement_is_booked_beside_what_is_committed(house: House) -> None:
    one, two = house.open(2)
    web = ProvenOwner("web", surge=10)
    for pod in range(9):
        assert one.reserve(f"p{pod}", 10, CHARGE, web).accepted
    assert two.reserve("other", 10, CHARGE).accepted
    assert two.reserve("surge", 10, CHARGE, web).accepted
    sheet = house.ledgers.sheet("a")
    assert (sheet.committed, sheet.beside, sheet.rate) == (100, 10, 110)
    assert not one.reserve("more", 10, CHARGE, web).accepted
    never_above(house)


def test_surges_through_different_replicas_do_not_add_up(house: House) -> None:
    """A pod that was let in as a replacement approves nothing, whichever replica counts it."""
    one, two = house.open(2)
    web = ProvenOwner("web", surge=10)
    pods = {f"p{pod}": Booking(f"p{pod}", 10, ("a",), "web") for pod in range(9)}
    for pod in pods:
        assert one.reserve(pod, 10, CHARGE, web).accepted
    assert one.reserve("other", 10, CHARGE).accepted
    pods["other"] = Booking("other", 10, ("a",))
    for replica_of_turn, other in ((one, two), (two, one)):
        assert replica_of_turn.reserve("surge", 10, CHARGE, web).accepted
        pods["surge"] = Booking("surge", 10, ("a",), "web")
        house.clock.now += SETTLE
        for each in (one, two):
            sync(each, pods.values())
        assert not other.reserve("beyond", 10, CHARGE, web).accepted
        del pods["surge"]
        for each in (one, two):
            sync(each, pods.values())


@pytest.mark.parametrize("asked", [0, 1], ids=["the same replica", "another replica"])
def test_controllers_that_leave_each_other_room_are_approved_for_one_budget_together(house: House, asked: int) -> None:
    replicas = house.open(2)
    for number in range(3):
        owner = ProvenOwner(f"c{number}")
        pods = [Booking(f"{number}-{pod}", 25, ("a",), owner.uid) for pod in range(4)]
        assert all(replicas[0].reserve(pod.key, 25, CHARGE, owner).accepted for pod in pods)
        house.clock.now += SETTLE
        for running in (pods, []):
            for each in replicas:
                sync(each, running)
    back = [
        replicas[asked].reserve(f"{number}-{pod}-again", 25, CHARGE, ProvenOwner(f"c{number}")).accepted
        for number in range(3)
        for pod in range(4)
    ]
    assert back.count(True) == 4


@pytest.mark.parametrize(
    "terms",
    [
        pytest.param(TERMS._replace(is_enforced=False), id="it only warns"),
        pytest.param(TERMS._replace(grace_until=START.date()), id="it only warns today"),
    ],
)
def test_what_a_budget_let_in_that_refuses_nothing_is_replaced_once_it_does(house: House, terms: BudgetTerms) -> None:
    one, two = house.open(2)
    pods = [Booking(f"{number}-{pod}", 25, ("a",), f"c{number}") for number in range(3) for pod in range(4)]
    for each in (one, two):
        each.follow({"a": terms})
        each.recount([])
    for pod in pods:
        assert one.reserve(pod.key, 25, [Charge("a", None)], ProvenOwner(pod.owner)).accepted
    house.clock.now += SETTLE
    for running in (pods, pods[:-1]):
        for each in (one, two):
            sync(each, running)
    assert one.reserve("again", 25, CHARGE, ProvenOwner(pods[-1].owner)).accepted


def test_a_replacement_becomes_committed_as_soon_as_there_is_room(house: House) -> None:
    (one,) = house.open()
    web = ProvenOwner("web")
    for pod in ("p", "q"):
        one.reserve(pod, 30, CHARGE, web)
    running = [Booking("p", 30, ("a",), "web"), Booking("q", 30, ("a",), "web")]
    sync(one, running)
    one.release("q")  # Its node is gone,
    sync(one, running[:1])
    assert one.reserve("big", 70, CHARGE).accepted  # another takes the room,
    assert one.reserve("q2", 30, CHARGE, web).accepted  # and it is replaced all the same.
    big = Booking("big", 70, ("a",))
    house.clock.now += SETTLE
    sync(one, [running[0], big, Booking("q2", 30, ("a",), "web")])
    sheet = house.ledgers.sheet("a")
    assert (sheet.committed, sheet.beside) == (100, 30)
    sync(one, [running[0], Booking("q2", 30, ("a",), "web")])
    sheet = house.ledgers.sheet("a")
    assert (sheet.committed, sheet.beside) == (60, 0)
    never_above(house)


# --- ledgers that are not as they were left ---------------------------------------------------------------------------


def test_a_ledger_that_is_absent_counts_what_runs_before_it_gives_money_out(house: House) -> None:
    (one,) = house.open()
    one.recount([Booking("p", 60, ("a",))])
    assert one.reserve("q", 41, CHARGE) == ReservationOutcome(False, "a", 60, 100)
    assert one.reserve("q", 40, CHARGE).accepted
    assert (house.committed(), house.ledgers.sheet("a").restored) == (100, None)


def test_nothing_is_given_out_before_the_pods_were_counted(house: House) -> None:
    around = Dependencies(house.clock, lambda: 0.0, lambda _: None, lambda: 0.0, lambda: False, lambda: True)
    bare = SharedLedger(house.ledgers, around, ttl=TTL)
    with pytest.raises(LedgerError, match="not counted yet"):
        bare.reserve("p", 1, CHARGE)
    bare.close()


@pytest.mark.parametrize("by", ["admission", "leader"])
def test_a_ledger_that_was_deleted_is_made_anew_and_says_so(house: House, by: str) -> None:
    (one,) = house.open()
    running = [Booking("p", 60, ("a",))]
    sync(one, running)
    house.clock.now += timedelta(hours=1)
    one.reserve("q", 10, CHARGE)
    house.ledgers.remove("a")
    if by == "leader":
        sync(one, running)
    else:
        assert one.reserve("r", 31, CHARGE) == ReservationOutcome(False, "a", 70, 100)
        assert one.reserve("r", 30, CHARGE).accepted
    sheet = house.ledgers.sheet("a")
    assert sheet.committed == (70 if by == "leader" else 100)
    assert sheet.restored is not None
    assert sheet.restored.reason == "Deleted"
    assert one.spent("a", "monthly") == 60
    assert one.tally.restored == {"Deleted": 1}


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"confirmed": "0.000000", "committed": "0.000010"}, id="money"),
        pytest.param({"reservations": ""}, id="reservations"),
        pytest.param({"spent": {}}, id="spent"),
        pytest.param({"confirmed": "many"}, id="no number"),
        pytest.param({"reservations": "x -5.000000 2026-11-11T00:00:00Z"}, id="negative"),
        pytest.param({"seal": "0"}, id="seal"),
    ],
)
@pytest.mark.parametrize("by", ["admission", "leader"])
def test_a_ledger_that_was_edited_by_hand_is_made_anew_and_says_so(
    house: House, by: str, fields: dict[str, object]
) -> None:
    (one,) = house.open()
    running = [Booking("p", 60, ("a",))]
    sync(one, running)
    house.clock.now += timedelta(hours=1)
    one.reserve("q", 10, CHARGE)
    house.ledgers.edit("a", **fields)
    assert "edited by hand" in one.notices()[0]
    assert one.committed("a") in (60, 70)
    if by == "leader":
        sync(one, running)
    else:
        assert one.reserve("r", 31, CHARGE) == ReservationOutcome(False, "a", 70, 100)
    if by == "admission":
        assert one.reserve("r", 30, CHARGE).accepted
    sheet = house.ledgers.sheet("a")
    assert sheet.committed == (70 if by == "leader" else 100)
    assert sheet.restored is not None
    assert sheet.restored.reason == "EditedByHand"
    assert one.spent("a", "monthly") == 60
    assert one.notices() == []


def test_what_was_spent_outlives_every_process(house: House) -> None:
    (one,) = house.open()
    sync(one, [Booking("p", 60, ("a",))])
    house.clock.now += timedelta(hours=2)
    (other,) = house.open()
    other.recount([Booking("p", 60, ("a",))])
    assert other.spent("a", "monthly") == 120
    house.clock.now += timedelta(hours=1)
    sync(other, [])
    house.clock.now += timedelta(hours=5)
    (third,) = house.open()
    assert third.spent("a", "monthly") == 180


def test_the_ledger_of_a_budget_that_is_gone_is_deleted_after_a_while(house: House) -> None:
    (one,) = house.open()
    sync(one, [], ["a", "b"])
    sync(one, [], ["a"])
    house.clock.now += UNUSED - SECOND
    sync(one, [], ["a"])
    assert set(house.ledgers.stored) == {"a", "b"}
    house.clock.now += SECOND
    sync(one, [], ["a"])
    assert set(house.ledgers.stored) == {"a"}
    assert one.reserve("p", 1, [Charge("b", 1)]).accepted
    assert house.ledgers.sheet("b").restored is None


def test_the_ledger_of_a_budget_that_comes_back_or_is_malformed_stays(house: House) -> None:
    (one,) = house.open()
    sync(one, [], ["a", "b"])
    sync(one, [], ["a"])
    house.clock.now += UNUSED
    sync(one, [], ["a", "b"])
    sync(one, [], ["a"])
    house.clock.now += UNUSED
    one.follow({}, kept=["a", "b"])
    one.reconcile(lambda: True)
    assert set(house.ledgers.stored) == {"a", "b"}


# --- when the API server says no --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        api.ForbiddenError("PUT x: forbidden; grant it in the ClusterRole", 403),
        api.NotFoundError("POST x: no such kind", 404),
        api.ApiError("PUT x: invalid", 422),
        api.ApiError("PUT x: internal error", 500),
        api.UnreachableError("x: no answer"),
    ],
    ids=lambda each: str(each.status),
)
def test_what_cannot_be_written_is_said_in_one_line(house: House, error: api.ApiError) -> None:
    (one,) = house.open()

    def before(_verb: str) -> None:
        raise error

    house.ledgers.before = before
    with pytest.raises(LedgerError, match=str(error)):
        one.reserve("p", 1, CHARGE)
    assert one.notices() == [str(error)]
    house.ledgers.before = None
    assert one.reserve("p", 1, CHARGE).accepted
    assert one.notices() == []


def test_a_kind_without_status_is_said(house: House) -> None:
    (one,) = house.open()
    plain = house.ledgers.put

    def put(name: str, status: bytes, uid: str = "uid") -> StoredLedger:
        return plain(name, status[:0], uid)

    house.ledgers.put = put  # type: ignore[method-assign]
    with pytest.raises(LedgerError, match="apply manifests/crds"):
        one.reserve("p", 1, CHARGE)


def test_who_loses_every_race_is_refused_and_told_so(house: House) -> None:
    (one,) = house.open()

    def before(verb: str) -> None:
        if verb == "write":
            raise api.ConflictError("another was faster", 409)

    house.ledgers.before = before
    answers: list[ReservationOutcome | LedgerError] = []
    one.begin("p", 1, CHARGE, None, seconds=0.1, done=answers.append)
    eventually(lambda: bool(answers))
    # To lose a race is no fault: it is never let in beside the ledger.
    assert isinstance(answers[0], ReservationOutcome)
    assert (answers[0].accepted, answers[0].budget) == (False, "a")
    assert "others booked at the same moment" in answers[0].reason
    assert one.tally.writes["conflict"] > 1
    assert one.tally.writes["expired"] == 1


def test_nobody_is_refused_by_an_old_copy(house: House) -> None:
    one = replica(house.ledgers, house.clock)  # It hears of nothing.
    house.replicas.append(one)
    (two,) = house.open()
    one.reserve("p", 100, CHARGE)
    two.release("p")
    sync(two, [])
    assert one.committed("a") == 100
    assert one.reserve("q", 100, CHARGE).accepted


def test_a_listener_that_fails_holds_nobody_up(house: House) -> None:
    (one,) = house.open()

    def done(_answer: ReservationOutcome | LedgerError) -> None:
        raise RuntimeError("the loop is closed")

    one.begin("p", 1, CHARGE, None, seconds=5, done=done)
    assert one.reserve("q", 1, CHARGE).accepted


def test_where_the_kind_is_absent_a_notice_says_so(house: House) -> None:
    switches = Switches()
    (one,) = house.open(1, switches)
    assert (one.is_shared, one.notices()) == (True, [])
    switches.is_absent = True
    assert not one.is_shared
    assert "apply manifests/crds" in one.notices()[0]


def test_a_ledger_knows_at_once_what_it_heard_before_the_kind_went(house: House) -> None:
    switches = Switches()
    (one,) = house.open(1, switches)
    one.reserve("p", 60, CHARGE)
    switches.is_absent = True
    assert one.committed("a") == 60
    assert not one.reserve("q", 41, CHARGE).accepted


@pytest.mark.parametrize(
    ("seconds", "sees_pods", "committed"),
    [
        pytest.param(28, True, 60, id="its pod may come yet"),
        pytest.param(32, True, 0, id="it would have been seen by now"),
        pytest.param(90, False, 60, id="it may have come unseen"),
    ],
)
def test_where_the_kind_is_absent_a_pod_that_others_refuse_blocks_a_budget_for_half_a_minute(
    house: House, seconds: int, *, sees_pods: bool, committed: int
) -> None:
    switches = Switches()
    switches.is_absent = True
    (one,) = house.open(1, switches)
    for _ in range(31):
        house.clock.now += SECOND
        one.unchanged()
    assert one.reserve("refused-elsewhere", 60, CHARGE).accepted
    assert one.reserve("runs", 7, CHARGE).accepted
    one.recount([Booking("runs", 7, ("a",))])
    switches.sees_pods = sees_pods
    for _ in range(seconds):
        house.clock.now += SECOND
        one.unchanged()
    assert one.committed("a") == committed + 7


def eventually(holds: Callable[[], bool], seconds: float = 5.0) -> None:
    waited = threading.Event()
    for _ in range(int(seconds / 0.005)):
        if holds():
            return
        waited.wait(0.005)
    assert holds()


def refused_once(house: House, one: SharedLedger, error: api.ApiError) -> None:
    """Let one booking fail with an error of the API server."""

    def before(_verb: str) -> None:
        raise error

    house.ledgers.before = before
    with pytest.raises(LedgerError):
        one.reserve("p", 1, CHARGE)
    house.ledgers.before = None


def test_a_kind_that_is_back_is_no_more_said_to_be_missing_by_replicas_that_write_nothing(house: House) -> None:
    leader, other = house.open(2)
    refused_once(house, other, api.NotFoundError("POST budgetledgers: HTTP 404", 404))
    assert other.notices() == ["POST budgetledgers: HTTP 404"]
    sync(leader, [])
    assert other.notices() == []


def test_what_another_replica_may_write_says_nothing_about_ones_own_rights(house: House) -> None:
    leader, other = house.open(2)
    refused_once(house, other, api.ForbiddenError("PUT budgetledgers: forbidden", 403))
    sync(leader, [])
    assert other.notices() == ["PUT budgetledgers: forbidden"]
