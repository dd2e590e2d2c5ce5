"""What people are told of budgets: status, conditions, one Event and one notification a threshold and period."""

import asyncio
import contextlib
import datetime as dt
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from tests import factories
from tests.admission.test_budgets import RATE, budget
from tests.fakes.objects import FakeRest
from webhook.admission.budget_status import BudgetStatus, budget_statuses
from webhook.admission.ruleset import Ruleset
from webhook.kube import client, conditions
from webhook.ledger.memory import MemoryLedger
from webhook.ledger.store import Charge, LedgerError
from webhook.serve.budgets import LONGEST_WAIT, PAUSE_SECONDS, BudgetStatusCollector, BudgetStatusController
from webhook.serve.notifier import Notifier, NotifyError

PATH = "/apis/podgate.dev/v1alpha1/budgets/alpha"
EVENTS = "/api/v1/namespaces/default/events/"


class FakeNotifier(Notifier):
    """Remembers what it was given, and fails on demand."""

    def __init__(self) -> None:
        super().__init__("https://chat.example/secret", "slack")
        self.sent: list[tuple[str, int]] = []
        self.error: str | None = None
        self.tries = 0

    def send(self, stands: BudgetStatus, threshold: int) -> None:
        self.tries += 1
        if self.error is not None:
            raise NotifyError(self.error)
        self.sent.append((stands.name, threshold))


class World:
    """One Budget in an API server, a ledger, a clock, and the replica that leads."""

    def __init__(self, *documents: str, has_object: bool = True, prices: str = factories.PRICES) -> None:
        self.now = factories.NOON
        self.seconds = 100.0
        self.leads = True
        self.rest = FakeRest()
        self.notifier = FakeNotifier()
        self.ledger = MemoryLedger(clock=lambda: self.now)
        self.has_object = has_object
        self.is_broken = False
        self.amend(*documents or (budget("1000", warnAt="[75, 90]"),), prices=prices)
        if has_object:
            self.rest.put(PATH, {"metadata": {"name": "alpha", "uid": "b-1", "generation": 1}})
        self.restart()

    def amend(self, *documents: str, prices: str = factories.PRICES) -> None:
        self.rules: Ruleset = factories.ruleset(*documents, prices=prices)

    def restart(self) -> None:
        """Be another process that knows only what the API server holds."""
        self.teller = BudgetStatusController(
            self.stand,
            lambda: {"alpha": conditions.read_conditions(PATH, self.rest.objects[PATH])} if self.has_object else {},
            self.rest,
            self.notifier,
            leads=lambda: self.leads,
            now=lambda: self.now,
            monotonic=lambda: self.seconds,
        )

    def stand(self) -> list[BudgetStatus]:
        if self.is_broken:
            raise LedgerError("the ledger is away")
        return budget_statuses(self.rules, self.ledger, self.now)

    def commit(self, percent: int) -> None:
        """Let pods take so many per cent of $1,000 a month of 100 hours."""
        self.ledger.reserve("pods", percent * 100_000, [Charge("alpha", None)])

    def look(self, seconds: float = PAUSE_SECONDS + 1) -> int:
        """Let time pass, look once, and return the calls that were made."""
        self.seconds += seconds
        self.now += dt.timedelta(seconds=seconds)
        before = len(self.rest.calls)
        self.teller.look()
        return len(self.rest.calls) - before

    @property
    def status(self) -> dict[str, Any]:
        return dict(self.rest.objects[PATH].get("status", {}))

    def condition(self, kind: str) -> tuple[str, str]:
        (found,) = [each for each in self.status["conditions"] if each["type"] == kind]
        return found["status"], found["reason"]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [content for path, content in self.rest.objects.items() if path.startswith(EVENTS)]


def test_the_status_says_what_is_committed_and_writes_only_what_has_changed() -> None:
    world = World()
    world.ledger.reserve("pod", RATE, [Charge("alpha", None)])
    assert world.look() == 1
    assert (world.status["committed"], world.status["percent"], world.status["state"]) == ("200.00", 20, "Within")
    assert world.condition("Priced") == ("True", "Priced")
    assert world.condition("OverThreshold") == ("False", "WithinBudget")
    assert world.condition("Overlapping") == ("False", "Distinct")
    assert world.look() == 0
    world.ledger.release("pod")
    assert world.look() == 1
    assert world.status["committed"] == "0.00"
    assert not world.events
    assert not world.notifier.sent


def test_figures_that_move_all_the_time_are_not_written_all_the_time() -> None:
    world = World()
    calls = 0
    for percent in range(1, 40):
        world.commit(percent)
        calls += world.look(1.0)
    assert calls <= 5
    world.look()
    assert world.status["percent"] == 39


