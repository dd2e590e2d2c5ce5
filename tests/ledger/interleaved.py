"""A cluster with some replicas of the ledger, in which everything happens in an order that a seed decides.

Pods are created through any replica, come or do not, are seen by each replica after a while, and are asked for again
where an answer is lost. News of ledgers come late. Calls to the API server take time; where a test says so they fail,
conflict, or their answers are lost, and replicas are killed at whatever they do.
"""

from collections import deque
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import NamedTuple, TypeVar

from tests.contracts.ledger import START, TTL
from tests.fakes.ledgers import FakeLedgers
from tests.fakes.shared_ledger import TERMS
from tests.fakes.steps import Steps
from webhook.kube import client as api
from webhook.kube.budget_ledgers import StoredLedger
from webhook.ledger.batch_writer import Dependencies
from webhook.ledger.shared import SharedLedger
from webhook.ledger.store import Booking, Charge, LedgerError, ReservationOutcome

T = TypeVar("T")

ROOM = 100
"""Micro-units per hour; see `TERMS`."""


class Faults(NamedTuple):
    """How often things go wrong, of 100 times."""

    refused: int = 0
    """Calls that fail and are not done."""
    lost: int = 0
    """Calls whose answer is lost."""
    conflicts: int = 0
    """Writes that are told to conflict."""
    never_comes: int = 0
    """Pods that are let in, and that somebody else refuses then."""
    retried: int = 0
    """Reviews that come again, through another replica, because the answer is lost."""
    deaths: int = 0
    """Replicas that are killed, in all."""


NOTHING = Faults()


class _Way:
    """The way of one replica to the ledgers."""

    def __init__(self, cluster: "Cluster") -> None:
        self._cluster = cluster

    def read(self, name: str) -> StoredLedger | None:
        return self._call(partial(self._cluster.ledgers.read, name))

    def create(self, name: str) -> StoredLedger:
        return self._call(partial(self._cluster.ledgers.create, name))

    def write(self, before: StoredLedger, status: bytes) -> StoredLedger:
        self._cluster.steps.pause()
        if self._cluster.happens(self._cluster.faults.conflicts):
            raise api.ConflictError("told to conflict", 409)
        return self._call(partial(self._cluster.ledgers.write, before, status))

    def delete(self, before: StoredLedger) -> None:
        self._call(partial(self._cluster.ledgers.delete, before))

    def _call(self, work: Callable[[], T]) -> T:
        cluster = self._cluster
        cluster.steps.pause(cluster.steps.random.uniform(0.0005, 0.01))
        if cluster.happens(cluster.faults.refused):
            raise api.ApiError("internal error", 500)
        done = work()
        cluster.steps.pause(cluster.steps.random.uniform(0.0005, 0.01))
        if cluster.happens(cluster.faults.lost):
            raise api.UnreachableError("the connection broke")
        return done


class _Replica:
    """One process."""

    def __init__(self, cluster: "Cluster", name: str) -> None:
        steps = cluster.steps
        self.name = name
        self.is_alive = True
        self.news: deque[tuple[str, StoredLedger]] = deque()
        self.seen: set[str] = set()
        around = Dependencies(
            now=lambda: START + timedelta(seconds=steps.now),
            monotonic=lambda: steps.now,
            sleep=steps.pause,
            random=steps.random.random,
            is_absent=lambda: False,
            sees_pods=lambda: True,
            holder=name,
            execute=lambda work: steps.spawn(work, name),
        )
        self.shared = SharedLedger(_Way(cluster), around, ttl=TTL)
        self.shared.follow(dict.fromkeys(("a", "b"), TERMS))


