"""Workloads through the whole pipeline: told what their pods will cost and get, never patched, rarely refused."""

import copy
import json
import time
from typing import Any

import pytest

from tests import factories

POLICY = """
mode: {mode}
costLabels: {{required: [{{key: cost-center, source: pod, default: shared}}]}}
podSecurity: {{level: restricted}}
costCeiling: {{podMonthly: "1000", workloadMonthly: "1000"}}
"""


def node(name: str, taint: str = "", effect: str = "NoSchedule", **labels: str) -> dict[str, Any]:
    taints = [{"key": taint, "effect": effect}] if taint else []
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"taints": taints},
    }


CLUSTER = [
    factories.namespace("team-alpha"),
    node("a", disk="ssd"),
    node("b", "busy", "PreferNoSchedule", disk="hdd"),
    node("c", "gpu", disk="ssd"),
    node("d", "node.kubernetes.io/unschedulable", disk="ssd"),
]


def world(mode: str = "enforce") -> factories.World:
    return factories.World(factories.policy(POLICY.format(mode=mode)), cluster=CLUSTER)


def of_kind(kind: str, **spec: Any) -> dict[str, Any]:  # noqa: ANN401  fields of a spec
    made = factories.deployment()
    del made["spec"]["replicas"]
    api = {"Job": "batch/v1", "CronJob": "batch/v1", "ReplicationController": "v1"}.get(kind, "apps/v1")
    return {**made, "apiVersion": api, "kind": kind, "spec": {**made["spec"], **spec}}


def cron_job(annotations: dict[str, str] | None = None, **job: Any) -> dict[str, Any]:  # noqa: ANN401  fields of a spec
    inner = of_kind("Job", **job)["spec"]
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "nightly", "annotations": annotations or {}},
        "spec": {"schedule": "0 1 1 * *", "jobTemplate": {"spec": inner}},
    }


REPLICATED = ["Deployment", "StatefulSet", "ReplicaSet", "ReplicationController"]


@pytest.mark.parametrize("kind", REPLICATED)
def test_a_replicated_workload_is_told_its_monthly_cost(kind: str) -> None:
    answer = world().validate(of_kind(kind, replicas=3))
    assert answer.allowed
    assert any(f"this {kind} costs $600.00 a month (3 replicas, " in warning for warning in answer.warnings), (
        answer.warnings
    )
    assert json.loads(answer.notes["cost"])["pods"] == 3
    assert json.loads(answer.notes["cost"])["monthlyAfter"] == "600.00"


@pytest.mark.parametrize("path", ["/mutate", "/validate", "/validate/security", "/validate/cost"])
@pytest.mark.parametrize("kind", [*REPLICATED, "DaemonSet", "Job"])
def test_a_workload_is_never_patched_and_told_what_its_pods_get(kind: str, path: str) -> None:
    answer = world().call(path, factories.review(of_kind(kind)))
    assert answer.allowed
    assert answer.patch == []
    if path != "/validate/security":
        assert answer.entry is not None
        assert {"op": "add", "path": "/metadata/labels/cost-center", "value": "shared"} in answer.entry["wouldPatch"]


def test_what_would_refuse_the_pods_is_a_warning_on_their_workload() -> None:
    answer = world().validate(factories.deployment())
    assert answer.allowed
    assert any(text.startswith("policy team, podSecurity: would violate") for text in answer.warnings)
    assert answer.outcome("podSecurity") == "warned"


@pytest.mark.parametrize("mode", ["audit", "off"])
def test_a_workload_is_told_nothing_where_nothing_is_told(mode: str) -> None:
    answer = world(mode).validate(factories.deployment(replicas=50))
    assert answer.allowed
    assert answer.warnings == []


def test_a_workload_above_its_ceiling_is_refused_when_it_is_created() -> None:
    answer = world().validate(factories.deployment(replicas=6))
    assert not answer.allowed
    assert answer.message.startswith(
        "policy team, costCeiling: costs $1,200.00 a month (6 replicas), above the ceiling"
    )
    assert "podSecurity" not in answer.message
    assert world().validate(factories.deployment(replicas=5)).allowed


