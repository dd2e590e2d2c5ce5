"""Shared budgets on a real API server: what is promised holds at every version that anybody could have seen."""

import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from tests.contracts.ledger import Clock, Desk, LedgerContract
from tests.fakes import shared_ledger
from tests.integration import _admission, _control_plane
from webhook.kube import budget_ledgers
from webhook.kube import client as api
from webhook.kube.budget_ledgers import BudgetLedgers, StoredLedger
from webhook.kube.reflector import Reflector
from webhook.ledger import wire as ledger_wire
from webhook.ledger.ledger_state import LedgerState
from webhook.ledger.shared import SharedLedger
from webhook.ledger.store import Booking, Charge, LedgerError, ReservationOutcome

ROOT = Path(__file__).parents[2]
CHARGE = [Charge("a", 100)]


class Shop:
    """An API server with the kind, and replicas that watch it."""

    def __init__(self, plane: _control_plane.ControlPlane, kubectl: _admission.Kubectl) -> None:
        self.plane = plane
        self.kubectl = kubectl
        self.clock = Clock()
        self.switches = shared_ledger.Switches()
        self._running: list[tuple[SharedLedger, Reflector[StoredLedger], api.Client]] = []

    def open(
        self, count: int = 1, wrap: Callable[[BudgetLedgers], BudgetLedgers] = lambda each: each
    ) -> list[SharedLedger]:
        made = []
        for seed in range(count):
            client = self.plane.client()
            shared = shared_ledger.replica(wrap(BudgetLedgers(client)), self.clock, self.switches, seed=seed)
            reflector = Reflector(client, budget_ledgers.RESOURCE, budget_ledgers.decode, shared.copies)
            threading.Thread(target=reflector.run, daemon=True).start()
            _admission.eventually("the ledgers are watched", lambda r=reflector: r.state().phase == "watching")  # type: ignore[misc]
            self._running.append((shared, reflector, client))
            made.append(shared)
        return made

    def close(self) -> None:
        for shared, reflector, client in self._running:
            reflector.stop()
            shared.close()
            client.close()
        self._running.clear()
        self.kubectl.must("delete", "budgetledgers", "--all", "--wait")

    def stored(self, name: str = "a") -> StoredLedger:
        found = BudgetLedgers(self.plane.client()).read(name)
        assert found is not None
        return found

    def sheet(self, name: str = "a") -> LedgerState:
        return ledger_wire.decode(self.stored(name).status)


class History:
    """Every version of every ledger, as a watcher of one's own sees them."""

    def __init__(self, plane: _control_plane.ControlPlane) -> None:
        self.sheets: list[LedgerState] = []
        self.versions: list[str] = []
        client = plane.client()
        listed = json.loads(client.get(budget_ledgers.PATH))["metadata"]["resourceVersion"]
        self._stream = client.watch(budget_ledgers.PATH, {"watch": "1", "resourceVersion": listed}, 60.0)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self._stream:
            event = json.loads(line)
            stored = budget_ledgers.decode(json.dumps(event["object"]).encode())
            if event["type"] != "DELETED" and stored.status:
                self.versions.append(stored.version)
                self.sheets.append(ledger_wire.decode(stored.status))

    def until(self, stored: StoredLedger) -> None:
        """Wait until it has seen a version."""
        _admission.eventually("the watcher has seen it", lambda: stored.version in self.versions)
        self._stream.close()
        self._thread.join(5)


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[_control_plane.ControlPlane, _admission.Kubectl]]:
    with _control_plane.control_plane(tmp_path_factory.mktemp("plane")) as plane:
        kubectl = _admission.Kubectl(plane)
        kubectl.must("apply", "--server-side", "-f", ROOT / "manifests" / "crds")
        kubectl.must("wait", "--for=condition=Established", "crd", "--all", "--timeout=20s")
        yield plane, kubectl


