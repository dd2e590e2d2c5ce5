"""spot: what is added, to whom, and whom it leaves alone."""

from typing import Any

import pytest

from tests import factories
from tests.guardrails import _scene
from webhook.cluster.view import Controller
from webhook.guardrails.base.contract import WorkloadScale

TAINT = {"key": "spot", "operator": "Equal", "value": "true", "effect": "NoSchedule"}
SECTION = """
tolerations: [{key: spot, operator: Equal, value: "true", effect: NoSchedule}]
nodeAffinity: {weight: 90, key: lifecycle, values: [spot, preemptible]}
"""
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
TERM = {
    "weight": 90,
    "preference": {"matchExpressions": [{"key": "lifecycle", "operator": "In", "values": ["spot", "preemptible"]}]},
}


def seen(pod: dict[str, Any], more: str = "", **context: Any) -> _scene.Seen:  # noqa: ANN401  fields of a Context
    return _scene.judge("spot", SECTION + more, pod, **context)


def required(*terms: list[dict[str, Any]]) -> dict[str, Any]:
    return {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": term} for term in terms]}}}


def on(operator: str, *values: str, key: str = "lifecycle") -> dict[str, Any]:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


def test_a_plain_pod_tolerates_and_prefers_spot() -> None:
    result = seen(factories.pod())
    assert result.patched["spec"]["tolerations"] == [TAINT]
    assert result.patched["spec"]["affinity"] == {"nodeAffinity": {PREFERRED: [TERM]}}
    assert result.findings == result.notices == []


def test_what_the_author_wrote_stays_in_front() -> None:
    own = {"key": "gpu", "operator": "Exists"}
    affinity = {
        "podAffinity": {},
        "nodeAffinity": {PREFERRED: [{"weight": 1, "preference": {"matchExpressions": [on("Exists", key="ssd")]}}]},
    }
    result = seen(factories.pod(tolerations=[own], affinity=affinity))
    assert result.patched["spec"]["tolerations"] == [own, TAINT]
    assert result.patched["spec"]["affinity"]["podAffinity"] == {}
    assert result.patched["spec"]["affinity"]["nodeAffinity"][PREFERRED][1] == TERM


TOLERATED: dict[str, dict[str, Any]] = {
    "the very same": TAINT,
    "the operator is Equal by default": {"key": "spot", "value": "true", "effect": "NoSchedule"},
    "every effect": {"key": "spot", "operator": "Equal", "value": "true"},
    "every value": {"key": "spot", "operator": "Exists", "effect": "NoSchedule"},
    "every key": {"operator": "Exists"},
}
NOT_TOLERATED: dict[str, dict[str, Any]] = {
    "another value": {**TAINT, "value": "false"},
    "another effect": {**TAINT, "effect": "NoExecute"},
    "another key": {**TAINT, "key": "spots"},
    "no value": {"key": "spot", "effect": "NoSchedule"},
}


@pytest.mark.parametrize("name", TOLERATED)
def test_a_toleration_that_covers_the_taint_is_enough(name: str) -> None:
    assert seen(factories.pod(tolerations=[TOLERATED[name]])).patched["spec"]["tolerations"] == [TOLERATED[name]]


@pytest.mark.parametrize("name", NOT_TOLERATED)
def test_a_toleration_that_does_not_cover_the_taint_is_not_enough(name: str) -> None:
    own = NOT_TOLERATED[name]
    assert seen(factories.pod(tolerations=[own])).patched["spec"]["tolerations"] == [own, TAINT]


def test_tolerating_one_value_does_not_cover_every_value() -> None:
    every = "tolerations: [{key: spot, operator: Exists, effect: NoSchedule}]"
    result = _scene.judge("spot", every, factories.pod(tolerations=[TAINT]))
    assert result.patched["spec"]["tolerations"] == [
        TAINT,
        {"key": "spot", "operator": "Exists", "effect": "NoSchedule"},
    ]


LEFT_ALONE: dict[str, dict[str, Any]] = {
    "with a node name": factories.pod(nodeName="n1"),
    "a mirror pod": factories.pod(annotations={"kubernetes.io/config.mirror": "x"}),
    "a static pod": factories.pod(metadata=_scene.owned_by("Node", version="v1")),
    "a system priority class": factories.pod(priorityClassName="system-node-critical"),
    "a system priority": factories.pod(priority=2_000_000_000),
    "a StatefulSet's": factories.pod(metadata=_scene.owned_by("StatefulSet")),
    "a persistent volume": factories.pod(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]),
    "a generic ephemeral volume": factories.pod(volumes=[{"name": "v", "ephemeral": {"volumeClaimTemplate": {}}}]),
    "a node selector for on-demand": factories.pod(nodeSelector={"lifecycle": "on-demand"}),
    "required on-demand": factories.pod(affinity=required([on("In", "on-demand")])),
    "required absence": factories.pod(affinity=required([on("DoesNotExist")])),
    "required elsewhere": factories.pod(affinity=required([on("NotIn", "spot", "preemptible")])),
    "all terms exclude it": factories.pod(affinity=required([on("In", "a")], [on("DoesNotExist")])),
}
STILL_ELIGIBLE: dict[str, dict[str, Any]] = {
    "a node selector for spot": factories.pod(nodeSelector={"lifecycle": "spot"}),
    "a node selector for something else": factories.pod(nodeSelector={"disk": "ssd"}),
    "required spot": factories.pod(affinity=required([on("In", "spot", "on-demand")])),
    "required not one of them": factories.pod(affinity=required([on("NotIn", "spot")])),
    "one term allows it": factories.pod(affinity=required([on("In", "a")], [on("Exists", key="x")])),
    "an ordinary priority": factories.pod(priority=1_999_999_999, priorityClassName="systematic"),
    "an emptyDir": factories.pod(volumes=[{"name": "v", "emptyDir": {}}]),
    "a Job's": factories.pod(metadata=_scene.owned_by("Job", version="batch/v1")),
    "a skip that is not honoured": factories.pod(annotations={"podgate.dev/skip": "spot"}),
}


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_it_leaves_alone(name: str) -> None:
    result = seen(LEFT_ALONE[name], "priceAs: spot")
    assert result.operations == []
    assert not result.is_spot