@pytest.mark.parametrize("mode", ["warn", "audit", "off"])
def test_a_ceiling_that_is_not_enforced_refuses_no_workload(mode: str) -> None:
    assert world(mode).validate(factories.deployment(replicas=6)).allowed


@pytest.mark.parametrize(
    ("before", "after", "allowed"), [(6, 6, True), (6, 7, False), (7, 6, True), (5, 6, False), (1, 5, True)]
)
def test_an_update_is_refused_only_where_the_cost_rises_above_the_ceiling(
    before: int, after: int, allowed: bool
) -> None:
    old, new = factories.deployment(before), factories.deployment(after)
    answer = world().call("/validate", factories.review(new, old=old, operation="UPDATE"))
    assert answer.allowed is allowed


def test_an_update_with_dearer_pods_is_refused_too() -> None:
    old = factories.deployment(6)
    new = factories.deployment(6, factories.pod(factories.container(cpu="2")))
    assert not world().call("/validate", factories.review(new, old=old, operation="UPDATE")).allowed


def scale(replicas: int, before: int) -> dict[str, Any]:
    def document(count: int) -> dict[str, Any]:
        return {
            "apiVersion": "autoscaling/v1",
            "kind": "Scale",
            "metadata": {"name": "shop", "namespace": "team-alpha"},
            "spec": {"replicas": count},
        }

    review = factories.review(
        document(replicas), old=document(before), operation="UPDATE", subResource="scale", name="shop"
    )
    review["request"]["resource"] = {"group": "apps", "version": "v1", "resource": "deployments"}
    return review


def scaled_world(**metadata: Any) -> factories.World:  # noqa: ANN401  fields of the metadata
    stored = factories.deployment(5, namespace="team-alpha", **metadata)
    return factories.World(factories.policy(POLICY.format(mode="enforce")), cluster=[*CLUSTER, stored])


@pytest.mark.parametrize(
    ("before", "after", "allowed"), [(5, 6, False), (1, 5, True), (7, 6, True), (6, 6, True), (5, 0, True)]
)
def test_a_scale_is_refused_only_where_the_cost_rises_above_the_ceiling(before: int, after: int, allowed: bool) -> None:
    answer = scaled_world().call("/validate", scale(after, before))
    assert answer.allowed is allowed
    assert answer.patch == []
    if not allowed:
        assert "costs $1,200.00 a month (6 replicas)" in answer.message


def test_scaling_again_and_again_leaves_the_stored_workload_as_it_was() -> None:
    scene = scaled_world()
    before = copy.deepcopy(scene.view.workload("team-alpha", "Deployment", "shop"))
    first = scene.call("/validate", scale(3, 1))
    assert scene.call("/validate", scale(3, 1)).response == first.response
    assert scene.view.workload("team-alpha", "Deployment", "shop") == before


def test_a_scale_of_a_workload_that_is_not_known_is_allowed() -> None:
    assert world().call("/validate", scale(100, 1)).response == {"uid": "review-1", "allowed": True}