class Cluster:
    """See the text of the module."""

    LAG = 1.5
    """Seconds after which every replica has seen a pod, at most."""
    KEPT = 15.0
    """Seconds for which a pod that was let in counts although it does not come, at least."""

    def __init__(self, seed: int, replicas: int, faults: Faults = NOTHING, most: int = 400_000) -> None:
        self.steps = Steps(seed, most)
        self.faults = faults
        self.ledgers = FakeLedgers()
        self.replicas = [_Replica(self, f"r{number}") for number in range(replicas)]
        self.pods: dict[str, Booking] = {}
        """Those that exist."""
        self.accepted: dict[str, Booking] = {}
        self.answers: dict[str, ReservationOutcome | LedgerError | None] = {}
        """The last word on each pod; None while there is none."""
        self._open = 0
        """Pods that have no answer yet."""
        self.ledgers.listeners.append(self._say)
        for each in self.replicas:
            self._count(each)
            self.steps.spawn(partial(self._flushes, each), each.name)
            self.steps.spawn(partial(self._leads, each), each.name)
        for _ in range(faults.deaths):
            victim = self.steps.random.choice(self.replicas)
            self.steps.call(partial(self._die, victim), after=self.steps.random.uniform(0, 0.4))

    def happens(self, times: int) -> bool:
        """Whether something happens that happens `times` of 100."""
        return bool(times) and self.steps.random.random() * 100 < times

    # --- what goes on -----------------------------------------------------------------------------------------------

    def create(
        self, count: int, micros: int, budgets: Sequence[str] = ("a",), *, within: float = 0.5, seconds: float = 4.0
    ) -> None:
        """Create pods within so many seconds, each through any replica, which has so many seconds to answer."""
        for _ in range(count):
            key = f"pod-{len(self.answers)}"
            self.answers[key] = None
            self._open += 1
            pod = Booking(key, micros, tuple(budgets))
            self.steps.call(partial(self._ask, pod, seconds), after=self.steps.random.uniform(0, within))

    def settle(self, seconds: float = 60.0) -> None:
        """Let everything come to rest."""
        end = self.steps.now + seconds
        self.steps.run(lambda: self.steps.now >= end)

    def answered(self) -> None:
        """Go on until every pod has its answer."""
        self.steps.run(lambda: not self._open)

    def end(self) -> None:
        """End what runs."""
        self.steps.end()

    def _ask(self, pod: Booking, seconds: float) -> None:
        alive = [each for each in self.replicas if each.is_alive]
        if not alive:
            self._answer(pod, LedgerError("nobody is there"))
            return
        replica = self.steps.random.choice(alive)
        is_told: list[bool] = []

        def told(answer: Callable[[], ReservationOutcome | LedgerError]) -> None:
            if is_told:
                return
            is_told.append(True)
            if not replica.is_alive or self.happens(self.faults.retried):
                # Nobody heard what the answer was.
                self.steps.call(partial(self._ask, pod, seconds))
                return
            self._answer(pod, answer())

        def done(answer: ReservationOutcome | LedgerError) -> None:
            self.steps.call(partial(told, lambda: answer))

        charges = [Charge(budget, ROOM) for budget in pod.budgets]
        give_up = replica.shared.begin(pod.key, pod.micros, charges, None, seconds=seconds, done=done)
        self.steps.call(partial(told, give_up), after=seconds)

    def _answer(self, pod: Booking, answer: ReservationOutcome | LedgerError) -> None:
        self.answers[pod.key] = answer
        self._open -= 1
        if not isinstance(answer, ReservationOutcome) or not answer.accepted:
            return
        self.accepted[pod.key] = pod
        self.check()
        if self.happens(self.faults.never_comes):
            self.steps.call(partial(self._forget, pod), after=self.KEPT)
        else:
            self.steps.call(partial(self._come, pod), after=self.steps.random.uniform(0, 0.05))

    def _forget(self, pod: Booking) -> None:
        del self.accepted[pod.key]

    def _come(self, pod: Booking) -> None:
        self.pods[pod.key] = pod
        for each in self.replicas:
            self.steps.call(partial(each.seen.add, pod.key), after=self.steps.random.uniform(0, self.LAG))

    def _say(self, what: str, stored: StoredLedger) -> None:
        for each in self.replicas:
            each.news.append((what, stored))
            self.steps.call(partial(self._hear, each), each.name, after=self.steps.random.uniform(0, 0.05))

    def _hear(self, replica: _Replica) -> None:
        what, stored = replica.news.popleft()
        if what == "put":
            replica.shared.copies.put("", stored)
        else:
            replica.shared.copies.drop(f"/{stored.name}")

    def _flushes(self, replica: _Replica) -> None:
        while True:
            self.steps.pause(0.5)
            replica.shared.flush(0)

    def _leads(self, replica: _Replica) -> None:
        """Count as it sees the pods; the first that lives leads."""
        while True:
            self.steps.pause(1.0)
            self._count(replica)
            if replica is next(each for each in self.replicas if each.is_alive):
                replica.shared.reconcile(lambda: True, seconds=0)

    def _count(self, replica: _Replica) -> None:
        replica.shared.recount([pod for key, pod in self.pods.items() if key in replica.seen])

    def _die(self, replica: _Replica) -> None:
        if sum(each.is_alive for each in self.replicas) > 1:
            replica.is_alive = False
            self.steps.kill(replica.name)

    # --- what must hold ---------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Nobody was let in that the ledger does not count, and it counts no more than there is room for."""
        for budget in ("a", "b"):
            if budget in self.ledgers.stored and self.ledgers.stored[budget].status:
                let_in = sum(pod.micros for pod in self.accepted.values() if budget in pod.budgets)
                assert let_in <= ROOM, budget
                assert self.ledgers.sheet(budget).rate >= let_in, budget

    def check_versions(self) -> None:
        """At no version was more committed than there is room for."""
        for budget in ("a", "b"):
            assert all(sheet.rate <= ROOM for sheet in self.ledgers.sheets(budget)), budget
