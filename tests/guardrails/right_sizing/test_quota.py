"""Right-sizing beside ResourceQuotas: the pod that leaves is never refused by one because of what was written."""

from typing import Any

import msgspec
import pytest

from tests.guardrails import _api_rules as api
from tests.guardrails.right_sizing import _cluster as world
from webhook.guardrails.right_sizing import sizing_plan as planning

Json = dict[str, Any]

TARGET = {"target": {"cpu": "200m", "memory": "256Mi"}}
SMALL = {"cpu": "100m", "memory": "128Mi"}


def sized(
    *quotas: Json,
    containers: tuple[Json, ...] = (),
    vpa: Json | None = None,
    spec: Json | None = None,
    **fields: object,
) -> tuple[Json, list[str], list[str]]:
    """Return the pod after a proposal, the rules of the notices, and the refusals of the quotas."""
    document = world.pod(*(containers or (world.container("app", SMALL, SMALL),)), **(spec or {}))
    cluster = world.World(world.vpa(vpa or {"app": TARGET}), (), (), world.quotas(*quotas))
    after, _, findings = world.run(world.rule(guaranteedPods="resize", **fields), document, cluster)
    return after, [finding.rule for finding in findings], api.quota_refusals(after, [], quotas)


def burstable() -> Json:
    """Return a container that asks for little and has limits."""
    return world.container("app", SMALL, {"cpu": "150m", "memory": "200Mi"})


def quota(hard: Json, used: Json | None = None, *scopes: tuple[Any, ...]) -> Json:
    """Return a quota."""
    return {"name": "team", "hard": hard, "used": used or {}, "scopes": scopes}


FULL = {"cpu": "200m", "memory": "256Mi"}


def test_a_quota_with_room_enough_changes_nothing() -> None:
    after, rules, _ = sized(quota({"limits.cpu": "600m", "requests.memory": "1Gi"}), containers=(burstable(),))
    assert rules == []
    assert world.resources(after) == {"requests": FULL, "limits": {"cpu": "600m", "memory": "512Mi"}}


def test_headroom_is_cut_to_what_a_quota_on_limits_has_left() -> None:
    after, rules, refusals = sized(quota({"limits.cpu": "2"}, {"limits.cpu": "1550m"}), containers=(burstable(),))
    assert rules == ["quotaLimited"]
    assert world.resources(after) == {"requests": FULL, "limits": {"cpu": "450m", "memory": "512Mi"}}
    assert refusals == []


def test_a_resource_whose_request_has_no_room_is_left_as_written_and_the_other_is_sized() -> None:
    after, rules, refusals = sized(quota({"requests.cpu": "1"}, {"requests.cpu": "850m"}), containers=(burstable(),))
    assert rules == ["quotaLimited"]
    assert world.resources(after) == {
        "requests": {"cpu": "100m", "memory": "256Mi"},
        "limits": {"cpu": "150m", "memory": "512Mi"},
    }
    assert refusals == []


def test_limits_that_cannot_be_cut_to_what_is_left_leave_the_resource_as_written() -> None:
    after, rules, refusals = sized(quota({"limits.cpu": "160m"}), containers=(burstable(),))
    assert rules == ["quotaLimited"]
    assert world.resources(after)["requests"]["cpu"] == "100m"
    assert world.resources(after)["limits"]["cpu"] == "150m"
    assert refusals == []


def test_a_guaranteed_pod_stays_guaranteed() -> None:
    after, rules, refusals = sized(quota({"limits.cpu": "150m"}))
    assert rules == ["quotaLimited"]
    assert world.resources(after) == {"requests": {"cpu": "100m", "memory": "256Mi"}} | {
        "limits": {"cpu": "100m", "memory": "256Mi"}
    }
    assert refusals == []


def test_a_pod_that_shrinks_is_sized_though_the_quota_is_full() -> None:
    large = world.container("app", {"cpu": "2"}, {"cpu": "4"})
    after, rules, _ = sized(quota({"cpu": "1", "limits.cpu": "3"}, {"cpu": "1"}), containers=(large,))
    assert rules == []
    assert world.resources(after)["requests"]["cpu"] == "200m"


@pytest.mark.parametrize("key", ["cpu", "requests.cpu", "limits.cpu"])
def test_overhead_and_sidecars_count_as_the_api_server_counts_them(key: str) -> None:
    sidecar = world.container("mesh", {"cpu": "100m"}, {"cpu": "100m"}, restartPolicy="Always")
    document = world.pod(burstable(), init=[sidecar], overhead={"cpu": "50m"})
    hard = quota({key: "340m"})
    cluster = world.World(world.vpa({"app": TARGET}), (), (), world.quotas(hard))
    after, _, findings = world.run(world.rule(), document, cluster)
    assert [finding.rule for finding in findings] == ["quotaLimited"]
    assert world.resources(after)["requests"]["cpu"] == "100m"
    assert api.quota_refusals(after, [], [hard]) == []