def made_by_its_owner(kind: str, **changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:  # noqa: ANN401  fields of the spec
    """Return the owner of a workload of ten pods, and what its controller makes of it; `changes` are made to that."""
    made = of_kind(kind, replicas=10)
    inner = made["spec"]
    parent, version = ("Deployment", "apps/v1") if kind == "ReplicaSet" else ("CronJob", "batch/v1")
    spec = inner if kind == "ReplicaSet" else {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": inner}}
    owner = {
        "apiVersion": version,
        "kind": parent,
        "metadata": {"name": "x", "namespace": "team-alpha", "uid": "u"},
        "spec": copy.deepcopy(spec),
    }
    made["metadata"]["ownerReferences"] = [
        {"apiVersion": version, "kind": parent, "name": "x", "uid": "u", "controller": True}
    ]
    inner.update(changes)
    return owner, made


def is_judged(document: dict[str, Any], *known: dict[str, Any], user: str = "jane") -> bool:
    scene = factories.World(factories.policy(POLICY.format(mode="enforce")), cluster=[*CLUSTER, *known])
    return scene.validate(document, user=user).response != {"uid": "review-1", "allowed": True}


@pytest.mark.parametrize("kind", ["ReplicaSet", "Job"])
def test_what_a_controller_owns_is_not_judged_again(kind: str) -> None:
    owner, made = made_by_its_owner(kind)
    assert not is_judged(made, owner)
    made["metadata"]["ownerReferences"][0]["controller"] = False
    assert is_judged(made, owner)


@pytest.mark.parametrize(
    ("kind", "user"),
    [
        ("ReplicaSet", "system:serviceaccount:kube-system:deployment-controller"),
        ("Job", "system:serviceaccount:kube-system:cronjob-controller"),
        ("Job", "system:kube-controller-manager"),
    ],
)
def test_what_a_controller_makes_is_not_judged_although_its_owner_is_not_known_yet(kind: str, user: str) -> None:
    _, made = made_by_its_owner(kind)
    assert not is_judged(made, user=user)
    assert is_judged(made, user="system:serviceaccount:kube-system:replicaset-controller")


EXCUSES: dict[str, dict[str, Any]] = {
    "a ConfigMap": {"apiVersion": "v1", "kind": "ConfigMap"},
    "another UID": {"uid": "other"},
    "no UID": {"uid": ""},
    "another name": {"name": "y"},
    "another group": {"apiVersion": "example.com/v1"},
    "a custom resource": {"apiVersion": "example.com/v1", "kind": "Database"},
    "a kind that makes no such workloads": {"kind": "StatefulSet"},
}


@pytest.mark.parametrize("name", EXCUSES)
@pytest.mark.parametrize("kind", ["ReplicaSet", "Job"])
def test_an_owner_reference_alone_excuses_nothing(kind: str, name: str) -> None:
    owner, made = made_by_its_owner(kind)
    made["metadata"]["ownerReferences"][0].update(EXCUSES[name])
    others = [{**owner, "kind": each} for each in ("ConfigMap", "StatefulSet")]
    assert is_judged(made, owner, *others)


def test_an_owner_of_another_namespace_excuses_nothing() -> None:
    owner, made = made_by_its_owner("ReplicaSet")
    owner["metadata"]["namespace"] = "team-beta"
    assert is_judged(made, owner)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("ReplicaSet", {"replicas": 11}),
        ("Job", {"parallelism": 11}),
        (
            "ReplicaSet",
            {"template": factories.deployment(template=factories.pod(hostNetwork=True))["spec"]["template"]},
        ),
    ],
)
def test_more_than_the_owner_asks_for_is_judged(kind: str, changes: dict[str, Any]) -> None:
    owner, made = made_by_its_owner(kind, **changes)
    assert is_judged(made, owner)


@pytest.mark.parametrize("kind", ["StatefulSet", "Deployment"])
def test_a_workload_of_a_custom_resource_is_judged_like_any_other(kind: str) -> None:
    document = of_kind(kind, replicas=100)
    document["metadata"]["ownerReferences"] = [
        {"apiVersion": "example.com/v1", "kind": "Database", "name": "x", "uid": "u", "controller": True}
    ]
    answer = world().validate(document)
    assert not answer.allowed
    assert "workload" in answer.message or "replicas" in answer.message


def test_the_scale_of_a_workload_of_a_custom_resource_is_judged() -> None:
    owned = factories.deployment(1, namespace="team-alpha", uid="d")
    owned["metadata"]["ownerReferences"] = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "u", "controller": True}
    ]
    scene = factories.World(factories.policy(POLICY.format(mode="enforce")), cluster=[*CLUSTER, owned])
    assert not scene.call("/validate", scale(100, 1)).allowed


def test_owners_that_own_each_other_are_judged() -> None:
    owner, made = made_by_its_owner("ReplicaSet")
    owner["metadata"]["ownerReferences"] = [
        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "shop", "uid": "r", "controller": True}
    ]
    made["metadata"].update(name="shop", uid="r", namespace="team-alpha")
    assert is_judged(owner, made)


