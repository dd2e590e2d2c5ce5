"""Right-sizing where others act on the same pods: several VPAs, start-up boosts, autoscalers, and the size of nodes."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.guardrails.right_sizing import _cluster as world
from webhook.cluster.view import HorizontalPodAutoscaler, Node, VerticalPodAutoscaler
from webhook.guardrails.base.contract import Finding
from webhook.guardrails.right_sizing import room

Json = dict[str, Any]

TARGET = {"target": {"cpu": "100m", "memory": "128Mi"}}
OWN = {"cpu": "500m", "memory": "512Mi"}
RULE = world.rule()


def told(findings: Sequence[Finding], rule: str) -> Finding:
    """Return the only finding of a rule."""
    (found,) = [each for each in findings if each.rule == rule]
    assert found.notice
    return found


# --- several VPAs of one target -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "others", "why", "is_quiet"),
    [
        pytest.param(world.vpa({"app": TARGET}, name="old", created="2025-01-01T00:00:00Z"),
                     [world.vpa({"app": TARGET}, name="new", created="2026-01-01T00:00:00Z")],
                     "'old' counts, because it is older than 'new'", False, id="the older"),
        pytest.param(world.vpa({"app": TARGET}, name="a"), [world.vpa({"app": TARGET}, name="b")],
                     "'a' counts, because its name comes first", False, id="the smaller name"),
        pytest.param(world.vpa({"app": TARGET}, name="web", mode="Recreate"), [world.vpa({"app": TARGET}, name="dash")],
                     "'web' counts, because it acts (updateMode Recreate), and 'dash' only recommends", True,
                     id="one that acts beside one that recommends"),
        pytest.param(world.vpa({"app": TARGET}, name="web", mode=None),
                     [world.vpa({"app": TARGET}, name="start", mode="Initial")],
                     "'web' counts, because it acts (updateMode Recreate), and 'start' only recommends", False,
                     id="one that acts beside one that acts at first"),
        pytest.param(world.vpa({"app": TARGET}, name="a", mode="Auto"),
                     [world.vpa({"app": TARGET}, name="b", mode="Auto")],
                     "because its name comes first", False, id="two that act"),
    ],
)  # fmt: skip
def test_two_vpas_of_one_target_are_told_once_with_both_names(
    first: VerticalPodAutoscaler, others: list[VerticalPodAutoscaler], why: str, is_quiet: bool
) -> None:
    pod = world.pod(world.container("app", OWN), world.container("proxy", {**OWN}))
    _, patch, findings = world.run(RULE, pod, world.World(first, others=others))
    found = told(findings, "severalVpas")
    assert repr(first.name) in found.message
    assert repr(others[0].name) in found.message
    assert "Deployment 'web'" in found.message
    assert why in found.message
    assert found.quiet is is_quiet
    assert patch


def test_many_vpas_of_one_target_stay_one_short_line() -> None:
    many = [world.vpa({"app": TARGET}, name=f"v{n:03}") for n in range(300)]
    _, _, findings = world.run(RULE, world.pod(world.container("app", OWN)), world.World(many[0], others=many[1:]))
    message = told(findings, "severalVpas").message
    assert "and 295 more" in message
    assert len(message) < 300


def test_one_vpa_is_nothing_to_tell() -> None:
    _, _, findings = world.run(RULE, world.pod(world.container("app", OWN)), world.World(world.vpa({"app": TARGET})))
    assert list(findings) == []


# --- start-up boosts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["Off", "Initial", "Recreate", "InPlaceOrRecreate"])
def test_the_cpu_of_a_boosted_container_is_left_alone_and_its_memory_is_sized(mode: str) -> None:
    cluster = world.World(world.vpa({"app": TARGET}, mode=mode, boosts=True))
    after, _, findings = world.run(RULE, world.pod(world.container("app", OWN, {"cpu": "1"})), cluster)
    sized = world.resources(after)
    assert (sized["requests"]["cpu"], sized["limits"]["cpu"]) == ("500m", "1")
    assert sized["requests"]["memory"] == "128Mi"
    assert "'app'" in told(findings, "startupBoost").message


@pytest.mark.parametrize(
    ("whole", "policy", "is_boosted"),
    [(True, None, True), (True, False, False), (False, True, True), (False, None, False)],
    ids=["the VPA boosts", "not this container", "this container alone", "nobody"],
)
def test_the_policy_of_a_container_decides_before_the_vpa(whole: bool, policy: bool | None, is_boosted: bool) -> None:
    policies = [{"containerName": "app", "boosts": policy}]
    cluster = world.World(world.vpa({"app": TARGET}, boosts=whole, policies=policies))
    after, _, findings = world.run(RULE, world.pod(world.container("app", OWN)), cluster)
    assert (world.resources(after)["requests"]["cpu"] == "500m") is is_boosted
    assert [each.rule for each in findings] == (["startupBoost"] if is_boosted else [])


def test_a_boost_that_vpa_has_noted_down_on_the_pod_is_never_undone() -> None:
    """The VPA may have been edited between its own webhook and this one."""
    boosted = world.pod(
        world.container("app", OWN),
        world.container("proxy", {**OWN}),
        annotations={"vpaCpuStartupBoost/app": '{"requests":{"cpu":"250m"}}'},
    )
    cluster = world.World(world.vpa({"app": TARGET, "proxy": TARGET}, mode="Recreate"))
    after, _, findings = world.run(RULE, boosted, cluster)
    assert world.resources(after, "app")["requests"]["cpu"] == "500m"
    assert world.resources(after, "proxy")["requests"]["cpu"] == "100m"
    told(findings, "startupBoost")
    plain = {**boosted, "metadata": {"labels": {"app": "web"}}}
    after, _, findings = world.run(RULE, plain, cluster)
    assert world.resources(after, "app")["requests"]["cpu"] == "100m"


# --- autoscalers ----------------------------------------------------------------------------------------------------


def hpa(*resources: str, containers: Sequence[tuple[str, str]] = (), scaled: str = "") -> HorizontalPodAutoscaler:
    """Return an HPA of the workload."""
    return HorizontalPodAutoscaler(
        "shop", "web-hpa", "Deployment", "web", 1, 5, frozenset(resources), frozenset(containers), scaled
    )


def test_a_sidecar_without_a_request_is_filled_in_under_an_hpa_on_utilization() -> None:
    cluster = world.World(world.vpa({"app": TARGET, "proxy": TARGET}), [hpa("cpu")])
    pod = world.pod(world.container("app", OWN), world.container("proxy"))
    after, _, findings = world.run(RULE, pod, cluster)
    assert world.resources(after, "app")["requests"]["cpu"] == "500m"
    assert world.resources(after, "proxy")["requests"]["cpu"] == "100m"
    assert "'app'" in told(findings, "hpaManaged").message
    again, patch, _ = world.run(RULE, after, cluster)
    assert (again, patch) == (after, [])


def test_a_native_sidecar_and_a_metric_of_one_container_are_no_exceptions() -> None:
    cluster = world.World(world.vpa({"app": TARGET, "proxy": TARGET}), [hpa(containers=[("proxy", "cpu")])])
    pod = world.pod(world.container("app", OWN), init=[world.container("proxy", restartPolicy="Always")])
    after, _, findings = world.run(RULE, pod, cluster)
    assert world.resources(after, "proxy")["requests"]["cpu"] == "100m"
    assert world.resources(after, "app")["requests"]["cpu"] == "100m"
    assert list(findings) == []


def test_a_limit_is_a_request_and_so_nothing_is_filled_in_beside_it() -> None:
    cluster = world.World(world.vpa({"app": TARGET, "proxy": TARGET}), [hpa("cpu")])
    pod = world.pod(world.container("app", OWN), world.container("proxy", None, {"cpu": "1"}))
    after, _, _ = world.run(RULE, pod, cluster)
    assert "cpu" not in world.resources(after, "proxy").get("requests", {})


def test_a_container_that_nothing_is_recommended_for_is_told_where_it_stops_an_hpa() -> None:
    cluster = world.World(world.vpa({"app": TARGET}), [hpa("cpu")])
    pod = world.pod(world.container("app", OWN), world.container("proxy"), init=[world.container("setup")])
    _, _, findings = world.run(RULE, pod, cluster)
    found = told(findings, "hpaWithoutRequest")
    assert "'proxy'" in found.message
    assert "HorizontalPodAutoscaler 'web-hpa'" in found.message
    assert "requests.cpu" in found.cure


def test_a_scaled_object_holds_a_resource_like_the_hpa_that_it_becomes() -> None:
    cluster = world.World(world.vpa({"app": TARGET}), [hpa("cpu", scaled="web")])
    after, _, findings = world.run(RULE, world.pod(world.container("app", OWN)), cluster)
    assert world.resources(after)["requests"]["cpu"] == "500m"
    found = told(findings, "hpaManaged")
    assert "ScaledObject 'web'" in found.message
    assert "trigger" in found.cure


# --- nodes ----------------------------------------------------------------------------------------------------------


def node(name: str, cpu: str | None, memory: str | None) -> Node:
    """Return a node with this much for pods."""
    given = {"cpu": cpu, "memory": memory}
    return Node(name, allocatable={key: value for key, value in given.items() if value is not None})


LARGE = {"target": {"cpu": "6", "memory": "40Gi"}}


@pytest.mark.parametrize(
    ("nodes", "largest"),
    [
        pytest.param([node("n1", "3920m", "7Gi")], "'n1', has 3920m and 7Gi", id="one small node"),
        pytest.param([node("n1", "4", "7Gi"), node("n2", "8", "16Gi"), node("n3", "2", "32Gi")], "'n2', has 8 and 16Gi",
                     id="enough cpu on one and nearly enough memory on another"),
        pytest.param([node("n1", "64", "39Gi"), node("n2", "5", "400Gi")], "'n1', has 64 and 39Gi",
                     id="never both on one"),
    ],
)  # fmt: skip
def test_a_recommendation_above_every_node_is_told_with_the_largest(nodes: list[Node], largest: str) -> None:
    cluster = world.World(world.vpa({"app": LARGE}), nodes=tuple(nodes))
    _, _, findings = world.run(RULE, world.pod(world.container("app", OWN)), cluster)
    found = told(findings, "aboveEveryNode")
    assert "6 CPU and 40Gi" in found.message
    assert largest in found.message
    assert "rightSizing.maximum or maxAllowed of VerticalPodAutoscaler 'web-vpa'" in found.cure


@pytest.mark.parametrize(
    ("own", "nodes"),
    [
        pytest.param(OWN, [node("n1", "6", "40Gi")], id="exactly enough"),
        pytest.param(OWN, [node("n1", "4", "7Gi"), node("n2", "8", "64Gi")], id="one that is large enough"),
        pytest.param(OWN, [], id="no node is known"),
        pytest.param(OWN, [node("n1", "4", None)], id="a node that does not say"),
        pytest.param(OWN, [node("n1", "many", "7Gi")], id="a node that says no quantity"),
    ],
)
def test_nothing_is_told_where_a_node_may_hold_it(own: Json, nodes: list[Node]) -> None:
    cluster = world.World(world.vpa({"app": LARGE}), nodes=tuple(nodes))
    _, _, findings = world.run(RULE, world.pod(world.container("app", own)), cluster)
    assert list(findings) == []


def test_what_the_author_asked_for_is_no_fault_of_the_recommendation() -> None:
    cluster = world.World(world.vpa({"app": TARGET}), nodes=(node("n1", "4", "7Gi"),))
    large = world.container("db", {"cpu": "32", "memory": "1Gi"})
    _, _, findings = world.run(RULE, world.pod(world.container("app", OWN), large), cluster)
    assert list(findings) == []


def test_overhead_and_other_containers_count() -> None:
    cluster = world.World(world.vpa({"app": {"target": {"cpu": "2"}}}), nodes=(node("n1", "4", "8Gi"),))
    beside = world.container("proxy", {"cpu": "1500m"})
    assert not world.run(RULE, world.pod(world.container("app", OWN), beside), cluster)[2]
    heavy = world.pod(world.container("app", OWN), beside, overhead={"cpu": "1"})
    told(world.run(RULE, heavy, cluster)[2], "aboveEveryNode")


def test_the_cure_names_what_has_a_say_where_vpa_acts_or_its_bounds_are_ignored() -> None:
    nodes = (node("n1", "1", "1Gi"),)
    pod = world.pod(world.container("app", OWN))
    acting = told(
        world.run(RULE, pod, world.World(world.vpa({"app": LARGE}, mode="Auto"), nodes=nodes))[2], "aboveEveryNode"
    )
    assert "maximum or" not in acting.cure
    assert "maxAllowed" in acting.cure
    large = {"uncappedTarget": LARGE["target"], **TARGET}
    uncapped = world.run(
        world.rule(recommendation="uncappedTarget"), pod, world.World(world.vpa({"app": large}), nodes=nodes)
    )
    assert "maxAllowed" not in told(uncapped[2], "aboveEveryNode").cure


def test_equal_nodes_are_the_same_object_so_that_remembered_plans_stay_good() -> None:
    first = room.of((node("a", "4", "8Gi"), node("b", "2", "2Gi")))
    second = room.of((node("a", "4", "8Gi"), node("c", "1", "1Gi")))
    assert first is second
    assert [room.node for room in first] == ["a"]


# --- cures of quotas ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["Off", "Recreate"])
@pytest.mark.parametrize("key", ["cpu", "requests.cpu", "memory", "requests.memory"])
def test_a_quota_on_requests_is_helped_by_what_bounds_requests(key: str, mode: str) -> None:
    large = {"target": {"cpu": "2", "memory": "2Gi"}}
    full = world.quotas({"name": "q", "hard": {key: "1" if "cpu" in key else "1Gi"}})
    cluster = world.World(world.vpa({"app": large}, mode=mode), (), (), full)
    cure = told(world.run(RULE, world.pod(world.container("app", OWN)), cluster)[2], "quotaLimited").cure
    assert "limitHeadroom" not in cure
    assert "maxAllowed" in cure
    assert ("rightSizing.maximum" in cure) is (mode == "Off")


def test_a_quota_on_limits_is_helped_by_less_headroom() -> None:
    full = world.quotas({"name": "q", "hard": {"limits.cpu": "250m"}})
    cluster = world.World(world.vpa({"app": TARGET}), (), (), full)
    cure = told(world.run(RULE, world.pod(world.container("app", OWN)), cluster)[2], "quotaLimited").cure
    assert "rightSizing.limitHeadroom" in cure
    assert "maximum" not in cure


def test_a_quota_on_both_names_the_requests() -> None:
    full = world.quotas({"name": "q", "hard": {"limits.cpu": "1", "requests.cpu": "1"}})
    cluster = world.World(world.vpa({"app": {"target": {"cpu": "2"}}}), (), (), full)
    found = told(world.run(RULE, world.pod(world.container("app", OWN)), cluster)[2], "quotaLimited")
    assert "requests.cpu" in found.message
    assert "limitHeadroom" not in found.cure
