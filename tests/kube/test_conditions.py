"""Conditions of custom resources: compared without times, written under the version that was seen."""

import datetime as dt
from typing import Any

import pytest

from tests.fakes.objects import FakeRest
from webhook.kube import client, conditions
from webhook.kube.conditions import Condition

PATH = "/apis/podgate.dev/v1alpha1/budgets/b"
NOW = dt.datetime(2026, 11, 22, 12, 0, 0, 500, tzinfo=dt.UTC)
YES = Condition("Accepted", holds=True, reason="Accepted", message="In force.")
NO = Condition("Accepted", holds=False, reason="Invalid", message="spec.mode: is wrong.")


@pytest.fixture
def rest() -> FakeRest:
    made = FakeRest()
    made.put(PATH, {"metadata": {"name": "b", "generation": 3}, "spec": {"mode": "warn"}})
    return made


def seen(rest: FakeRest) -> conditions.Held:
    return conditions.read_conditions(PATH, rest.objects[PATH])


def stored(rest: FakeRest) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = rest.objects[PATH]["status"]["conditions"]
    return found


def test_a_condition_is_written_with_the_generation_it_is_about(rest: FakeRest) -> None:
    assert not conditions.says(seen(rest), YES)
    assert conditions.write(rest, seen(rest), YES, NOW)
    assert rest.calls == [("PATCH", f"{PATH}/status")]
    assert stored(rest) == [
        {
            "type": "Accepted",
            "status": "True",
            "reason": "Accepted",
            "message": "In force.",
            "observedGeneration": 3,
            "lastTransitionTime": "2026-11-22T12:00:00Z",
        }
    ]
    assert conditions.says(seen(rest), YES)
    assert rest.objects[PATH]["spec"] == {"mode": "warn"}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"reason": "Other"}, id="reason"),
        pytest.param({"message": "Other."}, id="message"),
        pytest.param({"status": "False"}, id="status"),
        pytest.param({"observedGeneration": 2}, id="generation"),
    ],
)
def test_what_differs_in_anything_but_the_time_does_not_say_so(rest: FakeRest, change: dict[str, object]) -> None:
    conditions.write(rest, seen(rest), YES, NOW)
    stored(rest)[0]["lastTransitionTime"] = "2020-01-01T00:00:00Z"
    assert conditions.says(seen(rest), YES)
    stored(rest)[0].update(change)
    assert not conditions.says(seen(rest), YES)


def test_the_time_of_the_transition_moves_only_with_the_status(rest: FakeRest) -> None:
    conditions.write(rest, seen(rest), NO, NOW)
    later = NOW + dt.timedelta(hours=1)
    conditions.write(rest, seen(rest), NO._replace(message="spec.mode: is still wrong."), later)
    assert stored(rest)[0]["lastTransitionTime"] == "2026-11-22T12:00:00Z"
    conditions.write(rest, seen(rest), YES, later)
    assert stored(rest)[0]["lastTransitionTime"] == "2026-11-22T13:00:00Z"


def test_conditions_of_others_stay(rest: FakeRest) -> None:
    other = {"type": "Synced", "status": "True", "reason": "x", "message": "", "lastTransitionTime": "t"}
    rest.put(PATH, {**rest.objects[PATH], "status": {"conditions": [other]}})
    conditions.write(rest, seen(rest), YES, NOW)
    conditions.write(rest, seen(rest), NO, NOW)
    assert [each["type"] for each in stored(rest)] == ["Synced", "Accepted"]
    assert stored(rest)[0] == other


def test_an_object_that_has_changed_since_is_a_conflict(rest: FakeRest) -> None:
    before = seen(rest)
    rest.put(PATH, rest.objects[PATH])
    with pytest.raises(client.ConflictError):
        conditions.write(rest, before, YES, NOW)
    assert "status" not in rest.objects[PATH]


def test_a_server_that_drops_the_status_is_told_from_one_that_keeps_it() -> None:
    class Drops(FakeRest):
        def request(self, method: str, path: str, **options: Any) -> bytes:  # noqa: ANN401  passed on
            super().request(method, path, **options)
            return b'{"metadata": {"resourceVersion": "1", "generation": 3}}'

    dropping = Drops()
    dropping.put(PATH, {"metadata": {"name": "b", "generation": 3}})
    assert not conditions.write(dropping, seen(dropping), YES, NOW)


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"metadata": None, "status": None}, id="null"),
        pytest.param({"metadata": {"generation": "x"}, "status": {"conditions": "x"}}, id="text"),
        pytest.param({"status": {"conditions": ["x", None]}}, id="no objects"),
    ],
)
def test_a_status_that_was_edited_by_hand_is_read_as_none(document: dict[str, Any]) -> None:
    assert conditions.read_conditions(PATH, document) == conditions.Held(PATH, "", 0, ())
