"""Owners of refused pods are told by one Event each: bounded, paced, off the request path, and never for dry runs."""

import asyncio
from typing import Any

import pytest

from tests import factories
from tests.fakes.objects import FakeRest
from tests.reporting import _scene
from webhook.admission.recorder import Recorder
from webhook.kube import client
from webhook.reporting import refusals as telling
from webhook.reporting.refusals import Refusals

POLICY = factories.policy("{mode: enforce, podSecurity: {level: restricted}}")


class Scene:
    """A webhook that refuses, and what it tells."""

    def __init__(self, *, cap: Any = "enforce") -> None:  # noqa: ANN401  a mode
        self.seconds = 1_000.0
        self.rest = FakeRest()
        self.world = factories.World(POLICY, cluster=[_scene.team(), *_scene.deployment()], cap=cap)
        self.refusals = Refusals(self.rest, self.world.view, now=_scene.now, monotonic=lambda: self.seconds)
        recorder = Recorder(self.world, self.world.metrics, _scene.now, self.world.view, [self.refusals])
        self.world.engine._recorder = recorder

    def create(self, *, owner: str | None = "shop-7d9c8b6f5", times: int = 1, **request: Any) -> None:  # noqa: ANN401
        metadata = {"ownerReferences": _scene.owned("ReplicaSet", owner)} if owner else {}
        for number in range(times):
            self.world.validate(factories.pod(metadata=metadata), pod_uid=f"uid-{number}", **request)

    def look(self) -> None:
        self.refusals.tell(self.refusals.due())

    @property
    def events(self) -> list[dict[str, Any]]:
        return list(self.rest.objects.values())


def test_the_deployment_is_told_why_none_of_its_pods_is_there() -> None:
    scene = Scene()
    scene.create(times=40)
    assert scene.rest.calls == [], "the answer was given without a call"
    scene.look()
    (event,) = scene.events
    assert event["involvedObject"]["kind"] == "Deployment"
    assert event["involvedObject"]["uid"] == "uid-shop"
    assert (event["reason"], event["count"], event["type"]) == ("PodRefused", 40, "Warning")
    assert event["message"].startswith("policy team, podSecurity: ")
    assert factories.GENERATED not in event["message"]


def test_a_storm_is_one_event_that_is_written_now_and_then() -> None:
    scene = Scene()
    for _ in range(100):
        scene.create(times=3)
        scene.look()
        scene.seconds += 1
    (event,) = scene.events
    writes = [call for call in scene.rest.calls if call[0] != "GET"]
    assert len(writes) <= 100 / telling.PAUSE_SECONDS + 1
    scene.seconds += telling.PAUSE_SECONDS
    scene.look()
    (event,) = scene.events
    assert event["count"] == 300


@pytest.mark.parametrize(
    "quiet",
    [
        pytest.param({"dryRun": True}, id="a dry run"),
        pytest.param({"owner": None}, id="a pod that a person creates"),
        pytest.param({"operation": "UPDATE"}, id="an update"),
    ],
)
def test_who_asked_has_the_answer_already(quiet: dict[str, Any]) -> None:
    scene = Scene()
    scene.create(**quiet)
    scene.look()
    assert scene.events == []


def test_nothing_is_told_in_audit() -> None:
    scene = Scene(cap="audit")
    scene.create()
    scene.look()
    assert scene.rest.calls == []


def test_where_the_top_most_owner_is_not_known_the_direct_one_is_told() -> None:
    scene = Scene()
    scene.create(owner="cart-5d9c8b6f5")
    scene.look()
    (event,) = scene.events
    assert event["involvedObject"]["kind"] == "ReplicaSet"
    assert event["involvedObject"]["uid"] == "owner-uid"


def test_one_look_writes_a_bounded_number_and_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "MAXIMUM_OWNERS", 15)
    scene = Scene()
    for number in range(20):
        scene.create(owner=f"app-{number}")
    assert scene.refusals.size() == 15
    assert scene.refusals.outcomes["dropped"] == 5
    scene.look()
    assert len(scene.events) == telling.BURST
    scene.look()
    assert len(scene.events) == 15


def test_owners_that_are_made_up_in_one_namespace_crowd_out_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "MAXIMUM_OWNERS_OF_NAMESPACE", 30)
    scene = Scene()
    for number in range(200):
        scene.create(owner=f"app-{number}")
    scene.create(namespace="team-b", owner="shop-5d9c8b6f5")
    assert scene.refusals.outcomes["dropped"] == 170
    scene.look()
    told = [event["involvedObject"]["namespace"] for event in scene.events]
    assert len(told) == telling.BURST
    assert told.count("team-b") == 1


def test_an_api_server_that_refuses_is_left_alone_for_a_while_and_named() -> None:
    scene = Scene()

    def refuse(method: str, path: str) -> None:
        raise client.ForbiddenError(f"{method} {path}: forbidden; grant it", 403)

    scene.rest.before = refuse
    scene.create()
    scene.look()
    assert "forbidden" in scene.refusals.notices()[0]
    calls = len(scene.rest.calls)
    scene.create(owner="other-5d9c8b6f5")
    scene.look()
    assert len(scene.rest.calls) == calls
    scene.rest.before = None
    scene.seconds += telling.RETRY_SECONDS
    scene.look()
    assert scene.refusals.outcomes["written"] == 1
    assert scene.refusals.notices() == []


def test_a_namespace_that_is_gone_costs_the_others_nothing() -> None:
    scene = Scene()

    def gone(method: str, path: str) -> None:
        if "shop" in path or method == "POST":
            scene.rest.before = None
            raise client.NotFoundError(f"{path}: not found", 404)

    scene.create()
    scene.create(owner="cart-5d9c8b6f5")
    scene.rest.before = lambda method, path: gone(method, path) if method == "POST" else None
    scene.look()
    assert scene.refusals.outcomes == {"written": 1, "failed": 1, "dropped": 0}


async def test_the_background_task_tells_by_itself_and_ends() -> None:

    scene = Scene()
    scene.create()
    async with scene.refusals.telling(0.01):
        for _ in range(200):
            if scene.events:
                break
            await asyncio.sleep(0.01)
    assert len(scene.events) == 1
