"""Events on other people's objects: one a subject and reason, counted up by all replicas."""

import datetime as dt

import pytest

from tests.fakes.objects import FakeRest
from webhook.kube import client, events
from webhook.kube.events import EventText, Involved

NOW = dt.datetime(2026, 11, 22, 12, 0, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(minutes=5)
SHOP = Involved("Deployment", "team-alpha", "shop", "apps/v1", "uid-1")
REFUSED = EventText("PodRefused", "policy team, podSecurity: violates runAsNonRoot")
PATH = f"/api/v1/namespaces/team-alpha/events/{events.name_of(SHOP, 'PodRefused')}"


def test_an_event_names_its_subject_as_kubectl_looks_for_it() -> None:
    rest = FakeRest()
    assert events.tell(rest, SHOP, REFUSED, NOW) == 1
    assert list(rest.objects) == [PATH]
    stored = rest.objects[PATH]
    assert stored["involvedObject"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "namespace": "team-alpha",
        "name": "shop",
        "uid": "uid-1",
    }
    assert (stored["reason"], stored["message"], stored["type"]) == (REFUSED.reason, REFUSED.message, "Warning")
    assert stored["firstTimestamp"] == stored["lastTimestamp"] == "2026-11-22T12:00:00Z"


def test_telling_again_adds_to_the_count_of_the_one_event() -> None:
    rest = FakeRest()
    events.tell(rest, SHOP, REFUSED, NOW)
    assert events.tell(rest, SHOP, REFUSED._replace(message="another reason", times=41), LATER) == 42
    assert list(rest.objects) == [PATH]
    stored = rest.objects[PATH]
    assert (stored["count"], stored["message"]) == (42, "another reason")
    assert (stored["firstTimestamp"], stored["lastTimestamp"]) == ("2026-11-22T12:00:00Z", "2026-11-22T12:05:00Z")


def test_two_replicas_that_tell_at_once_lose_no_count() -> None:
    rest = FakeRest()
    events.tell(rest, SHOP, REFUSED, NOW)
    others = iter([True, True, False])

    def other_replica(method: str, path: str) -> None:
        if method == "PATCH" and next(others):
            rest.put(path, {**rest.objects[path], "count": rest.objects[path]["count"] + 10})

    rest.before = other_replica
    assert events.tell(rest, SHOP, REFUSED, LATER) == 22


def test_an_event_that_another_replica_made_first_is_added_to() -> None:
    rest = FakeRest()

    def other_replica(method: str, path: str) -> None:
        if method == "POST":
            rest.before = None
            events.tell(rest, SHOP, REFUSED, NOW)

    rest.before = other_replica
    assert events.tell(rest, SHOP, REFUSED, NOW) == 2


def test_who_is_never_fast_enough_gives_up() -> None:
    rest = FakeRest()
    events.tell(rest, SHOP, REFUSED, NOW)

    def busy(method: str, path: str) -> None:
        if method == "PATCH":
            rest.put(path, rest.objects[path])

    rest.before = busy
    with pytest.raises(client.ConflictError):
        events.tell(rest, SHOP, REFUSED, NOW)
    assert len(rest.calls) < 16


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(SHOP._replace(uid="uid-2"), id="another object of that name"),
        pytest.param(SHOP._replace(name="cart"), id="another name"),
        pytest.param(SHOP._replace(kind="StatefulSet"), id="another kind"),
    ],
)
def test_each_object_has_an_event_of_its_own(other: Involved) -> None:
    assert events.name_of(SHOP, "PodRefused") != events.name_of(other, "PodRefused")


def test_a_cluster_wide_object_has_its_event_where_kubectl_looks() -> None:
    rest = FakeRest()
    events.tell(rest, Involved("Budget", "", "alpha", "podgate.dev/v1alpha1", "uid-3"), REFUSED, NOW)
    (path,) = rest.objects
    assert path.startswith("/api/v1/namespaces/default/events/alpha.")


@pytest.mark.parametrize("length", [1_024, 1_025, 100_000])
def test_a_message_is_never_longer_than_the_api_server_takes(length: int) -> None:
    assert len(events.shortened("x" * length)) == 1_024


def test_a_name_is_never_longer_than_the_api_server_takes() -> None:
    assert len(events.name_of(SHOP._replace(name="x" * 253), "PodRefused")) <= 253
