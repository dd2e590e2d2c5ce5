"""Who wrote a policy is told what came of it: once, by the leader, and never in a loop."""

import asyncio
import contextlib
import datetime as dt
import io
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from tests import factories
from tests.fakes.apiserver import PATHS, FakeApiServer
from tests.fakes.live import NOW, client_of
from tests.fakes.objects import FakeRest
from webhook import assembly
from webhook.admission.log import DecisionLog
from webhook.kube import client
from webhook.kube.watch_wire import Malformed, meta_of
from webhook.policy.loading import loader
from webhook.policy.loading.resources import ResourcePolicies
from webhook.serve.conditions import BURST, PAUSE_SECONDS, RETRY_SECONDS, ConditionCollector, ConditionWriter
from webhook.settings import Settings

Object = dict[str, Any]


def policy(name: str = "p", **spec: object) -> Object:
    return {
        "apiVersion": "podgate.dev/v1alpha1",
        "kind": "GuardrailPolicy",
        "metadata": {"name": name},
        "spec": {"mode": "audit", "podSecurity": {"level": "baseline"}, **spec},
    }


def exception(namespace: str) -> Object:
    spec = {"guardrails": ["podSecurity"], "owner": "a", "reason": "b", "expires": "2027-01-01"}
    return {"kind": "PolicyException", "metadata": {"name": "x", "namespace": namespace}, "spec": spec}


def budget(currency: str) -> Object:
    spec = {"mode": "warn", "scope": {"cluster": True}, "amount": "10", "currency": currency}
    return {"kind": "Budget", "metadata": {"name": "b"}, "spec": spec}


def prices() -> Object:
    rates = {"cpuCoreHour": "1", "memoryGiBHour": "1", "gpuHour": "1"}
    spec = {"currency": "USD", "onDemand": rates}
    return {"kind": "PriceList", "metadata": {"name": "default"}, "spec": spec}


class World:
    """Custom resources in an API server, one replica that watches them when told to, and a clock."""

    def __init__(self) -> None:
        self.rest = FakeRest()
        self.policies = ResourcePolicies()
        self.combined = self.policies.combine()
        self.leads = True
        self.seconds = 100.0
        self.base: Any = None
        self.writer = ConditionWriter(
            lambda: self.policies.standings(self.combined),
            self.rest,
            leads=lambda: self.leads,
            now=lambda: NOW + dt.timedelta(seconds=self.seconds),
            monotonic=lambda: self.seconds,
        )

    @staticmethod
    def path(each: Object) -> str:
        head, _, plural = PATHS[each["kind"]].rpartition("/")
        namespace = each["metadata"].get("namespace")
        place = f"{head}/namespaces/{namespace}/{plural}" if namespace else PATHS[each["kind"]]
        return f"{place}/{each['metadata']['name']}"

    def edit(self, *objects: Object) -> None:
        """Store objects as an author would."""
        for each in objects:
            path = self.path(each)
            before = self.rest.objects.get(path, {})
            generation = before.get("metadata", {}).get("generation", 0) + 1
            metadata = {**each["metadata"], "generation": generation}
            status = {"status": before["status"]} if "status" in before else {}
            self.rest.put(path, {**each, "metadata": metadata, **status})

    def touch(self, each: Object) -> None:
        """Change the version of an object and nothing else."""
        path = self.path(each)
        self.rest.put(path, self.rest.objects[path])

    def watch(self) -> None:
        """Bring the news of every object."""
        for content in self.rest.objects.values():
            source = next(each for each in self.policies.sources if each.kind == content["kind"])
            raw = msgspec.Raw(json.dumps(content).encode())
            meta = meta_of(raw)
            with contextlib.suppress(Malformed):
                source.put(f"{meta.namespace}/{meta.name}", source.decode(raw, meta))
        if self.policies.changes != self.combined.changes:
            self.combined = self.policies.combine(self.base)

    def look(self, seconds: float = 1.0) -> int:
        """Let time pass, look once, and return the calls that were made."""
        self.seconds += seconds
        before = len(self.rest.calls)
        self.writer.look()
        return len(self.rest.calls) - before

    def condition(self, each: Object) -> Object | None:
        found = self.rest.objects[self.path(each)].get("status", {}).get("conditions", [])
        assert len(found) <= 1
        return found[0] if found else None

    def settle(self) -> None:
        for _ in range(10):
            self.watch()
            self.look(PAUSE_SECONDS)

    def says(self, each: Object) -> tuple[str, str, int]:
        found = self.condition(each)
        assert found is not None
        return found["status"], found["reason"], found["observedGeneration"]


