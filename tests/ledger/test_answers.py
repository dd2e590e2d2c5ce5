"""An API server that takes its time lets nobody in unbooked; one that fails, or is silent for long, is a fault."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.contracts.ledger import Clock
from tests.fakes.ledgers import FakeLedgers
from tests.fakes.shared_ledger import replica, watch
from webhook.kube import client as api
from webhook.ledger.answers import SILENT_SECONDS, Answers
from webhook.ledger.shared import SharedLedger
from webhook.ledger.store import Charge, LedgerError, ReservationOutcome

CHARGE = [Charge("a", 100)]
LATE = api.LateError("PUT a: no answer in time")
SECOND = timedelta(seconds=1)


class Desk:
    """One replica, and an API server that answers as it is told."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.ledgers = FakeLedgers()
        self.shared: SharedLedger = replica(self.ledgers, self.clock)
        watch(self.ledgers, self.shared)

    def fails(self, error: api.ApiError, *, seconds: float = 0.0) -> None:
        """Let each call from now on take so long and fail."""

        def before(_verb: str) -> None:
            self.clock.now += seconds * SECOND
            raise error

        self.ledgers.before = before

    def asks(self, key: str) -> ReservationOutcome | LedgerError:
        """Ask for room and wait for the answer."""
        answers: list[ReservationOutcome | LedgerError] = []
        is_done = threading.Event()

        def done(answer: ReservationOutcome | LedgerError) -> None:
            answers.append(answer)
            is_done.set()

        self.shared.begin(key, 5, CHARGE, None, seconds=1, done=done)
        assert is_done.wait(20)
        return answers[0]


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.ledgers.before = None
    made.shared.close()


def is_told_to_retry(said: ReservationOutcome | LedgerError) -> bool:
    return isinstance(said, ReservationOutcome) and not said.accepted and "took too long" in said.reason


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(LATE, id="no answer in time"),
        pytest.param(api.ApiError("PUT a: too many requests", 429), id="too busy"),
        pytest.param(api.ApiError("PUT a: time-out", 504), id="its own time-out"),
    ],
)
@pytest.mark.parametrize("idle", [0, 3600], ids=["just now", "an hour ago"])
def test_who_cannot_be_booked_in_time_is_refused_where_the_api_server_answered(
    desk: Desk, error: api.ApiError, idle: int
) -> None:
    assert desk.shared.reserve("first", 1, CHARGE).accepted
    desk.clock.now += idle * SECOND
    desk.fails(error, seconds=0.5)
    assert is_told_to_retry(desk.asks("p"))


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(api.UnreachableError("PUT a: connection refused"), id="nobody there"),
        pytest.param(api.ForbiddenError("PUT a: forbidden", 403), id="no right"),
        pytest.param(api.ApiError("PUT a: internal error", 500), id="an error of its own"),
    ],
)
def test_a_call_that_fails_is_a_fault_although_others_were_answered(desk: Desk, error: api.ApiError) -> None:
    assert desk.shared.reserve("first", 1, CHARGE).accepted
    desk.fails(error)
    assert isinstance(desk.asks("p"), LedgerError)


def test_silence_is_a_fault_once_it_lasts_and_no_more_once_something_is_written(desk: Desk) -> None:
    assert desk.shared.reserve("first", 1, CHARGE).accepted
    desk.fails(LATE, seconds=2)
    assert is_told_to_retry(desk.asks("p"))
    desk.clock.now += SILENT_SECONDS * SECOND
    assert isinstance(desk.asks("q"), LedgerError)
    desk.ledgers.before = None
    assert desk.shared.reserve("r", 1, CHARGE).accepted
    desk.fails(LATE, seconds=2)
    assert is_told_to_retry(desk.asks("s"))


def test_who_was_never_answered_does_not_know_whether_anybody_is_there() -> None:
    answers = Answers(lambda: 0.0)
    answers.asked()
    answers.failed(LATE)
    assert not answers.is_slow


def test_news_of_a_ledger_are_an_answer() -> None:
    answers = Answers(lambda: 0.0)
    answers.heard()
    answers.asked()
    answers.failed(LATE)
    assert answers.is_slow
    assert answers.problem == str(LATE)


def test_calls_that_go_unanswered_one_after_the_other_are_one_silence() -> None:
    now = [0.0]
    answers = Answers(lambda: now[0])
    answers.came()
    for second in range(int(SILENT_SECONDS)):
        now[0] = float(second)
        answers.asked()
        answers.failed(LATE)
        assert answers.is_slow
    now[0] = SILENT_SECONDS
    assert not answers.is_slow
    answers.came()
    assert answers.is_slow
