"""Right-sizing over whole pods: several containers, the annotation, exemptions, and when it stays silent."""

import json
import time
from typing import Any

import msgspec
import pytest

from tests.guardrails.right_sizing import _cluster as world
from webhook.guardrails import right_sizing
from webhook.guardrails.base.contract import Exemption
from webhook.guardrails.right_sizing import notices, originals
from webhook.guardrails.right_sizing import sizing_plan as planning
from webhook.guardrails.right_sizing.room import Room

Json = dict[str, Any]

TARGET = {"target": {"cpu": "200m", "memory": "300Mi"}}
SIZED = {"requests": {"cpu": "200m", "memory": "300Mi"}, "limits": {"cpu": "600m", "memory": "600Mi"}}
RULE = world.rule()


def small(name: str = "app", **more: str) -> Json:
    return {**world.container(name, {"cpu": "100m", "memory": "128Mi"}), **more}


def test_without_a_vpa_nothing_is_said_or_done() -> None:
    after, operations, findings = world.run(RULE, world.pod(small()), world.World(None))
    assert (operations, list(findings)) == ([], [])
    assert after == world.pod(small())


@pytest.mark.parametrize("recommendations", [None, {}], ids=["no status", "empty"])
def test_a_vpa_without_a_recommendation_is_noticed(recommendations: Json | None) -> None:
    _, operations, findings = world.run(RULE, world.pod(small()), world.World(world.vpa(recommendations)))
    assert operations == []
    assert [finding.rule for finding in findings] == ["noRecommendation"]


@pytest.mark.parametrize("operation", ["UPDATE", "DELETE"])
def test_only_new_pods_are_sized(operation: str) -> None:
    cluster = world.World(world.vpa({"app": TARGET}))
    assert world.run(RULE, world.pod(small()), cluster, operation=operation)[1] == []


def test_native_sidecars_are_sized_and_other_init_containers_are_not() -> None:
    init = [small("setup"), small("mesh", restartPolicy="Always")]
    cluster = world.World(world.vpa({"app": TARGET, "setup": TARGET, "mesh": TARGET}))
    after, _, _ = world.run(RULE, world.pod(small(), init=init), cluster)
    assert world.resources(after, "setup") == small()["resources"]
    assert world.resources(after, "mesh") == SIZED
    assert world.resources(after) == SIZED


def test_a_container_without_a_recommendation_is_left_alone() -> None:
    document = world.pod(small(), small("proxy"))
    after, _, _ = world.run(RULE, document, world.World(world.vpa({"app": TARGET, "gone": TARGET})))
    assert world.resources(after, "proxy") == small()["resources"]


def test_a_container_whose_policy_is_off_is_left_alone() -> None:
    policies = [{"containerName": "*", "mode": "Auto"}, {"containerName": "app", "mode": "Off"}]
    cluster = world.World(world.vpa({"app": TARGET, "proxy": TARGET}, policies=policies))
    after, _, _ = world.run(RULE, world.pod(small(), small("proxy")), cluster)
    assert world.resources(after) == small()["resources"]
    assert world.resources(after, "proxy") == SIZED


def test_a_malformed_quantity_leaves_its_own_container_only() -> None:
    document = world.pod(world.container("app", {"cpu": "-5"}), small("proxy"))
    cluster = world.World(world.vpa({"app": TARGET, "proxy": TARGET}))
    after, _, findings = world.run(RULE, document, cluster)
    assert world.resources(after) == {"requests": {"cpu": "-5"}}
    assert world.resources(after, "proxy") == SIZED
    assert [finding.rule for finding in findings] == ["malformedResources"]


def test_claims_survive_where_requests_are_added() -> None:
    document = world.pod({"name": "app", "resources": {"claims": [{"name": "gpu"}]}})
    after, _, _ = world.run(RULE, document, world.World(world.vpa({"app": TARGET})))
    assert world.resources(after) == {**SIZED, "claims": [{"name": "gpu"}]}


@pytest.mark.parametrize(("sidecars", "sized"), [(249, True), (250, False)])
def test_a_pod_of_more_containers_than_anybody_runs_is_left_as_written(sidecars: int, *, sized: bool) -> None:
    init = [world.container(f"step-{number}") for number in range(250)]
    init += [small(f"mesh-{number}", restartPolicy="Always") for number in range(sidecars)]
    after, _, findings = world.run(RULE, world.pod(small(), init=init), world.World(world.vpa({"app": TARGET})))
    assert world.resources(after) == (SIZED if sized else small()["resources"])
    assert [finding.rule for finding in findings] == ([] if sized else ["tooManyContainers"])


def test_twenty_thousand_sidecars_and_init_steps_hold_up_no_other_review() -> None:
    kinds: tuple[dict[str, str], ...] = ({"restartPolicy": "Always"}, {})
    init = [{"name": f"c{number}", "image": "a", **kinds[number % 2]} for number in range(20_000)]
    items = world.limit_range({"type": "Pod", "max": {"cpu": "500m"}})
    typed = world.DECODER.decode(msgspec.json.encode(world.pod(small(), init=init)))
    began = time.process_time()
    assert planning.plan(RULE, typed, world.vpa({"app": TARGET}), limit_ranges=items).changes == ()
    # Where the time goes with the square of the number, this takes a quarter of a minute, and gigabytes.
    assert time.process_time() - began < 2