RUNTIMES: dict[str, tuple[dict[str, Any], str]] = {
    "annotated": (
        cron_job({"podgate.dev/expected-runtime": "90m"}, activeDeadlineSeconds=5400),
        "$4.00 a month (1 pod at a time for 90m as annotated",
    ),
    "days": (
        cron_job({"podgate.dev/expected-runtime": "1d2h"}, activeDeadlineSeconds=172_800),
        "$52.00 a month (1 pod at a time for 1d2h as annotated",
    ),
    "deadline": (
        cron_job(activeDeadlineSeconds=7200),
        "$4.00 a month (1 pod at a time until activeDeadlineSeconds, 2 h",
    ),
    "annotation before deadline": (
        cron_job({"podgate.dev/expected-runtime": "1h"}, activeDeadlineSeconds=7200),
        "$2.00 a month (1 pod at a time for 1h as annotated",
    ),
    "annotation beyond the deadline": (
        cron_job({"podgate.dev/expected-runtime": "3h"}, activeDeadlineSeconds=7200),
        "$4.00 a month (1 pod at a time until activeDeadlineSeconds, 2 h",
    ),
    "annotation without a deadline": (
        cron_job({"podgate.dev/expected-runtime": "1s"}),
        (
            "$200.00 a month (1 pod at a time for the whole month, as podgate.dev/expected-runtime is believed beside "
            "activeDeadlineSeconds only"
        ),
    ),
    "a long way to write it": (
        cron_job({"podgate.dev/expected-runtime": f"{'0s' * 40_000}2h"}, activeDeadlineSeconds=86_400),
        "$4.00 a month (1 pod at a time for 2 h as annotated",
    ),
    "unknown": (
        cron_job(),
        "$200.00 a month (1 pod at a time for the whole month, as no annotation podgate.dev/expected-runtime says less",
    ),
    "malformed": (
        cron_job({"podgate.dev/expected-runtime": "soon"}),
        "$200.00 a month (1 pod at a time for the whole month",
    ),
    "longer than a month": (cron_job({"podgate.dev/expected-runtime": "400h"}), "$200.00 a month"),
    "parallel": (cron_job(parallelism=3, activeDeadlineSeconds=3600), "$6.00 a month (3 pods at a time"),
    "fewer completions": (
        cron_job(parallelism=3, completions=2, activeDeadlineSeconds=3600),
        "$4.00 a month (2 pods at a time",
    ),
    "a job": (of_kind("Job", activeDeadlineSeconds=3600), "this Job costs $2.00 a month (1 pod at a time"),
    "suspended": (
        of_kind("Job", suspend=True, parallelism=3),
        "this Job costs $0.00 a month (suspended; resumed: 3 pods at a time for the whole month",
    ),
    "a schedule that is suspended": (
        {**cron_job(activeDeadlineSeconds=3600), "spec": {**cron_job()["spec"], "suspend": True}},
        "this CronJob costs $0.00 a month (suspended; resumed: 1 pod at a time",
    ),
    "a schedule of suspended jobs": (cron_job(suspend=True), "$0.00 a month (suspended; resumed: 1 pod at a time"),
    "a schedule that never comes up": (
        {**cron_job(), "spec": {**cron_job(activeDeadlineSeconds=3600)["spec"], "schedule": "0 0 31 2 *"}},
        "$2.00 a month (1 pod at a time until activeDeadlineSeconds, 1 h, one run counted, as its schedule is rare or",
    ),
    "suspended by parallelism": (cron_job(parallelism=0, activeDeadlineSeconds=3600), "$0.00 a month (0 pods"),
}


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_job_costs_what_its_expected_runtime_costs_and_says_which(name: str) -> None:
    document, expected = RUNTIMES[name]
    answer = world().validate(document)
    assert any(expected in warning for warning in answer.warnings), answer.warnings


@pytest.mark.parametrize(("parallelism", "allowed"), [(5, True), (6, False)])
def test_a_suspended_job_is_let_in_and_judged_when_it_is_resumed(parallelism: int, allowed: bool) -> None:
    suspended = of_kind("Job", suspend=True, parallelism=parallelism)
    created = world().validate(suspended)
    assert created.allowed
    told = "would cost $1,200.00 a month (suspended; resumed: 6 pods at a time"
    assert any(told in text and "resuming it will be refused" in text for text in created.warnings) is not allowed

    resumed = of_kind("Job", suspend=False, parallelism=parallelism)
    answer = world().call("/validate", factories.review(resumed, old=suspended, operation="UPDATE"))
    assert answer.allowed is allowed
    back = world().call("/validate", factories.review(suspended, old=resumed, operation="UPDATE"))
    assert back.allowed


