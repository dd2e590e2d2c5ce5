"""What budgets have really cost: asked for now and then, shown to people, and never a reason for a verdict."""

import asyncio
import contextlib
import datetime as dt
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from prometheus_client import CollectorRegistry

from tests import factories
from tests.serve.test_budgets import World
from webhook.policy.budget import ScopeModel
from webhook.serve import actuals
from webhook.serve.actuals import STALE, ActualCosts, ActualsCollector, CostQuery
from webhook.serve.budgets import BudgetStatusController

BEGIN = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
LABEL = {"label": {"key": "cost-center", "value": "alpha"}}
MICROS = 10**6


class Api:
    """An allocation API that answers as it is told, and remembers what it was asked."""

    def __init__(self) -> None:
        self.status = 200
        self.asked: list[dict[str, list[str]]] = []
        self.body = b""
        self.rows()

    def rows(self, **costs: object) -> None:
        """Answer with rows of these costs, in the shape that OpenCost gives them."""
        rows = {name: {"name": name, "cpuCost": 1, "totalCost": cost} for name, cost in costs.items()}
        self.body = json.dumps({"code": 200, "data": [rows]}).encode()


@contextlib.contextmanager
def serving(api: Api) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            api.asked.append(parse_qs(urlsplit(self.path).query))
            self.send_response(api.status)
            self.send_header("Content-Length", str(len(api.body)))
            self.end_headers()
            # A reader that has had enough hangs up.
            with contextlib.suppress(OSError):
                self.wfile.write(api.body)

        def log_message(self, *_arguments: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/model/allocation"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def api() -> Api:
    return Api()


class Asking:
    """The leader, a clock and some budgets."""

    def __init__(self, url: str, **scopes: dict[str, Any]) -> None:
        self.now = factories.NOON
        self.leads = True
        self.scopes = scopes
        self.actuals = ActualCosts(url, self.asks, leads=lambda: self.leads, now=lambda: self.now)

    def asks(self) -> list[CostQuery]:
        return [CostQuery(name, ScopeModel.model_validate(scope), BEGIN) for name, scope in self.scopes.items()]

    def look(self) -> dict[str, int | None]:
        """Ask once; return the micro-units that are known of each budget."""
        self.actuals.look()
        found = {name: self.actuals.of(name, BEGIN) for name in self.scopes}
        return {name: each.micros if each is not None else None for name, each in found.items()}


@pytest.fixture
def address(api: Api) -> Iterator[str]:
    with serving(api) as url:
        yield url


SCOPES: dict[str, tuple[dict[str, Any], str, dict[str, object], int | None]] = {
    "label": (LABEL, "label:cost-center", {"alpha": 12.345678, "beta": 5, "__idle__": 9}, 12_345_678),
    "nothing of it ran": (LABEL, "label:cost-center", {"beta": 5}, 0),
    "unlabelled": (
        {"label": {"key": "cost-center", "value": "alpha", "unlabelled": True}},
        "label:cost-center",
        {"alpha": 1, "__unallocated__": 2.5, "beta": 5},
        3_500_000,
    ),
    "namespaces": ({"namespaces": ["team-*"]}, "namespace", {"team-a": 1, "team-b": 2, "other": 4}, 3 * MICROS),
    "cluster": ({"cluster": True}, "cluster", {"one": 7, "__idle__": 1}, 8 * MICROS),
    "credits beyond all costs": (LABEL, "label:cost-center", {"alpha": -3}, 0),
    "no number": (LABEL, "label:cost-center", {"alpha": None}, None),
    "a number beyond all reason": (LABEL, "label:cost-center", {"alpha": 10**40}, None),
    "text": (LABEL, "label:cost-center", {"alpha": "12"}, None),
}


@pytest.mark.parametrize("name", SCOPES)
def test_each_scope_is_asked_for_in_the_words_of_the_api(api: Api, address: str, name: str) -> None:
    scope, aggregate, costs, expected = SCOPES[name]
    api.rows(**costs)
    assert Asking(address, b=scope).look() == {"b": expected}
    (asked,) = api.asked
    assert asked == {
        "window": ["2026-11-01T00:00:00Z,2026-11-22T12:00:00Z"],
        "aggregate": [aggregate],
        "accumulate": ["true"],
    }


def test_budgets_of_one_kind_share_a_question_and_selectors_have_none(api: Api, address: str) -> None:
    api.rows(alpha=1, beta=2)
    beta = {"label": {"key": "cost-center", "value": "beta"}}
    asking = Asking(address, a=LABEL, b=beta, c={"namespaceSelector": {"matchLabels": {"tier": "gold"}}})
    assert asking.look() == {"a": MICROS, "b": 2 * MICROS, "c": None}
    assert len(api.asked) == 1


def test_steps_that_were_not_added_up_are_added_up_here(api: Api, address: str) -> None:
    rows = [{"alpha": {"totalCost": 0.1}}, None, {"alpha": {"totalCost": 0.2}}]
    api.body = json.dumps({"data": rows}).encode()
    assert Asking(address, a=LABEL).look() == {"a": 300_000}


BROKEN: dict[str, tuple[int, bytes]] = {
    "an error": (500, b"{}"),
    "a login page": (200, b"<html>"),
    "another API": (200, b"[]"),
    "no data": (200, b'{"code": 200}'),
    "half an answer": (200, b'{"code": 200, "data": [{"alpha": '),
    "deep nonsense": (200, b"[" * 100_000),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_answer_keeps_the_last_good_one_until_that_is_old(api: Api, address: str, name: str) -> None:
    api.rows(alpha=5)
    asking = Asking(address, a=LABEL)
    assert asking.look() == {"a": 5 * MICROS}
    api.status, api.body = BROKEN[name]
    assert asking.look() == {"a": 5 * MICROS}
    (notice,) = asking.actuals.notices()
    assert notice.startswith("actual costs: 127.0.0.1: ")
    asking.now += STALE + dt.timedelta(seconds=1)
    assert asking.look() == {"a": None}
    api.status = 200
    api.rows(alpha=6)
    assert asking.look() == {"a": 6 * MICROS}
    assert asking.actuals.notices() == []
    assert asking.actuals.outcomes == {"answered": 2, "failed": 2}


def test_an_answer_without_end_is_not_read_to_its_end(api: Api, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actuals, "LARGEST", 1_000)
    api.body = b" " * 2_000
    asking = Asking(address, a=LABEL)
    assert asking.look() == {"a": None}
    assert "answered more than" in asking.actuals.notices()[0]


def test_nobody_at_the_address_is_said_without_what_it_may_hold() -> None:
    asking = Asking("http://user:secret@127.0.0.1:9/allocation", a=LABEL)
    assert asking.look() == {"a": None}
    (notice,) = asking.actuals.notices()
    assert notice.startswith("actual costs: 127.0.0.1: no answer")
    assert "secret" not in notice


def test_another_period_is_another_question(api: Api, address: str) -> None:
    api.rows(alpha=5)
    asking = Asking(address, a=LABEL)
    asking.look()
    assert asking.actuals.of("a", dt.datetime(2026, 12, 1, tzinfo=dt.UTC)) is None


def test_only_the_leader_asks(api: Api, address: str) -> None:
    asking = Asking(address, a=LABEL)
    asking.leads = False
    asking.look()
    assert api.asked == []


def test_the_number_of_questions_is_bounded(api: Api, address: str) -> None:
    scopes = {f"b{n}": {"label": {"key": f"key-{n}", "value": "a"}} for n in range(actuals.MOST_QUERIES + 5)}
    asking = Asking(address, **scopes)
    asking.look()
    assert len(api.asked) == actuals.MOST_QUERIES
    assert "at most 20 of them are answered" in asking.actuals.notices()[0]


def test_the_status_shows_it_while_it_is_known(api: Api, address: str) -> None:
    api.rows(**{"team-alpha": 321.5})
    world = World()
    asking = Asking(address, alpha={"namespaces": ["team-alpha"]})
    teller = world.teller
    told = BudgetStatusController(
        world.stand, teller._objects, world.rest, None,
        actuals=asking.actuals, leads=lambda: True, now=lambda: world.now, monotonic=lambda: world.seconds,
    )  # fmt: skip
    world.teller = told
    world.look()
    assert "actual" not in world.status
    assert world.condition("ActualKnown") == ("False", "Unknown")
    asking.look()
    world.look()
    assert world.status["actual"] == "321.50"
    assert world.condition("ActualKnown") == ("True", "Known")
    asking.now += STALE * 2
    world.look()
    assert "actual" not in world.status
    assert world.condition("ActualKnown") == ("False", "Unknown")


async def test_it_is_asked_in_the_background_and_counted(api: Api, address: str) -> None:
    api.rows(alpha=5)
    asking = Asking(address, a=LABEL)
    registry = CollectorRegistry()
    registry.register(ActualsCollector(asking.actuals))
    async with asking.actuals.watching(0.01, first=0.0):
        for _ in range(500):
            if asking.actuals.outcomes["answered"]:
                break
            await asyncio.sleep(0.01)
    assert (registry.get_sample_value("podgate_budget_actuals_total", {"outcome": "answered"}) or 0) >= 1
