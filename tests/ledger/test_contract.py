"""Every ledger keeps the same promises."""

from collections.abc import Iterator

import pytest

from tests.contracts.ledger import TTL, Clock, Desk, LedgerContract
from tests.fakes import shared_ledger
from tests.fakes.ledgers import FakeLedgers
from webhook.ledger.memory import MemoryLedger
from webhook.ledger.store import LedgerStore


class TestMemoryLedger(LedgerContract):
    @pytest.fixture
    def desk(self) -> Desk:
        clock = Clock()
        ledger = MemoryLedger(clock=clock, ttl=TTL)
        return Desk(ledger, clock, ledger.recount)


class TestSharedLedger(LedgerContract):
    @pytest.fixture
    def desk(self) -> Iterator[Desk]:
        clock, ledgers = Clock(), FakeLedgers()
        shared = shared_ledger.replica(ledgers, clock)
        shared_ledger.watch(ledgers, shared)
        store: LedgerStore = shared
        yield Desk(store, clock, lambda pods: shared_ledger.sync(shared, pods))
        shared.close()


class TestSharedLedgerWhoseWatchIsSilent(LedgerContract):
    """What a replica writes itself is enough to go on."""

    @pytest.fixture
    def desk(self) -> Iterator[Desk]:
        clock = Clock()
        shared = shared_ledger.replica(FakeLedgers(), clock)
        yield Desk(shared, clock, lambda pods: shared_ledger.sync(shared, pods))
        shared.close()


class TestLedgerOfOneReplicaWhereTheKindIsAbsent(LedgerContract):
    @pytest.fixture
    def desk(self) -> Iterator[Desk]:
        clock, ledgers, switches = Clock(), FakeLedgers(), shared_ledger.Switches()
        switches.is_absent = True
        shared = shared_ledger.replica(ledgers, clock, switches)
        yield Desk(shared, clock, lambda pods: shared_ledger.sync(shared, pods))
        shared.close()
        assert ledgers.calls == []