def test_conditions_of_others_stay_as_they_are() -> None:
    world = World()
    accepted = {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "In force."}
    world.rest.put(PATH, {**world.rest.objects[PATH], "status": {"conditions": [accepted]}})
    world.look()
    assert accepted in world.status["conditions"]
    assert len(world.status["conditions"]) == 4


def test_each_threshold_is_told_once() -> None:
    world = World()
    for percent, sent in (
        (74, []),
        (75, [75]),
        (80, [75]),
        (60, [75]),
        (76, [75]),
        (90, [75, 90]),
        (100, [75, 90, 100]),
    ):
        world.commit(percent)
        world.look()
        world.look()
        assert [threshold for _, threshold in world.notifier.sent] == sent
        assert len(world.events) == len(sent)
    assert world.status["state"] == "Exhausted"
    assert world.condition("OverThreshold") == ("True", "ThresholdReached")
    assert world.status["notified"]["thresholds"] == [75, 90, 100]
    assert [each["reason"] for each in world.events] == ["BudgetThreshold", "BudgetThreshold", "BudgetExhausted"]
    assert world.events[0]["message"] == (
        'budget "alpha" has reached 75 %: $750.00 of $1,000.00 a month committed (75 %)'
    )
    assert world.events[0]["involvedObject"]["uid"] == "b-1"


def test_the_highest_of_several_speaks_for_those_below() -> None:
    world = World()
    world.commit(95)
    world.look()
    assert world.notifier.sent == [("alpha", 90)]
    assert world.status["notified"]["thresholds"] == [75, 90]


def test_a_restart_and_another_leader_tell_nothing_twice() -> None:
    world = World()
    world.commit(80)
    world.look()
    world.restart()
    world.look()
    world.look()
    assert world.notifier.sent == [("alpha", 75)]


def test_a_new_period_and_another_amount_begin_anew() -> None:
    world = World()
    world.commit(80)
    world.look()
    world.now = dt.datetime(2026, 12, 1, 0, 1, tzinfo=dt.UTC)
    world.look()
    assert world.notifier.sent == [("alpha", 75)] * 2
    assert world.status["notified"]["period"] == "2026-12-01T00:00:00Z"
    world.amend(budget("1010", warnAt="[75, 90]"))
    world.look()
    assert world.notifier.sent == [("alpha", 75)] * 3
    assert len(world.events) == 3


def test_only_the_leader_tells() -> None:
    world = World()
    world.leads = False
    world.commit(100)
    assert world.look() == 0
    assert not world.notifier.sent
    world.leads = True
    assert world.look() == 2


def test_a_budget_of_the_policy_directory_is_told_of_while_the_process_lives() -> None:
    world = World(has_object=False)
    world.commit(80)
    assert world.look() == 0
    world.look()
    assert world.notifier.sent == [("alpha", 75)]
    world.leads = False
    world.look()
    world.leads = True
    world.look()
    assert world.notifier.sent == [("alpha", 75)]


def test_a_notification_that_fails_is_tried_again_later_each_time_and_holds_up_nothing_else() -> None:
    world = World()
    world.notifier.error = "chat.example: answered 500"
    world.commit(80)
    world.look()
    assert world.status["percent"] == 80
    assert world.status["notified"]["thresholds"] == []
    assert world.teller.notices() == ["budget alpha: notification: chat.example: answered 500"]
    for _ in range(3_000):
        world.look(1.0)
    assert 9 <= world.notifier.tries <= 13
    assert len(world.events) == 1
    world.notifier.error = None
    world.look(LONGEST_WAIT)
    world.look()
    assert world.notifier.sent == [("alpha", 75)]
    assert world.status["notified"]["thresholds"] == [75]
    assert world.teller.notices() == []
    assert (world.teller.notifications["sent"], world.teller.events) == (1, {"created": 1, "failed": 0})


def test_an_event_that_may_not_be_written_does_not_repeat_the_notification() -> None:
    world = World()

    def forbid(_method: str, path: str) -> None:
        if path.endswith("/events"):
            raise client.ForbiddenError("POST /events: forbidden; add the verb create", 403)

    world.rest.before = forbid
    world.commit(80)
    for _ in range(5):
        world.look(30.0)
    assert world.notifier.sent == [("alpha", 75)]
    assert world.teller.notices() == ["budget alpha: event: POST /events: forbidden; add the verb create"]
    world.rest.before = None
    world.look(LONGEST_WAIT)
    assert len(world.events) == 1
    assert world.status["notified"]["thresholds"] == [75]


def test_a_write_that_meets_a_change_is_made_anew() -> None:
    world = World()
    world.rest.before = lambda method, _path: (
        world.rest.put(PATH, world.rest.objects[PATH]) if method == "PATCH" else None
    )
    world.look()
    assert world.teller.writes["conflict"] == 1
    world.rest.before = None
    world.look()
    assert world.status["state"] == "Within"