@pytest.fixture
def world() -> World:
    return World()


# --- what is said -----------------------------------------------------------------------------------------------------


def test_every_kind_is_told_that_it_is_in_force(world: World) -> None:
    objects = [policy(), budget("USD"), prices(), exception("team-a")]
    world.edit(*objects)
    world.watch()
    assert world.look() == 4
    assert [world.says(each) for each in objects] == [("True", "Accepted", 1)] * 4
    assert ("PATCH", f"{PATHS['PolicyException'].replace('policy', 'namespaces/team-a/policy')}/x/status") in (
        world.rest.calls
    )


def test_a_malformed_version_is_told_what_is_wrong_and_how_to_mend_it(world: World) -> None:
    world.edit(policy())
    world.settle()
    world.edit(policy(mode="strict"))
    world.settle()
    found = world.condition(policy())
    assert found is not None
    assert world.says(policy()) == ("False", "Invalid", 2)
    assert found["message"].startswith("spec.mode: ")
    assert "`strict`" in found["message"]
    assert found["message"].endswith(" In force: generation 1.")
    assert "\n" not in found["message"]
    assert [each.spec.mode for each in world.combined.set.policies] == ["audit"]
    world.edit(policy(mode="warn"))
    world.settle()
    assert world.says(policy()) == ("True", "Accepted", 3)


def test_many_problems_are_a_message_of_bounded_length(world: World) -> None:
    many: dict[str, Any] = {f"unknown{index}": 1 for index in range(200)}
    world.edit(policy(**many))
    world.settle()
    found = world.condition(policy())
    assert found is not None
    assert 1_000 < len(found["message"]) < 1_200


def test_what_a_file_defines_too_is_told_which(world: World) -> None:
    world.base = loader.load_text(json.dumps(policy()), "policies/p.yaml")
    world.edit(policy(), policy("q"))
    world.settle()
    assert world.says(policy()) == ("False", "ShadowedByFile", 1)
    assert world.says(policy("q")) == ("True", "Accepted", 1)
    assert (world.condition(policy()) or {})["message"] == (
        "metadata.name: is defined in policies/p.yaml:1 as well. Rename or remove one of them."
    )


def test_a_budget_in_another_currency_is_told(world: World) -> None:
    world.edit(budget("EUR"), prices())
    world.settle()
    assert world.says(budget("EUR")) == ("False", "CurrencyClash", 1)
    assert world.says(prices()) == ("True", "Accepted", 1)
    world.edit(budget("USD"))
    world.settle()
    assert world.says(budget("USD")) == ("True", "Accepted", 2)


# --- once -------------------------------------------------------------------------------------------------------------


def test_events_of_unchanged_objects_cause_no_write_and_no_new_set(world: World) -> None:
    bad = policy("bad", mode="strict")
    world.edit(policy(), bad)
    world.settle()
    assert world.writer.outcomes == {"written": 2, "conflict": 0, "failed": 0}
    changes = world.policies.changes
    for _ in range(50):
        world.touch(policy())
        world.touch(bad)
        world.watch()
        assert world.look(PAUSE_SECONDS) == 0
    assert world.policies.changes == changes


def test_a_write_is_not_repeated_while_its_news_is_on_the_way(world: World) -> None:
    world.edit(policy())
    world.watch()
    assert world.look() == 1
    assert [world.look(1000) for _ in range(5)] == [0] * 5
    world.watch()
    assert world.look() == 0