def test_init_containers_count_in_the_sums_of_the_pod() -> None:
    init = [world.container("setup", {"cpu": "300m"}, {"cpu": "300m"}), small("mesh", restartPolicy="Always")]
    init.append(world.container("warm", {"cpu": "300m"}, {"cpu": "300m"}))
    items = world.limit_range({"type": "Pod", "max": {"cpu": "500m"}})
    cluster = world.World(world.vpa({"mesh": {"target": {"cpu": "150m"}}}), (), items)
    after, _, findings = world.run(RULE, world.pod(world.container("app"), init=init), cluster)
    assert findings == ()
    assert world.resources(after, "mesh")["limits"]["cpu"] == "200m", "beside warm, which starts after it"


@pytest.mark.parametrize(
    ("exemption", "expected"),
    [
        (Exemption(containers=frozenset({"app"})), small()["resources"]),
        (Exemption(containers=frozenset({"other"})), SIZED),
        (Exemption(containers=None), small()["resources"]),
    ],
    ids=["this container", "another", "all"],
)
def test_exempt_containers_are_left_alone(exemption: Exemption, expected: Json) -> None:
    cluster = world.World(world.vpa({"app": TARGET}))
    after, _, _ = world.run(RULE, world.pod(small()), cluster, exempt=[exemption])
    assert world.resources(after) == expected


# --- the annotation -------------------------------------------------------------------------------------------------


def test_the_annotation_keeps_what_was_there_and_what_was_written() -> None:
    document = world.pod(world.container("app", {"cpu": "0.1"}, {"cpu": 1}))
    after, operations, _ = world.run(RULE, document, world.World(world.vpa({"app": TARGET})))
    assert operations[0] == {"op": "test", "path": "/spec/containers/0/name", "value": "app"}
    assert json.loads(after["metadata"]["annotations"][originals.ANNOTATION]) == {
        "app": {
            "requests": {"cpu": "0.1", "memory": None},
            "limits": {"cpu": 1, "memory": None},
            "applied": SIZED,
        }
    }


def test_a_new_recommendation_starts_again_from_the_authors_values() -> None:
    rule = world.rule(lowerLimits=False)
    document = world.pod(world.container("app", {"cpu": "100m"}, {"cpu": "500m"}))
    first, _, _ = world.run(rule, document, world.World(world.vpa({"app": {"target": {"cpu": "1"}}})))
    assert world.resources(first)["limits"] == {"cpu": "3"}
    second, _, _ = world.run(rule, first, world.World(world.vpa({"app": {"target": {"cpu": "200m"}}})))
    assert world.resources(second) == {"requests": {"cpu": "200m"}, "limits": {"cpu": "600m"}}
    kept = json.loads(second["metadata"]["annotations"][originals.ANNOTATION])["app"]
    assert (kept["requests"], kept["limits"]) == ({"cpu": "100m"}, {"cpu": "500m"})


def test_a_value_that_somebody_changed_since_is_the_authors() -> None:
    rule = world.rule(when="oversized", lowerLimits=False)
    cluster = world.World(world.vpa({"app": {"target": {"cpu": "1"}}}))
    first, _, _ = world.run(rule, world.pod(world.container("app", {"cpu": "4"}, {"cpu": "8"})), cluster)
    assert world.resources(first) == {"requests": {"cpu": "1"}, "limits": {"cpu": "8"}}
    first["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "500m"
    second, _, _ = world.run(rule, first, cluster)
    assert world.resources(second)["requests"] == {"cpu": "500m"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        "[]",
        '{"app": 1}',
        '{"app": {"requests": {"cpu": "x"}, "applied": {"requests": {"cpu": "100m"}}}}',
        '{"app": {"requests": {"cpu": "-1"}, "applied": {"requests": {"cpu": "100m"}}}}',
        '{"app": {"requests": {"cpu": "7"}, "applied": {"requests": {"cpu": "junk"}}}}',
        '{"app": {"requests": {"cpu": "7"}}}',
        "[" * 5000,
    ],
    ids=["empty", "no json", "a list", "a number", "junk", "negative", "junk applied", "not applied", "deep"],
)
def test_an_annotation_that_cannot_be_read_counts_as_none(text: str) -> None:
    document = world.pod(small(), annotations={originals.ANNOTATION: text})
    after, _, _ = world.run(RULE, document, world.World(world.vpa({"app": TARGET})))
    assert world.resources(after) == SIZED
    kept = json.loads(after["metadata"]["annotations"][originals.ANNOTATION])
    assert kept["app"]["requests"] == {"cpu": "100m", "memory": "128Mi"}


def test_a_limit_written_earlier_counts_where_the_rule_has_none_now() -> None:
    without = world.rule(limitHeadroom="none")
    first, _, _ = world.run(RULE, world.pod(small()), world.World(world.vpa({"app": TARGET})))
    larger = world.World(world.vpa({"app": {"target": {"cpu": "1"}}}))
    after, operations, findings = world.run(without, first, larger)
    assert (after, operations) == (first, []), "a request of 1 would be above the limit of 600m that stands there"
    assert [finding.rule for finding in findings] == ["clampFailed"]