@pytest.fixture
def shop(cluster: tuple[_control_plane.ControlPlane, _admission.Kubectl]) -> Iterator[Shop]:
    made = Shop(*cluster)
    yield made
    made.close()


class TestSharedLedgerOnARealApiServer(LedgerContract):
    @pytest.fixture
    def desk(self, shop: Shop) -> Desk:
        (shared,) = shop.open()
        return Desk(shared, shop.clock, lambda pods: shared_ledger.sync(shared, pods), shop.switches.watch)


def storm(replicas: Sequence[SharedLedger], pods: int) -> list[bool]:
    """Create pods through all replicas at once, one micro-unit each."""
    answers: list[bool] = []
    is_done = threading.Semaphore(0)

    def done(answer: ReservationOutcome | LedgerError) -> None:
        answers.append(isinstance(answer, ReservationOutcome) and answer.accepted)
        is_done.release()

    def create(number: int) -> None:
        for pod in range(number, pods, len(replicas)):
            replicas[number].begin(f"00000000-0000-4000-8000-{pod:012}", 1, CHARGE, None, seconds=30, done=done)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(len(replicas))]
    for thread in threads:
        thread.start()
    for _ in range(pods):
        assert is_done.acquire(timeout=60)
    return answers


def test_three_replicas_admit_exactly_what_fits_at_every_version(shop: Shop) -> None:
    history = History(shop.plane)
    assert sum(storm(shop.open(3), 300)) == 100
    history.until(shop.stored())
    assert history.sheets[-1].committed == 100
    assert max(sheet.committed for sheet in history.sheets) == 100
    assert len(history.sheets) < 100


class _Conflicting(BudgetLedgers):
    """Half of all writes are answered 409."""

    chance = random.Random(3)  # noqa: S311

    def write(self, before: StoredLedger, status: bytes) -> StoredLedger:
        if self.chance.random() < 0.5:
            raise api.ConflictError("told to conflict", 409)
        return super().write(before, status)


class _Losing(BudgetLedgers):
    """Every second answer to a write is lost."""

    def __init__(self, inner: BudgetLedgers) -> None:
        super().__init__(inner._rest)
        self._writes = 0

    def write(self, before: StoredLedger, status: bytes) -> StoredLedger:
        stored = super().write(before, status)
        self._writes += 1
        if self._writes % 2:
            raise api.UnreachableError("the answer was lost")
        return stored


@pytest.mark.parametrize(
    "wrap", [lambda each: _Conflicting(each._rest), _Losing], ids=["half of all writes conflict", "answers are lost"]
)
def test_exactly_what_fits_is_admitted_when_writes_go_wrong(
    shop: Shop, wrap: Callable[[BudgetLedgers], BudgetLedgers]
) -> None:
    history = History(shop.plane)
    assert sum(storm(shop.open(3, wrap), 300)) == 100
    history.until(shop.stored())
    assert history.sheets[-1].committed == 100
    assert max(sheet.committed for sheet in history.sheets) == 100


class _Dying(BudgetLedgers):
    """A replica that is killed when its first write is done and before anybody is told."""

    def __init__(self, inner: BudgetLedgers) -> None:
        super().__init__(inner._rest)
        self.is_dead = threading.Event()

    def write(self, before: StoredLedger, status: bytes) -> StoredLedger:
        super().write(before, status)
        self.is_dead.set()
        threading.Event().wait()
        raise AssertionError("the dead do not rise")


def test_a_replica_that_is_killed_in_a_batch_takes_nothing_for_ever(shop: Shop) -> None:
    history = History(shop.plane)
    dying: list[_Dying] = []

    def wrap(inner: BudgetLedgers) -> BudgetLedgers:
        dying.append(_Dying(inner))
        return dying[-1]

    (killed,) = shop.open(1, wrap)
    for pod in range(30):
        killed.begin(f"lost-{pod}", 1, CHARGE, None, seconds=30, done=lambda _: None)
    assert dying[0].is_dead.wait(20)
    lost = shop.sheet().committed
    assert lost > 0
    replicas = shop.open(2)
    assert sum(storm(replicas, 150)) == 100 - lost
    # What it held comes back as well as what it had booked.
    shared_ledger.lead(replicas[0], shop.clock, 40, [], ["a"])
    assert shop.sheet().committed == 0
    history.until(shop.stored())
    assert max(sheet.committed for sheet in history.sheets) == 100