def test_an_installation_whose_crd_is_older_is_told() -> None:
    world = World()

    def drop(method: str, path: str) -> None:
        raise client.NotFoundError(f"{method} {path}: not found", 404)

    world.rest.before = drop
    world.look()
    assert world.teller.notices() == [f"budget alpha: status: PATCH {PATH}/status: not found"]
    assert world.look(1.0) == 0
    world.rest.before = None
    world.look()
    assert world.teller.notices() == []


def test_a_ledger_that_cannot_be_read_is_said() -> None:
    world = World()
    world.is_broken = True
    assert world.look() == 0
    assert world.teller.notices() == ["the ledger is away"]


@pytest.mark.parametrize("nonsense", ["x", [], {"thresholds": "all", "period": 7}, {"thresholds": [None, "75", 75]}])
def test_nonsense_in_the_status_is_no_reason_to_fall_silent(nonsense: object) -> None:
    world = World()
    world.rest.put(PATH, {**world.rest.objects[PATH], "status": {"notified": nonsense}})
    world.commit(80)
    world.look()
    assert world.notifier.sent == [("alpha", 75)]
    assert world.status["notified"]["thresholds"] == [75]


CONDITIONS: dict[str, tuple[list[str], str, str, tuple[str, str]]] = {
    "prices of a list": ([budget("10")], factories.PRICES, "Priced", ("True", "Priced")),
    "no price list": ([budget("10")], "", "Priced", ("False", "PriceListMissing")),
    "another currency": ([budget("10").replace("USD", "EUR")], "", "Priced", ("False", "UnknownCurrency")),
    "the same scope twice": ([budget("10"), budget("20", name="b")], "", "Overlapping", ("True", "ScopesOverlap")),
    "another scope": (
        [budget("10"), budget("20", name="b").replace("team-alpha", "team-beta")],
        "",
        "Overlapping",
        ("False", "Distinct"),
    ),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_what_is_odd_about_a_budget_stands_in_a_condition(name: str) -> None:
    documents, prices, kind, expected = CONDITIONS[name]
    world = World(*documents, prices=prices)
    world.look()
    assert world.condition(kind) == expected
    assert (world.status["state"] == "Unpriced") is (expected[1] == "UnknownCurrency")


def test_counters_and_the_background_task_work_together() -> None:
    world = World()
    world.commit(80)
    registry = CollectorRegistry()
    registry.register(BudgetStatusCollector(world.teller))

    async def run() -> None:
        async with world.teller.watching(0.01):
            for _ in range(500):
                if world.teller.writes["written"]:
                    return
                await asyncio.sleep(0.01)

    asyncio.run(run())
    for metric, outcome in (("status_writes", "written"), ("notifications", "sent"), ("events", "created")):
        assert registry.get_sample_value(f"podgate_budget_{metric}_total", {"outcome": outcome}) == 1


# --- the notifier -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def chat(status: int = 200, headers: dict[str, str] | None = None) -> Iterator[tuple[str, list[Any]]]:
    """Serve an address that answers so; yield it and what it got."""
    got: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/services/T0/SECRET", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def stands() -> BudgetStatus:
    world = World()
    world.commit(93)
    (found,) = budget_statuses(world.rules, world.ledger, world.now)
    return found


def test_a_chat_gets_one_line(stands: BudgetStatus) -> None:
    with chat() as (url, got):
        Notifier(url, "slack").send(stands, 90)
    assert got == [{"text": 'budget "alpha" has reached 90 %: $930.00 of $1,000.00 a month committed (93 %)'}]


def test_a_program_gets_the_numbers(stands: BudgetStatus) -> None:
    with chat(204) as (url, got):
        Notifier(url, "json").send(stands, 90)
    (found,) = got
    assert {key: found[key] for key in ("budget", "threshold", "percent", "committed", "amount", "currency")} == {
        "budget": "alpha",
        "threshold": 90,
        "percent": 93,
        "committed": "930.00",
        "amount": "1000.00",
        "currency": "USD",
    }


@pytest.mark.parametrize(("status", "headers"), [(500, {}), (404, {}), (302, {"Location": "http://127.0.0.1:9/"})])
def test_an_answer_that_is_no_success_is_a_failure_and_keeps_the_address_secret(
    stands: BudgetStatus, status: int, headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with chat(status, headers) as (url, got), pytest.raises(NotifyError) as caught:
        Notifier(url, "slack").send(stands, 90)
    assert len(got) == 1
    assert str(caught.value).startswith(f"127.0.0.1: answered {status}")
    assert "SECRET" not in str(caught.value) + caplog.text


def test_nobody_at_the_address_is_a_failure_that_keeps_it_secret(
    stands: BudgetStatus, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with pytest.raises(NotifyError, match=r"^127\.0\.0\.1: no answer") as caught:
        Notifier("http://127.0.0.1:9/SECRET", "slack").send(stands, 90)
    assert "SECRET" not in str(caught.value) + caplog.text
