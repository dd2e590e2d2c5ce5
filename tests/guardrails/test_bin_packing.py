"""binPacking: whose scheduler is set, and what happens while that scheduler is away."""

from typing import Any

import pytest

from tests import factories
from tests.guardrails import _scene

SECTION = "schedulerName: packer\n"
SPREAD = (
    SECTION + "topologySpread: {maxSkew: 3, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway}\n"
)


def lease(holder: str = "packer-0", name: str = "packer") -> dict[str, Any]:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": "kube-system"},
        "spec": {"holderIdentity": holder},
    }


def workload(selector: dict[str, Any] | None = None) -> dict[str, Any]:
    made = factories.deployment(namespace="team-alpha")
    if selector is not None:
        made["spec"]["selector"] = selector
    return made


def seen(
    pod: dict[str, Any],
    section: str = SECTION,
    cluster: list[dict[str, Any]] | None = None,
    **context: Any,  # noqa: ANN401
) -> _scene.Seen:
    return _scene.judge("binPacking", section, pod, [lease()] if cluster is None else cluster, **context)


PACKED: dict[str, dict[str, Any]] = {
    "default-scheduler": factories.pod(),
    "no name": factories.pod(schedulerName=None),
    "an empty name": factories.pod(schedulerName=""),
    "a StatefulSet's": factories.pod(metadata=_scene.owned_by("StatefulSet")),
    "an ordinary priority": factories.pod(priority=1_000_000_000, priorityClassName="high"),
    "a skip that is not honoured": factories.pod(annotations={"podgate.dev/skip": "binPacking"}),
}
LEFT_ALONE: dict[str, dict[str, Any]] = {
    "another scheduler": factories.pod(schedulerName="volcano"),
    "a DaemonSet's": factories.pod(metadata=_scene.owned_by("DaemonSet")),
    "a static pod": factories.pod(metadata=_scene.owned_by("Node", version="v1")),
    "a mirror pod": factories.pod(annotations={"kubernetes.io/config.mirror": "x"}),
    "with a node name": factories.pod(nodeName="n1"),
    "a system priority class": factories.pod(priorityClassName="system-cluster-critical"),
    "a system priority": factories.pod(priority=2_000_001_000),
    "packed already": factories.pod(schedulerName="packer"),
}


@pytest.mark.parametrize("name", PACKED)
def test_it_packs(name: str) -> None:
    result = seen(PACKED[name])
    assert result.patched["spec"]["schedulerName"] == "packer"
    assert result.findings == result.notices == []


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_it_leaves_alone(name: str) -> None:
    for cluster in ([lease()], []):
        result = seen(LEFT_ALONE[name], SECTION + "\nknownSchedulers: [volcano]", cluster=cluster)
        assert result.operations == []
        assert result.notices == []


@pytest.mark.parametrize("metadata", [{}, _scene.owned_by("DaemonSet")], ids=["a pod", "of a DaemonSet"])
def test_a_scheduler_that_nobody_knows_is_told_since_the_pod_may_stay_pending_for_ever(
    metadata: dict[str, Any],
) -> None:
    pod = factories.pod(schedulerName="no-such-scheduler", metadata=metadata)
    result = seen(pod, cluster=[lease()])
    assert (result.operations, result.findings) == ([], [])
    (notice,) = result.notices
    assert (notice.rule, notice.notice, notice.quiet) == ("schedulerOfAuthor", True, False)
    assert 'its schedulerName "no-such-scheduler" is of no scheduler that is known here' in notice.message
    assert "binPacking.knownSchedulers" in notice.cure


@pytest.mark.parametrize(
    ("name", "more", "cluster"),
    [
        ("no-such-scheduler", "knownSchedulers: [volcano, no-such-scheduler]", []),
        ("no-such-scheduler", "", [lease(name="no-such-scheduler")]),
        ("default-scheduler", "", []),
        ("packer", "", []),
    ],
    ids=["listed", "with a Lease", "the default one", "the policy's own"],
)
def test_a_scheduler_that_somebody_knows_needs_no_word(name: str, more: str, cluster: list[dict[str, Any]]) -> None:
    notices = seen(factories.pod(schedulerName=name), f"{SECTION}\n{more}", cluster=cluster).notices
    assert [each.rule for each in notices if each.rule == "schedulerOfAuthor"] == []


def test_a_pod_that_opts_out_hears_nothing_of_its_scheduler() -> None:
    pod = factories.pod(schedulerName="mine", annotations={"podgate.dev/skip": "binPacking"})
    assert seen(pod, f"{SECTION}\nallowSkip: true").notices == []


def test_a_scheduler_of_a_very_long_name_is_told_in_short() -> None:
    (notice,) = seen(factories.pod(schedulerName="s" * 100_000)).notices
    assert len(notice.message) < 300


