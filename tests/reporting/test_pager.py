"""The walk through a cluster: paged, paced, taken up where it failed, and honest about what it may not see."""

from typing import Any

from tests.fakes.reports import FakeLister
from tests.reporting import _scene
from webhook.kube import client
from webhook.reporting import pager
from webhook.reporting.pager import Pager, RateLimiter, ScannedObject, Unlisted

PODS = "/api/v1/pods"


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def now(self) -> float:
        return self.seconds


def walk(lister: FakeLister, clock: Clock | None = None) -> tuple[list[str], list[Unlisted]]:
    clock = clock or Clock()
    found = list(Pager(lister, RateLimiter(clock.now, clock.sleep), page=2))
    names = [each.document()["metadata"]["name"] for each in found if isinstance(each, ScannedObject)]
    return names, [each for each in found if isinstance(each, Unlisted)]


def pods(count: int) -> list[dict[str, Any]]:
    return [_scene.running(f"p{number}") for number in range(count)]


def test_every_object_comes_once_and_says_its_kind() -> None:
    lister = FakeLister(*_scene.deployment(), *pods(5))
    names, unlisted = walk(lister)
    assert names == ["shop", "shop-7d9c8b6f5", "p0", "p1", "p2", "p3", "p4"]
    assert unlisted == []
    assert [token for path, token in lister.reads if path == PODS] == ["", "2", "4"]
    (found,) = [
        each
        for each in Pager(FakeLister(pods(1)[0]), RateLimiter(Clock().now, Clock().sleep))
        if isinstance(each, ScannedObject)
    ]
    assert (found.document()["kind"], found.document()["apiVersion"]) == ("Pod", "v1")


def test_reads_keep_a_pace() -> None:
    clock = Clock()
    lister = FakeLister(*pods(40))
    walk(lister, clock)
    assert clock.seconds >= (len(lister.reads) - 1) / pager.READS_PER_SECOND * 0.99


def test_a_page_that_fails_is_asked_for_again_and_nothing_is_read_twice() -> None:
    lister, clock = FakeLister(*pods(5)), Clock()
    lister.failures[PODS] = [
        client.UnreachableError("no answer"),
        client.ApiError("slow down", 429, retry_after=7.0),
    ]
    names, unlisted = walk(lister, clock)
    assert (names, unlisted) == ([f"p{number}" for number in range(5)], [])
    assert clock.seconds >= 8.0


def test_a_list_that_is_too_old_begins_again_once() -> None:
    class Forgetful(FakeLister):
        def get(self, path: str, query: dict[str, str] | None = None) -> bytes:
            if path == PODS and (query or {}).get("continue") == "2" and not self.failures.get("told"):
                self.failures["told"] = [client.GoneError("too old", 410)]
                self.reads.append((path, "2"))
                raise client.GoneError("too old", 410)
            return super().get(path, query)

    lister = Forgetful(*pods(5))
    names, unlisted = walk(lister)
    assert unlisted == []
    assert sorted(set(names)) == [f"p{number}" for number in range(5)]


def test_a_kind_that_may_not_be_listed_is_named_and_the_others_are_walked() -> None:
    lister = FakeLister(*_scene.deployment(), *pods(1))
    path = "/apis/apps/v1/deployments"
    lister.failures[path] = [client.ForbiddenError(f"GET {path}: forbidden; grant it", 403)]
    names, unlisted = walk(lister)
    assert names == ["shop-7d9c8b6f5", "p0"]
    assert [(each.kind.resource, each.reason) for each in unlisted] == [
        ("deployments", f"GET {path}: forbidden; grant it")
    ]


def test_an_api_server_that_never_answers_ends_the_walk_of_a_kind() -> None:
    lister = FakeLister(*pods(1))
    lister.failures[PODS] = [client.UnreachableError("no answer") for _ in range(99)]
    _, unlisted = walk(lister)
    assert [each.kind.name for each in unlisted] == ["Pod"]
    assert len([path for path, _ in lister.reads if path == PODS]) == pager.TRIES