@pytest.mark.parametrize("name", STILL_ELIGIBLE)
def test_it_does_not_leave_alone(name: str) -> None:
    result = seen(STILL_ELIGIBLE[name], "priceAs: spot")
    assert TAINT in result.patched["spec"]["tolerations"]
    assert result.is_spot


@pytest.mark.parametrize("name", ["a StatefulSet's", "a persistent volume", "a generic ephemeral volume"])
def test_stateful_pods_go_where_the_policy_lets_them(name: str) -> None:
    assert seen(LEFT_ALONE[name], "skipStateful: false").operations


def annotated(**values: str) -> dict[str, Any]:
    keys = {"karpenter": "karpenter.sh/do-not-disrupt", "evict": "cluster-autoscaler.kubernetes.io/safe-to-evict"}
    return factories.pod(annotations={keys[name]: value for name, value in values.items()})


@pytest.mark.parametrize(
    ("pod", "stays_off"),
    [
        pytest.param(annotated(karpenter="true"), True, id="Karpenter must not disrupt it"),
        pytest.param(annotated(karpenter="1h30m"), True, id="Karpenter must not disrupt it for a while"),
        pytest.param(annotated(evict="false"), True, id="the cluster autoscaler must not evict it"),
        pytest.param(annotated(karpenter="false", evict="false"), True, id="one of both"),
        pytest.param(annotated(karpenter="false"), False, id="Karpenter may disrupt it"),
        pytest.param(annotated(karpenter="yes"), False, id="a word that Karpenter does not know"),
        pytest.param(annotated(evict="true"), False, id="the cluster autoscaler may evict it"),
    ],
)
def test_a_pod_whose_author_forbids_its_eviction_stays_off_spot(pod: dict[str, Any], *, stays_off: bool) -> None:
    result = seen(pod, "priceAs: spot")
    assert (result.operations == []) is stays_off
    assert result.is_spot is not stays_off
    assert [notice.rule for notice in result.notices] == (["evictionForbidden"] if stays_off else [])
    assert seen(pod, "skipUninterruptible: false").operations


def disruption_budget(name: str = "shop", selector: dict[str, Any] | None = None, **spec: object) -> dict[str, Any]:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": "team-alpha"},
        "spec": {"selector": {"matchLabels": {"app": "shop"}} if selector is None else selector, **spec},
    }


def replicated(replicas: int | None) -> dict[str, Any]:
    made = factories.deployment(namespace="team-alpha")
    made["spec"].pop("replicas", None)
    if replicas is not None:
        made["spec"]["replicas"] = replicas
    return made


def autoscaler(most: int) -> dict[str, Any]:
    target = {"kind": "Deployment", "name": "shop"}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "shop", "namespace": "team-alpha"},
        "spec": {"scaleTargetRef": target, "maxReplicas": most},
    }


OF_SHOP = factories.pod(labels={"app": "shop"}, metadata=_scene.owned_by("Deployment"))
LETS_NONE_GO: dict[str, list[dict[str, Any]]] = {
    "maxUnavailable 0": [disruption_budget(maxUnavailable=0)],
    "maxUnavailable 0%": [disruption_budget(maxUnavailable="0%")],
    "minAvailable 100%": [disruption_budget(minAvailable="100%")],
    "as many as there are replicas": [disruption_budget(minAvailable=3), replicated(3)],
    "more than there are replicas": [disruption_budget(minAvailable=4), replicated(3)],
    "the only replica, by default": [disruption_budget(minAvailable=1), replicated(None)],
    "half of one replica, rounded up": [disruption_budget(minAvailable="50%"), replicated(1)],
    "as many as the autoscaler may make": [disruption_budget(minAvailable=5), replicated(2), autoscaler(5)],
    "every pod of the namespace": [disruption_budget(selector={}, maxUnavailable=0)],
    "the second of two": [disruption_budget("a", maxUnavailable=1), disruption_budget("b", maxUnavailable=0)],
}
LETS_SOME_GO: dict[str, list[dict[str, Any]]] = {
    "maxUnavailable 1": [disruption_budget(maxUnavailable=1)],
    "maxUnavailable 1%, rounded up": [disruption_budget(maxUnavailable="1%"), replicated(1)],
    "neither": [disruption_budget()],
    "minAvailable 0": [disruption_budget(minAvailable=0), replicated(1)],
    "minAvailable 0%": [disruption_budget(minAvailable="0%"), replicated(1)],
    "one replica to spare": [disruption_budget(minAvailable=2), replicated(3)],
    "99% of two hundred": [disruption_budget(minAvailable="99%"), replicated(200)],
    "the autoscaler may make more": [disruption_budget(minAvailable=5), replicated(2), autoscaler(6)],
    "an unknown workload": [disruption_budget(minAvailable=1)],
    "scaled to zero": [disruption_budget(minAvailable=1), replicated(0)],
    "other pods": [disruption_budget(selector={"matchLabels": {"app": "web"}}, maxUnavailable=0)],
    "no pods at all": [{**disruption_budget(), "spec": {"maxUnavailable": 0}}],
}