DAEMONS: dict[str, tuple[dict[str, Any], int]] = {
    # The taint of a cordoned node keeps no DaemonSet pod away.
    "everywhere untainted": ({}, 3),
    "selected": ({"nodeSelector": {"disk": "hdd"}}, 1),
    "selected by two": ({"nodeSelector": {"disk": "ssd", "zone": "x"}}, 0),
    "tolerating one": ({"tolerations": [{"key": "gpu", "operator": "Exists"}]}, 4),
    "tolerating all": ({"tolerations": [{"operator": "Exists"}]}, 4),
    "tolerating another effect": ({"tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoExecute"}]}, 3),
    "by affinity": (
        {
            "affinity": {
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [
                            {"matchExpressions": [{"key": "disk", "operator": "NotIn", "values": ["hdd"]}]}
                        ]
                    }
                }
            }
        },
        2,
    ),
    "by name": (
        {
            "affinity": {
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [
                            {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]},
                            {},
                        ]
                    }
                }
            }
        },
        1,
    ),
}


@pytest.mark.parametrize("name", DAEMONS)
def test_a_daemon_set_costs_as_many_pods_as_nodes_match(name: str) -> None:
    spec, nodes = DAEMONS[name]
    document = of_kind("DaemonSet")
    document["spec"]["template"]["spec"].update(spec)
    answer = world().validate(document)
    words = f"({nodes} matching node{'' if nodes == 1 else 's'}, "
    assert any(words in warning for warning in answer.warnings), answer.warnings


@pytest.mark.parametrize(
    "spec",
    [
        {"affinity": factories.required_affinity([{"key": "disk", "operator": "NotIn", "values": ["ssd"]}] * 300)},
        {"tolerations": [{"key": str(number)} for number in range(600)]},
    ],
    ids=["affinity", "tolerations"],
)
def test_a_daemon_set_that_asks_for_more_than_can_be_told_costs_a_pod_on_every_node(spec: dict[str, Any]) -> None:
    document = of_kind("DaemonSet")
    document["spec"]["template"]["spec"].update(spec)
    answer = world().validate(document)
    assert any("(4 matching nodes, " in warning for warning in answer.warnings), answer.warnings


@pytest.mark.parametrize("kind", ["Pod", "DaemonSet"])
def test_a_required_affinity_of_twenty_thousand_values_holds_up_no_other_review(kind: str) -> None:
    requirements = [{"key": "zone", "operator": "NotIn", "values": [str(number)]} for number in range(20_000)]
    affinity = factories.required_affinity(requirements)
    document = factories.pod(affinity=affinity)
    if kind != "Pod":
        document = of_kind(kind)
        document["spec"]["template"]["spec"]["affinity"] = affinity
    scene = world()
    began = time.process_time()
    assert scene.validate(document).outcome("costCeiling") == "passed"
    # Where the time goes with the square of the number, this takes ten seconds and more.
    assert time.process_time() - began < 3


@pytest.mark.parametrize("operation", ["DELETE", "CONNECT"])
def test_other_operations_on_workloads_are_allowed(operation: str) -> None:
    answer = world().call("/validate", factories.review(factories.deployment(100), operation=operation))
    assert answer.response == {"uid": "review-1", "allowed": True}


@pytest.mark.parametrize("spec", [None, {}, {"template": None}, {"replicas": 3}])
@pytest.mark.parametrize("kind", [*REPLICATED, "DaemonSet", "Job", "CronJob"])
def test_a_workload_without_a_template_is_allowed(kind: str, spec: dict[str, Any] | None) -> None:
    document = {**of_kind(kind), "spec": spec}
    assert world().validate(document).response == {"uid": "review-1", "allowed": True}


def test_no_workload_is_ever_booked() -> None:
    budget = factories.policy(
        "mode: enforce\nscope: {cluster: true}\namount: '100'\ncurrency: USD", name="all", kind="Budget"
    )
    scene = factories.World(factories.policy(POLICY.format(mode="enforce")), budget, cluster=CLUSTER)
    answer = scene.validate(factories.deployment(3))
    assert answer.allowed
    assert any('budget "all"' in warning for warning in answer.warnings)
    assert scene.ledger.size() == 0