def test_what_was_written_earlier_counts_in_the_sums_of_the_pod() -> None:
    items = world.limit_range({"type": "Pod", "max": {"cpu": "1"}})
    document = world.pod(small(), world.container("proxy", {"cpu": "50m"}, {"cpu": "50m"}))
    first, _, _ = world.run(RULE, document, world.World(world.vpa({"app": TARGET})))
    both = world.World(world.vpa({"app": TARGET, "proxy": {"target": {"cpu": "200m"}}}), (), items)
    after, _, _ = world.run(RULE, first, both, exempt=[Exemption(containers=frozenset({"app"}))])
    assert world.resources(after)["limits"]["cpu"] == "600m"
    assert world.resources(after, "proxy")["limits"]["cpu"] == "400m"


@pytest.mark.parametrize("when", ["always", "oversized"])
def test_a_pod_minimum_gives_back_what_was_lowered(when: str) -> None:
    items = world.limit_range({"type": "Pod", "min": {"cpu": "900m"}})
    document = world.pod(world.container("app", {"cpu": "1"}), world.container("proxy", {"cpu": "210m"}))
    vpa = world.vpa({"app": {"target": {"cpu": "100m"}}, "proxy": {"target": {"cpu": "110m"}}})
    after, _, findings = world.run(world.rule(when=when), document, world.World(vpa, (), items))
    assert findings == ()
    assert [world.resources(after, name)["requests"]["cpu"] for name in ("app", "proxy")] == ["721m", "179m"]


# --- remembered plans -----------------------------------------------------------------------------------------------


def test_plans_are_remembered_by_everything_they_depend_on() -> None:
    document = world.pod(small())
    vpa = world.vpa({"app": TARGET})
    items = world.limit_range({"type": "Container", "max": {"cpu": "300m"}})
    seen = [
        world.resources(world.run(rule, pod, world.World(chosen, (), ranges))[0])
        for rule, pod, chosen, ranges in [
            (RULE, document, vpa, []),
            (world.rule(limitHeadroom={"cpu": 1, "memory": 1}), document, vpa, []),
            (RULE, document, world.vpa({"app": {"target": {"cpu": "1"}}}), []),
            (RULE, document, vpa, items),
            (RULE, world.pod(world.container("app", {"cpu": "199m"})), vpa, []),
            (RULE, world.pod(small(), nodeSelector={"kubernetes.io/os": "windows"}), vpa, []),
        ]
        * 2
    ]
    assert seen[:6] == seen[6:]
    assert len({json.dumps(item, sort_keys=True) for item in seen}) == 6


def test_the_same_pods_share_one_plan_and_none_is_changed_by_another() -> None:
    vpa = world.vpa({"app": TARGET})
    pods = [world.DECODER.decode(msgspec.json.encode(world.pod(small()))) for _ in range(2)]
    first, second = (planning.plan(RULE, pod, vpa) for pod in pods)
    assert first is second
    assert pods[0].spec == pods[1].spec
    assert pods[0].spec is not None


def test_huge_names_are_not_remembered() -> None:
    vpa = world.vpa({"a" * 5000: TARGET})
    pod = world.DECODER.decode(msgspec.json.encode(world.pod(small("a" * 5000))))
    assert planning.plan(RULE, pod, vpa) is not planning.plan(RULE, pod, vpa)


# --- texts ----------------------------------------------------------------------------------------------------------


def test_every_notice_is_one_line_with_a_cure_from_the_closed_list() -> None:
    said = [
        notices.no_recommendation("v"),
        notices.malformed_resources("c"),
        notices.hpa_managed("c", "cpu", "h"),
        notices.guaranteed(),
        notices.windows(),
        notices.pod_level_resources(),
        notices.too_many_containers(),
        notices.zero_limit("c", "cpu"),
        notices.clamp_failed("because"),
        notices.quota_cut("q", 0),
        notices.quota_left("q", "limits.cpu", 0, "rightSizing.maximum", is_limit=True),
        notices.several_vpas((world.vpa({}, name="a"), world.vpa({}, name="b")), "Deployment 'web'"),
        notices.startup_boost("c", "v"),
        notices.hpa_without_request("c", "cpu", "HorizontalPodAutoscaler 'h'"),
        notices.above_every_node((1, 1), Room(1, 1, "n"), "rightSizing.maximum"),
        notices.quota_refuses("q"),
    ]
    for finding in said:
        assert finding.notice
        assert finding.rule in notices.RULES
        assert finding.message
        assert finding.cure
        assert "\n" not in finding.message + finding.cure
    assert {finding.rule for finding in said} == set(notices.RULES) - {"malformedRecommendation"}


def test_nothing_is_ever_a_violation() -> None:
    pod = world.DECODER.decode(msgspec.json.encode(world.pod(small())))
    assert list(right_sizing.GUARDRAIL.inspect(RULE, world.context(world.World(None), pod))) == []
