"""Ledgers as objects of the API server: every write is conditional on what was read."""

import json

import pytest

from tests.fakes.objects import FakeRest
from webhook.kube import budget_ledgers
from webhook.kube import client as api
from webhook.kube.budget_ledgers import PATH, BudgetLedgers, StoredLedger, decode, is_newer
from webhook.kube.watch_wire import Malformed, Meta


@pytest.fixture
def rest() -> FakeRest:
    return FakeRest()


def test_what_is_created_written_and_read_is_the_same(rest: FakeRest) -> None:
    ledgers = BudgetLedgers(rest)
    assert ledgers.read("a") is None
    made = ledgers.create("a")
    assert (made.name, made.status) == ("a", b"")
    written = ledgers.write(made, b'{"committed":"1.000000"}')
    assert json.loads(written.status) == {"committed": "1.000000"}
    assert ledgers.read("a") == written
    assert [path for _, path in rest.calls] == [f"{PATH}/a", PATH, f"{PATH}/a/status", f"{PATH}/a"]


def test_an_object_that_is_created_says_whose_it_is(rest: FakeRest) -> None:
    BudgetLedgers(rest).create("a")
    found = rest.objects[f"{PATH}/a"]
    assert (found["apiVersion"], found["kind"], found["spec"]) == (
        "podgate.dev/v1alpha1",
        "BudgetLedger",
        {"budget": "a"},
    )


def test_whoever_is_second_meets_a_conflict(rest: FakeRest) -> None:
    ledgers = BudgetLedgers(rest)
    first = ledgers.create("a")
    with pytest.raises(api.ConflictError):
        ledgers.create("a")
    ledgers.write(first, b'{"seal":"1"}')
    with pytest.raises(api.ConflictError):
        ledgers.write(first, b'{"seal":"2"}')
    with pytest.raises(api.ConflictError):
        ledgers.delete(first)


def test_one_that_is_gone_is_a_conflict_to_write_and_none_to_delete(rest: FakeRest) -> None:
    ledgers = BudgetLedgers(rest)
    first = ledgers.create("a")
    ledgers.delete(first)
    assert ledgers.read("a") is None
    with pytest.raises(api.ConflictError, match="deleted meanwhile"):
        ledgers.write(first, b"{}")
    ledgers.delete(first)


@pytest.mark.parametrize("status", ['"status":{},', '"status":null,', ""])
def test_a_ledger_that_says_nothing_has_no_status(status: str) -> None:
    document = f'{{{status}"metadata":{{"name":"a","uid":"u","resourceVersion":"7"}}}}'
    assert decode(document.encode()) == StoredLedger("a", "u", "7", b"")


def test_what_a_watch_brings_is_read_alike() -> None:
    raw = b'{"metadata":{"name":"a"},"status":{"seal":"x"}}'
    assert decode(raw, Meta(name="a", uid="u", resource_version="8")) == StoredLedger("a", "u", "8", b'{"seal":"x"}')


def test_what_is_no_object_is_malformed(rest: FakeRest) -> None:
    with pytest.raises(Malformed, match="made anew"):
        decode(b'{"metadata":3}')
    rest.request = lambda *_, **__: b"[]"  # type: ignore[method-assign]
    with pytest.raises(api.ApiError, match=budget_ledgers.PLURAL):
        BudgetLedgers(rest).read("a")


@pytest.mark.parametrize(
    ("one", "other", "newer"), [("10", "9", True), ("9", "10", False), ("9", "9", False), ("x", "9", False)]
)
def test_versions_are_compared_as_numbers(one: str, other: str, newer: bool) -> None:
    assert is_newer(StoredLedger("a", "u", one, b""), StoredLedger("a", "u", other, b"")) is newer