def test_whoever_takes_the_condition_away_is_answered_once_in_a_while(world: World) -> None:
    world.edit(policy())
    calls = 0
    for _ in range(100):
        world.watch()
        calls += world.look(1.0)
        world.rest.put(world.path(policy()), {**world.rest.objects[world.path(policy())], "status": {}})
    assert 100 / PAUSE_SECONDS - 2 <= calls <= 100 / PAUSE_SECONDS + 2


def test_many_objects_are_told_a_few_at_a_time(world: World) -> None:
    world.edit(*(exception(f"team-{index}") for index in range(2 * BURST + 5)))
    world.watch()
    assert [world.look() for _ in range(4)] == [BURST, BURST, 5, 0]


def test_an_edit_that_is_not_judged_yet_is_not_spoken_about(world: World) -> None:
    world.edit(policy())
    world.watch()
    stale = world.combined
    world.edit(policy(mode="strict"))
    world.watch()
    world.combined = stale
    assert world.look() == 0
    world.watch()
    assert world.look() == 1
    assert world.says(policy()) == ("False", "Invalid", 2)


def test_only_the_leader_writes(world: World) -> None:
    world.leads = False
    world.edit(policy())
    world.settle()
    assert world.rest.calls == []
    world.leads = True
    assert world.look() == 1


def test_a_leader_that_loses_the_lease_stops_at_once(world: World) -> None:
    world.edit(policy("a"), policy("b"), policy("c"))
    world.watch()

    def lose(_method: str, _path: str) -> None:
        world.leads = False

    world.rest.before = lose
    assert world.look() == 1


# --- what goes wrong --------------------------------------------------------------------------------------------------


def fail(world: World, error: client.ApiError, kind: str = "") -> None:
    def before(_method: str, path: str) -> None:
        if kind in path:
            raise error

    world.rest.before = before


def test_a_version_that_is_old_by_now_is_a_conflict_and_written_after_the_news(world: World) -> None:
    world.edit(policy())
    world.watch()
    world.edit(policy(mode="warn"))
    assert world.look() == 1
    assert world.condition(policy()) is None
    assert world.look() == 0
    assert world.writer.outcomes == {"written": 0, "conflict": 1, "failed": 0}
    assert world.writer.notices() == []
    world.watch()
    assert world.look() == 1
    assert world.says(policy()) == ("True", "Accepted", 2)