def test_a_pod_stays_with_the_default_scheduler_while_the_other_is_away() -> None:
    result = seen(factories.pod(), SPREAD, [lease("")])
    assert result.operations == []
    (notice,) = result.notices
    assert (notice.rule, notice.notice, notice.quiet) == ("schedulerLease", True, False)
    assert 'scheduler "packer" holds no fresh Lease' in notice.message
    assert "Lease is named packer" in notice.cure


@pytest.mark.parametrize("cluster", [[], [lease(name="another")]], ids=["no Lease", "another's Lease"])
def test_a_scheduler_that_never_ran_is_recorded_without_a_word_to_users(cluster: list[dict[str, Any]]) -> None:
    result = seen(factories.pod(), SPREAD, cluster)
    assert result.operations == []
    (notice,) = result.notices
    assert (notice.rule, notice.notice, notice.quiet) == ("schedulerUnknown", True, True)
    assert 'there is no Lease of scheduler "packer"' in notice.message


PACKING = factories.policy("mode: enforce\nbinPacking: {schedulerName: packer}")


def test_the_notice_is_a_warning_and_never_a_refusal() -> None:
    world = factories.World(PACKING, cluster=[lease("")])
    mutated, validated, _ = world.create(factories.pod())
    assert mutated.allowed
    assert validated.allowed
    assert [text for text in mutated.warnings if "holds no fresh Lease" in text]


@pytest.mark.parametrize("mode", ["enforce", "warn"])
def test_who_applies_a_pod_is_not_told_of_a_scheduler_that_never_ran(mode: str) -> None:
    world = factories.World(PACKING.replace("enforce", mode))
    mutated, validated, _ = world.create(factories.pod())
    assert mutated.warnings == validated.warnings == []
    assert 'there is no Lease of scheduler "packer"' in mutated.notes["findings"]


def owned() -> dict[str, Any]:
    return factories.pod(
        labels={"pod-template-hash": "7d9c8b6f5"}, metadata=_scene.owned_by("ReplicaSet", "shop-7d9c8b6f5")
    )


def test_replicas_are_spread_by_the_selector_of_their_owner() -> None:
    selector = {
        "matchLabels": {"app": "shop"},
        "matchExpressions": [{"key": "track", "operator": "In", "values": ["a", "b"]}],
    }
    replica_set = {
        **factories.deployment(namespace="team-alpha"),
        "kind": "ReplicaSet",
        "metadata": {
            "name": "shop-7d9c8b6f5",
            "namespace": "team-alpha",
            "uid": "u",
            **_scene.owned_by("Deployment"),
        },
    }
    result = seen(owned(), SPREAD, [lease(), workload(selector), replica_set])
    assert result.patched["spec"]["topologySpreadConstraints"] == [
        {
            "maxSkew": 3,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": selector,
        }
    ]


@pytest.mark.parametrize(
    ("pod", "cluster"),
    [
        (factories.pod(), [workload()]),
        (factories.pod(metadata=_scene.owned_by("StatefulSet", "unknown")), [workload()]),
        (factories.pod(metadata=_scene.owned_by("StatefulSet")), [{**workload({}), "kind": "StatefulSet"}]),
    ],
    ids=["no controller", "an unknown controller", "a selector that selects every pod"],
)
def test_pods_without_a_known_selector_are_packed_but_not_spread(
    pod: dict[str, Any], cluster: list[dict[str, Any]]
) -> None:
    result = seen(pod, SPREAD, [lease(), *cluster])
    assert result.patched["spec"]["schedulerName"] == "packer"
    assert "topologySpreadConstraints" not in result.patched["spec"]


def test_a_constraint_of_the_author_on_the_same_key_stays_the_only_one() -> None:
    stateful = {**workload(), "kind": "StatefulSet"}
    own = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule"}
    zone = {**own, "topologyKey": "topology.kubernetes.io/zone"}
    meta = _scene.owned_by("StatefulSet")
    kept = seen(factories.pod(metadata=meta, topologySpreadConstraints=[own]), SPREAD, [lease(), stateful])
    assert kept.patched["spec"]["topologySpreadConstraints"] == [own]
    added = seen(factories.pod(metadata=meta, topologySpreadConstraints=[zone]), SPREAD, [lease(), stateful])
    assert [item["topologyKey"] for item in added.patched["spec"]["topologySpreadConstraints"]] == [
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
    ]


@pytest.mark.parametrize(("value", "skipped"), [("binPacking", True), ("spot,binPacking", True), ("spot", False)])
def test_a_pod_may_opt_out_where_the_policy_allows_it(value: str, skipped: bool) -> None:
    pod = factories.pod(annotations={"podgate.dev/skip": value})
    assert (seen(pod, SECTION + "allowSkip: true").operations == []) is skipped


def test_the_immutable_name_of_a_running_pod_is_not_touched() -> None:
    assert seen(factories.pod(), operation="UPDATE").operations == []
