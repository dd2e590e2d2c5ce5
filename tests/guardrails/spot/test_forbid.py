"""spot with ``forbid``: which pods ask for spot capacity and are refused, and which do not."""

from typing import Any

import pytest

from tests import factories
from tests.guardrails import _scene
from webhook.pricing.placement import SPOT_LABELS

PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
KARPENTER = "karpenter.sh/capacity-type"
OF_AGENT = _scene.owned_by("DaemonSet", "agent")


def seen(pod: dict[str, Any], more: str = "", **context: Any) -> _scene.Seen:  # noqa: ANN401  fields of a Context
    return _scene.judge("spot", f"forbid: true\n{more}", pod, **context)


def on(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


def required(*terms: list[dict[str, Any]]) -> dict[str, Any]:
    return {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": term} for term in terms]}}}


def preferred(*expressions: dict[str, Any]) -> dict[str, Any]:
    return {"nodeAffinity": {PREFERRED: [{"weight": 1, "preference": {"matchExpressions": list(expressions)}}]}}


def tolerating(*tolerations: dict[str, Any], **spec: Any) -> dict[str, Any]:  # noqa: ANN401  fields of a spec
    return factories.pod(tolerations=list(tolerations), **spec)


ASKS: dict[str, tuple[str, dict[str, Any]]] = {
    **{
        f"a selector by {key}": ("spec.nodeSelector", factories.pod(nodeSelector={key: next(iter(values))}))
        for key, values in SPOT_LABELS.items()
    },
    **{
        f"a requirement by {key}": (
            "spec.affinity",
            factories.pod(affinity=required([on(key, "In", next(iter(values)))])),
        )
        for key, values in SPOT_LABELS.items()
    },
    "one alternative": (
        "spec.affinity",
        factories.pod(affinity=required([on("a", "Exists")], [on(KARPENTER, "In", "spot")])),
    ),
    "spot as well": ("spec.affinity", factories.pod(affinity=required([on(KARPENTER, "In", "on-demand", "spot")]))),
    "a label that only spot nodes have": (
        "spec.affinity",
        factories.pod(affinity=required([on("cloud.google.com/gke-spot", "Exists")])),
    ),
    "a preference": ("spec.affinity", factories.pod(affinity=preferred(on(KARPENTER, "In", "spot")))),
    "a requirement that is too long to tell": (
        "spec.affinity",
        factories.pod(affinity=required([on(KARPENTER, "In", "spot", *map(str, range(600)))])),
    ),
    "Azure's taint": (
        "spec.tolerations[0]",
        tolerating({"key": "kubernetes.azure.com/scalesetpriority", "value": "spot", "effect": "NoSchedule"}),
    ),
    "GKE's taint": ("spec.tolerations[0]", tolerating({"key": "cloud.google.com/gke-spot", "operator": "Exists"})),
    "the generic taint, behind another": (
        "spec.tolerations[1]",
        tolerating({"key": "gpu", "operator": "Exists"}, {"key": "kubernetes.io/spot", "value": "true"}),
    ),
    "a capacity label as a taint": ("spec.tolerations[0]", tolerating({"key": KARPENTER, "value": "spot"})),
    "every taint": ("spec.tolerations[0]", tolerating({"operator": "Exists"})),
    "a DaemonSet that selects spot": (
        "spec.nodeSelector",
        factories.pod(metadata=OF_AGENT, nodeSelector={KARPENTER: "spot"}),
    ),
}
DOES_NOT: dict[str, dict[str, Any]] = {
    "a plain pod": factories.pod(),
    "an on-demand selector": factories.pod(nodeSelector={KARPENTER: "on-demand"}),
    "kept off by NotIn": factories.pod(affinity=required([on(KARPENTER, "NotIn", "spot")])),
    "kept off by NotIn, tolerating every taint": tolerating(
        {"operator": "Exists"}, affinity=required([on(KARPENTER, "NotIn", "spot")])
    ),
    "kept off by a selector, preferring spot": factories.pod(
        nodeSelector={KARPENTER: "on-demand"}, affinity=preferred(on(KARPENTER, "In", "spot"))
    ),
    "another taint": tolerating({"key": "gpu", "operator": "Exists"}),
    "another value of a capacity label": tolerating({"key": KARPENTER, "value": "on-demand"}),
    "a taint that says it is none": tolerating({"key": "kubernetes.io/spot", "value": "false"}),
    "a preference for on-demand": factories.pod(affinity=preferred(on(KARPENTER, "In", "on-demand"))),
    "any capacity": factories.pod(affinity=required([on(KARPENTER, "Exists")])),
    "a DaemonSet that tolerates every taint": factories.pod(metadata=OF_AGENT, tolerations=[{"operator": "Exists"}]),
    "a requirement that is too long to tell, without spot": factories.pod(
        affinity=required([on(KARPENTER, "In", *map(str, range(600)))])
    ),
}


@pytest.mark.parametrize("name", ASKS)
def test_a_pod_that_asks_for_spot_is_refused_with_the_field_and_a_cure(name: str) -> None:
    path, pod = ASKS[name]
    result = seen(pod)
    assert result.operations == []
    (finding,) = result.findings
    assert (finding.rule, finding.notice) == ("forbidden", False)
    assert finding.message.startswith("asks for spot capacity, which is forbidden here (")
    assert finding.paths[0].startswith(path)
    assert finding.cure
    assert len(finding.message + finding.cure) < 600
    assert not result.is_spot


@pytest.mark.parametrize("name", DOES_NOT)
def test_a_pod_that_asks_for_no_spot_passes_untouched(name: str) -> None:
    result = seen(DOES_NOT[name])
    assert (result.operations, result.notices, result.findings) == ([], [], [])


def node(name: str, **labels: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}


@pytest.mark.parametrize(
    ("spec", "refused"),
    [
        ({"nodeName": "cheap"}, True),
        ({"nodeName": "plain"}, False),
        ({"nodeName": "gone"}, False),
        ({"nodeSelector": {"kubernetes.io/hostname": "cheap"}}, True),
        ({"affinity": required([on("kubernetes.io/hostname", "In", "plain", "cheap")])}, True),
        ({"affinity": required([on("kubernetes.io/hostname", "In", "plain")])}, False),
    ],
)
def test_a_pod_that_is_bound_to_a_spot_node_is_refused(spec: dict[str, Any], *, refused: bool) -> None:
    cluster = [node("plain"), node("cheap", lifecycle="EC2Spot")]
    assert bool(seen(factories.pod(**spec), cluster=cluster).findings) is refused
    assert seen(factories.pod(metadata=OF_AGENT, **spec), cluster=cluster).findings == []


def test_the_policy_says_what_else_marks_spot_nodes() -> None:
    own = (
        "tolerations: [{key: cheap, operator: Equal, value: 'yes'}]\n"
        "nodeAffinity: {key: lifecycle, values: [preemptible]}\n"
    )
    asks = [
        factories.pod(nodeSelector={"lifecycle": "preemptible"}),
        factories.pod(nodeSelector={"lifecycle": "EC2Spot"}),
        tolerating({"key": "cheap", "value": "yes"}),
        tolerating({"key": "cheap", "operator": "Exists"}),
    ]
    assert [len(seen(pod, own).findings) for pod in asks] == [1, 1, 1, 1]
    assert seen(tolerating({"key": "cheap", "value": "no"}), own).findings == []
    assert seen(factories.pod(), own).operations == []


def test_the_cure_lets_the_pod_in() -> None:
    refused = tolerating({"operator": "Exists"})
    (finding,) = seen(refused).findings
    assert "require karpenter.sh/capacity-type NotIn [spot]" in finding.cure
    mended = {**refused, "spec": {**refused["spec"], "affinity": required([on(KARPENTER, "NotIn", "spot")])}}
    assert seen(mended).findings == []


@pytest.mark.parametrize(
    ("old", "new", "refused"),
    [
        pytest.param(factories.pod(), ASKS["a preference"][1], True, id="it asks now"),
        pytest.param(ASKS["every taint"][1], ASKS["a preference"][1], False, id="it asked before"),
        pytest.param(ASKS["a preference"][1], factories.pod(), False, id="it asks no more"),
    ],
)
def test_an_update_is_refused_where_it_begins_to_ask(
    old: dict[str, Any], new: dict[str, Any], *, refused: bool
) -> None:
    assert bool(seen(new, operation="UPDATE", old=old).findings) is refused


@pytest.mark.parametrize(("mode", "allowed"), [("enforce", False), ("warn", True)])
def test_a_forbidding_policy_refuses_pods_and_warns_of_workloads(mode: str, *, allowed: bool) -> None:
    scene = factories.World(
        factories.policy(f"mode: {mode}\nspot: {{forbid: true}}"), cluster=[factories.namespace("team-alpha")]
    )
    pod = ASKS["every taint"][1]
    answer = scene.validate(pod)
    assert answer.allowed is allowed
    workload = scene.validate(factories.deployment(2, pod))
    assert workload.allowed
    assert any("spot: " in each and "to fix: name the taints" in each for each in workload.warnings)