def test_a_right_that_is_missing_is_told_and_holds_up_its_kind_alone(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    fail(world, client.error_of("PATCH", "/x", 403, b""), "guardrailpolicies")
    world.edit(policy("a"), policy("b"), prices())
    world.watch()
    assert world.look() == 2
    assert world.says(prices()) == ("True", "Accepted", 1)
    assert [world.look() for _ in range(10)] == [0] * 10
    assert world.look(RETRY_SECONDS) == 1
    (notice,) = world.writer.notices()
    assert "grant it in the ClusterRole" in notice
    assert [record.message for record in caplog.records] == [notice]
    assert world.writer.outcomes["failed"] == 2
    world.rest.before = None
    assert world.look(RETRY_SECONDS) == 2
    assert world.writer.notices() == []


def test_a_kind_without_a_status_is_told_with_the_cure(world: World) -> None:
    fail(world, client.error_of("PATCH", "/x", 404, b""))
    world.edit(policy())
    world.watch()
    assert [world.look() for _ in range(5)] == [1, 0, 0, 0, 0]
    (notice,) = world.writer.notices()
    assert "apply manifests/crds" in notice
    world.rest.before = None
    assert world.look(RETRY_SECONDS) == 1
    world.watch()
    world.look()
    assert world.writer.notices() == []


def test_an_object_that_is_gone_is_no_lasting_notice(world: World) -> None:
    world.edit(policy())
    world.watch()
    world.rest.objects.clear()
    assert world.look() == 1
    for source in world.policies.sources:
        source.drop("/p")
    world.watch()
    assert world.look() == 0
    assert world.writer.notices() == []


def test_a_right_that_nothing_needs_any_more_is_no_notice(world: World) -> None:
    fail(world, client.error_of("PATCH", "/x", 403, b""))
    world.edit(policy())
    world.watch()
    world.look()
    assert len(world.writer.notices()) == 1
    world.rest.objects.clear()
    for source in world.policies.sources:
        source.drop("/p")
    world.watch()
    assert world.look() == 0
    assert world.writer.notices() == []


@pytest.mark.parametrize("status", [0, 429, 500, 503])
def test_a_server_that_fails_is_left_in_peace_longer_and_longer(world: World, status: int) -> None:
    fail(world, client.ApiError("down; see the API server's log", status))
    world.edit(*(policy(name) for name in "abcde"))
    world.watch()
    calls = [world.look() for _ in range(300)]
    assert max(calls) == 1
    assert 8 <= sum(calls) <= 13
    assert world.writer.notices() == ["down; see the API server's log"]
    world.rest.before = None
    assert world.look(RETRY_SECONDS) == 5
    assert world.writer.notices() == []


def test_the_pause_that_a_server_asks_for_is_kept(world: World) -> None:
    fail(world, client.ApiError("busy", 429, retry_after=7.0))
    world.edit(policy())
    world.watch()
    assert [world.look() for _ in range(9)] == [1, 0, 0, 0, 0, 0, 0, 1, 0]


def test_outcomes_are_metrics(world: World) -> None:
    registry = CollectorRegistry()
    registry.register(ConditionCollector(world.writer, lambda: world.leads))
    world.edit(policy())
    world.settle()
    assert registry.get_sample_value("podgate_condition_writes_total", {"outcome": "written"}) == 1
    assert registry.get_sample_value("podgate_condition_writes_total", {"outcome": "failed"}) == 0
    assert registry.get_sample_value("podgate_leader") == 1


# --- with watches ---------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer() as made:
        made.apply(factories.namespace("team-alpha", {}))
        yield made


async def test_conditions_follow_edits_and_then_all_is_quiet(server: FakeApiServer) -> None:
    log = DecisionLog(io.BytesIO())
    api = client_of(server)
    parts = assembly.live(Settings.build(cluster="live"), log, now=lambda: NOW, api=api, watch_options={"scale": 0.01})
    cluster = parts.cluster
    assert cluster is not None
    cluster.LOOK = 0.01  # type: ignore[misc]  # a test has no time to wait
    clock = iter(range(0, 10**9, 100))
    writer = ConditionWriter(
        cluster.standings, api, leads=lambda: True, now=lambda: NOW, monotonic=lambda: float(next(clock))
    )

    def says(each: Object) -> str:
        found = server.stored(each).get("status", {}).get("conditions", [{}])
        return str(found[0].get("reason"))

    async def eventually(each: Object, reason: str) -> None:
        async with asyncio.timeout(5):
            while says(each) != reason:  # noqa: ASYNC110  what is waited for happens in other threads
                await asyncio.sleep(0.01)

    server.forbidden.add(f"{PATHS['PolicyException']}/status")
    server.apply(policy(), exception("team-alpha"))
    async with assembly.watching(parts), writer.watching(0.01):
        await eventually(policy(), "Accepted")
        server.apply(policy(mode="strict"))
        await eventually(policy(), "Invalid")
        server.apply(policy(mode="warn"))
        await eventually(policy(), "Accepted")
        assert "grant it in the ClusterRole" in writer.notices()[0]
        server.forbidden.clear()
        await eventually(exception("team-alpha"), "Accepted")
        await asyncio.sleep(0.1)
        seen = len(server.patches())
        for _ in range(20):
            server.apply(server.stored(policy()))
        await asyncio.sleep(0.3)
        assert len(server.patches()) == seen
    api.close()