def test_a_ledger_that_was_edited_or_deleted_by_hand_is_made_anew(shop: Shop) -> None:
    (shared,) = shop.open()
    running = [Booking("p", 60, ("a",))]
    shared_ledger.sync(shared, running, ["a"])
    patch = {"status": {"committed": "0.000000", "confirmed": "0.000000"}}
    shop.kubectl.must("patch", "budgetledger", "a", "--subresource=status", "--type=merge", "-p", json.dumps(patch))
    assert shared.reserve("q", 41, CHARGE) == ReservationOutcome(False, "a", 60, 100)
    assert shared.reserve("q", 40, CHARGE).accepted
    found = shop.kubectl.get("budgetledger", "a")["status"]
    assert found["committed"] == "0.000100"
    assert [each["reason"] for each in found["conditions"]] == ["EditedByHand"]
    shop.kubectl.must("delete", "budgetledger", "a")
    _admission.eventually("the deletion is seen", lambda: shared.copies.get("a") is None)
    shared_ledger.sync(shared, running, ["a"])
    found = shop.kubectl.get("budgetledger", "a")["status"]
    assert (found["committed"], found["reserved"]) == ("0.000100", 1)
    assert [each["reason"] for each in found["conditions"]] == ["Deleted"]


def test_the_schema_keeps_nonsense_out(shop: Shop) -> None:
    (shared,) = shop.open()
    shared.reserve("p", 60, CHARGE)
    for patch in ({"committed": 5}, {"seal": None}, {"spent": {"days": ["now"]}}):
        document = json.dumps({"status": patch})
        said = shop.kubectl("patch", "budgetledger", "a", "--subresource=status", "--type=merge", "-p", document)
        assert not said.is_done
        assert "invalid" in said.err.lower()


def test_kubectl_shows_what_a_budget_has_committed(shop: Shop) -> None:
    (shared,) = shop.open()
    shared.reserve("p", 13_698_630, [Charge("a", None)])
    shared.flush()
    header, line = shop.kubectl.must("get", "budgetledgers").out.splitlines()
    assert header.split() == ["NAME", "BUDGET", "COMMITTED", "RESERVATIONS", "AGE"]
    assert line.split()[:4] == ["a", "a", "13.698630", "1"]


def test_an_object_stays_small_however_many_pods_are_created(shop: Shop) -> None:
    (shared,) = shop.open()
    charges = [Charge("a", None)]
    is_done = threading.Semaphore(0)
    started = time.monotonic()
    for pod in range(2_100):
        key = f"00000000-0000-4000-8000-{pod:012}"
        shared.begin(key, 1, charges, None, seconds=30, done=lambda _: is_done.release())
    for _ in range(2_100):
        assert is_done.acquire(timeout=60)
    shared.flush()
    document = shop.kubectl.must("get", "budgetledger", "a", "-o", "json", "--show-managed-fields").out
    assert len(json.dumps(json.loads(document))) < 400_000, time.monotonic() - started
    assert shop.sheet().committed == 2_000


def test_the_ledger_of_a_budget_that_is_gone_is_deleted(shop: Shop) -> None:
    (shared,) = shop.open()
    shared_ledger.sync(shared, [], ["a", "b"])
    shared_ledger.sync(shared, [], ["a"])
    shop.clock.now += timedelta(minutes=10)
    shared_ledger.sync(shared, [], ["a"])
    assert shop.kubectl.must("get", "budgetledgers", "-o", "name").out.split() == ["budgetledger.podgate.dev/a"]