def test_no_limit_that_a_quota_asks_for_is_removed() -> None:
    hard = quota({"limits.cpu": "9", "limits.memory": "9Gi"})
    for fields in ({"limitHeadroom": "none"}, {"limitMaximum": {"cpu": "10m", "memory": "1Mi"}}, {}):
        after, _, refusals = sized(hard, containers=(burstable(),), **fields)
        assert refusals == []
        assert set(world.resources(after)["limits"]) == {"cpu", "memory"}


@pytest.mark.parametrize(
    "hard",
    [{"limits.cpu": "20"}, {"requests.cpu": "20", "memory": "20Gi"}, {"pods": "1"}],
    ids=["a limit in every container", "requests in every container", "no pod more"],
)
def test_a_pod_that_asks_for_nothing_is_left_so_where_sizing_would_bring_it_under_a_full_quota(hard: Json) -> None:
    both = (world.container("app"), world.container("proxy"))
    used = dict.fromkeys(hard, "1")
    after, rules, refusals = sized(quota(hard, used, ("NotBestEffort",)), containers=both)
    assert rules == ["quotaLimited"]
    assert world.resources(after) == {}
    assert refusals == []


def test_a_pod_that_asks_for_nothing_is_sized_where_the_quota_has_a_place_for_it() -> None:
    hard = quota({"limits.cpu": "20", "pods": "9"}, {"pods": "8"}, ("NotBestEffort",))
    after, rules, refusals = sized(hard, containers=(world.container("app"),))
    assert rules == []
    assert world.resources(after)["requests"]["cpu"] == "200m"
    assert refusals == []


_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


@pytest.mark.parametrize(
    ("scope", "spec", "counts"),
    [
        (("Terminating",), {}, False),
        (("Terminating",), {"activeDeadlineSeconds": 9}, True),
        (("NotTerminating",), {}, True),
        (("PriorityClass", "In", ("high",)), {}, False),
        (("PriorityClass", "In", ("high",)), {"priorityClassName": "high"}, True),
        (("PriorityClass", "NotIn", ("high",)), {"priorityClassName": "high"}, False),
        (("PriorityClass", "Exists", ()), {"priorityClassName": "low"}, True),
        (("PriorityClass", "DoesNotExist", ()), {"priorityClassName": "low"}, False),
        (("BestEffort",), {}, False),
        (("NotBestEffort",), {}, True),
        (("CrossNamespacePodAffinity",), {}, False),
        (("CrossNamespacePodAffinity",), {"affinity": {"podAffinity": {_REQUIRED: [{"topologyKey": "z"}]}}}, False),
        (("CrossNamespacePodAffinity",), {"affinity": {"podAffinity": {_REQUIRED: [{"namespaces": ["b"]}]}}}, True),
        (
            ("CrossNamespacePodAffinity",),
            {"affinity": {"podAntiAffinity": {_PREFERRED: [{"podAffinityTerm": {"namespaceSelector": {}}}]}}},
            True,
        ),
        (("OfTomorrow",), {}, False),
    ],
)
def test_a_quota_whose_scopes_leave_the_pod_out_has_no_say(scope: Any, spec: Json, counts: bool) -> None:  # noqa: ANN401
    _, rules, _ = sized(quota({"limits.cpu": "160m"}, None, scope), containers=(burstable(),), spec=spec)
    assert rules == (["quotaLimited"] if counts else [])


@pytest.mark.parametrize("hard", [{"limits.cpu": "much"}, {"requests.storage": "1"}, {}])
def test_what_is_no_amount_of_cpu_or_memory_has_no_say(hard: Json) -> None:
    document = world.pod(burstable())
    cluster = world.World(world.vpa({"app": TARGET}), (), (), world.quotas(quota(hard)))
    assert world.run(world.rule(), document, cluster)[2] == ()


def test_a_second_pass_beside_a_quota_changes_nothing() -> None:
    hard = world.quotas(quota({"limits.cpu": "450m", "requests.memory": "200Mi"}))
    cluster = world.World(world.vpa({"app": TARGET}), (), (), hard)
    first, operations, _ = world.run(world.rule(), world.pod(burstable()), cluster)
    again, second, _ = world.run(world.rule(), first, cluster)
    assert operations
    assert second == []
    assert again == first


def test_plans_are_remembered_by_the_quota_as_it_is_now() -> None:
    vpa = world.vpa({"app": TARGET})
    compiled = world.rule()
    full, free = world.quotas(quota({"limits.cpu": "160m"})), world.quotas(quota({"limits.cpu": "16"}))
    pods = [world.DECODER.decode(msgspec.json.encode(world.pod(burstable()))) for _ in range(3)]
    first = planning.plan(compiled, pods[0], vpa, quotas=full)
    assert planning.plan(compiled, pods[1], vpa, quotas=full) is first
    assert planning.plan(compiled, pods[2], vpa, quotas=free) != first
