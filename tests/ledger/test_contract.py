"""Every ledger keeps the same promises."""

from collections.abc import Iterator

import pytest

from tests.contracts.ledger import TTL, Clock, Desk, LedgerContract
from tests.fakes import shared_ledger
from tests.fakes.ledgers import FakeLedgers
from webhook.ledger.memory import MemoryLedger
from webhook.ledger.news import PodNews
from webhook.ledger.store import LedgerStore


class TestMemoryLedger(LedgerContract):
    @pytest.fixture
    def desk(self) -> Desk:
        clock, switches = Clock(), shared_ledger.Switches()
        news = PodNews(lambda: switches.sees_pods, lambda: clock().timestamp())
        ledger = MemoryLedger(clock=clock, ttl=TTL, news=news)
        return Desk(ledger, clock, ledger.recount, switches.watch)


class TestSharedLedger(LedgerContract):
    @pytest.fixture
    def desk(self) -> Iterator[Desk]:
        clock, ledgers, switches = Clock(), FakeLedgers(), shared_ledger.Switches()
        shared = shared_ledger.replica(ledgers, clock, switches)
        shared_ledger.watch(ledgers, shared)
        store: LedgerStore = shared
        yield Desk(store, clock, lambda pods: shared_ledger.sync(shared, pods), switches.watch)
        shared.close()


class TestSharedLedgerWhoseWatchIsSilent(LedgerContract):
    """What a replica writes itself is enough to go on."""

    @pytest.fixture
    def desk(self) -> Iterator[Desk]:
        clock, switches = Clock(), shared_ledger.Switches()
        shared = shared_ledger.replica(FakeLedgers(), clock, switches)
        yield Desk(shared, clock, lambda pods: shared_ledger.sync(shared, pods), switches.watch)
        shared.close()


class TestLedgerOfOneReplicaWhereTheKindIsAbsent(LedgerContract):
    @pytest.fixture
    def desk(self) -> Iterator[Desk]:
        clock, ledgers, switches = Clock(), FakeLedgers(), shared_ledger.Switches()
        switches.is_absent = True
        shared = shared_ledger.replica(ledgers, clock, switches)
        yield Desk(shared, clock, lambda pods: shared_ledger.sync(shared, pods), switches.watch)
        shared.close()
        assert ledgers.calls == []
