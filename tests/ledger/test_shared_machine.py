"""Random days of three replicas: news of pods and of ledgers come late and in any order between the two, pods never
come, end, and come unasked for; whoever happens to lead counts.

Whatever happens, no budget has committed more than it may because of admissions, no pod that runs is left out, and once
the news have come everything is as it should be.
"""

from collections import deque
from datetime import datetime, timedelta
from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.contracts.ledger import TTL, Clock
from tests.fakes.ledgers import FakeLedgers
from tests.fakes.shared_ledger import TERMS, replica
from webhook.kube.budget_ledgers import StoredLedger
from webhook.ledger.ledger_state import SETTLE
from webhook.ledger.store import Booking, Charge

LIMIT = 100
REPLICAS = 3
LAG = SETTLE - timedelta(seconds=1)
"""Watches are behind by less than a reservation stays once its pod was seen."""


class Machine(RuleBasedStateMachine):
    """See the text of the module."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.ledgers = FakeLedgers()
        self.replicas = [replica(self.ledgers, self.clock, seed=seed) for seed in range(REPLICAS)]
        self.news: list[deque[tuple[datetime, str, StoredLedger]]] = [deque() for _ in self.replicas]
        self.pods: dict[str, int] = {}
        self.seen: deque[tuple[datetime, dict[str, int]]] = deque([(self.clock.now, {})])
        """What ran, by since when."""
        self.number = 0
        for queue in self.news:
            self.ledgers.listeners.append(
                lambda what, stored, queue=queue: queue.append((self.clock.now, what, stored))  # type: ignore[misc]
            )
        for each in self.replicas:
            each.follow({"a": TERMS})

    def teardown(self) -> None:
        for each in self.replicas:
            each.close()

    @initialize()
    def begin(self) -> None:
        self.replicas[0].reconcile(lambda: True)

    def _ran(self) -> None:
        self.seen.append((self.clock.now, dict(self.pods)))
        while len(self.seen) > 1 and self.seen[1][0] <= self.clock.now - LAG:
            self.seen.popleft()

    def _hear(self, number: int, upto: datetime) -> None:
        queue = self.news[number]
        while queue and queue[0][0] <= upto:
            _, what, stored = queue.popleft()
            if what == "put":
                self.replicas[number].copies.put("", stored)
            else:
                self.replicas[number].copies.drop(f"/{stored.name}")

    @rule(number=st.integers(0, REPLICAS - 1), micros=st.integers(0, 45), comes=st.booleans(), again=st.booleans())
    def create(self, number: int, micros: int, comes: bool, again: bool) -> None:
        self.number += 1
        key = f"pod-{self.number}"
        before = len(self.ledgers.sheets("a"))
        accepted = self.replicas[number].reserve(key, micros, [Charge("a", LIMIT)]).accepted
        if again:
            other = self.replicas[(number + 1) % REPLICAS]
            assert other.reserve(key, micros, [Charge("a", LIMIT)]).accepted is accepted
        if accepted and comes:
            self.pods[key] = micros
            self._ran()
        # A leader whose watch is behind may count a pod that has ended; nobody is let in on top of that.
        for earlier, later in pairwise(self.ledgers.sheets("a")[max(0, before - 1) :]):
            assert later.committed <= max(LIMIT, earlier.committed)

    @precondition(lambda self: self.pods)
    @rule(data=st.data(), number=st.integers(0, REPLICAS - 1), told=st.booleans())
    def end(self, data: st.DataObject, number: int, told: bool) -> None:
        key = data.draw(st.sampled_from(sorted(self.pods)))
        del self.pods[key]
        self._ran()
        if told:
            self.replicas[number].release(key)

    @rule(number=st.integers(0, REPLICAS - 1), upto=st.integers(0, 4))
    def hear_of_ledgers(self, number: int, upto: int) -> None:
        self._hear(number, self.clock.now - timedelta(seconds=upto))

    @rule(number=st.integers(0, REPLICAS - 1), back=st.integers(0, 10))
    def lead(self, number: int, back: int) -> None:
        """Count pods as some moment within the lag of the watch had them, and reconcile."""
        known = self.seen[max(0, len(self.seen) - 1 - back)][1]
        self.replicas[number].recount(Booking(key, micros, ("a",)) for key, micros in known.items())
        self.replicas[number].reconcile(lambda: True)

    @rule(seconds=st.integers(0, 7))
    def time_passes(self, seconds: int) -> None:
        self.clock.now += timedelta(seconds=seconds)
        self._ran()
        for number in range(REPLICAS):
            self._hear(number, self.clock.now - LAG)

    @rule(number=st.integers(0, REPLICAS - 1))
    def somebody_edits(self, number: int) -> None:
        """All have heard of what is there; then the sum is edited, and a replica comes upon it."""
        if "a" not in self.ledgers.stored:
            return
        for each in range(REPLICAS):
            self._hear(each, self.clock.now)
        self.ledgers.edit("a", confirmed="0.000000")
        self.replicas[number].recount(Booking(key, micros, ("a",)) for key, micros in self.pods.items())
        self.replicas[number].reconcile(lambda: True)
        for each in range(REPLICAS):
            self._hear(each, self.clock.now)
        self.replicas[number].reconcile(lambda: True)

    @rule(number=st.integers(0, REPLICAS - 1))
    def all_news_come(self, number: int) -> None:
        self.clock.now += TTL + timedelta(seconds=1)
        self._ran()
        for each in range(REPLICAS):
            self._hear(each, self.clock.now)
            self.replicas[each].recount(Booking(key, micros, ("a",)) for key, micros in self.pods.items())
            self.replicas[each].flush()
        self.replicas[number].reconcile(lambda: True)
        self.clock.now += SETTLE
        self._hear(number, self.clock.now)
        self.replicas[number].unchanged()
        self.replicas[number].reconcile(lambda: True)
        sheet = self.ledgers.sheet("a")
        assert sheet.rate == sum(self.pods.values())
        assert not sheet.reservations

    @invariant()
    def nothing_is_overrun_and_nobody_is_left_out(self) -> None:
        assert sum(self.pods.values()) <= LIMIT
        if "a" in self.ledgers.stored:
            assert self.ledgers.sheet("a").rate >= sum(self.pods.values())


Machine.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestMachine = Machine.TestCase
