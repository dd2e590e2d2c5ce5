"""Random days of controllers under one budget: their pods come, surge, are deleted and do not end, nodes fail, people
scale up and down, and others take whatever money is free.

However it goes, nobody without a controller comes in beyond the limit, what a controller runs and what is leaving of it
together never exceed twice what it was approved with, and what is approved for all together stays within the limit.
"""

from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.contracts.ledger import Clock
from webhook.ledger.approval import GRACE
from webhook.ledger.memory import MemoryLedger
from webhook.ledger.store import Booking, Charge, ControllerKey, PodCount, ProvenOwner

LIMIT = 100
PRICES = {"web": 10, "db": 25}
CHARGE = [Charge("a", LIMIT)]
PLACE = ControllerKey("ns", "Deployment", "x")


class Count(PodCount):
    """What runs, and what controllers want."""

    def __init__(self, pods: list[Booking], wanted: dict[str, int]) -> None:
        self._pods = pods
        self._wanted = wanted

    def __iter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204  of Booking
        return iter(self._pods)

    def wanted(self, uid: str, place: ControllerKey) -> int | None:
        assert place == PLACE
        return self._wanted.get(uid)


class Machine(RuleBasedStateMachine):
    """See the text of the module."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.ledger = MemoryLedger(clock=self.clock)
        self.pods: dict[str, tuple[str, int]] = {}
        """Owner and rate by key."""
        self.left: dict[str, object] = {}
        self.approved = dict.fromkeys(PRICES, 0)
        """Pods, at most: it may have fallen since."""
        self.wanted = dict.fromkeys(PRICES, 1_000)
        self.number = 0

    def _of(self, owner: str, *, leaving: bool) -> list[str]:
        return [key for key, (uid, _) in self.pods.items() if uid == owner and (key in self.left) is leaving]

    def _committed(self) -> int:
        return sum(micros for _, micros in self.pods.values())

    @rule(owner=st.sampled_from(sorted(PRICES)), surge=st.integers(0, 6))
    def a_controller_creates(self, owner: str, surge: int) -> None:
        self.number += 1
        key, price = f"pod-{self.number}", PRICES[owner]
        fits = self._committed() + price <= LIMIT
        running, leaving = self._of(owner, leaving=False), self._of(owner, leaving=True)
        overdue = [each for each in leaving if self.clock.now - self.left[each] >= GRACE]  # type: ignore[operator]
        made = ProvenOwner(owner, surge * price, is_of_pods=True, place=PLACE)
        accepted = self.ledger.reserve(key, price, CHARGE, made).accepted
        assert accepted or not fits
        if accepted and not fits:
            most = self.approved[owner]
            assert len(running) + len(overdue) + 1 <= most + min(surge, most)
            assert len(running) + len(leaving) + 1 <= 2 * most
        if accepted:
            self.pods[key] = owner, price
            if fits:
                self.approved[owner] = max(self.approved[owner], len(running) + 1)

    @rule(owner=st.sampled_from(sorted(PRICES)), times=st.integers(2, 4), surge=st.integers(1, 3))
    def a_controller_asks_for_a_dearer_pod(self, owner: str, times: int, surge: int) -> None:
        """It gets one as far as its other pods left some room; there is no surge."""
        price = PRICES[owner] * times
        made = ProvenOwner(owner, surge * price, is_of_pods=True, place=PLACE)
        running = sum(self.pods[each][1] for each in self._of(owner, leaving=False))
        if self.ledger.is_replacement("a", price, made):
            assert running + price <= self.approved[owner] * PRICES[owner]

    @rule(micros=st.integers(1, 60))
    def somebody_creates(self, micros: int) -> None:
        self.number += 1
        accepted = self.ledger.reserve(f"pod-{self.number}", micros, CHARGE).accepted
        assert accepted is (self._committed() + micros <= LIMIT)
        if accepted:
            self.pods[f"pod-{self.number}"] = "", micros

    @precondition(lambda self: self.pods)
    @rule(data=st.data())
    def a_pod_is_deleted(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.pods)))
        self.left.setdefault(key, self.clock.now)
        self.ledger.leave(key)

    @precondition(lambda self: self.pods)
    @rule(data=st.data())
    def a_pod_ends(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.pods)))
        del self.pods[key]
        self.left.pop(key, None)
        assert self.ledger.release(key)

    @rule(owner=st.sampled_from(sorted(PRICES)))
    def a_node_with_all_pods_of_a_controller_fails(self, owner: str) -> None:
        for key in self._of(owner, leaving=False) + self._of(owner, leaving=True):
            del self.pods[key]
            self.left.pop(key, None)
            assert self.ledger.release(key)

    @rule(owner=st.sampled_from(sorted(PRICES)))
    def a_controller_fills_the_budget(self, owner: str) -> None:
        while self._committed() + PRICES[owner] <= LIMIT:
            self.a_controller_creates(owner, 0)

    @rule(owner=st.sampled_from(sorted(PRICES)), pods=st.integers(0, 6), told=st.booleans())
    def somebody_scales(self, owner: str, pods: int, told: bool) -> None:
        self.wanted[owner] = pods
        if told:
            self.ledger.wants(owner, pods)
            self.approved[owner] = min(self.approved[owner], pods)

    @rule()
    def pods_are_counted(self) -> None:
        found = [
            Booking(key, micros, ("a",), owner, place=PLACE if owner else None)
            for key, (owner, micros) in self.pods.items()
        ]
        self.ledger.recount(Count(found, self.wanted))
        for owner, pods in self.wanted.items():
            self.approved[owner] = min(self.approved[owner], pods)

    @rule(seconds=st.sampled_from([1, 60, 300, 601]))
    def time_passes(self, seconds: int) -> None:
        self.clock.now += timedelta(seconds=seconds)

    @invariant()
    def what_is_approved_for_all_stays_within_the_limit(self) -> None:
        account = self.ledger._accounts.get("a")  # no answer tells it in one figure
        approvals = account.approvals.values() if account is not None else ()
        assert sum(each.approved for each in approvals) <= LIMIT

    @invariant()
    def the_ledger_has_every_pod(self) -> None:
        assert self.ledger.committed("a") == self._committed()
        assert self.ledger.size() == len(self.pods)


Machine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestMachine = Machine.TestCase