@pytest.mark.parametrize("name", LETS_NONE_GO)
def test_a_pod_that_a_disruption_budget_never_lets_go_stays_off_spot_and_its_author_is_told(name: str) -> None:
    cluster = LETS_NONE_GO[name]
    result = seen(OF_SHOP, "priceAs: spot", cluster=cluster)
    assert result.operations == []
    assert not result.is_spot
    (notice,) = result.notices
    assert notice.notice
    assert notice.rule == "disruptionBudget"
    assert notice.message.endswith("never lets a pod go, so the pod is not sent to spot nodes")
    allowed = seen(OF_SHOP, "skipUninterruptible: false", cluster=cluster)
    assert (allowed.patched["spec"]["tolerations"], allowed.notices) == ([TAINT], [])


@pytest.mark.parametrize("name", LETS_SOME_GO)
def test_a_disruption_budget_that_lets_pods_go_keeps_none_off_spot(name: str) -> None:
    result = seen(OF_SHOP, "priceAs: spot", cluster=LETS_SOME_GO[name])
    assert result.patched["spec"]["tolerations"] == [TAINT]
    assert result.is_spot
    assert result.notices == []


def test_a_workload_is_judged_by_the_replicas_that_it_asks_for_now() -> None:
    cluster = [disruption_budget(minAvailable=2), replicated(2)]
    controller = Controller("Deployment", "shop", "apps/v1")
    more = seen(OF_SHOP, cluster=cluster, scale=WorkloadScale("Deployment", 3), controller=controller)
    assert more.patched["spec"]["tolerations"] == [TAINT]
    fewer = seen(OF_SHOP, cluster=cluster, scale=WorkloadScale("Deployment", 1), controller=controller)
    assert fewer.operations == []


def test_a_daemon_set_is_not_concerned_by_disruption_budgets_and_annotations() -> None:
    metadata = _scene.owned_by("DaemonSet")
    pod = factories.pod(labels={"app": "shop"}, annotations={"karpenter.sh/do-not-disrupt": "true"}, metadata=metadata)
    result = seen(pod, cluster=[disruption_budget(maxUnavailable=0)])
    assert result.patched["spec"]["tolerations"] == [TAINT]
    assert result.notices == []


def test_a_daemon_set_tolerates_spot_nodes_without_preferring_them() -> None:
    result = seen(factories.pod(metadata=_scene.owned_by("DaemonSet")))
    assert result.patched["spec"]["tolerations"] == [TAINT]
    assert "affinity" not in result.patched["spec"]


@pytest.mark.parametrize("operator", ["In", "NotIn", "Exists"])
def test_a_preference_of_the_author_on_the_label_is_not_contradicted(operator: str) -> None:
    values = () if operator == "Exists" else ("on-demand",)
    own = [{"weight": 1, "preference": {"matchExpressions": [on(operator, *values)]}}]
    result = seen(factories.pod(affinity={"nodeAffinity": {PREFERRED: own}}))
    assert result.patched["spec"]["affinity"]["nodeAffinity"][PREFERRED] == own
    assert result.patched["spec"]["tolerations"] == [TAINT]


@pytest.mark.parametrize(("value", "skipped"), [("spot", True), ("binPacking, spot", True), ("binPacking", False)])
def test_a_pod_may_opt_out_where_the_policy_allows_it(value: str, skipped: bool) -> None:
    pod = factories.pod(annotations={"podgate.dev/skip": value})
    assert (seen(pod, "allowSkip: true").operations == []) is skipped
    assert seen(pod).operations


def test_only_a_pod_that_tolerates_spot_is_priced_as_spot_and_only_where_the_policy_says_so() -> None:
    assert not seen(factories.pod()).is_spot
    assert seen(factories.pod(), "priceAs: spot").is_spot
    # On an update nothing is added, so a pod without the toleration stays on-demand.
    bare = seen(factories.pod(), "priceAs: spot", operation="UPDATE")
    assert bare.operations == []
    assert not bare.is_spot


def test_a_pod_without_a_spec_is_left_alone() -> None:
    assert seen({"kind": "Pod", "metadata": {"name": "x"}}).operations == []
